"""Losses and tolerances that the tests of the interpreters share: a text per operation, and small networks."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gradest.problems.mlp import MLP

Text = Callable[[Any, Any, Any], Any]

# Each is a function of x (3, 4) and y (3, 4) with values in (0.2, 2), away from kinks.
OPERATIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "exp": lambda ops, x, y: ops.exp(x),
    "log": lambda ops, x, y: ops.log(x),
    "expm1": lambda ops, x, y: ops.expm1(-x),
    "log1p": lambda ops, x, y: ops.log1p(x),
    "tanh": lambda ops, x, y: ops.tanh(x - 1.0),
    "sin": lambda ops, x, y: ops.sin(3.0 * x),
    "cos": lambda ops, x, y: ops.cos(3.0 * x),
    "sqrt": lambda ops, x, y: ops.sqrt(x),
    "abs": lambda ops, x, y: ops.abs(x - y),
    "square": lambda ops, x, y: ops.square(x),
    "relu": lambda ops, x, y: ops.relu(x - y),
    "sigmoid": lambda ops, x, y: ops.sigmoid(3.0 * x - 2.0),
    "softplus": lambda ops, x, y: ops.softplus(1.0 - x),
    "maximum": lambda ops, x, y: ops.maximum(x, y),
    "maximum of a number": lambda ops, x, y: ops.maximum(x, 1.0),
    "where": lambda ops, x, y: ops.where(ops.greater(x, y), x * x, 3.0 * y),
    "add": lambda ops, x, y: x + y + 1.0,
    "subtract": lambda ops, x, y: 2.0 - (x - y),
    "multiply": lambda ops, x, y: 2.0 * (x * y),
    "divide": lambda ops, x, y: x / y + 1.0 / x + y / 2.0,
    "negative": lambda ops, x, y: -x,
    "sum": lambda ops, x, y: x * ops.sum(y, axis=-1, keepdims=True) + ops.sum(x, axis=0),
    "mean": lambda ops, x, y: x * ops.mean(y, axis=-2, keepdims=True) + ops.mean(x) + ops.mean(y, axis=(-2, -1)),
    "max": lambda ops, x, y: y * ops.max(x, axis=-1, keepdims=True) + ops.max(x, axis=0),
    "matmul": lambda ops, x, y: ops.matmul(x, ops.matmul(ops.matrix_transpose(y), x)),
    "affine": lambda ops, x, y: ops.matmul(ops.affine(x, ops.matrix_transpose(y), ops.sum(x, axis=-1)), y),
    "matrix_transpose": lambda ops, x, y: ops.matrix_transpose(ops.matrix_transpose(x * y)) * y,
    "slice_axis": lambda ops, x, y: x * ops.slice_axis(y, 1, 2, axis=-2) + ops.slice_axis(x * y, 2, 3, axis=-1),
    "concat": lambda ops, x, y: (
        y * ops.concat(ops.slice_axis(x * x, 1, 4, axis=-1), ops.slice_axis(y, 0, 1, axis=-1), axis=-1)
    ),
    "expand_dims": lambda ops, x, y: x * ops.expand_dims(ops.sum(y, axis=-1), axis=-1),
    "logsumexp": lambda ops, x, y: x * ops.expand_dims(ops.logsumexp(2.0 * y), axis=-1),
    "softmax": lambda ops, x, y: y * ops.softmax(2.0 * x),
    "softmax_cross_entropy": lambda ops, x, y: x + ops.softmax_cross_entropy(x * y, ops.softmax(y)),
    "softmax_cross_entropy_and_gradient": lambda ops, x, y: (
        x * ops.softmax_cross_entropy_and_gradient(x * y, ops.softmax(y))[1]
    ),
    "piecewise": lambda ops, x, y: ops.piecewise(x, ops.greater(x, y), lambda a: 2.0 * a, lambda a: a * y),
    "constant": lambda ops, x, y: x * ops.constant(np.arange(12.0).reshape(3, 4), like=y),
    "reshape": lambda ops, x, y: x * ops.reshape(ops.sum(y, axis=-1), (3, 1)),
    "broadcast_to": lambda ops, x, y: x * ops.broadcast_to(ops.sum(y, axis=0, keepdims=True), (3, 4)),
    "zeros_like": lambda ops, x, y: x + ops.zeros_like(y),
}


def scalar_text(operation: Callable[[Any, Any, Any], Any]) -> Text:
    """Return the loss `sum(weights * operation(x, y))` of leaves (x, y) and data (weights,)."""

    def text(ops: Any, leaves: Any, data: Any) -> Any:
        x, y = leaves
        return ops.sum(data[0] * operation(ops, x, y))

    return text


def operands(seed: int = 0) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray]]:
    """Return leaves x, y and data (weights,) for the texts of `OPERATIONS`."""
    generator = np.random.default_rng(seed)
    x, y = generator.uniform(0.2, 2.0, (2, 3, 4))
    return (x, y), (generator.standard_normal((3, 4)),)


def network(activation: str, widths: tuple[int, ...] = (6, 5)) -> tuple[Text, tuple[Any, ...], dict[str, Any], MLP]:
    """Return text, leaves, data and problem of a small network on real digits."""
    problem = MLP(widths=widths, activation=activation, batch=16)
    names = problem.layout.names

    def text(ops: Any, leaves: Any, data: Any) -> Any:
        return problem.loss(ops, dict(zip(names, leaves, strict=True)), data)

    return text, tuple(problem.parameters().values()), problem.data(), problem


def direct_differences(text: Text, ops: Any, leaves: Any, displacements: Any, data: Any) -> np.ndarray:
    """Return `f(x + d_k) - f(x)` by subtraction in extended precision, for displacements `(K, *shape)` per leaf."""

    def widened(arrays: Any) -> list[Any]:
        return [np.asarray(array, np.longdouble) for array in arrays]

    wide, steps = widened(leaves), widened(displacements)
    given = dict(zip(data, widened(data.values()), strict=True)) if isinstance(data, dict) else tuple(widened(data))
    base = text(ops, tuple(wide), given)
    moved = [tuple(x + d[k] for x, d in zip(wide, steps, strict=True)) for k in range(len(steps[0]))]
    return np.array([text(ops, leaves_k, given) - base for leaves_k in moved])
