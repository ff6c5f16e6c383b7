"""Peaks and stairs far narrower than a parameter is large: differences follow them, or say that they do not."""

import warnings
from typing import Any

import numpy as np
import pytest

import gradest
from gradest.estimators.finite_difference import FiniteDifference
from gradest.estimators.richardson import Richardson
from gradest.finite_differences.statuses import Status

CENTRES = np.array([1.3, 70.0, 1500.0])

PLACES = np.array([0.4, -0.9, 0.7])  # in widths from the middle: off the top, so that there is a slope

RULES = [
    FiniteDifference(error=True),
    *(FiniteDifference(order=order) for order in (4, 6, 8, 12)),
    *(Richardson(levels=levels) for levels in (2, 3, 5)),
]

NAMES = [f"{e.name}-{getattr(e, 'order', None) or getattr(e, 'levels', 2)}" for e in RULES]

SHAPES: dict[str, Any] = {
    "peaks": (lambda u: np.exp(-(u**2)), lambda u: -2 * u * np.exp(-(u**2))),
    "stairs": (np.tanh, lambda u: 1 / np.cosh(u) ** 2),
}


def _asked(
    rule: gradest.Estimator, shape: str, width: float, dtype: str, *, elsewhere: bool
) -> tuple[np.ndarray, gradest.Estimate]:
    """Return the gradient of a sum of peaks or stairs, and its estimate, prepared at the point or far away."""
    centres, widths = CENTRES.astype(dtype), (width * CENTRES).astype(dtype)
    x = centres + (widths * PLACES).astype(dtype)
    f, slope = SHAPES[shape]
    objective = gradest.bind(lambda x: f((x - centres) / widths).sum(), 1.4 * centres if elsewhere else x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the statuses are what is asked here
        estimate = rule.prepare(objective)(x)
    exact = (x.astype(float) - centres.astype(float)) / widths.astype(float)
    return slope(exact) / widths, estimate


@pytest.mark.parametrize(("dtype", "width"), [("float64", 1e-4), ("float64", 1e-6), ("float32", 1e-3)])
@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_steps_follow_a_peak_that_is_level_all_about(rule: gradest.Estimator, dtype: str, width: float) -> None:
    """The losses on both sides agree over every length but the shortest: what they leave is the one between them."""
    gradient, estimate = _asked(rule, "peaks", width, dtype, elsewhere=False)
    np.testing.assert_allclose(estimate.gradient, gradient, rtol=0.05 if dtype == "float32" else 1e-4)
    assert np.all(np.abs(estimate.gradient - gradient) <= estimate.error)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "width"), [("float64", 1e-6), ("float32", 1e-4)])
@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_steps_chosen_elsewhere_say_that_a_peak_or_a_stair_is_far_narrower(
    rule: gradest.Estimator, dtype: str, width: float, shape: str
) -> None:
    gradient, estimate = _asked(rule, shape, width, dtype, elsewhere=True)
    held = np.abs(estimate.gradient - gradient) <= estimate.error
    assert np.all(held | (estimate.status != Status.RELIABLE))
