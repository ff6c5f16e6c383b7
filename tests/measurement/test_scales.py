"""What is measured of a loss says the same at any size of it: squares of numbers near 1e170 are out of range."""

import warnings
from typing import Any

import numpy as np
import pytest
from support.small_losses import differentiable_once

import gradest
from gradest.directional import METHODS
from gradest.graphs.step import written
from gradest.lengths import norm_of
from gradest.measurement.accuracy import compare_gradients
from gradest.measurement.function_reference import function_reference
from gradest.measurement.smoothed import smoothed_reference
from gradest.sampling.cancellation import warn_if_cancelled

SCALES = [2.0**600, 2.0**-600]
scales = pytest.mark.parametrize("scale", SCALES, ids="{:.0e}".format)
START = np.array([0.4, -1.2, 0.7])
ALONG = np.array([0.7, -1.2, 0.4])


def sines(scale: float) -> Any:
    return lambda p: scale * np.sum(np.sin(p))


@scales
def test_the_uncertainty_of_a_noisy_reference(scale: float) -> None:
    """It was NaN near 1e180, and near 1e-180 the scatter of the gradients was 0."""

    def found(size: float) -> float:
        generator = np.random.default_rng(0)
        loss = lambda p: size * (1.0 + 1e-3 * generator.standard_normal()) * np.sum(np.sin(p))  # noqa: E731
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gradest.NoiseWarning)
            return function_reference(gradest.bind(loss, START)).uncertainty

    usual = found(1.0)
    assert usual > 1e-5
    assert found(scale) == pytest.approx(usual, rel=1e-9)


@scales
def test_the_spread_of_a_smoothed_reference(scale: float) -> None:
    """It overflowed, so that the smoothed gradient had an infinite uncertainty; near 1e-180 it had none."""
    usual, found = (smoothed_reference(gradest.bind(sines(size), START), sigma=0.3) for size in (1.0, scale))
    assert usual is not None
    assert found is not None
    np.testing.assert_allclose(found.gradient / scale, usual.gradient, rtol=1e-12)
    assert usual.uncertainty > 1e-6
    assert found.uncertainty == pytest.approx(usual.uncertainty, rel=1e-9)


@scales
def test_one_estimate_where_longdouble_is_float64(scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on some machines, where the relative error of a gradient near 1e180 was NaN."""
    usual = compare_gradients(START, ALONG)
    monkeypatch.setattr(np, "longdouble", np.float64)
    found = compare_gradients(scale * START, scale * ALONG)
    assert found.max_abs_error / scale == usual.max_abs_error
    assert (found.relative_error, found.cosine, found.norm_ratio) == pytest.approx(
        (usual.relative_error, usual.cosine, usual.norm_ratio), rel=1e-12
    )


@scales
@pytest.mark.parametrize("method", METHODS)
def test_slopes_along_directions_of_any_length(method: str, scale: float) -> None:
    """By differences the slope along a direction near 1e-180 was 0, and along one near 1e180 a ZeroDivisionError."""
    usual = gradest.directional_derivative(sines(1.0), START, ALONG, method=method)
    found = gradest.directional_derivative(sines(1.0), START, scale * ALONG, method=method)
    assert found.slope / scale == pytest.approx(usual.slope, rel=1e-12)
    assert found.error == (None if usual.error is None else pytest.approx(scale * usual.error, rel=1e-6))


@pytest.mark.parametrize("method", [method for method in METHODS if method != "complex-step"])
def test_slopes_at_large_parameters(method: str) -> None:
    """By differences they were NaN from parameters near 1e170 on, whose squares overflow."""
    scale = SCALES[0]
    found = gradest.directional_derivative(lambda p: np.sum(np.sin(p / scale)), scale * START, ALONG, method=method)
    usual = gradest.directional_derivative(sines(1.0), START, ALONG, method=method)
    assert found.slope * scale == pytest.approx(usual.slope, rel=1e-9)


@scales
def test_products_with_the_hessian_by_differences(scale: float) -> None:
    """Of parameters, or along directions, near 1e180 they were refused as NaN; along one near 1e-180 they were 0."""
    expected = -np.sin(START) * ALONG
    found = gradest.hvp(differentiable_once(np.sin, np.cos), START, scale * ALONG)
    assert found.path == "difference of gradients"
    np.testing.assert_allclose(found.value / scale, expected, rtol=1e-8)
    if scale > 1.0:
        slow = differentiable_once(lambda x: np.sin(x / scale), lambda x: np.cos(x / scale) / scale)
        far = gradest.hvp(slow, scale * START, scale * ALONG)
        np.testing.assert_allclose(far.value * scale, expected, rtol=1e-8)


@scales
def test_a_picture_of_a_computation_writes_the_norm(scale: float) -> None:
    assert written(np.full((2, 2), scale)) == f"[2×2] norm {2 * scale:.3g}"
    assert norm_of(np.full((2, 2), scale)) == 2 * scale


def test_small_differences_are_not_all_rounding() -> None:
    """Squares of differences near 1e-180 are zero, as if there were rounding alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_cancelled([np.array([1e-170])], [np.array([1e-178, -3e-178])], float(np.finfo(float).eps), 1e-8)


@scales
def test_shares_of_parameters_in_a_gradient(scale: float) -> None:
    layout = gradest.Layout(("a", "b"), ((1,), (2,)))
    shares = gradest.Situation(layout, gradient=scale * START).shares
    assert shares == pytest.approx(gradest.Situation(layout, gradient=START).shares, rel=1e-12)
