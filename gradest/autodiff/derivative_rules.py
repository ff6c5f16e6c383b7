"""The table of derivatives: dy/dx of each elementwise operation, from its argument x and its value y.

Forward mode multiplies tangents by it (a Jacobian-vector product), reverse mode multiplies cotangents by it (a
pullback): the Jacobian of an elementwise operation is diagonal, so that one table serves both. This module knows
neither mode.
"""

from collections.abc import Callable, Mapping

from gradest.operations import Array, Operations

Derivative = Callable[[Operations, Array, Array], Array]
"""`(ops, x, y) -> dy/dx`, for y the operation's value at x."""


def step(ops: Operations, x: Array) -> Array:
    """Return 1 where x > 0 and 0 elsewhere, 0 included."""
    # Of x's own shape and dtype on every backend: MXNet's `where` gives two numbers no dtype of the array.
    zero = ops.zeros_like(x)
    return ops.where(ops.greater(x, 0.0), zero + 1.0, zero)


def sign(ops: Operations, x: Array) -> Array:
    """Return the sign of x, 0 at 0."""
    return step(ops, x) - step(ops, -x)


# By the value y where that is cheaper or more accurate than by x: exp, tanh, sqrt and sigmoid cost nothing again.
# fmt: off
UNARY: Mapping[str, Derivative] = {
    # y = g(x)    dy/dx
    "exp":        lambda ops, x, y: y,
    "expm1":      lambda ops, x, y: y + 1.0,
    "log":        lambda ops, x, y: 1.0 / x,
    "log1p":      lambda ops, x, y: 1.0 / (1.0 + x),
    "tanh":       lambda ops, x, y: 1.0 - y * y,
    "sin":        lambda ops, x, y: ops.cos(x),
    "cos":        lambda ops, x, y: -ops.sin(x),
    "sigmoid":    lambda ops, x, y: y * (1.0 - y),
    "softplus":   lambda ops, x, y: ops.sigmoid(x),
    "sqrt":       lambda ops, x, y: 0.5 / y,
    "square":     lambda ops, x, y: 2.0 * x,
    "abs":        lambda ops, x, y: sign(ops, x),  # 0 at the kink, the middle of its slopes
    "relu":       lambda ops, x, y: step(ops, x),  # 0 at the kink, as in JAX, PyTorch and MXNet
}
# fmt: on


def maximum_shares(ops: Operations, x: Array, y: Array | float) -> Array:
    """Return `d max(x, y) / dx`: 1 where x > y and 0 elsewhere; a tie is y's, so that `max(x, 0)` is `relu`."""
    # By comparison and not by the sign of x - y, which is NaN where both are -inf (masks).
    zero = ops.zeros_like(ops.maximum(x, y))
    return ops.where(ops.greater(x, y), zero + 1.0, zero)


def max_shares(ops: Operations, x: Array, *, axis: int) -> Array:
    """Return the derivative of the maximum over an axis by each entry: tied entries share it equally."""
    largest = ops.max(x, axis=axis, keepdims=True)
    attained = 1.0 - step(ops, largest - x)
    return attained / ops.sum(attained, axis=axis, keepdims=True)
