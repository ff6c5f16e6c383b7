"""A run keeps when and by which command it was made: each beginning is a line, and pauses between them are no work."""

import os
import posix
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from support.bench_runs import faulty_suite

from gradest_bench.command.main import main
from gradest_bench.results.files import StorageError
from gradest_bench.results.invocations import INVOCATIONS, Invocation, add_invocation, read_invocations, span
from gradest_bench.results.loading import load
from gradest_bench.results.records import Record
from gradest_bench.suite.cells import Cell, Spec

RECORD = Record(
    key="key",
    identity="identity",
    suite="suite",
    cell=Cell(problem=Spec(name="p"), estimator=Spec(name="e"), backend="numpy", worker="numpy", dtype="float64"),
    outcome="ok",
)


def ended(*times: str) -> list[Record]:
    return [msgspec.structs.replace(RECORD, finished=time) for time in times]


def begun(*times: str) -> list[Invocation]:
    return [Invocation(began=time, command="gradest") for time in times]


def at(clock: str) -> str:
    return f"2026-03-01T{clock}+00:00"


def test_a_run_keeps_its_command_and_a_resume_adds_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite, out = tmp_path / "suite.toml", tmp_path / "run"
    suite.write_text(faulty_suite("none"), encoding="utf-8")
    for more in ([], ["--resume"]):
        arguments = ["bench", "run", str(suite), "--out", str(out), *more]
        monkeypatch.setattr("sys.argv", ["gradest", *arguments])
        CliRunner().invoke(main, arguments)
    found = load(out)
    assert [made.command for made in found.invocations] == [
        f"gradest bench run {suite} --out {out}",
        f"gradest bench run {suite} --out {out} --resume",
    ]
    made = span(found.invocations, found.records)
    assert made is not None
    assert made.exact
    assert made.worked >= timedelta()


def test_a_torn_line_is_cut_off_before_the_next_is_added(tmp_path: Path) -> None:
    """The next beginning was written behind it, and no command could read the run from then on."""
    add_invocation(tmp_path, "gradest bench run one")
    with (tmp_path / INVOCATIONS).open("ab") as file:
        file.write(b'{"began": "2026-')
    add_invocation(tmp_path, "gradest bench run two")
    assert [made.command for made in read_invocations(tmp_path)] == ["gradest bench run one", "gradest bench run two"]


def test_a_beginning_that_does_not_fit_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_invocation(tmp_path, "gradest bench run one")
    monkeypatch.setattr(os, "write", lambda descriptor, line: posix.write(descriptor, line[:9]))  # a disk that is full
    with pytest.raises(StorageError, match="No space left on device"):
        add_invocation(tmp_path, "gradest bench run two")
    assert (tmp_path / INVOCATIONS).read_bytes().endswith(b"}\n")


def test_the_home_folder_of_who_ran_it_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    add_invocation(tmp_path, "gradest bench run /home/ada/secret.toml")
    assert read_invocations(tmp_path)[0].command == "gradest bench run ~/secret.toml"


def test_pauses_are_no_work_and_a_sweep_that_finished_nothing_took_no_time() -> None:
    made = span(begun(at("10:00:00"), at("11:00:00"), at("12:00:00")), ended(at("10:05:00"), at("12:00:30")))
    assert made is not None
    assert made.worked == timedelta(minutes=5, seconds=30)
    assert made.last - made.first == timedelta(hours=2, seconds=30)


def test_a_beginning_after_the_first_cell_or_none_or_no_time_at_all_is_not_exact() -> None:
    for begins in (begun(), begun(at("10:03:00")), begun("yesterday")):
        made = span(begins, ended(at("10:01:00"), at("10:05:00")))
        assert made is not None
        assert not made.exact
        assert made.worked == timedelta(minutes=4)
    assert span(begun(at("10:00:00")), ended("", "soon")) is None


def test_times_without_a_zone_are_those_of_utc() -> None:
    made = span(begun("2026-03-01T10:00:00"), ended(at("10:00:10")))
    assert made is not None
    assert made.worked == timedelta(seconds=10)


@pytest.mark.parametrize("line", [b"[]", b"17", b'{"began": 3, "command": ""}', b"\xff", b"[" * 100_000])
def test_a_damaged_line_is_named_and_a_torn_one_ignored(tmp_path: Path, line: bytes) -> None:
    add_invocation(tmp_path, "one")
    file = tmp_path / INVOCATIONS
    whole = file.read_bytes()
    file.write_bytes(whole + line)
    assert len(read_invocations(tmp_path)) == 1
    file.write_bytes(whole + line + b"\n")
    with pytest.raises(StorageError, match="line 2 is damaged"):
        read_invocations(tmp_path)


def test_a_command_of_bytes_that_are_no_text_is_kept_and_shown_spelled_out(tmp_path: Path) -> None:
    add_invocation(tmp_path, "gradest bench run caf\udce9.toml")
    assert read_invocations(tmp_path)[0].command == "gradest bench run caf\\udce9.toml"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept", encoding="utf-8")
    (tmp_path / INVOCATIONS).symlink_to(victim)
    with pytest.raises(StorageError, match="choose another folder"):
        add_invocation(tmp_path, "command")
    assert victim.read_text(encoding="utf-8") == "kept"
