"""The predicted error of evolution strategies agrees with exact expectations on a quadratic, for every baseline."""

import itertools

import numpy as np
import pytest
from support.theory_ensembles import ensemble, mean_and_mse

from gradest import theory
from gradest.errors import InvalidInputError, UnknownNameError, UnsupportedError
from gradest.theory.prediction import Prediction

SIGMA = 0.6
VALUE = 1.3
GRADIENT = np.array([0.7, -1.9, 0.4])
HESSIAN = np.array([[1.1, 0.5, -0.3], [0.5, -0.4, 0.8], [-0.3, 0.8, 2.0]])
ONE_SIDED = ["none", "value", "leave-one-out", "mean"]
CURVED_CASES = [
    ("normal", 3, 2),
    ("normal", 2, 3),
    ("rademacher", 3, 3),
    ("uniform", 2, 2),
    ("sphere", 3, 2),
    ("sphere", 2, 3),
]
FRAME_CASES = [("orthogonal", 2, 2), ("orthogonal", 2, 3), ("orthogonal-chi", 2, 2), ("orthogonal-chi", 2, 3)]


def estimates_of(
    baseline: str, directions: np.ndarray, noises: np.ndarray, sigma: float, gradient: np.ndarray, hessian: np.ndarray
) -> np.ndarray:
    """Return g_hat (M, P) of each set of directions (M, N, P), with noises (M, 2 N + 1)."""
    count = directions.shape[1]
    slope = sigma * directions @ gradient
    curve = sigma**2 / 2 * np.einsum("mni,ij,mnj->mn", directions, hessian, directions)
    ahead = VALUE + slope + curve + noises[:, :count]
    behind = VALUE - slope + curve + noises[:, count : 2 * count]
    if baseline == "antithetic":
        weights = (ahead - behind) / (2 * sigma * count)
    elif baseline == "none":
        weights = ahead / (sigma * count)
    elif baseline == "value":
        weights = (ahead - VALUE - noises[:, -1:]) / (sigma * count)
    else:
        divisor = count if baseline == "mean" else count - 1
        weights = (ahead - ahead.mean(axis=1, keepdims=True)) / (sigma * divisor)
    return np.einsum("mn,mnp->mp", weights, directions)


def exact(
    baseline: str, law: str, size: int, count: int, *, hessian: np.ndarray | None = None, noise: float = 0.0
) -> tuple[np.ndarray, float]:
    """Return E g_hat and the relative MSE by summation over the whole ensemble, and over signs of the noise."""
    weights, directions = ensemble(law, size, count)
    matrix = np.zeros((size, size)) if hessian is None else hessian
    signs = (
        np.array(list(itertools.product([-noise, noise], repeat=2 * count + 1)))
        if noise
        else np.zeros((1, 2 * count + 1))
    )
    picks = np.repeat(np.arange(len(weights)), len(signs))
    noises = np.tile(signs, (len(weights), 1))
    estimates = estimates_of(baseline, directions[picks], noises, SIGMA, GRADIENT[:size], matrix)
    return mean_and_mse(weights[picks] / len(signs), estimates, GRADIENT[:size])


def predict(
    baseline: str, law: str, size: int, count: int, *, hessian: np.ndarray | None = None, noise: float = 0.0
) -> Prediction:
    model = theory.local_model(GRADIENT[:size], hessian=hessian, value=VALUE)
    return theory.relative_mse_es(
        law, baseline=baseline, num_parameters=size, num_samples=count, sigma=SIGMA, model=model, noise=noise
    )


@pytest.mark.parametrize("baseline", ["antithetic", *ONE_SIDED])
@pytest.mark.parametrize(("law", "size", "count"), CURVED_CASES)
def test_exact_on_a_quadratic(law: str, size: int, count: int, baseline: str) -> None:
    hessian = HESSIAN[:size, :size]
    mean, mse = exact(baseline, law, size, count, hessian=hessian)
    prediction = predict(baseline, law, size, count, hessian=hessian)
    assert prediction.exact_for == "quadratic f"
    assert prediction.relative_mse == pytest.approx(mse, rel=1e-10)
    keep = 1 - 1 / count if baseline == "mean" else 1
    np.testing.assert_allclose(mean, keep * GRADIENT[:size], atol=1e-11)
    assert prediction.bias_order == (0 if baseline == "mean" else 2)


