"""Files are written beside and put in place; a link in a folder of results leads nowhere, a formula is a text."""

import csv
import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.bench_runs import faulty_suite, run_suite

from gradest_bench.command.main import main
from gradest_bench.results.export import csv_value
from gradest_bench.results.files import StorageError, replace_text, replacing
from gradest_bench.results.store import LOGS, Store
from gradest_bench.worker.launch import Launch, log_name
from gradest_bench.worker.pool import WorkerPool


def gradest(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "run"
    run_suite(faulty_suite("none"), folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A run that a test may write into: a copy of the one that was made."""
    return Path(shutil.copytree(made, tmp_path / "run"))


def test_a_disk_that_is_full_leaves_the_file_that_stood_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    replace_text(target, "the good one")

    def full(*arguments: Any, **more: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"report\.html cannot be written: No space left on device"):
        replace_text(target, "the new one")
    assert target.read_text(encoding="utf-8") == "the good one"
    assert list(tmp_path.iterdir()) == [target]


def test_a_writer_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "data.csv"

    def fail(path: Path) -> None:
        path.write_text("half", encoding="utf-8")
        raise KeyError("in the middle")

    def write() -> None:
        with replacing(target) as temporary:
            fail(temporary)

    with pytest.raises(KeyError):
        write()
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_can_be_read_by_whom_the_mask_lets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        replace_text(tmp_path / "a", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["report.html", "data.csv", "data.json", "data.pyperf"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_link_where_a_file_is_to_be_is_replaced_and_not_followed(name: str, kind: str, folder: Path) -> None:
    victim, target = folder.parent / "victim", folder / name
    victim.write_text("mine", encoding="utf-8")
    (target.symlink_to if kind == "link" else target.hardlink_to)(victim)
    form = name.partition(".")[2]
    command = ("report", folder) if form == "html" else ("export", form, target, "--run", folder)
    found = gradest("bench", *command)
    assert found.exit_code == 0, found.output
    assert victim.read_text(encoding="utf-8") == "mine"
    assert not target.is_symlink()
    assert target.stat().st_size > 100


@pytest.mark.parametrize("name", ["lock", "results.jsonl", "logs", "logs/numpy.log", "suite.toml", "environment.json"])
def test_no_link_in_a_folder_of_results_leads_a_sweep_out_of_it(name: str, tmp_path: Path) -> None:
    folder, victim = tmp_path / "run", tmp_path / "victim"
    (folder / name).parent.mkdir(parents=True)
    if name == "logs":
        victim.mkdir()
    else:
        victim.write_text(faulty_suite("none") if name == "suite.toml" else "mine\n")
    before = victim.read_bytes() if victim.is_file() else b""
    (folder / name).symlink_to(victim)
    suite = tmp_path / "suite.toml"
    suite.write_text(faulty_suite("none"), encoding="utf-8")
    found = gradest("bench", "run", suite, "--out", folder, "--resume")
    assert isinstance(found.exception, SystemExit) or found.exception is None
    if name == "suite.toml":
        assert found.exit_code == 0, found.output
        assert not (folder / name).is_symlink()
    else:
        assert found.exit_code != 0, found.output
    assert (victim.read_bytes() if victim.is_file() else b"") == before
    assert not victim.is_dir() or list(victim.iterdir()) == []


def test_a_pipe_in_a_folder_of_results_holds_nobody_up(tmp_path: Path) -> None:
    for name in ("lock", "results.jsonl"):
        folder = tmp_path / name
        folder.mkdir()
        os.mkfifo(folder / name)
        with pytest.raises(StorageError, match="plain file"), Store(folder):
            pass


@pytest.mark.parametrize(
    "worker", ["../../escape:Cls", "/tmp/escape", "a/b:C", "..", ".", "", "a" * 500, "x\0y", "ä:b"]
)
def test_no_name_of_a_worker_leads_its_log_out_of_the_logs(worker: str, tmp_path: Path) -> None:
    name = log_name(worker)
    assert (tmp_path / name).resolve().parent == tmp_path.resolve()
    assert len(name) < 120
    assert not name.startswith(".")


def test_each_worker_has_a_log_of_its_own(tmp_path: Path) -> None:
    assert log_name("numpy") == "numpy.log"
    assert log_name("numpy:new") == "numpy-new.log"
    names = {log_name(worker) for worker in ("a:b", "a-b:c", "a:b-c", "a:b:c", "a/b:c", "a/b-c", "a" * 300, "a" * 301)}
    assert len(names) == 8
    pool = WorkerPool(Launch(pythons={}, logs=tmp_path))
    pool.fresh("../numpy:x", "numpy").stop()
    assert [path.name for path in tmp_path.iterdir()] == [log_name("../numpy:x")]


STARTS = ["=", "+", "-", "@", "\t=", "\r=", "\n=", " ="]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The rows of a run whose estimators and problems are labelled with formulas, one of each for each start."""
    folder = tmp_path_factory.mktemp("formulas")
    text = 'name = "formulas"\nmeasure = ["accuracy"]\n'
    for size, start in enumerate(STARTS, 3):  # of unlike sizes: one cell has one label
        label = json.dumps(start + "HYPERLINK(1)")
        text += f"""
[[grid]]
backends = ["numpy"]
problems = [{{ name = "quadratic", label = {label}, fields = {{ size = {size} }} }}]
estimators = [{{ name = "support.bench_faults:Faulty", label = {label} }}]
"""
    run_suite(text, folder / "run")
    assert gradest("bench", "export", "csv", folder / "a.csv", "--run", folder / "run").exit_code == 0
    with (folder / "a.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("start", STARTS)
def test_a_text_that_a_spreadsheet_would_compute_gets_an_apostrophe(start: str, exported: list[dict[str, str]]) -> None:
    label = start + "HYPERLINK(1)"
    assert csv_value(label) == "'" + label
    assert not [cell for row in exported for cell in row.values() if cell.strip(" ") == label.strip(" ")]
    assert "'" + label in {row["estimator"] for row in exported}
    assert "'" + label in {row["problem"] for row in exported}


@pytest.mark.parametrize("value", ["-", "-1.5", "+3e4", "-inf", "a=b", "", -1.5, None, 0])
def test_what_is_no_formula_is_left_as_it_is(value: object) -> None:
    assert csv_value(value) is value


def test_logs_lie_in_the_folder_of_the_run(folder: Path) -> None:
    assert {path.name for path in (folder / LOGS).iterdir()} == {"numpy.log"}
