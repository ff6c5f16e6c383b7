"""`gradest compare path.py:case` is `gradest.compare` on that case: same numbers, in a table, JSON or a plot."""

import inspect
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import gradest
from gradest import Comparison
from gradest_bench.command.compare import compare
from gradest_bench.command.main import main

FILE = """
import numpy as np, gradest
from gradest.problems.quadratic import Quadratic

def loss(p, x):
    return np.sum((np.tanh(p) - x) ** 2)

case = gradest.Case(loss, np.linspace(0.1, 0.6, 4), (np.ones(4),))

def black_box():
    return (lambda p: float(np.sum(p ** 2)), np.ones(3))

def vector():
    return (lambda p: p, np.ones(3))

def integers():
    return (np.sum, np.ones(3, int))

problem = Quadratic(size=3)
"""
QUICK = ("--budget", "0.001", "--replicates", "4")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("compare") / "case_of_compare.py"
    found.write_text(FILE, encoding="utf-8")
    return found


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_case_has_a_table_with_its_reference(file: Path) -> None:
    result = command("compare", f"{file}:case", *QUICK, "--estimators", "reverse,es(sigma=0.01),analytic")
    assert result.exit_code == 0, result.output
    output = result.output
    assert f"{file}:case: 4 parameters   numpy float64 on cpu: params (4,)" in output
    assert "Reference: numpy's reverse mode in longdouble, compared with complex-step differentiation" in output
    assert "es(sigma=0.01)" in output
    words = " ".join(output.split())
    for column in ("rel. error:", "evaluations:", "x loss:", "prepare:", "cosine and MSE", "z:", "path:"):
        assert column in words, f"the legend says nothing of {column}"
    assert "path: native = differentiated by the framework itself (of NumPy, by gradest's rules for its func" in words
    assert "analytic on numpy" in output
    assert "unsupported: the closed-form gradient was asked for" in output


def test_patterns_name_every_estimator_that_they_fit_and_one_that_fits_none_is_told(file: Path) -> None:
    result = command("compare", f"{file}:case", *QUICK, "--estimators", "fd-?orward,es-z*,es(sigma=0.1)", "--json")
    assert result.exit_code == 0, result.output
    found = [each.cell.estimator for each in Comparison.from_json(result.stdout)]
    assert found == ["fd-forward", "es-zscore", "es(sigma=0.1)"]
    none = command("compare", f"{file}:case", *QUICK, "--estimators", "reverse,fd-z*")
    assert none.exit_code == 2, none.output
    assert "no estimator is named 'fd-z*'" in none.stderr


def test_json_is_a_comparison(file: Path) -> None:
    result = command("compare", f"{file}:case", *QUICK, "--json")
    assert result.exit_code == 0, result.output
    found = Comparison.from_json(result.stdout)
    assert [cell.cell.estimator for cell in found] == ["reverse", "forward", "fd-central", "es", "spsa"]
    assert found.loss.name == f"{file}:case"
    assert found[0].relative_error < 1e-15
    assert json.loads(result.stdout)["plot"] is None


def test_a_plot_is_written(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="Matplotlib is not installed: pip install 'gradest[report]'")
    target = tmp_path / "errors.svg"
    result = command("compare", f"{file}:case", *QUICK, "--estimators", "reverse,fd-central", "--plot", target)
    assert result.exit_code == 0, result.output
    assert target.read_text(encoding="utf-8").startswith("<?xml")
    assert f"plot: {target}" in result.output


def test_where_no_cell_ran_the_table_says_why_before_the_plot_fails(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="Matplotlib is not installed: pip install 'gradest[report]'")
    result = command("compare", f"{file}:black_box", *QUICK, "--estimators", "reverse", "--plot", tmp_path / "e.png")
    assert result.exit_code == 2
    assert "float() was asked of a value that is being differentiated" in result.output
    assert "no cell ran" in result.output


def test_a_black_box_is_judged_by_differences(file: Path) -> None:
    result = command("compare", f"{file}:black_box", *QUICK, "--estimators", "fd-central,reverse", "--json")
    assert result.exit_code == 0, result.output  # what an estimator cannot carry is no failure
    found = Comparison.from_json(result.stdout)
    assert "Richardson" in found[0].reference_method
    assert str(found[1].outcome) == "unsupported"


def test_a_problem_of_a_file_runs_where_it_is_asked_to(file: Path) -> None:
    options = (*QUICK, "--backends", "numpy", "--dtypes", "float32", "--estimators", "reverse", "--json")
    result = command("compare", f"{file}:problem", *options)
    assert result.exit_code == 0, result.output
    (cell,) = Comparison.from_json(result.stdout)
    assert (cell.cell.backend, cell.cell.dtype, cell.cell.kernel) == ("numpy", "float32", "portable")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("vector", (), r"found an array of shape (3,); reduce it"),
        ("integers", (), "must be floating-point; found dtype int64; if it is to be differentiated"),
        ("nothing", (), "has no 'nothing'; it has:"),
        ("nothing", (), "; a case is a line such as: case = gradest.Case(loss, params, (x, y))"),
        ("loss", (), "takes arguments as a loss does"),
        ("case", ("--backends", "numpy"), "--backends was given, and"),
        ("case", ("--dtypes", "float32", "--kernel", "native"), "--dtypes, --kernel was given, and"),
        ("case", ("--problem", "quadratic", "--set", "size=3"), "--problem, --set was given, and"),
        ("problem", ("--problem", "quadratic"), "says already what is compared on"),
        ("case", ("--estimators", "revers"), "did you mean 'reverse'"),
    ],
)
def test_wrong_use_is_one_line(file: Path, name: str, options: tuple[str, ...], words: str) -> None:
    result = command("compare", f"{file}:{name}", *QUICK, *options)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output


def test_the_list_for_a_case_says_what_each_gives(file: Path) -> None:
    result = command("list", "estimators", "--for", f"{file}:black_box")
    runs, cannot = result.output.split("the others cannot:")
    assert "gradient of the smoothed loss, at random" in runs
    assert "complex-step" not in runs
    assert "the complex step evaluates the loss at complex parameters" in " ".join(cannot.split())


def test_replicates_are_as_many_by_default_as_in_python() -> None:
    (option,) = (each for each in compare.params if each.name == "replicates")
    assert option.default == inspect.signature(gradest.compare).parameters["replicates"].default
