"""The tests that theory offers hold their stated false-alarm rate on right estimators and reject wrong ones."""

import math
from typing import Any

import numpy as np
import pytest

from gradest import theory
from gradest.errors import InvalidInputError, NonFiniteError

SIZE = 12
GRADIENT = np.linspace(-1.0, 2.0, SIZE)
# A case that is right is rejected with this probability; the seeds are fixed, so that it is so once and for all.
FALSE_ALARM = 1e-6


def draw(law: str, rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    if law == "normal":
        return rng.standard_normal(shape)
    if law == "rademacher":
        return rng.integers(0, 2, shape) * 2.0 - 1.0
    if law == "uniform":
        return rng.uniform(-math.sqrt(3), math.sqrt(3), shape)
    if law == "coordinates":
        return math.sqrt(shape[-1]) * np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    points = rng.standard_normal(shape)
    return points * math.sqrt(shape[-1]) / np.linalg.norm(points, axis=-1, keepdims=True)


def forward_gradients(
    law: str, replicates: int, count: int, seed: int = 0, gradient: np.ndarray = GRADIENT
) -> np.ndarray:
    directions = draw(law, np.random.default_rng(seed), (replicates, count, gradient.size))
    return np.einsum("kn,knp->kp", directions @ gradient, directions) / count


@pytest.mark.parametrize("law", ["normal", "rademacher", "uniform", "sphere", "coordinates"])
def test_unbiased_estimates_pass_and_mutants_fail(law: str) -> None:
    estimates = forward_gradients(law, 3_000, 4)

    def p_value(samples: np.ndarray, **changes: Any) -> float:
        options: dict[str, Any] = {"target": GRADIENT, "distribution": law, "num_samples": 4} | changes
        return theory.unbiasedness_statistic(samples, **options).p_value

    assert p_value(estimates) > FALSE_ALARM
    assert p_value(estimates * 4 / 3) < FALSE_ALARM  # 1/(N-1) for 1/N
    assert p_value(-estimates) < FALSE_ALARM
    moved = estimates + 0.2 * np.linalg.norm(GRADIENT) * np.eye(SIZE)[0]
    assert p_value(moved) < FALSE_ALARM


def test_degrees_of_freedom_are_the_rank_of_the_covariance() -> None:
    """Sampled coordinates satisfy sum_j g_hat_j / g_j = P exactly: one degree less."""
    options: dict[str, Any] = {"target": GRADIENT + 5, "num_samples": 4}
    coordinates = forward_gradients("coordinates", 50, 4, gradient=GRADIENT + 5)
    test = theory.unbiasedness_statistic(coordinates, distribution="coordinates", **options)
    assert test.degrees_of_freedom == SIZE - 1
    normal = theory.unbiasedness_statistic(coordinates, distribution="normal", **options)
    assert normal.degrees_of_freedom == SIZE
    broken = theory.unbiasedness_statistic(coordinates * 1.001, distribution="coordinates", **options)
    assert broken.statistic == math.inf


def test_the_statistic_is_chi_square_distributed() -> None:
    """Mean P and variance 2P over 2,000 repetitions, each within 5 standard errors (under 1e-6 false alarms)."""
    repetitions, replicates = 2_000, 60
    all_estimates = forward_gradients("normal", repetitions * replicates, 2, seed=2)
    statistics = np.array(
        [
            theory.unbiasedness_statistic(e, target=GRADIENT, distribution="normal", num_samples=2).statistic
            for e in np.split(all_estimates, repetitions)
        ]
    )
    error = math.sqrt(2 * SIZE / repetitions)
    assert abs(statistics.mean() - SIZE) < 5 * error
    assert abs(statistics.var() / (2 * SIZE) - 1) < 0.25
    mutant = statistics * 2  # the covariance of N directions taken for that of 2 N
    assert abs(mutant.mean() - SIZE) > 50 * error


def test_sherman_morrison_equals_the_inverse() -> None:
    estimates = forward_gradients("normal", 7, 3)
    deviation = estimates.mean(axis=0) - GRADIENT
    matrix = (GRADIENT @ GRADIENT * np.eye(SIZE) + np.outer(GRADIENT, GRADIENT)) / 3
    exact = 7 * deviation @ np.linalg.solve(matrix, deviation)
    test = theory.unbiasedness_statistic(estimates, target=GRADIENT, distribution="normal", num_samples=3)
    assert test.statistic == pytest.approx(exact, rel=1e-12)


def test_a_full_orthogonal_frame_must_return_the_gradient() -> None:
    options: dict[str, Any] = {"target": GRADIENT, "distribution": "orthogonal", "num_samples": SIZE}
    right = theory.unbiasedness_statistic(GRADIENT[None, :].astype(np.float32), **options)
    assert (right.degrees_of_freedom, right.p_value) == (0, 1.0)
    wrong = theory.unbiasedness_statistic(1.01 * GRADIENT[None, :], **options)
    assert (wrong.statistic, wrong.p_value) == (math.inf, 0.0)


@pytest.mark.parametrize(("size", "count"), [(12, 1), (12, 5), (3, 1), (5, 40)])
def test_variation_of_the_squared_error(size: int, count: int) -> None:
    """The exact CV^2 for normal directions, within 5 standard errors by batches; 2/N alone is told apart."""
    gradient = np.linspace(0.5, 1.5, size)
    batches = []
    for seed in range(40):
        errors = np.sum((forward_gradients("normal", 5_000, count, seed, gradient) - gradient) ** 2, axis=1)
        batches.append(errors.var() / errors.mean() ** 2)
    predicted = theory.squared_error_variation(num_parameters=size, num_samples=count)
    allowed = 5 * np.std(batches) / math.sqrt(len(batches))
    assert abs(np.mean(batches) - predicted) < allowed
    assert abs(np.mean(batches) - 2 / count) > allowed


def test_variation_has_the_closed_form_of_one_direction() -> None:
    for size in (2, 50):
        closed = (3 * (size + 4) * (size + 6) - 12 * (size + 4) + 2 * size + 13 - (size + 1) ** 2) / (size + 1) ** 2
        predicted = theory.squared_error_variation(num_parameters=size, num_samples=1)
        assert predicted == pytest.approx(closed, rel=1e-12)


def test_bounds_hold_their_false_alarm_rate() -> None:
    """At 5 %, 400 measurements lie outside 20 times on average, and 3 or fewer or 45 or more with probability 3e-6."""
    repetitions, replicates, false_alarm = 400, 200, 0.05
    estimates = forward_gradients("normal", repetitions * replicates, 2, seed=8)
    errors = np.sum((estimates - GRADIENT) ** 2, axis=1) / (GRADIENT @ GRADIENT)
    ratios = errors.reshape(repetitions, replicates).mean(axis=1)
    ratios /= theory.relative_mse_linear("normal", num_parameters=SIZE, num_samples=2)
    low, high = theory.relative_mse_bounds(replicates, num_samples=2, num_parameters=SIZE, false_alarm=false_alarm)
    outside = int(np.sum((ratios < low) | (ratios > high)))
    assert 3 < outside < 45
    mutant = ratios * 2
    assert np.mean((mutant < low) | (mutant > high)) > 0.99


@pytest.mark.parametrize("law", ["rademacher", "sphere"])
def test_bounds_are_cautious_for_laws_that_vary_less(law: str) -> None:
    errors = np.sum((forward_gradients(law, 20_000, 2) - GRADIENT) ** 2, axis=1)
    assert errors.var() / errors.mean() ** 2 < theory.squared_error_variation(num_parameters=SIZE, num_samples=2)


def test_refusals() -> None:
    options: dict[str, Any] = {"target": GRADIENT, "distribution": "normal", "num_samples": 1}
    with pytest.raises(InvalidInputError, match="shape"):
        theory.unbiasedness_statistic(np.zeros((3, SIZE + 1)), **options)
    with pytest.raises(NonFiniteError, match="NaN"):
        theory.unbiasedness_statistic(np.full((3, SIZE), np.nan), **options)
    with pytest.raises(InvalidInputError, match="zero"):
        theory.unbiasedness_statistic(np.zeros((3, SIZE)), **(options | {"target": np.zeros(SIZE)}))
    with pytest.raises(InvalidInputError, match="false_alarm"):
        theory.relative_mse_bounds(10, num_samples=1, num_parameters=3, false_alarm=0.0)
