"""`check_estimator` rejects every mutant by the check that is made for it, and passes the correct originals."""

from dataclasses import dataclass
from typing import Any

import pytest
from support.mutants import MUTANTS
from support.mutants_of_scale import MeanBaselineOverN
from support.mutants_of_streams import OneStreamForAllBlocks, OneStreamOfLeaves, StreamsByBackend
from support.plain_residual_feedback import PlainResidualFeedback
from support.turns import shared_by_two

from gradest import Estimator
from gradest.testing import CHECKS, check_estimator
from gradest.testing.plain_estimators import PlainDifference, PlainEvolution

CONTROLS = {
    "antithetic": PlainEvolution(),
    "rademacher": PlainEvolution(distribution="rademacher"),
    "sphere": PlainEvolution(distribution="sphere", chunk_size=4),
    "value baseline": PlainEvolution(antithetic=False, baseline="value"),
    "leave-one-out": PlainEvolution(antithetic=False, baseline="leave-one-out"),
    "no baseline": PlainEvolution(antithetic=False),
    "central": PlainDifference(),
    "forward": PlainDifference(scheme="forward"),
    "backward": PlainDifference(scheme="backward", step=1e-6),
    "residual feedback": PlainResidualFeedback(),
}


# Thousands of estimates each, of random numbers that are the same with each version.
@pytest.mark.parametrize("name", shared_by_two(CONTROLS))
def test_a_correct_estimator_passes_every_check(name: str) -> None:
    failed = [str(result) for result in check_estimator(CONTROLS[name]) if not result.passed]
    assert not failed


@pytest.mark.parametrize("fault", shared_by_two(MUTANTS))
def test_a_mutant_is_rejected_by_the_check_made_for_it(fault: str) -> None:
    mutant, check = MUTANTS[fault]
    (result,) = check_estimator(mutant, checks=[check])
    assert result.applies, str(result)
    assert not result.passed, str(result)
    assert check == "configuration" or not result.detail.startswith("raised"), str(result)


@pytest.mark.parametrize("mutant", [OneStreamOfLeaves(), OneStreamForAllBlocks()], ids=lambda m: type(m).__name__)
def test_shared_noise_is_not_taken_for_a_wrong_division(mutant: Estimator) -> None:
    """Its scale lies near (N - 1) / N for the few directions of the test, and does not change with their number."""
    scale, blocks = check_estimator(mutant, checks=["scale", "blocks"])
    assert not scale.passed
    assert not blocks.passed
    assert "are moved by the same noise" in scale.detail
    assert "N - 1" not in scale.detail
    assert "the same noise moves both" in blocks.detail


@pytest.mark.parametrize("number", [2, 3, 5, 20])
def test_a_wrong_division_is_still_named(number: int) -> None:
    (result,) = check_estimator(MeanBaselineOverN(num_samples=number), checks=["scale"])
    assert not result.passed
    assert "it divides by N where the baseline asks for N - 1" in result.detail


@dataclass(frozen=True)
class NearARatio(PlainEvolution):
    """Shrunk by a factor that is (N - 1) / N for the five directions of the test by chance, and depends on no N."""

    num_samples: int = 20

    def slopes(self, f: Any, x: Any, v: Any) -> Any:
        return 0.8 * super().slopes(f, x, v)


def test_a_ratio_that_fits_by_chance_is_not_named() -> None:
    (result,) = check_estimator(NearARatio(), checks=["scale"])
    assert not result.passed
    assert "found 0.8" in result.detail or "found 0.7" in result.detail
    assert "N - 1" not in result.detail


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_directions_that_depend_on_the_backend_are_rejected(backend: str) -> None:
    for estimator, passed in ((StreamsByBackend(), False), (PlainEvolution(), True)):
        (result,) = check_estimator(estimator, backends=("numpy", backend), checks=["backends"])
        assert result.applies
        assert result.passed is passed, str(result)


def test_there_are_mutants_enough_and_for_every_kind_of_check() -> None:
    assert len({type(mutant) for mutant, _ in MUTANTS.values()}) >= 25
    elsewhere = {"backends"}  # asks for a second framework: see above
    assert {check for _, check in MUTANTS.values()} == set(CHECKS) - elsewhere
