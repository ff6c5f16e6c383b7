"""`check_estimator` rejects every mutant by the check that is made for it, and passes the correct originals."""

import pytest
from support.mutants import MUTANTS
from support.mutants_of_streams import StreamsByBackend
from support.residual_feedback import ResidualFeedback

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
    "residual feedback": ResidualFeedback(),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_a_correct_estimator_passes_every_check(name: str) -> None:
    failed = [str(result) for result in check_estimator(CONTROLS[name]) if not result.passed]
    assert not failed


@pytest.mark.parametrize("fault", MUTANTS)
def test_a_mutant_is_rejected_by_the_check_made_for_it(fault: str) -> None:
    mutant, check = MUTANTS[fault]
    (result,) = check_estimator(mutant, checks=[check])
    assert result.applies, str(result)
    assert not result.passed, str(result)
    assert check == "configuration" or not result.detail.startswith("raised"), str(result)


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
