"""`gradest check` loads an estimator by name, module or file, prints a line a check and fails where one fails."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gradest import InvalidInputError, UnknownNameError, get_estimator
from gradest_bench.command.check import check

MUTANTS = Path(__file__).parents[1] / "support" / "mutants_of_scale.py"


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(check, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_a_faultless_estimator_ends_in_zero() -> None:
    code, output = run("reverse", "--set", "engine=gradest")
    assert code == 0
    assert "✓ accuracy" in output
    assert "0 failed" in output


def test_a_wrong_estimator_in_a_file_ends_in_one_and_says_what_the_scale_suggests() -> None:
    code, output = run(f"{MUTANTS}:MissingSigma", "--checks", "scale,configuration")
    assert code == 1
    assert "✗ scale" in output
    assert "a division by sigma is missing" in output
    assert "false alarm" in output
    # README.md quotes it, and named the default radius, at which no check of a mean is made.
    found = float(output.partition("found ")[2].partition(" ")[0])
    readme = Path(__file__).parents[2] / "README.md"
    assert f"«found {found:.1f} times the gradient" in readme.read_text(encoding="utf-8")
    assert "✓ configuration" in output


def test_the_settings_that_checks_change_are_said() -> None:
    _, output = run("es", "--checks", "scale")
    assert "sigma=0.01" in output  # as given
    assert "checks of means and variances run it with num_samples=5, sigma=0.3" in output
    for unchanged in (("es", "--set", "sigma=0.3", "--set", "num_samples=4"), ("reverse", "--set", "engine=gradest")):
        _, output = run(*unchanged, "--checks", "cost")
        assert "run it with" not in output


def test_the_command_runs_as_a_module_too() -> None:
    command = [sys.executable, "-m", "gradest_bench.command.main", "list", "estimators"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "fd-central" in done.stdout


def test_an_estimator_of_a_module_takes_hyperparameters() -> None:
    estimator: Any = get_estimator("gradest.estimators.evolution:EvolutionStrategy", num_samples=3)
    assert estimator.num_samples == 3


@pytest.mark.parametrize(
    ("location", "fields", "error", "message"),
    [
        ("no-such-name", {}, UnknownNameError, "no-such-name"),
        ("no_such_module:Thing", {}, InvalidInputError, "no_such_module"),
        ("no_such_file.py:Thing", {}, InvalidInputError, "no_such_file"),
        ("gradest.estimators.reverse:Revers", {}, InvalidInputError, "Reverse"),
        ("gradest.estimators.reverse:Reverse", {"engin": 1}, UnknownNameError, "engine"),
    ],
)
def test_what_cannot_be_loaded_is_named(location: str, fields: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        get_estimator(location, **fields)


CASE = """
import numpy as np
def loss(p, x): return float(np.sum((p - x) ** 2))
def case(): return loss, np.zeros(2), np.ones(2)
def right(p, x): return 2 * (p - x)
def wrong(p, x): return p - x
nothing = None
"""


def test_the_gradient_of_a_case_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "a_case_to_check.py"
    file.write_text(CASE, encoding="utf-8")
    code, output = run(f"{file}:case", "--gradient", f"{file}:right")
    assert code == 0
    assert "the gradient given: right" in output
    code, output = run(f"{file}:case", "--gradient", f"{file}:wrong")
    assert code == 1
    assert "a factor of 1/2" in output


def test_a_gradient_of_the_cases_own_file_needs_no_path(tmp_path: Path) -> None:
    file = tmp_path / "another_case_to_check.py"
    file.write_text(CASE, encoding="utf-8")
    assert run(f"{file}:case", "--gradient", "right")[0] == 0
    assert run(f"{file}:case", "--gradient", "wrong")[0] == 1
    for name, told in (("rigth", "has no 'rigth'"), ("nothing", "found None")):
        with pytest.raises(InvalidInputError, match=told):
            CliRunner().invoke(check, [f"{file}:case", "--gradient", name], catch_exceptions=False)
