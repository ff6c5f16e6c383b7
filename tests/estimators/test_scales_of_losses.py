"""Differences and complex steps of losses near the ends of their dtype's range, where squares are out of it."""

import importlib
import warnings
from typing import Any

import numpy as np
import pytest

import gradest
from gradest.estimators import EvolutionStrategy

X = np.array([0.3, 0.7, 1.1])
EXPONENTS = [-900, -600, 600, 900]
RULES = [
    ("fd-forward", {}),
    ("fd-central", {}),
    ("fd-central", {"step": "noise"}),
    ("fd-five-point", {}),
    ("fd-richardson", {}),
    ("complex-step", {}),
]


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize(("name", "options"), RULES, ids=[f"{n}{o.get('step', '')}" for n, o in RULES])
def test_slopes_and_their_errors_scale_with_the_loss(name: str, options: dict[str, Any], exponent: int) -> None:
    """By a power of two, which rounds nothing."""
    unit = 2.0**exponent
    estimator = gradest.get_estimator(name, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, plain = (estimator(lambda p, u=u: u * np.sum(np.sin(p)), X, rng=0) for u in (unit, 1.0))
    np.testing.assert_allclose(found.gradient / unit, np.cos(X), rtol=1e-7)
    np.testing.assert_allclose(found.gradient / unit, plain.gradient, rtol=1e-15)
    if plain.error is not None:
        np.testing.assert_allclose(found.error / unit, plain.error, rtol=1e-12)
        assert found.status is not None
        assert plain.status is not None
        assert np.array_equal(found.status, plain.status)


@pytest.mark.parametrize("exponent", [*EXPONENTS, 0])
def test_rounding_is_told_at_every_scale(exponent: int) -> None:
    """Squares of slopes near 1e180 are infinite, and near 1e-180 zero: neither was warned of."""
    unit = 2.0**exponent
    with pytest.warns(gradest.NoiseWarning, match=r"makes \d+% of its length"):
        gradest.get_estimator("fd-central", step=1e-15)(lambda p: float(unit * (1.0 + np.sum(np.sin(p)))), X)


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
def test_complex_steps_of_a_small_loss_in_single_precision(backend: str) -> None:
    """Their product with the shortest step is zero in single precision, and so was the gradient."""
    framework = importlib.import_module("jax.numpy" if backend == "jax" else backend)
    x = framework.asarray(X.astype(np.float32))
    found = gradest.get_estimator("complex-step")(lambda p: (framework.sin(p) * p).sum() * 2.0**-90, x)
    exact = (np.sin(X) + X * np.cos(X)) * 2.0**-90
    np.testing.assert_allclose(np.asarray(found.gradient), exact, rtol=1e-6)


@pytest.mark.parametrize(("dtype", "large"), [("float64", 1e307), ("float32", 1e37)])
@pytest.mark.parametrize("antithetic", [True, False])
def test_a_sum_over_directions_that_leaves_the_range_is_reported(dtype: str, large: float, antithetic: bool) -> None:
    """Each slope fits, and their sum does not: the gradient was infinite, or NaN, and nothing was said."""
    estimator = EvolutionStrategy(num_samples=50, antithetic=antithetic)

    def loss(p: np.ndarray, scale: float) -> Any:
        return np.asarray(scale, p.dtype) * (1 + p.sum())

    with pytest.warns(gradest.NonFiniteWarning, match=f"2 of 2 sums of slopes over 50 directions .* {dtype}"):
        found = estimator(loss, np.array([0.3, 0.2], dtype), large, rng=0).gradient
    assert not np.isfinite(found).any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(estimator(loss, np.array([0.3, 0.2], dtype), large / 1e4, rng=0).gradient).all()
