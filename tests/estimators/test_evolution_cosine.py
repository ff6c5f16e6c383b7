"""Estimators that lose the gradient's length predict the cosine that their estimates are measured to have.

Each comparison allows 5 standard errors of the measured mean, a false-alarm probability of 6e-7. With five directions
one more or less stands further off, so that 1,500 estimates tell it, by 8 standard errors or more.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.small_losses import Quadratic
from support.turns import shared_out

import gradest
from gradest import Estimator
from gradest.estimators.evolution import EvolutionStrategy
from gradest.estimators.forward_gradient import ForwardGradient
from gradest.measurement.accuracy import accuracy_of_replicates
from gradest.situation import Situation

SAMPLES, REPLICATES, ALLOWED = 5, 1500, 5.0
LINEAR, CURVED = Quadratic(curvature=0.0), Quadratic()
ONE_SIDED = {"antithetic": False}


def measured(estimator: Estimator, problem: Quadratic) -> np.ndarray:
    prepared = estimator.prepare(gradest.bind(problem))
    found = np.stack([prepared(rng=seed).gradient["x"].reshape(-1) for seed in range(REPLICATES)])
    cosines = found @ problem.gradient / np.linalg.norm(found, axis=1) / np.linalg.norm(problem.gradient)
    again = accuracy_of_replicates(found, problem.gradient).cosine  # the figure that reports print beside it
    assert again == pytest.approx(cosines.mean(), rel=1e-9)
    return cosines


def predicted(estimator: Estimator, problem: Quadratic) -> Any:
    return estimator.predict(Situation(gradest.bind(problem).layout, problem.gradient))


CASES: list[tuple[dict[str, Any], Quadratic]] = [
    ({"shaping": "centered-rank"}, LINEAR),
    ({"shaping": "centered-rank", **ONE_SIDED}, LINEAR),
    ({"shaping": "z-score"}, CURVED),
    ({"shaping": "z-score", "distribution": "orthogonal"}, CURVED),
    ({"shaping": "z-score", **ONE_SIDED}, LINEAR),
    ({"shaping": "sign"}, CURVED),
    ({"shaping": "sign", "baseline": "value", **ONE_SIDED}, LINEAR),
    ({"shaping": "sign", "baseline": "leave-one-out", **ONE_SIDED}, LINEAR),
    ({"baseline": "mean", **ONE_SIDED}, LINEAR),
    ({"baseline": "leave-one-out", **ONE_SIDED}, LINEAR),
    ({"baseline": "value", **ONE_SIDED}, LINEAR),
    ({}, CURVED),
]


@pytest.mark.parametrize(("fields", "problem"), shared_out(CASES), ids=str)
def test_the_cosine_is_the_predicted_one(fields: dict[str, Any], problem: Quadratic) -> None:
    estimator = EvolutionStrategy(num_samples=SAMPLES, sigma=0.3, **fields)
    prediction = predicted(estimator, problem)
    cosines = measured(estimator, problem)
    allowed = ALLOWED * cosines.std() / np.sqrt(REPLICATES)
    assert abs(cosines.mean() - prediction.cosine) < allowed
    for mutant in (SAMPLES - 1, SAMPLES + 1):
        assert abs(cosines.mean() - predicted(replace(estimator, num_samples=mutant), problem).cosine) > allowed
    if estimator.shaping is not None:
        assert (prediction.target, prediction.relative_mse) == ("direction of the gradient", None)


@pytest.mark.parametrize("projection", shared_out([False, True]))
def test_forward_gradients_have_the_cosine_of_their_frames(projection: bool) -> None:
    estimator = ForwardGradient(distribution="orthogonal", projection=projection, num_samples=SAMPLES)
    prediction = predicted(estimator, CURVED)
    cosines = measured(estimator, CURVED)
    allowed = ALLOWED * cosines.std() / np.sqrt(REPLICATES)
    assert abs(cosines.mean() - prediction.cosine) < allowed
    mutant = predicted(replace(estimator, num_samples=SAMPLES + 1), CURVED).cosine
    assert abs(cosines.mean() - mutant) > allowed


def test_no_cosine_is_predicted_where_none_is_derived() -> None:
    assert predicted(EvolutionStrategy(shaping="sign", distribution="rademacher"), LINEAR) is None
    assert predicted(EvolutionStrategy(distribution="rademacher"), LINEAR).cosine is None
    matrix, _ = CURVED.terms
    at = Situation(gradest.bind(CURVED).layout, CURVED.gradient, hessian=matrix)
    assert EvolutionStrategy(baseline="mean", antithetic=False).predict(at).cosine is None  # curved: not linear
    nowhere = Situation(at.layout, np.zeros_like(CURVED.gradient))
    assert EvolutionStrategy(shaping="sign").predict(nowhere) is None
