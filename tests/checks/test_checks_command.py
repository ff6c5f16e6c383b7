"""`gradest check` loads an estimator by name, module or file, prints a line a check and fails where one fails."""

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
    assert "✓ configuration" in output


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
