"""A damaged, foreign or malicious file in a folder of results is one line, in every command that reads it."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gradest_bench.command.main import main
from gradest_bench.command.terminal import PlainConsole
from gradest_bench.report.printable import shown
from gradest_bench.results.files import StorageError
from gradest_bench.results.folders import latest_run
from gradest_bench.results.store import ENVIRONMENT, RESULTS, read_environment, read_records

KEPT = Path(__file__).parents[1] / "support" / "run_of_schema_1"
ESCAPES = ("\x1b[31m", "\x1b]0;title\x07", "\x9b2J", "\r", "\x08", "\u202e", "\x7f")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(KEPT, tmp_path / "run"))


def first_record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / RESULTS).read_text(encoding="utf-8").splitlines()[0])
    return found


def edited(edit: Callable[[dict[str, Any]], object]) -> Callable[[Path], str]:
    def line(folder: Path) -> str:
        record = first_record(folder)
        edit(record)
        return json.dumps(record)

    return line


def with_accuracy(part: str, name: str, value: Any) -> Callable[[Path], str]:
    """Return what puts a value into a part of an accuracy that has all else that it needs."""
    needed = {"single": {"relative_error": 0.0, "cosine": 1.0}, "reference": {"uncertainty": 0.0}}
    needed["replicates"] = {"replicates": 8, "relative_mse": 1.0, "relative_mse_error": 0.1}
    needed["smoothed"] = {"relative_mse": 1.0, "uncertainty": 0.0, "bias_noise": 0.1}
    accuracy = {"single": needed["single"], part: {**needed.get(part, {}), name: value}}
    return edited(lambda record: record.update(accuracy=accuracy))


LINES: dict[str, tuple[Callable[[Path], str], str]] = {
    "a list": (lambda _: "[]", "found list"),
    "a number": (lambda _: "17", "found int"),
    "null": (lambda _: "null", "found NoneType"),
    "brackets": (lambda _: "[" * 100_000, "nested too deeply"),
    "no JSON": (lambda _: "{broken", "damaged"),
    "empty": (lambda _: "", "damaged"),
    "newer schema": (edited(lambda r: r.update(schema=99)), "upgrade this one"),
    "schema of words": (edited(lambda r: r.update(schema="[/]")), "found '[/]'"),
    "newer outcome": (edited(lambda r: r.update(outcome="[/]")), "its outcome is '[/]'"),
    "incomplete accuracy": (edited(lambda r: r.update(accuracy={"reference": {"uncertainty": 0.0}})), "no 'single'"),
    "empty accuracy": (edited(lambda r: r.update(accuracy={"single": {"cosine": 1.0}})), "no 'relative_error'"),
    "a word for a number": (
        edited(lambda r: r.update(accuracy={"single": {"relative_error": "much", "cosine": 1.0}})),
        "relative_error is no number: 'much'",
    ),
    **{
        f"{part}.{name} is {value!r:.20}": (with_accuracy(part, name, value), f"{part}.{name} is no {kind}")
        for part, name, value, kind in (
            ("single", "norm_ratio", {"a": 1}, "number"),
            ("single", "max_abs_error", 10**400, "number"),
            ("reference", "noise_scale", "x", "number"),
            ("reference", "method", [], "text"),
            ("replicates", "bias", {}, "number"),
            ("replicates", "squared_errors", [1.0, [2.0]], "number"),
            ("replicates", "slopes", 3, "number"),
            ("smoothed", "relative_mse", [1], "number"),
            ("predicted", "cosine", "[/]", "number"),
            ("blocks", "W1", {}, "number"),
        )
    },
    "a part that is a number": (edited(lambda r: r["accuracy"].update(replicates=0.0)), "replicates is no object"),
    "blocks of a word": (edited(lambda r: r["accuracy"].update(blocks="-inf")), "blocks is no object"),
    "parameters without end": (
        edited(lambda r: r["facts"].update(num_parameters="-inf")),
        "num_parameters is no count",
    ),
    "accuracy of lists": (edited(lambda r: r.update(accuracy={"single": [1]})), "single is no object"),
    "a time of nothing": (edited(lambda r: r["timing"]["wall_seconds"].__setitem__(0, 0.0)), "not positive"),
    "a negative time": (edited(lambda r: r["timing"]["wall_seconds"].__setitem__(0, -1.0)), "not positive"),
    "a sample too many": (edited(lambda r: r["timing"]["wall_seconds"].append(1.0)), "samples; it has"),
    "no loops": (edited(lambda r: r["timing"].update(loops=[])), "have 0 loops"),
    "a loss of no time": (edited(lambda r: r["timing"].update(value_seconds=0.0)), "no time of the loss"),
    "no facts": (edited(lambda r: r.update(facts={})), "facts have no 'num_parameters'"),
    "evaluations without end": (edited(lambda r: r["counts"]["counted"].update(values=10**400)), "values is no count"),
    "a dtype of words": (edited(lambda r: r["cell"].update(dtype="x")), "its dtype is 'x'"),
    "an infinite field": (edited(lambda r: r["cell"]["problem"]["fields"].update(size=1e999)), "a finite number"),
    "a field without end": (edited(lambda r: r["cell"]["problem"]["fields"].update(size=10**400)), "of 1329 bits"),
    "a negative square": (with_accuracy("replicates", "squared_errors", [1.0, -1.0]), "squared_errors is no length"),
    "no single": (edited(lambda r: r.update(accuracy={"single": None})), "no 'single'"),
    "no replicates": (edited(lambda r: r["accuracy"].update(replicates=None)), "replicates is no object"),
    "no key": (edited(lambda r: r.update(key="")), "its key is empty"),
    "starts that do not add up": (edited(lambda r: r["timing"].update(starts=[1, 99])), "its starts have 100"),
}


@pytest.mark.parametrize("damage", LINES)
def test_a_damaged_line_is_named_by_its_number(damage: str, folder: Path) -> None:
    line, message = LINES[damage]
    path = folder / RESULTS
    path.write_text(path.read_text(encoding="utf-8") + line(folder) + "\n", encoding="utf-8")
    count = len(path.read_bytes().splitlines())
    with pytest.raises(StorageError, match=rf"line {count}\b.*{re.escape(message)}"):
        list(read_records(folder))


def test_what_a_later_version_adds_to_an_accuracy_is_left_alone(folder: Path) -> None:
    record = first_record(folder)
    record["accuracy"] = {"single": {"relative_error": 0.0, "cosine": 1.0, "later": {"a": "b"}}, "later": "text"}
    (folder / RESULTS).write_text(json.dumps(record) + "\n", encoding="utf-8")
    (found,) = read_records(folder)
    assert found.accuracy["later"] == "text"


@pytest.mark.parametrize("command", ["show", "report", "compare", "export"])
def test_no_command_ends_in_a_traceback(command: str, folder: Path, tmp_path: Path) -> None:
    path = folder / RESULTS
    path.write_text(path.read_text(encoding="utf-8") + "[" * 100_000 + "\n", encoding="utf-8")
    arguments = {
        "show": [str(folder)],
        "report": [str(folder)],
        "compare": [str(folder), str(KEPT)],
        "export": ["csv", str(tmp_path / "x.csv"), "--run", str(folder)],
    }[command]
    result = CliRunner().invoke(main, ["bench", command, *arguments])
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"machine": {"cor', "[]", "17", "[" * 100_000, '{"machine": [], "workers": {}}', '{"workers": {}}',
        '{"machine": {}, "workers": {"numpy": 3}}', '{"machine": {"memory_bytes": 1e999}, "workers": {}}',
        '{"machine": {}, "workers": {"numpy": {"worker": "numpy", "devices": null}}}',
        '{"machine": {}, "workers": {"numpy": {"worker": "x", "pools": 1}}}',
        '{"machine": {}, "workers": {"numpy": {"worker": "x", "variables": []}}}',
    ],
)  # fmt: skip
def test_a_damaged_environment_is_one_line(text: str, folder: Path) -> None:
    (folder / ENVIRONMENT).write_text(text, encoding="utf-8")
    with pytest.raises(StorageError, match=r"environment\.json is damaged"):
        read_environment(folder)


def test_a_worker_without_variables_is_compared(folder: Path) -> None:
    environment = read_environment(folder)
    del environment["workers"]["numpy"]["variables"]
    (folder / ENVIRONMENT).write_text(json.dumps(environment), encoding="utf-8")
    result = CliRunner().invoke(main, ["bench", "compare", str(folder), str(folder)])
    assert result.exit_code == 3, result.output


@pytest.mark.parametrize("escape", ESCAPES)
def test_no_control_character_of_a_record_reaches_the_terminal(escape: str, folder: Path) -> None:
    record = first_record(folder)
    record.update(outcome="error", reason=f"a{escape}b\n4 of 4 cells measured")
    for part, where in (("problem", "label"), ("estimator", "label")):
        record["cell"][part][where] = f"c{escape}d"
    (folder / RESULTS).write_text(json.dumps(record) + "\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["bench", "show", str(folder)], color=True)
    assert result.exit_code == 0, result.output
    assert escape not in result.output
    assert f"a{shown(escape)}b" in result.output
    assert "\n4 of 4 cells" not in result.output
    record.update(outcome="ok", reason="")
    (folder / RESULTS).write_text(json.dumps(record) + "\n", encoding="utf-8")
    assert escape not in CliRunner().invoke(main, ["bench", "show", str(folder)], color=True).output
    unknown = CliRunner().invoke(main, ["bench", "run", f"no{escape}suite"])
    assert escape not in unknown.output


def test_colours_of_our_own_are_left(capsys: pytest.CaptureFixture[str]) -> None:
    PlainConsole(force_terminal=True, color_system="standard").print("[red]x[/]")
    assert "\x1b[31m" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [("show",), ("show", "--json"), ("report",), ("export", "csv"), ("index",)])
def test_bytes_that_are_no_text_are_spelled_out_in_every_command(
    arguments: tuple[str, ...], folder: Path, tmp_path: Path
) -> None:
    record = first_record(folder)
    record["reason"] = record["cell"]["problem"]["label"] = "caf\udce9"
    (folder / RESULTS).write_text(json.dumps(record) + "\n", encoding="utf-8")
    written = tmp_path / "written"
    where = {
        "show": [str(folder)],
        "report": [str(folder), "--out", str(written)],
        "export": [str(written), "--run", str(folder)],
        "index": [str(tmp_path), "--out", str(written)],
    }[arguments[0]]
    done = CliRunner().invoke(main, ["bench", *arguments, *where])
    assert done.exit_code == 0, done.output
    text = written.read_text(encoding="utf-8") if written.exists() else done.output
    assert "caf\\udce9" in text.replace("\\\\", "\\")  # JSON has each backslash twice


def test_a_run_that_lost_results_says_how_many_cells_have_none(folder: Path) -> None:
    whole = (folder / RESULTS).read_text(encoding="utf-8").splitlines(keepends=True)
    assert "have no result here" not in CliRunner().invoke(main, ["bench", "show", str(folder)]).output
    (folder / RESULTS).write_text("".join(whole[:-2]) + whole[-2][:40], encoding="utf-8")  # the last line is torn
    cut = CliRunner().invoke(main, ["bench", "show", str(folder)])
    assert cut.exit_code == 0
    assert "2 cells of the suite have no result here" in cut.output


def test_a_damaged_suite_of_a_run_is_told_and_so_is_the_way_out(folder: Path) -> None:
    kept = folder / "suite.toml"
    kept.write_text('name = "cut in the mid', encoding="utf-8")
    found = CliRunner().invoke(main, ["bench", "report", str(folder)])
    assert found.exit_code == 2
    assert "suite.toml: not valid TOML" in found.output
    assert found.output.endswith("remove it\n")
    kept.unlink()
    assert CliRunner().invoke(main, ["bench", "report", str(folder)]).exit_code == 0


def test_a_suite_of_bytes_that_are_no_text_is_one_line_and_hides_no_other_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = tmp_path / "results" / "whole"
    shutil.copytree(folder, whole)
    shutil.copytree(folder, bad := tmp_path / "results" / "bad")
    (bad / "suite.toml").write_bytes(b'name = "\xff"')
    for command in (["show"], ["report"], ["compare", str(whole)], ["export", "csv", "x.csv", "--run"]):
        found = CliRunner().invoke(main, ["bench", *command, str(bad)])
        assert found.exit_code == 2, found.output
        assert "suite.toml is damaged" in found.output
        assert len(found.output.splitlines()) == 1
    assert CliRunner().invoke(main, ["bench", "index"]).exit_code == 0
    assert latest_run((whole / "suite.toml").read_text(encoding="utf-8")) == whole.relative_to(tmp_path)


def test_a_run_in_the_place_of_the_file_to_write_is_told_the_option(folder: Path) -> None:
    found = CliRunner().invoke(main, ["bench", "export", "csv", str(folder)])
    assert found.exit_code == 2
    assert f"is a run; write FILE --run {folder}" in found.output