@pytest.mark.parametrize("baseline", ["antithetic", *ONE_SIDED])
@pytest.mark.parametrize(("law", "size", "count"), FRAME_CASES)
def test_orthogonal_frames_on_a_linear_function(law: str, size: int, count: int, baseline: str) -> None:
    mean, mse = exact(baseline, law, size, count)
    prediction = predict(baseline, law, size, count)
    assert prediction.relative_mse == pytest.approx(mse, abs=1e-10)
    assert prediction.exact_for == ("quadratic f" if baseline == "antithetic" else "linear f")
    keep = 1 - 1 / count if baseline == "mean" else 1
    np.testing.assert_allclose(mean, keep * GRADIENT[:size], atol=1e-11)


@pytest.mark.parametrize("baseline", ["none", "value"])
@pytest.mark.parametrize(("law", "size", "count"), FRAME_CASES)
def test_orthogonal_frames_on_a_quadratic(law: str, size: int, count: int, baseline: str) -> None:
    hessian = HESSIAN[:size, :size]
    _, mse = exact(baseline, law, size, count, hessian=hessian)
    assert predict(baseline, law, size, count, hessian=hessian).relative_mse == pytest.approx(mse, rel=1e-10)


@pytest.mark.parametrize("baseline", ["antithetic", *ONE_SIDED])
@pytest.mark.parametrize("law", ["rademacher", "sphere", "orthogonal", "normal"])
def test_evaluation_noise_adds_as_predicted(law: str, baseline: str) -> None:
    _, mse = exact(baseline, law, 2, 2, noise=0.3)
    assert predict(baseline, law, 2, 2, noise=0.3).relative_mse == pytest.approx(mse, rel=1e-10)
    without = predict(baseline, law, 2, 2).relative_mse
    assert without is not None
    assert abs(without - mse) > 1e-2


def test_known_mutants_are_told_apart() -> None:
    """P for P + 1, 1/N for 1/(N - 1), a forgotten offset and a forgotten curvature all miss the exact value."""
    gradient2 = float(GRADIENT[:2] @ GRADIENT[:2])
    _, centred = exact("leave-one-out", "normal", 2, 3)
    assert centred == pytest.approx(3 / 2, rel=1e-10)
    assert min(abs(centred - 2 / 2), abs(centred - 3 / 3)) > 0.4
    _, plain = exact("none", "normal", 2, 3)
    assert plain == pytest.approx((3 + 2 * VALUE**2 / SIGMA**2 / gradient2) / 3, rel=1e-10)
    hessian = HESSIAN[:2, :2]
    _, forward = exact("value", "rademacher", 2, 3, hessian=hessian)
    other_law, without_curvature = (
        predict("value", "normal", 2, 3, hessian=hessian),
        predict("value", "rademacher", 2, 3),
    )
    assert other_law.relative_mse != pytest.approx(forward, rel=0, abs=0.1)
    assert without_curvature.relative_mse != pytest.approx(forward, rel=0, abs=1e-3)


def test_one_sided_spsa_has_its_closed_form() -> None:
    """The mean square error of a direction is (P-1)|g|^2 + c^2/4 P ((tr H)^2 + 2 sum_{i != j} H_ij^2)."""
    off_diagonal = HESSIAN - np.diag(np.diagonal(HESSIAN))
    curvature = np.trace(HESSIAN) ** 2 + 2 * np.sum(off_diagonal**2)
    closed = (2 + SIGMA**2 / 4 * 3 * curvature / (GRADIENT @ GRADIENT)) / 3
    assert predict("value", "rademacher", 3, 3, hessian=HESSIAN).relative_mse == pytest.approx(closed, rel=1e-12)


