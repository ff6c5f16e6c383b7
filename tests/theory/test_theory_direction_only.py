"""Cosines, shaped fitness, projection and shrinkage: predictions against Monte Carlo and exact sums.

Each Monte Carlo check allows 4.9 standard errors, a false-alarm probability of 1e-6.
"""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from support.theory_ensembles import permutations

from gradest import theory
from gradest.errors import UnknownNameError, UnsupportedError
from gradest.theory.direction_only import chi_mean

ALLOWED = 4.9


def excess_in_standard_errors(samples: np.ndarray, predicted: float) -> float:
    return abs(samples.mean() - predicted) / (samples.std() / math.sqrt(len(samples)))


def cosines(estimates: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return estimates @ gradient / np.linalg.norm(estimates, axis=1) / np.linalg.norm(gradient)


@pytest.mark.parametrize(("size", "count"), [(6, 1), (6, 4), (3, 10)])
def test_cosine_of_normal_directions(size: int, count: int) -> None:
    directions = np.random.default_rng(1).standard_normal((60_000, count, size))
    gradient = np.linspace(1, 2, size)
    found = cosines(np.einsum("kn,knp->kp", directions @ gradient, directions), gradient)
    arguments: dict[str, Any] = {"num_parameters": size, "num_samples": count}
    assert excess_in_standard_errors(found, theory.expected_cosine("normal", **arguments)) < ALLOWED
    assert excess_in_standard_errors(found**2, theory.expected_squared_cosine("normal", **arguments)) < ALLOWED
    # The ratio of expectations is an approximation, and N/(N+P) a mutant.
    approximate = theory.approximate_cosine(theory.relative_mse_linear("normal", **arguments))
    assert excess_in_standard_errors(found, approximate) > ALLOWED
    assert excess_in_standard_errors(found**2, count / (count + size)) > ALLOWED


@pytest.mark.parametrize("count", [1, 3, 6])
def test_cosine_and_error_of_a_projection(count: int) -> None:
    size = 6
    gradient = np.linspace(1, 2, size)
    frames, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((40_000, size, count)))
    estimates = np.einsum("kpn,kn->kp", frames, np.einsum("kpn,p->kn", frames, gradient))
    found = np.abs(cosines(estimates, gradient))
    errors = np.sum((estimates - gradient) ** 2, axis=1) / (gradient @ gradient)
    arguments: dict[str, Any] = {"num_parameters": size, "num_samples": count}
    predictions = (
        theory.expected_cosine("orthogonal", **arguments),
        theory.expected_squared_cosine("orthogonal", **arguments),
        theory.projection_relative_mse(**arguments),
    )
    if count == size:
        assert predictions == (1.0, 1.0, 0.0)
        np.testing.assert_allclose(found, 1, atol=1e-12)
    else:
        for samples, predicted in zip((found, found**2, errors), predictions, strict=True):
            assert excess_in_standard_errors(samples, predicted) < ALLOWED
        assert excess_in_standard_errors(errors, 1 - count / (size + 1)) > ALLOWED


def test_squared_cosine_over_every_sign_vector_and_coordinate() -> None:
    gradient = np.array([0.3, -1.2, 2.0, 0.8])
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=4)))
    exact = np.mean(cosines((signs @ gradient)[:, None] * signs, gradient) ** 2)
    assert theory.expected_squared_cosine("rademacher", num_parameters=4, num_samples=1) == pytest.approx(exact)
    weights, directions = permutations(4, 2)
    estimates = np.einsum("mnp,mn->mp", directions, directions @ gradient)
    exact = weights @ cosines(estimates, gradient) ** 2
    predicted = theory.expected_squared_cosine("coordinates-without-replacement", num_parameters=4, num_samples=2)
    assert predicted == pytest.approx(exact)


