"""The predicted cosine of shaped strategies, against samples of its definition and against its limits.

Each comparison with samples allows 5 standard errors (a false-alarm probability of 6e-7) beside the error that the
formula states; N + 1 for N, and the other shapings, must be told apart.
"""

import math

import numpy as np
import pytest

from gradest import theory
from gradest.errors import InvalidInputError, UnknownNameError, UnsupportedError

REPLICATES = 40_000
ALLOWED = 5.0
KINDS = [("sign", "antithetic"), ("sign", "leave-one-out"), ("centered-rank", "none"), ("centered-rank", "antithetic")]


def weights(shaping: str, baseline: str, s: np.ndarray) -> np.ndarray:
    """Return the weights (K, N) of directions with components s (K, N) along the gradient."""
    if shaping == "sign":
        return np.sign(s - s.mean(axis=1, keepdims=True) if baseline == "leave-one-out" else s)
    if baseline == "none":
        return s.argsort(axis=1).argsort(axis=1) - (s.shape[1] - 1) / 2
    both = np.concatenate([s, -s], axis=1)
    ranks = both.argsort(axis=1).argsort(axis=1)
    return ranks[:, : s.shape[1]] - ranks[:, s.shape[1] :]


def sampled(shaping: str, baseline: str, size: int, count: int) -> np.ndarray:
    directions = np.random.default_rng(5).standard_normal((REPLICATES, count, size))
    w = weights(shaping, baseline, directions[:, :, 0])
    estimates = np.einsum("kn,knp->kp", w, directions)
    return estimates[:, 0] / np.linalg.norm(estimates, axis=1)


@pytest.mark.parametrize(("shaping", "baseline"), KINDS)
@pytest.mark.parametrize(("size", "count"), [(6, 2), (12, 5), (6, 10), (30, 20)])
def test_the_cosine_of_ranks_and_signs(shaping: str, baseline: str, size: int, count: int) -> None:
    found = sampled(shaping, baseline, size, count)
    stated = 0.0005 if count >= 10 else 0.002
    if baseline == "leave-one-out" and count < 10:
        stated = 0.03
    allowed = ALLOWED * found.std() / math.sqrt(REPLICATES) + stated * found.mean()

    def cosine(shaping: str, baseline: str, count: int) -> float:
        return theory.expected_shaped_cosine(shaping, baseline=baseline, num_parameters=size, num_samples=count)

    assert abs(found.mean() - cosine(shaping, baseline, count)) < allowed
    if stated < 0.03:
        assert abs(found.mean() - cosine(shaping, baseline, count + 1)) > allowed
    if count >= 10:
        other = ("sign", "antithetic") if shaping == "centered-rank" else ("centered-rank", "none")
        assert abs(found.mean() - cosine(*other, count)) > allowed


@pytest.mark.parametrize(("size", "count"), [(2, 1), (7, 1), (300, 1)])
def test_one_sign_has_the_cosine_of_one_direction(size: int, count: int) -> None:
    one = theory.expected_cosine("normal", num_parameters=size, num_samples=count)
    signs = theory.expected_shaped_cosine("sign", baseline="antithetic", num_parameters=size, num_samples=count)
    assert signs == pytest.approx(one, rel=1e-4)


@pytest.mark.parametrize("size", [2, 7, 300])
def test_two_values_have_the_cosine_of_one_direction_however_they_are_shaped(size: int) -> None:
    one = theory.expected_cosine("normal", num_parameters=size, num_samples=1)
    for shaping, baseline in (("sign", "mean"), ("centered-rank", "none"), ("z-score", "none")):
        found = theory.predict_shaped(
            "normal", shaping=shaping, baseline=baseline, num_parameters=size, num_samples=2
        ).cosine
        assert found == pytest.approx(one, rel=1e-4)


@pytest.mark.parametrize(("shaping", "baseline"), KINDS)
@pytest.mark.parametrize("size", [1_000, 1_000_000])
def test_many_directions_have_the_cosine_of_the_relative_variance(shaping: str, baseline: str, size: int) -> None:
    """1 / sqrt(1 + V / N) with V from `shaping_relative_variance`, which pairs and baselines do not change then."""
    count = size
    found = theory.expected_shaped_cosine(shaping, baseline=baseline, num_parameters=size, num_samples=count)
    variance = theory.shaping_relative_variance(shaping, num_parameters=size) / count
    assert found == pytest.approx(theory.approximate_cosine(variance), rel=3 / size + 1e-6)


def test_shaped_pairs_by_z_score_go_where_unshaped_pairs_go() -> None:
    arguments = {"num_parameters": 9, "num_samples": 4}
    for law in ("normal", "orthogonal"):
        found = theory.predict_shaped(law, shaping="z-score", baseline="antithetic", **arguments)
        assert found.cosine == theory.expected_cosine(law, **arguments)
        assert found.relative_mse is None
        assert found.exact_for == "quadratic f"


def test_what_is_not_derived_or_meant_is_refused() -> None:
    arguments = {"num_parameters": 9, "num_samples": 4}
    for shaping, baseline in (("sign", "antithetic"), ("centered-rank", "none"), ("z-score", "none")):
        with pytest.raises(UnsupportedError, match="normal"):
            theory.predict_shaped("rademacher", shaping=shaping, baseline=baseline, **arguments)
    for shaping, baseline in (("sign", "mean"), ("centered-rank", "none"), ("z-score", "none")):
        with pytest.raises(InvalidInputError, match="num_samples"):
            theory.predict_shaped("normal", shaping=shaping, baseline=baseline, num_parameters=9, num_samples=1)
    with pytest.raises(UnknownNameError, match="z-score"):
        theory.predict_shaped("normal", shaping="zscore", baseline="none", **arguments)
    for shaping in ("z-score", "centered-rank", "sign"):  # a slip was taken for one-sided values
        with pytest.raises(UnknownNameError, match="antithetic"):
            theory.predict_shaped("normal", shaping=shaping, baseline="antithetc", **arguments)
    with pytest.raises(InvalidInputError, match="one-sided"):  # the sign of a loss says nothing of its slope
        theory.predict_shaped("normal", shaping="sign", baseline="none", **arguments)
    with pytest.raises(UnknownNameError, match="antithetic"):
        theory.linear_cosine("normal", baseline="antithetc", **arguments)
