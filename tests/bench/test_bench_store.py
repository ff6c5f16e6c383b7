"""The folder of a run: what is appended is whole or not there, one sweep writes at a time, errors say what to do."""

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support.bench_runs import faulty_suite, run_suite

from gradest.errors import InvalidInputError
from gradest_bench.results.files import StorageError
from gradest_bench.results.records import Record, number, plain
from gradest_bench.results.store import RESULTS, LockedError, Store, read_records
from gradest_bench.suite.cells import expand
from gradest_bench.suite.schema import parse_suite

FACTS = {"num_parameters": 3, "data_entries": 0}


def record(**changes: Any) -> Record:
    cell = expand(parse_suite(faulty_suite("none")))[0]
    fields = {"key": cell.key, "identity": "i", "suite": "s", "cell": cell, "outcome": "ok", **changes}
    return Record(**fields)


@pytest.mark.parametrize(
    "value",
    [np.float32(0.1), np.int64(3), math.nan, math.inf, -math.inf, 5e-324, 0.1 + 0.2, np.bool_(True), 2**70, "text"],
    ids=repr,
)
def test_value_survives_by_type_and_bits(value: Any, tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.append(record(facts=FACTS, accuracy={"single": {"relative_error": 0.0, "cosine": 1.0}, "value": value}))
    (found,) = read_records(tmp_path)
    kept = found.accuracy["value"]
    if isinstance(value, str):
        assert kept == value
    elif isinstance(value, bool | np.bool_):
        assert kept is bool(value)
    elif isinstance(value, int | np.integer):
        assert type(kept) is int
        assert kept == int(value)
    else:
        assert np.float64(number(kept)).tobytes() == np.float64(value).tobytes()


def test_what_is_not_plain_data_is_refused() -> None:
    with pytest.raises(TypeError, match="plain data"):
        plain({"value": object()})


def test_second_sweep_is_refused_while_the_first_holds_the_folder(tmp_path: Path) -> None:
    with Store(tmp_path), pytest.raises(LockedError, match=f"process {os.getpid()}"), Store(tmp_path):
        pass
    with Store(tmp_path):
        pass


def test_full_disk_keeps_what_was_done_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_write = os.write

    def write_half(descriptor: int, line: bytes) -> int:
        real_write(descriptor, line[: len(line) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Store(tmp_path) as store:
        store.append(record())
        before = (tmp_path / RESULTS).read_bytes()
        monkeypatch.setattr(os, "write", write_half)
        with pytest.raises(StorageError, match="No space left on device; 1 results before it are kept"):
            store.append(record(identity="second"))
        monkeypatch.undo()
        assert (tmp_path / RESULTS).read_bytes() == before
        store.append(record(identity="third"))
    assert [found.identity for found in read_records(tmp_path)] == ["i", "third"]


def test_short_write_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_write = os.write
    with Store(tmp_path) as store:
        monkeypatch.setattr(os, "write", lambda descriptor, line: real_write(descriptor, line[:10]))
        with pytest.raises(StorageError, match="--resume"):
            store.append(record())
    assert (tmp_path / RESULTS).read_bytes() == b""


def test_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir()
    if os.getuid() == 0:  # root writes anywhere but below what is no folder
        folder.rmdir()
        folder.write_text("a file where a folder should be", encoding="utf-8")
    else:
        folder.chmod(0o500)
    with pytest.raises(StorageError, match="read-only"), Store(folder):
        pass


def test_damaged_line_is_named(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.append(record())
    path = tmp_path / RESULTS
    path.write_bytes(b"{broken\n" + path.read_bytes())
    with pytest.raises(StorageError, match="line 1 is damaged"):
        list(read_records(tmp_path))


def test_other_schema_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.append(record())
    path = tmp_path / RESULTS
    found = json.loads(path.read_bytes())
    path.write_text(json.dumps({**found, "schema": 99}) + "\n", encoding="utf-8")
    with pytest.raises(StorageError, match="schema 1 to 2 was asked for; found 99"):
        list(read_records(tmp_path))


def test_results_of_another_machine_or_suite_do_not_mix(tmp_path: Path) -> None:
    run_suite(faulty_suite("none"), tmp_path)
    with Store(tmp_path) as store:
        store.write_suite("a")
        with pytest.raises(InvalidInputError, match=r"another suite .*'a'"):
            store.write_suite("b")
        store.write_suite("a")
        with pytest.raises(InvalidInputError, match="another machine"):
            store.write_environment({"processor": "another"}, "numpy", {})


@pytest.mark.parametrize(
    ("kept", "asked", "told"),
    [
        ("# run with --budget 2.0\nname = 'm'\n", "name = 'm'\n", r"there: 'run with --budget 2\.0'"),
        ("name = 'm'\n", "# run with --budget 2.0\nname = 'm'\n", r"here: 'run with --budget 2\.0'"),
        ("name = 'm'\nseeds = [0]\n", "name = 'm'\nseeds = [0, 1]\n", r"there: 'seeds = \[0\]'"),
    ],
)
def test_what_tells_a_kept_suite_from_the_one_asked_for_is_told(
    tmp_path: Path, kept: str, asked: str, told: str
) -> None:
    with Store(tmp_path) as store:
        store.write_suite(kept)
        with pytest.raises(InvalidInputError, match=told):
            store.write_suite(asked)


def test_a_record_says_nothing_of_where_its_writers_files_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "ada"
    (home / "work").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "work")
    monkeypatch.setattr("sys.prefix", str(home / "work" / ".venv"))
    text = "; ".join(f"{path}/x.py" for path in (home, home / "work", home / "work" / ".venv", "/opt/u/lib/python3.11"))
    beside = f"{home}s/x.py is another's"
    with Store(tmp_path / "run") as store:
        store.append(record(outcome="error", reason=text, log_tail=f"{text}\n{beside}"))
    (found,) = read_records(tmp_path / "run")
    assert found.reason == "~/x.py; ./x.py; <env>/x.py; <env>/lib/python3.11/x.py"
    assert found.log_tail == f"{found.reason}\n{beside}"


def test_record_is_one_line_of_plain_json(tmp_path: Path) -> None:
    run_suite(faulty_suite("none", "raise"), tmp_path)
    for line in (tmp_path / RESULTS).read_text(encoding="utf-8").splitlines():
        found = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert msgspec.convert(found, Record).schema == 2
