"""What `--json` prints is one object with the fields that docs/command-line.md states, and nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gradest_bench.command.main import main
from gradest_bench.results.records import plain

DOCUMENT = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `([a-z -]+)` \| (.*) \|$", DOCUMENT.partition("## JSON")[2], re.MULTILINE))
CASE = """
import numpy as np
case = (lambda p: float((p * p).sum()), np.ones(2))
gradient = np.full(2, 2.0)
"""
SUITE = """
name = "one"
[[grid]]
backends = ["numpy"]
measure = ["accuracy"]
problems = [{ name = "quadratic", fields = { size = 3 } }]
estimators = [{ name = "analytic" }]
"""
COMPARE = "--problem quadratic --set size=3 --backends numpy --dtypes float64 --budget 0.01 --estimators es,analytic"
CALLS = {
    "list": ["list", "--json"],
    "list --for": ["list", "--for", "case.py:case", "--json"],
    "doctor": ["doctor", "--json"],
    "compare": ["compare", *COMPARE.split(), "--json"],
    "check": ["check", "reverse(engine=gradest)", "--checks", "cost,accuracy", "--json"],
    "check of a case": ["check", "case.py:case", "--gradient", "case.py:gradient", "--json"],
    "train": ["train", *["--problem", "least-squares", "--estimators", "reverse,es", "--steps", "2", "--json"]],
    "audit": ["audit", "scipy", "--json"],
    "audit --list": ["audit", "--list", "--json"],
    "bench list": ["bench", "list", "--json"],
    "bench check-suite": ["bench", "check-suite", "suite.toml", "--json"],
    "bench show": ["bench", "show", "run", "--json"],
    "bench compare": ["bench", "compare", "run", "run", "--json"],
}


def documented(command: str) -> tuple[set[str], dict[str, set[str]]]:
    """Return the fields of the object of a command, and those of its rows by the name of their list ("" for any)."""
    whole, rows = ROWS[command].split(" | ") if " | " in ROWS[command] else (ROWS[command].removesuffix(" |"), "")
    parts = [part.partition(": ") for part in rows.split("; ")]
    named = {name if colon else "": text if colon else name for name, colon, text in parts}
    return words(re.sub(r"\([^)]*\)", lambda m: "" if ";" in m.group() else m.group(), whole)), {
        name: words(re.sub(r"\([^)]*\)", "", text)) for name, text in named.items()
    }


def words(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("json")
    (found / "case.py").write_text(CASE, encoding="utf-8")
    (found / "suite.toml").write_text(SUITE, encoding="utf-8")
    ran = CliRunner().invoke(main, ["bench", "run", str(found / "suite.toml"), "--out", str(found / "run")])
    assert ran.exit_code == 0, ran.output
    return found


def answer(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    found = CliRunner().invoke(main, CALLS[command])
    assert found.exit_code == 0, found.output
    whole: dict[str, Any] = json.loads(found.stdout, parse_constant=pytest.fail)  # NaN is no JSON
    return whole


@pytest.mark.parametrize("command", CALLS)
def test_the_fields_are_those_of_the_document(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = answer(command, folder, monkeypatch)
    whole, rows = documented(command)
    assert set(found) == whole
    assert found["schema"] == 1
    for name, listed in found.items():
        others = documented("list")[1].get(name) if command == "doctor" else rows.get("")
        expected = rows.get(name) or others
        if not isinstance(listed, list) or not listed or not isinstance(listed[0], dict) or command == "bench show":
            continue
        assert expected, name
        for row in listed:
            assert set(row) == expected or (row.get("error") and set(row) <= expected), (name, row)


def test_every_command_of_the_document_was_tried() -> None:
    assert set(ROWS) == set(CALLS)


def test_rows_of_a_run_are_the_columns_of_its_export(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = answer("bench show", folder, monkeypatch)
    assert CliRunner().invoke(main, ["bench", "export", "csv", "cells.csv", "--run", "run"]).exit_code == 0
    header = (folder / "cells.csv").read_text(encoding="utf-8").splitlines()[0]
    assert [list(row) for row in found["cells"]] == [header.split(",")]


def test_what_is_not_finite_is_a_text(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = answer("check", folder, monkeypatch)["checks"]
    assert plain(float("nan")) in {check["bound"] for check in checks if not check["applies"]} or checks
    assert all(check["passed"] for check in checks)


def test_a_failed_check_is_told_by_the_field_and_by_the_exit_code() -> None:
    mutants = Path(__file__).parents[1] / "support" / "mutants_of_scale.py"
    found = CliRunner().invoke(main, ["check", f"{mutants}:MissingSigma", "--checks", "scale", "--json"])
    assert found.exit_code == 1
    assert json.loads(found.stdout)["passed"] is False


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "--estimators", "reverse", "--replicates", "2"],
        ["check"],
        ["list", "--for"],
        ["train", "--steps", "2"],
        ["graph"],
    ],
)
def test_what_a_users_file_prints_is_not_among_it(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss that says where it is, or a file that greets, left the stream no JSON."""
    text = "import numpy as np\nprint('loaded')\ndef loss(p):\n    print('asked')\n    return (p * p).sum()\n"
    (tmp_path / "chatty.py").write_text(text + "case = (loss, np.ones(2))\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(main, [*arguments, "chatty.py:case", "--json"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["schema"] == 1
    assert "loaded" in found.stderr
    assert "asked" in found.stderr
