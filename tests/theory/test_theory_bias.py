"""The predicted bias of smoothing agrees with exact expectations on a cubic, for every law."""

import itertools

import numpy as np
import pytest
from support.theory_ensembles import low_rank, single

from gradest import theory
from gradest.errors import InvalidInputError, UnsupportedError

SIGMA = 0.7


def symmetric_tensor(size: int) -> np.ndarray:
    raw = np.random.default_rng(5).standard_normal((size, size, size))
    return np.mean([raw.transpose(p) for p in itertools.permutations(range(3))], axis=0)


def exact_bias(weights: np.ndarray, points: np.ndarray, tensor: np.ndarray) -> np.ndarray:
    """Return E[(f(sigma v) - f(-sigma v)) v / (2 sigma)] of f = T(v, v, v) / 6, whose gradient at 0 is 0."""
    cubic = np.einsum("abc,ma,mb,mc->m", tensor, points, points, points) / 6
    return (weights * SIGMA**2 * cubic) @ points


@pytest.mark.parametrize(
    ("law", "size"),
    [("normal", 3), ("rademacher", 3), ("uniform", 3), ("sphere", 3), ("sphere", 2), ("coordinates", 3)],
)
def test_bias_equals_the_exact_expectation(law: str, size: int) -> None:
    tensor = symmetric_tensor(size)
    exact = exact_bias(*single(law, size), tensor)
    np.testing.assert_allclose(theory.smoothing_bias(law, tensor, sigma=SIGMA), exact, atol=1e-12)
    for mutant in {"normal", "rademacher", "uniform", "sphere", "coordinates"} - {law}:
        assert np.abs(theory.smoothing_bias(mutant, tensor, sigma=SIGMA) - exact).max() > 1e-2


def test_frames_have_the_bias_of_one_direction() -> None:
    tensor = symmetric_tensor(3)
    for frame, law in [("orthogonal", "sphere"), ("orthogonal-chi", "normal")]:
        frame_bias = theory.smoothing_bias(frame, tensor, sigma=SIGMA)
        np.testing.assert_array_equal(frame_bias, theory.smoothing_bias(law, tensor, sigma=SIGMA))


def test_spsa_over_every_sign_vector_at_larger_size() -> None:
    size = 9
    tensor = symmetric_tensor(size)
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=size)))
    exact = exact_bias(np.full(len(signs), 1 / len(signs)), signs, tensor)
    np.testing.assert_allclose(theory.spsa_bias(tensor, SIGMA), exact, atol=1e-11)


def test_spsa_and_gaussian_differ_by_the_pure_third_derivative() -> None:
    tensor = symmetric_tensor(4)
    difference = theory.spsa_bias(tensor, SIGMA) - theory.gaussian_bias(tensor, SIGMA)
    np.testing.assert_allclose(difference, -(SIGMA**2) / 3 * np.einsum("jjj->j", tensor), atol=1e-14)


def test_gaussian_bias_of_a_sinusoid_to_leading_order() -> None:
    """For f = sin(w.x), grad f_sigma = exp(-sigma^2 |w|^2 / 2) grad f; the next term is sigma^2 |w|^2 / 4 of it."""
    wave, point, sigma = np.array([0.8, -0.5, 1.2]), np.array([0.3, 0.1, -0.2]), 1e-2
    tensor = -np.cos(wave @ point) * np.einsum("i,j,k->ijk", wave, wave, wave)
    exact = np.expm1(-(sigma**2) * (wave @ wave) / 2) * np.cos(wave @ point) * wave
    np.testing.assert_allclose(theory.gaussian_bias(tensor, sigma), exact, rtol=sigma**2 * (wave @ wave) / 3)


@pytest.mark.parametrize(("shape", "rank"), [((2, 2), 1), ((3, 1), 1), ((2, 1), 2), ((2, 2), 2)])
def test_low_rank_smoothing_has_another_bias(shape: tuple[int, int], rank: int) -> None:
    tensor = symmetric_tensor(shape[0] * shape[1])
    exact = exact_bias(*low_rank(shape, rank), tensor)
    np.testing.assert_allclose(theory.low_rank_bias(tensor, sigma=SIGMA, shape=shape, rank=rank), exact, atol=1e-11)
    assert np.abs(theory.gaussian_bias(tensor, SIGMA) - exact).max() > 1e-2


def test_bias_orders() -> None:
    assert theory.smoothing_bias_order("normal", baseline="antithetic") == 2
    assert theory.smoothing_bias_order("normal", baseline="mean") == 0
    assert theory.smoothing_bias_order("coordinates", baseline="value") == 1


def test_what_cannot_be_predicted_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="low_rank_bias"):
        theory.smoothing_bias("low-rank", symmetric_tensor(4), sigma=1.0)
    with pytest.raises(InvalidInputError, match="shape"):
        theory.gaussian_bias(np.zeros((2, 2)), 1.0)
    with pytest.raises(InvalidInputError, match="entries"):
        theory.low_rank_bias(symmetric_tensor(4), sigma=1.0, shape=(3, 2), rank=1)
