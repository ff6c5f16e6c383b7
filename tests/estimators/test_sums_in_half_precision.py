"""Estimates of half-precision parameters are means, and not what a sum in half precision leaves of them.

A sum in bfloat16 stands still at 256 equal terms; one in float16 is infinite where the mean is a moderate number.
The loss is linear: its smoothed gradient is `SLOPE` at every radius, and estimates of it are written down by hand.
"""

from typing import Any

import numpy as np
import pytest

import gradest
from gradest.dtypes import as_floats, epsilon
from gradest.operations import NumpyArray

HALVES = [
    ("numpy", "float16"),
    ("jax", "float16"),
    ("jax", "bfloat16"),
    ("torch", "float16"),
    ("torch", "bfloat16"),
    ("mxnet", "float16"),
]
SLOPE = np.array([1.0, 2.0, -1.0])


def estimate(backend: str, dtype: str, method: str, *, slope: NumpyArray = SLOPE, **options: Any) -> NumpyArray:
    on = gradest.get_backend(backend)
    params, along = (on.array(values, dtype=dtype) for values in (np.array([0.5, 0.25, -0.5]), slope))
    found = gradest.grad(lambda p: (p * along).sum(), method=method, **options)(params, rng=0)
    assert on.dtype(found) == dtype
    return np.asarray(as_floats(on.numpy(found), dtype), dtype=np.float64)


@pytest.mark.parametrize(("backend", "dtype"), HALVES)
def test_the_mean_of_equal_gradients_is_that_gradient(backend: str, dtype: str) -> None:
    found = estimate(backend, dtype, "smoothed", num_samples=600)
    np.testing.assert_array_equal(found, SLOPE)


@pytest.mark.parametrize("chunk_size", [1, None])
@pytest.mark.parametrize(("backend", "dtype"), HALVES)
def test_pairs_along_coordinates_are_counted_to_the_end(backend: str, dtype: str, chunk_size: int | None) -> None:
    options: dict[str, Any] = {"num_samples": 1500, "chunk_size": chunk_size, "sigma": 0.5}
    fine = estimate("numpy", "float64", "es-coordinates", **options)
    assert np.abs(fine - SLOPE).max() < 0.2  # itself an estimate: how often each coordinate is drawn
    np.testing.assert_allclose(estimate(backend, dtype, "es-coordinates", **options), fine, rtol=0.02)


@pytest.mark.parametrize("method", ["es", "es-leave-one-out", "es-low-rank", "spsa", "forward-gradient"])
@pytest.mark.parametrize(("backend", "dtype"), HALVES)
def test_a_large_gradient_is_finite(backend: str, dtype: str, method: str) -> None:
    if backend == "mxnet" and method == "forward-gradient":
        pytest.skip("MXNet has no forward mode of a user's function")
    options: dict[str, Any] = {"num_samples": 400} | ({} if method == "forward-gradient" else {"sigma": 0.25})
    found = estimate(backend, dtype, method, slope=1000.0 * SLOPE, **options)
    assert np.linalg.norm(found / 1000.0 - SLOPE) < 4 * np.linalg.norm(SLOPE) * np.sqrt((SLOPE.size + 1) / 400)


@pytest.mark.parametrize(("backend", "dtype"), [case for case in HALVES if case[0] == "torch"])
def test_a_sum_made_in_place_is_of_all_directions(backend: str, dtype: str) -> None:
    options: dict[str, Any] = {"num_samples": 2000, "sigma": 0.5, "noise": "native"}
    fine = estimate(backend, "float32", "es", **options)
    np.testing.assert_allclose(estimate(backend, dtype, "es", **options), fine, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("distribution", ["normal", "low-rank"])
def test_a_sum_made_in_place_on_the_host_is_of_a_small_gradient_too(distribution: str) -> None:
    # Each of so many terms is below the normal numbers of float16, which the gradient is not.
    slope = 1e-4 * np.random.default_rng(0).normal(size=(8, 6))
    params = np.random.default_rng(1).normal(size=slope.shape).astype(np.float16)

    def estimate_of(params: NumpyArray) -> NumpyArray:
        # Blocks of one are evaluated in place.
        es = gradest.get_estimator("es", distribution=distribution, num_samples=4000, sigma=0.25, chunk_size=1)
        found = es(lambda p: float((np.asarray(p, dtype=np.float64) * slope).sum()), params, rng=0)
        assert found.path == "in place"
        return np.asarray(found.gradient, dtype=np.float64)

    found, fine = estimate_of(params), estimate_of(params.astype(np.float64))
    # What is left is the last rounding.
    assert np.linalg.norm(found - fine) <= 0.5 * epsilon("float16") * np.linalg.norm(fine)
