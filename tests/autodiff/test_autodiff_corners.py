"""Corners of gradest's interpreters: each reading of a text gives what differences of the text itself give."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import gradest
from gradest.autodiff import (
    hessian_product,
    perturbed_values,
    value_and_differences,
    value_and_gradient,
    value_and_jvps,
)
from gradest.autodiff.checkpointed import checkpointed_value_and_gradient
from gradest.tangents import Dense

OPS = gradest.get_backend("numpy").operations()
GENERATOR = np.random.default_rng(0)
X = GENERATOR.uniform(0.3, 1.7, (3, 2))
SEVERAL = np.eye(2)[GENERATOR.integers(0, 2, (5, 3))]

TEXTS: list[tuple[str, Callable[..., Any], Any]] = [
    ("a loss that is its parameter", lambda ops, leaves, data: leaves[0], np.array(2.0)),
    ("one used beside it", lambda ops, leaves, data: (ops.exp(leaves[0]), leaves[0])[1], np.array(2.0)),
    ("a slice counted from the front", lambda ops, leaves, data: ops.sum(ops.exp(
        ops.slice_axis(leaves[0], 1, 3, axis=0))), X),
    ("parts joined, counted from the front", lambda ops, leaves, data: ops.sum(ops.square(
        ops.matmul(ops.matrix_transpose(data[0]), ops.concat(leaves[0], leaves[0] * 2.0, axis=0)))), X),
    ("several batches of targets", lambda ops, leaves, data: ops.sum(
        ops.softmax_cross_entropy(leaves[0], data[1])), X),
]  # fmt: skip
DATA = (GENERATOR.uniform(0.5, 1.5, (6, 2)), SEVERAL)


@pytest.mark.parametrize(("name", "text", "x"), TEXTS, ids=[row[0] for row in TEXTS])
def test_all_readings_agree(name: str, text: Callable[..., Any], x: np.ndarray) -> None:
    basis = np.eye(x.size).reshape(x.size, *x.shape)
    h, value = 1e-5, float(text(OPS, (x,), DATA))
    wanted = np.array([(text(OPS, (x + h * e,), DATA) - text(OPS, (x - h * e,), DATA)) / (2 * h) for e in basis])
    found, (tape,) = value_and_gradient(text, OPS, (x,), DATA)
    assert found == pytest.approx(value)
    np.testing.assert_allclose(tape, wanted.reshape(x.shape), rtol=1e-8, atol=1e-9)
    for places in (1, 4):
        _, (checkpointed,) = checkpointed_value_and_gradient(text, OPS, (x,), DATA, places=places)
        np.testing.assert_array_equal(checkpointed, tape)
    _, jvps = value_and_jvps(text, OPS, (x,), (Dense(basis),), DATA)
    np.testing.assert_allclose(jvps, tape.ravel(), rtol=1e-13)
    ahead = np.array([text(OPS, (x + 0.3 * e,), DATA) for e in basis])
    _, differences = value_and_differences(text, OPS, (x,), (Dense(0.3 * basis),), DATA)
    np.testing.assert_allclose(differences, ahead - value, rtol=1e-12)
    np.testing.assert_allclose(perturbed_values(text, OPS, (x,), (Dense(0.3 * basis),), DATA), ahead, rtol=1e-13)
    (product,) = hessian_product(text, OPS, (x,), (basis[0],), DATA)
    slopes = [value_and_gradient(text, OPS, (x + s * basis[0],), DATA)[1][0] for s in (h, -h)]
    np.testing.assert_allclose(product, (slopes[0] - slopes[1]) / (2 * h), rtol=1e-7, atol=1e-9)


def test_a_difference_of_sqrt_beyond_its_domain_is_nan() -> None:
    """As `sqrt(x + d) - sqrt(x)` is; it was 0, which a difference of the loss would hide."""
    x, steps = np.array([0.0, 4.0]), np.array([[0.0, 0.0], [1.0, 5.0], [-1.0, 0.0], [0.0, -5.0]])
    with np.errstate(invalid="ignore"):
        _, found = value_and_differences(
            lambda ops, leaves, data: ops.sum(ops.sqrt(leaves[0])), OPS, (x,), (Dense(steps),), ()
        )
    np.testing.assert_allclose(found, [0.0, 2.0, np.nan, np.nan], rtol=1e-15)


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "mxnet"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_reduction_over_no_axes_leaves_directions_apart(backend: str, reduction: str) -> None:
    """A number has no axes, and its K directions one: PyTorch's sum over none of them added up all K."""
    framework = gradest.get_backend(backend)
    ops = framework.operations()

    def text(ops: Any, leaves: Any, data: Any) -> Any:
        return getattr(ops, reduction)(ops.square(leaves[0]))

    with framework.scope("float32") or nullcontext():
        x, steps = (framework.array(np.array(v), dtype="float32") for v in (2.0, [1.0, 2.0, 3.0]))
        _, jvps = value_and_jvps(text, ops, (x,), (Dense(steps),), ())
        _, differences = value_and_differences(text, ops, (x,), (Dense(steps),), ())
        values = perturbed_values(text, ops, (x,), (Dense(steps),), ())
        matrix = framework.array(X, dtype="float32")
        found = framework.numpy(getattr(ops, reduction)(matrix, axis=()))
    np.testing.assert_allclose(framework.numpy(jvps), [4.0, 8.0, 12.0], rtol=1e-6)
    np.testing.assert_allclose(framework.numpy(differences), [5.0, 12.0, 21.0], rtol=1e-6)
    np.testing.assert_allclose(framework.numpy(values), [9.0, 16.0, 25.0], rtol=1e-6)
    np.testing.assert_allclose(found, X, rtol=1e-6)


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch", "mxnet"])
def test_a_choice_between_two_numbers_is_refused(backend: str) -> None:
    """They have no dtype: PyTorch and MXNet made float32 of them in float64, and NumPy float64 of a float32 loss."""
    framework = gradest.get_backend(backend)
    ops = framework.operations()
    with framework.scope("float64") or nullcontext():
        x = framework.array(np.array([0.5, -0.5]), dtype="float64")
        with pytest.raises(gradest.InvalidInputError, match="between two numbers"):
            ops.where(ops.greater(x, 0.0), 0.1, 0.2)
        chosen = framework.numpy(ops.where(ops.greater(x, 0.0), ops.zeros_like(x) + 0.1, 0.2))
        total = ops.sum(x)
        kept = framework.numpy(ops.where(ops.greater(total, -1.0), total, 0.5))  # of shape (), on NumPy a scalar
    assert chosen.tolist() == [0.1, 0.2]
    assert kept == 0.0