def test_cosine_limits() -> None:
    one = theory.expected_cosine("sphere", num_parameters=2, num_samples=1)
    assert one == pytest.approx(2 / math.pi)
    large = theory.expected_cosine("normal", num_parameters=100_000, num_samples=1)
    assert large == pytest.approx(math.sqrt(2 / (math.pi * 100_000)), rel=1e-5)
    for size in (10**9, 10**12):  # logarithms of Gamma, which cancel, left 1e-6 and 3e-4
        huge = theory.expected_cosine("normal", num_parameters=size, num_samples=1)
        assert huge == pytest.approx(math.sqrt(2 / (math.pi * size)), rel=2e-9)
        half = theory.expected_cosine("orthogonal", num_parameters=size, num_samples=size // 2)
        assert half == pytest.approx(math.sqrt(0.5), rel=2e-9)
    arguments: dict[str, Any] = {"num_parameters": 5_000, "num_samples": 500}
    approximate = theory.approximate_cosine(theory.relative_mse_linear("normal", **arguments))
    assert theory.expected_cosine("normal", **arguments) == pytest.approx(approximate, rel=1e-3)


@pytest.mark.parametrize("degrees", [1, 10, 999, 1_000, 1_001, 3_000])
def test_means_of_chi_have_their_product_on_both_sides_of_the_series(degrees: int) -> None:
    """E chi_d E chi_(d + 1) = 2 Gamma(d / 2 + 1) / Gamma(d / 2) = d; from 1000 on a series has the place of Gamma."""
    assert chi_mean(degrees) * chi_mean(degrees + 1) == pytest.approx(degrees, rel=1e-12)


def shaped(shaping: str, slopes: np.ndarray) -> np.ndarray:
    """Return the fitness (K, N) of slopes s = v.g/|g| after shaping; the sign is that of antithetic differences."""
    if shaping == "z-score":
        centred = slopes - slopes.mean(axis=1, keepdims=True)
        return centred / slopes.std(axis=1, keepdims=True)
    if shaping == "centered-rank":
        return slopes.argsort(axis=1).argsort(axis=1) / (slopes.shape[1] - 1) - 0.5
    return np.sign(slopes)


@pytest.mark.parametrize("shaping", ["z-score", "centered-rank", "sign"])
def test_shaped_fitness(shaping: str) -> None:
    """The mean within 1 % and the variance within 4 %: 2/N of a finite population and five standard errors."""
    size, count, replicates = 6, 400, 6_000
    rng = np.random.default_rng(3)
    estimates = np.concatenate(
        [
            np.einsum("kn,knp->kp", shaped(shaping, directions[:, :, 0]), directions) / count
            for directions in (rng.standard_normal((500, count, size)) for _ in range(replicates // 500))
        ]
    )
    scale = theory.shaping_scale(shaping)
    assert estimates[:, 0].mean() == pytest.approx(scale, rel=0.01)
    assert np.abs(estimates[:, 1:].mean(axis=0)).max() < 0.01 * scale
    variance = count * estimates.var(axis=0).sum() / scale**2
    predicted = theory.shaping_relative_variance(shaping, num_parameters=size)
    assert variance == pytest.approx(predicted, rel=0.04)
    for mutant in {"z-score", "centered-rank", "sign"} - {shaping}:
        assert theory.shaping_scale(mutant) != pytest.approx(scale, rel=0.05)
    # P + 1 of the unshaped estimate, and the leading term alone, are both too far off.
    leading = {"z-score": size, "centered-rank": math.pi * size / 3, "sign": math.pi * size / 2}[shaping]
    assert variance != pytest.approx(leading, rel=0.04)
    assert variance != pytest.approx(size + 1, rel=0.04)


def test_optimal_shrinkage_minimises_the_error() -> None:
    """The MSE of alpha g_hat is alpha^2 V + (1 - alpha)^2: no other alpha does better."""
    mse = theory.relative_mse_linear("normal", num_parameters=20, num_samples=7)
    alpha, left = theory.optimal_shrinkage(mse)
    assert alpha == pytest.approx(7 / 28)
    grid = np.linspace(0, 1, 1_001)
    curve = grid**2 * mse + (1 - grid) ** 2
    assert left == pytest.approx(curve.min(), rel=1e-12)
    assert left == pytest.approx(21 / 28)


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="approximate_cosine"):
        theory.expected_cosine("rademacher", num_parameters=4, num_samples=2)
    with pytest.raises(UnsupportedError, match="approximate_cosine"):
        theory.expected_squared_cosine("uniform", num_parameters=4, num_samples=1)
    with pytest.raises(UnknownNameError, match="z-score"):
        theory.shaping_scale("zscore")