def test_wishart_at_larger_size_by_monte_carlo() -> None:
    """Leave-one-out, normal, P = 20, N = 6: 21/5 within 4.9 standard errors (1e-6 false alarms), 20/5 and 21/6 not."""
    rng, size, count, replicates = np.random.default_rng(3), 20, 6, 40_000
    directions = rng.standard_normal((replicates, count, size))
    gradient = np.linspace(-1, 1, size)
    slopes = directions @ gradient
    weights = (slopes - slopes.mean(axis=1, keepdims=True)) / (count - 1)
    errors = np.sum((np.einsum("kn,knp->kp", weights, directions) - gradient) ** 2, axis=1) / (gradient @ gradient)
    allowed = 4.9 * errors.std() / np.sqrt(replicates)
    prediction = theory.relative_mse_es(
        "normal", baseline="leave-one-out", num_parameters=size, num_samples=count, sigma=1.0
    )
    assert prediction.relative_mse == pytest.approx(21 / 5)
    assert abs(errors.mean() - 21 / 5) < allowed
    assert min(abs(errors.mean() - 20 / 5), abs(errors.mean() - 21 / 6)) > allowed


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    ("law", "size", "count"), [("rademacher", 3, 2), ("normal", 2, 2), ("orthogonal", 2, 2), ("sphere", 2, 3)]
)
def test_minibatch_noise(law: str, size: int, count: int, shared: bool) -> None:
    """Gradient noise along one axis, +-0.8, once for all directions or once for each: summed over every sign."""
    weights, directions = ensemble(law, size, count)
    gradient, axis = GRADIENT[:size], np.eye(size)[0]
    total = 0.0
    draws = list(itertools.product([-0.8, 0.8], repeat=1 if shared else count))
    for draw in draws:
        noisy = gradient + np.multiply.outer(np.broadcast_to(draw, count), axis)
        slopes = np.einsum("mnp,np->mn", directions, noisy)
        total += mean_and_mse(weights, np.einsum("mn,mnp->mp", slopes, directions) / count, gradient)[1]
    predicted = theory.relative_mse_minibatch(
        law, num_parameters=size, num_samples=count, relative_noise=0.64 / float(gradient @ gradient), shared=shared
    )
    assert predicted == pytest.approx(total / len(draws), rel=1e-10)


@pytest.mark.parametrize(("law", "size", "count"), [("normal", 3, 2), ("rademacher", 3, 2), ("orthogonal", 2, 3)])
def test_pathwise(law: str, size: int, count: int) -> None:
    weights, directions = ensemble(law, size, count)
    gradient, hessian = GRADIENT[:size], HESSIAN[:size, :size]
    _, mse = mean_and_mse(weights, gradient + SIGMA * directions.mean(axis=1) @ hessian, gradient)
    model = theory.local_model(gradient, hessian=hessian)
    prediction = theory.predict_pathwise(law, num_samples=count, sigma=SIGMA, model=model)
    assert prediction.relative_mse == pytest.approx(mse, rel=1e-10)


def test_forward_gradient_is_exact_for_any_function() -> None:
    prediction = theory.predict_forward_gradient("rademacher", num_parameters=9, num_samples=4)
    assert (prediction.exact_for, prediction.bias_order, prediction.target) == (
        "any differentiable f",
        None,
        "gradient",
    )
    assert prediction.relative_mse == 2.0


def test_what_is_not_derived_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="not derived"):
        predict("leave-one-out", "orthogonal", 2, 2, hessian=HESSIAN[:2, :2])
    with pytest.raises(UnsupportedError, match="symmetric"):
        predict("none", "coordinates", 2, 2)
    with pytest.raises(InvalidInputError, match="at least 2"):
        predict("mean", "normal", 2, 1)
    with pytest.raises(InvalidInputError, match="at least 2"):
        theory.evaluation_noise_mse("leave-one-out", num_parameters=2, num_samples=1, sigma=1.0, noise=0.1)
    with pytest.raises(InvalidInputError, match=r"\|g\|"):
        theory.relative_mse_es("normal", baseline="none", num_parameters=2, num_samples=2, sigma=1.0)
    with pytest.raises(UnknownNameError, match="leave-one-out"):
        predict("leave-one", "normal", 2, 2)
    with pytest.raises(InvalidInputError, match="stationary"):
        theory.local_model(np.zeros(2))
