"""Estimates that keep a direction alone have the cosine that theory predicts; another estimator's cosine is refused."""

from typing import Any

import numpy as np
import pytest
from support.small_losses import Quadratic

import gradest
from gradest import Situation
from gradest.estimators import EvolutionStrategy

PARAMETERS, SAMPLES, REPLICATES = 160, 200, 600
PROBLEM = Quadratic(shape=(PARAMETERS,), curvature=0.0, offset=0.7)
OBJECTIVE = gradest.bind(PROBLEM)
STANDARD_ERRORS = 5.5  # a false alarm in 4e-8 by the normal law, of means over 600 replicates
LIMIT = 0.01  # relative: how far the limit of many parameters and samples is from these
SHAPED: list[dict[str, Any]] = [
    {"shaping": "z-score", "antithetic": False},
    {"shaping": "z-score"},
    {"shaping": "centered-rank", "antithetic": False},
    {"shaping": "centered-rank"},
    {"shaping": "sign"},
    {"shaping": "sign", "antithetic": False, "baseline": "value"},
    {"antithetic": False, "baseline": "mean"},
    {"antithetic": False, "baseline": "value"},
    {"distribution": "rademacher"},
    {},
]


def estimator(**fields: Any) -> EvolutionStrategy:
    return EvolutionStrategy(num_samples=SAMPLES, sigma=0.1, **fields)


def measured(chosen: EvolutionStrategy) -> tuple[float, float]:
    """Return the mean cosine over replicates, and its standard error."""
    prepared, g = chosen.prepare(OBJECTIVE), PROBLEM.gradient / np.linalg.norm(PROBLEM.gradient)
    estimates = np.stack([np.asarray(prepared(rng=k).gradient["x"]).reshape(-1) for k in range(REPLICATES)])
    cosines = estimates @ g / np.linalg.norm(estimates, axis=1)
    return float(cosines.mean()), float(cosines.std(ddof=1) / np.sqrt(REPLICATES))


def predicted(chosen: EvolutionStrategy) -> float:
    found = chosen.predict(Situation(OBJECTIVE.layout, PROBLEM.gradient, value=0.7))
    assert found is not None
    assert found.cosine is not None
    return found.cosine


@pytest.mark.parametrize("fields", SHAPED, ids=str)
def test_the_mean_cosine_is_the_predicted_one(fields: dict[str, Any]) -> None:
    mean, error = measured(estimator(**fields))
    assert abs(predicted(estimator(**fields)) - mean) <= STANDARD_ERRORS * error + LIMIT * mean


def test_the_cosine_of_another_shaping_is_told_apart() -> None:
    mean, error = measured(estimator(shaping="sign"))
    for mutant in (estimator(shaping="z-score"), estimator(shaping="centered-rank"), estimator()):
        assert abs(predicted(mutant) - mean) > STANDARD_ERRORS * error + LIMIT * mean


def test_a_shaped_estimate_has_no_error_to_predict_and_other_laws_no_cosine() -> None:
    at = Situation(OBJECTIVE.layout, PROBLEM.gradient)
    found = estimator(shaping="z-score").predict(at)
    assert found is not None
    assert found.relative_mse is None
    assert estimator(shaping="z-score", distribution="sphere").predict(at) is None
