"""Nothing that is written by itself names a home folder, a user or a host; what is asked to be blind names no file."""

import getpass
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.bench_runs import ROOTS, faulty_suite

from gradest_bench.command.main import main
from gradest_bench.results import places
from gradest_bench.results.places import anonymous_text, without_places

USER, HOST = "ada-lovelace", "engine-7.example.org"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: USER)
    monkeypatch.setattr(socket, "gethostname", lambda: HOST)
    places._names.cache_clear()


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Let no test leave the names of another one's user behind."""
    yield
    places._names.cache_clear()


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"cannot read /scratch/{USER}/x.npz", "cannot read /scratch/<user>/x.npz"),
        (f"{USER}@{HOST}: permission denied", "<user>@<host>: permission denied"),
        (f"connection to {HOST} lost, on {HOST}.", "connection to <host> lost, on <host>."),
        (f"the method of {USER} is right", f"the method of {USER} is right"),
        (f"not-{HOST} and {HOST}-b", f"not-{HOST} and {HOST}-b"),
        ("3/4 of 1/2; a/b", "3/4 of 1/2; a/b"),
    ],
)
def test_user_and_host_are_taken_out_where_they_name_somebody(text: str, kept: str) -> None:
    assert without_places(text) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("--xla_dump_to=/data/lab/dump --flag=3", "--xla_dump_to=<path> --flag=3"),
        ("'/opt/x/y.py:Mine', line 3", "'<path>:Mine', line 3"),
        ("seconds/call, m/s, 1/(2/3), a // b", "seconds/call, m/s, 1/(2/3), a // b"),
        ("~/models/a.npz and ./b/c.py", "~/models/a.npz and ./b/c.py"),
    ],
)
def test_every_absolute_path_is_taken_out_for_a_blind_review(text: str, kept: str) -> None:
    assert anonymous_text(text) == kept


def test_a_run_names_no_home_folder_in_anything_that_it_writes(tmp_path: Path) -> None:
    """The traceback of an estimator has it, the worker prints a path of it, and XLA is told another."""
    home = tmp_path / "homes" / USER
    home.mkdir(parents=True)
    suite = home / "suite.toml"
    text = faulty_suite("raise", "print", "none")
    suite.write_text(text, encoding="utf-8")
    environment = {
        **os.environ, "HOME": str(home), "LOGNAME": USER, "PYTHONPATH": os.pathsep.join([str(home), *ROOTS]),
        "XLA_FLAGS": f"--xla_dump_to={home}/dump",
    }  # fmt: skip
    (home / "sitecustomize.py").write_text("import sys; print('started by', __file__, file=sys.stderr)\n")
    command = [sys.executable, "-c", "from gradest_bench.command.main import main; main()"]
    done = subprocess.run(
        [*command, "bench", "run", str(suite), "--out", str(tmp_path / "run")],
        env=environment, cwd=home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    contents = {path.name: path.read_text(encoding="utf-8") for path in files}
    assert {"results.jsonl", "environment.json", "suite.toml", "numpy.log", "lock"} <= set(contents)
    for name, content in contents.items():
        for private in (str(home), USER, socket.gethostname()):
            assert private not in content, (name, private)
    assert "started by" in contents["numpy.log"], "what is kept is only changed, not lost"
    assert "--xla_dump_to=" in contents["environment.json"]


def test_a_blind_report_and_export_hold_no_path_and_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/data/lab-of-ada/dump")
    Path("s.toml").write_text(faulty_suite("raise", "none"), encoding="utf-8")
    assert CliRunner().invoke(main, ["bench", "run", "s.toml", "--out", "run"]).exit_code == 1
    line = (tmp_path / "run" / "results.jsonl").read_text(encoding="utf-8")
    (tmp_path / "run" / "results.jsonl").write_text(
        line.replace('"reason":"', '"reason":"/data/lab-of-ada/x.py: '), encoding="utf-8"
    )
    for blind in ([], ["--anonymous"]):
        for form in ("csv", "json"):
            assert (
                CliRunner().invoke(main, ["bench", "export", form, f"cells.{form}", "--run", "run", *blind]).exit_code
                == 0
            )
        assert CliRunner().invoke(main, ["bench", "report", "run", "--out", "page.html", *blind]).exit_code == 0
        for name in ("cells.csv", "cells.json", "page.html"):
            assert ("lab-of-ada" in Path(name).read_text(encoding="utf-8")) is not bool(blind), (name, blind)
    whole = json.loads(Path("cells.json").read_text(encoding="utf-8"))
    assert "kernel" not in whole["environment"]["machine"]
    assert {record["log_tail"] for record in whole["records"]} == {""}
    kept = json.loads((tmp_path / "run" / "environment.json").read_text(encoding="utf-8"))
    assert whole["environment"]["machine"]["processor"] == kept["machine"]["processor"]


def test_a_backend_that_is_named_by_its_file_is_blind_too(tmp_path: Path) -> None:
    folder = tmp_path / "lab-of-ada"
    folder.mkdir()
    for name in ("first.py", "second.py"):
        text = "from gradest_numpy import NumpyBackend\n\nclass Mine(NumpyBackend):\n    pass\n"
        (folder / name).write_text(text, encoding="utf-8")
    backends = json.dumps([f"{folder}/{name}:Mine" for name in ("first.py", "second.py")])
    (tmp_path / "s.toml").write_text(faulty_suite("none").replace('["numpy"]', backends), encoding="utf-8")
    done = CliRunner().invoke(main, ["bench", "run", str(tmp_path / "s.toml"), "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    for what, name in (("export", "cells.json"), ("report", "page.html")):
        place = str(tmp_path / name)
        arguments = ["json", place, "--run"] if what == "export" else ["--out", place]
        found = CliRunner().invoke(main, ["bench", what, *arguments, str(tmp_path / "run"), "--anonymous"])
        assert found.exit_code == 0, found.output
        assert "lab-of-ada" not in Path(place).read_text(encoding="utf-8")
    whole = json.loads((tmp_path / "cells.json").read_text(encoding="utf-8"))
    assert list(whole["environment"]["workers"]) == ["<path>:Mine", "<path>:Mine#2"]
    assert {record["environment"] for record in whole["records"]} == set(whole["environment"]["workers"])
