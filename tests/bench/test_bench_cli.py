"""The command line of the harness: exit codes by class of outcome, messages that say what to do, no traceback."""

import io
import json
import os
import subprocess
import sys
from datetime import datetime, tzinfo
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner, Result
from support.bench_runs import QUICK_BUDGET, faulty_suite
from support.turns import shared_by_two, with_numpy

from gradest.measurement.outcome import Outcome
from gradest_bench.command import terminal
from gradest_bench.command.main import main
from gradest_bench.report.page import report_html
from gradest_bench.results import folders
from gradest_bench.results.folders import new_folder
from gradest_bench.results.loading import load
from gradest_bench.results.outcomes import EXIT_CODES, EXIT_NOTHING, EXIT_STORAGE, exit_code
from gradest_bench.suite.scaling import read_as_run
from gradest_bench.suite.schema import Expected


def gradest(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def suite_file(folder: Path, *faults: str, more: str = "") -> Path:
    path = folder / "suite.toml"
    path.write_text(faulty_suite(*faults) + more, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("faults", "more", "code"),
    shared_by_two(  # each is a run of a second
        [
            (("none", "unsupported"), "", 0),
            (("none", "nan"), "", 1),
            (("none", "exit"), "", 3),
            (("nan",), 'expect = ["invalid"]', 0),
            (("none", "raise"), "", 1),
        ]
    ),
)
def test_run_has_the_exit_code_of_its_worst_outcome(
    faults: tuple[str, ...], more: str, code: int, tmp_path: Path
) -> None:
    found = gradest("bench", "run", suite_file(tmp_path, *faults, more=more), "--out", tmp_path / "run")
    assert found.exit_code == code, found.output
    assert "cells measured" in found.output


def test_every_outcome_has_an_exit_code_and_the_worst_wins() -> None:
    assert set(EXIT_CODES) == set(Outcome)
    assert all(exit_code([outcome]) == code for outcome, code in EXIT_CODES.items())  # each has its severity
    never = {Outcome.OK, Outcome.INTERRUPTED, Outcome.NOT_TRIED}  # which no suite can expect of a cell
    assert set(Outcome) - never <= set(get_args(Expected))
    assert exit_code([]) == 0
    assert exit_code([Outcome.OK, Outcome.MISSING, Outcome.UNSUPPORTED]) == 0
    assert exit_code([Outcome.TIMEOUT, Outcome.ERROR, Outcome.CRASHED]) == 1
    assert exit_code([Outcome.TIMEOUT, Outcome.CRASHED]) == 3
    assert exit_code([Outcome.ERROR, Outcome.INTERRUPTED]) == 130


def test_run_report_show_export_compare_follow_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    suite = suite_file(tmp_path, "none", "double")
    first = gradest("bench", "run", suite)
    assert first.exit_code == 6, first.output
    (folder,) = (tmp_path / "results").iterdir()
    assert f"results/{folder.name}" in first.output
    shown = gradest("bench", "show").output
    assert "double" in shown
    assert "wrong" in shown
    assert gradest("bench", "report").exit_code == 0
    assert (folder / "report.html").stat().st_size > 10_000
    assert "3 cells" in gradest("bench", "export", "csv", tmp_path / "run.csv").output
    compared = gradest("bench", "compare", folder, folder)
    assert compared.exit_code == 3
    assert "0 slower, 0 faster" in compared.output
    assert folder.name in gradest("bench", "list").output
    resumed = gradest("bench", "run", suite, "--resume")
    assert "3 cells have a result already; 0 to run" in resumed.output


def test_a_problem_that_a_run_has_not_is_told_with_those_it_has() -> None:
    kept = Path(__file__).parents[1] / "support" / "run_of_schema_1"
    assert gradest("bench", "show", kept, "--problem", "quad").exit_code == 0
    for more in ((), ("--json",)):
        found = gradest("bench", "show", kept, "--problem", "mlp", *more)
        assert found.exit_code == 2
        assert "contains 'mlp'" in found.output
        assert "quadratic" in found.output


@with_numpy(1)
def test_a_run_that_measured_nothing_is_no_success(tmp_path: Path) -> None:
    text = faulty_suite("none").replace('["numpy"]', '["support.bench_faults:MissingBackend"]')
    suite = tmp_path / "suite.toml"
    suite.write_text(text, encoding="utf-8")
    found = gradest("bench", "run", suite, "--out", tmp_path / "run")
    assert "0 of 2 cells measured" in found.output
    assert found.exit_code == EXIT_NOTHING
    suite.write_text(text + 'expect = ["missing"]\n', encoding="utf-8")
    assert gradest("bench", "run", suite, "--out", tmp_path / "expected").exit_code == 0


@pytest.mark.parametrize(
    ("python", "code", "message"),
    shared_by_two(
        [
            ("numpy=/no/such/python", 2, "no such program"),
            ("numpy=NOT_EXECUTABLE", 2, "cannot be executed"),
            ("numpy=/bin/true", 1, "worker 'numpy' cannot be started"),
            ("numpy:other=/bin/true", 1, "worker 'numpy:other' cannot be started"),
            ("nunpy=/bin/true", 2, "did you mean 'numpy'"),
            ("nunpy:other=/bin/true", 2, "did you mean 'numpy'"),
        ]
    ),
)
def test_an_interpreter_that_was_named_and_cannot_start_is_an_error(
    python: str, code: int, message: str, tmp_path: Path
) -> None:
    (tmp_path / "plain").write_text("no program", encoding="utf-8")
    python = python.replace("NOT_EXECUTABLE", str(tmp_path / "plain"))
    found = gradest("bench", "run", suite_file(tmp_path, "none"), "--out", tmp_path / "run", "--python", python)
    assert found.exit_code == code, found.output
    assert message in " ".join(found.output.split())
    assert (tmp_path / "run").exists() is (code != 2)
    if code == 1:  # what could not be tried has had no attempt, and is tried again
        again = gradest("bench", "run", suite_file(tmp_path, "none"), "--out", tmp_path / "run", "--resume")
        assert again.exit_code == 0, again.output
        assert {record.attempts for record in load(tmp_path / "run").measured} == {1}


def test_two_runs_of_one_second_have_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folders, "datetime", _OneMoment)
    assert [new_folder("same").name for _ in range(3)] == ["same-20260102-030405" + end for end in ("", "-2", "-3")]


class _OneMoment(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "_OneMoment":
        return cls(2026, 1, 2, 3, 4, 5, tzinfo=tz)


@pytest.mark.parametrize("executor", ["foo", "local:0", "json:no_such_name"])
def test_a_refused_executor_leaves_no_run_behind(
    executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = gradest("bench", "run", suite_file(tmp_path, "none"), "--executor", executor)
    assert found.exit_code == 2
    assert list((tmp_path / "results").iterdir()) == []
    assert gradest("bench", "report").exit_code == 2


@with_numpy(2)
def test_folder_with_results_is_not_written_over(tmp_path: Path) -> None:
    suite = suite_file(tmp_path, "none")
    assert gradest("bench", "run", suite, "--out", tmp_path / "run").exit_code == 0
    again = gradest("bench", "run", suite, "--out", tmp_path / "run")
    assert again.exit_code == 2
    assert "use --resume" in again.output


def test_folder_that_cannot_be_written_has_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    found = gradest("bench", "run", suite_file(tmp_path, "none"), "--out", tmp_path / "file" / "run")
    assert found.exit_code == EXIT_STORAGE
    assert "choose another folder with --out" in found.output


@with_numpy(1)
def test_disk_that_fills_up_keeps_what_was_done(tmp_path: Path) -> None:
    suite = suite_file(tmp_path, "none", "double", "nan")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000)); "
        "from gradest_bench.command.main import main; main()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], *filter(None, sys.path)])}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # the limit is of every file that the process writes
    command = [sys.executable, "-c", code, "bench", "run", str(suite), "--out", str(tmp_path / "run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == EXIT_STORAGE, done.stderr
    assert "are kept; make room and run again with --resume" in done.stderr
    lines = (tmp_path / "run" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert 0 < len(lines) < 4
    assert all(json.loads(line)["outcome"] for line in lines)
    resumed = gradest("bench", "run", suite, "--out", tmp_path / "run", "--resume")
    assert f"{len(lines)} cells have a result already; {4 - len(lines)} to run" in resumed.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "quik"), "did you mean 'quick'"),
        (("run", "quick", "--backends", "nympy"), "did you mean 'numpy'"),
        (("run", "quick", "--python", "mxnet"), "BACKEND=PATH"),
        (("run", "quick", "--python", "numpy=a", "--python", "numpy=b"), "--python gives 'numpy' twice"),
        (("run", "quick", "--budget", "-1"), "--budget must be positive"),
        (("run", "quick", "--executor", "x"), "local:N"),
        (("check-suite", "quik"), "did you mean 'quick'"),
        (("report", "."), "no results.jsonl"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_no_traceback(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = gradest("bench", *arguments)
    assert found.exit_code == 2, found.output
    assert message in found.output
    assert "Traceback" not in found.output


def test_check_suite_counts_cells() -> None:
    assert QUICK_BUDGET
    assert "quick: valid, 48 cells" in gradest("bench", "check-suite", "quick").output


def test_compare_shortens_no_figure_whatever_the_width_of_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    chosen = ("--estimators", "fd-exact,es-row-space,node-perturbation", "--backends", "numpy", "--dtypes", "float32")
    found = gradest("compare", *chosen, "--set", "widths=[4]", "--set", "batch=8")
    assert found.exit_code == 0, found.output
    rows = [line for line in found.output.splitlines() if line.split()[:1] and line.split()[0] in chosen[1].split(",")]
    assert len(rows) == 3
    assert any("structured, exact differences" in row for row in rows)
    assert not any("…" in row for row in rows)


@with_numpy(1)
def test_a_scaled_run_has_the_cells_of_its_suite_and_no_more(tmp_path: Path) -> None:
    found = gradest("bench", "run", suite_file(tmp_path, "none", "double"), "--budget", 0.5, "--out", tmp_path / "run")
    assert found.exit_code == 6, found.output
    run = load(tmp_path / "run")
    assert run.num_cells == len(run.records) == 3


@with_numpy(2)
def test_the_suite_of_a_run_is_run_as_it_was(tmp_path: Path) -> None:
    """Its first and last lines say so: as comments alone they made other cells than a reader of the new run found."""
    options = ("--budget", 0.5, "--estimators", "*,reverse()")
    first = tmp_path / "first"
    gradest("bench", "run", suite_file(tmp_path, "none"), *options, "--out", first)
    kept = first / "suite.toml"
    assert gradest("bench", "check-suite", kept).output == "faults: valid, 3 cells\n"
    again = gradest("bench", "run", kept, "--out", tmp_path / "again")
    assert again.exit_code == 0, again.output
    one, other = load(first), load(tmp_path / "again")
    assert other.num_cells == len(other.records) == 3
    assert {record.key for record in one.records} == {record.key for record in other.records}
    assert kept.read_text(encoding="utf-8") == (tmp_path / "again" / "suite.toml").read_text(encoding="utf-8")
    more = gradest("bench", "run", kept, "--budget", 4, "--repeat", "--out", tmp_path / "more", "--dry-run")
    assert "3 cells" in more.output
    told = read_as_run(kept.read_text(encoding="utf-8"))
    assert (told.budget, told.repeat, [spec.label for spec in told.added]) == (0.5, False, ["reverse()"])


def test_suites_are_found_by_their_tags() -> None:
    found = gradest("bench", "list", "--tag", "theory").output
    assert "es-scaling" in found
    assert "low-precision" not in found
    unknown = gradest("bench", "list", "--tag", "theori")
    assert unknown.exit_code == 2
    assert "did you mean 'theory'" in unknown.output


@with_numpy(2)
def test_an_outcome_is_explained_where_it_is_listed(tmp_path: Path) -> None:
    found = gradest("bench", "run", suite_file(tmp_path, "none", "raise"), "--out", tmp_path / "run")
    assert " ".join(found.output.split()).count(Outcome.ERROR.wording) == 1
    assert Outcome.ERROR.wording in report_html(load(tmp_path / "run"))
    assert Outcome.CRASHED.wording not in found.output


def test_table_of_a_run_loses_no_digit_on_a_narrow_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ("bench", "run", suite_file(tmp_path, "none"), "--out", tmp_path / "run")
    assert gradest(*run).exit_code == 0
    monkeypatch.setattr(terminal, "_PLAIN_WIDTH", 40)
    rows = [line for line in gradest("bench", "show", tmp_path / "run").output.splitlines() if "│" in line]
    assert len(rows) == 2
    assert not any("…" in row for row in rows)
    assert "agrees" in rows[0] + rows[1]
    assert not any("nan" in row for row in rows)  # the null estimator's zero gradient has no cosine


def test_a_dumb_terminal_gets_the_whole_table_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    screen = terminal.PlainConsole(file=io.StringIO(), force_terminal=True)
    table = terminal.titled_table("a table", *(f"heading {k} of many" for k in range(12)))
    assert terminal.wide_enough(screen, [table]).width > screen.width == 80


def test_a_prediction_that_failed_is_told_wherever_its_cell_is_shown(tmp_path: Path) -> None:
    unpredicted = """
[[grid]]
backends = ["numpy"]
seeds = [0, 1, 2]
problems = [{ name = "quadratic", fields = { size = 3 } }]
estimators = [{ name = "support.bench_faults:UnpredictedES", vary = { num_samples = [4, 6] } }]
"""
    found = gradest("bench", "run", suite_file(tmp_path, "none", more=unpredicted), "--out", tmp_path / "run")
    assert found.exit_code == 0, found.output
    fault = "the prediction failed: ZeroDivisionError: no such law"
    run = load(tmp_path / "run")
    assert [record.reason for record in run.records if "Unpredicted" in record.cell.estimator.name] == [fault] * 2
    shown = gradest("bench", "show", tmp_path / "run").output
    assert f"ok: {fault}" in " ".join(shown.split())
    assert Outcome.OK.wording not in shown
    page = report_html(run)
    assert page.count(fault) == 1
    assert "and 1 more cells of support.bench_faults:UnpredictedES" in page
