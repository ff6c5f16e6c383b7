"""Operations that hand every call on to others: the base of what looks into a loss while it runs.

A subclass says what it does otherwise; everything else, composed operations included, is the other's own.
"""

from collections.abc import Callable, Iterable
from typing import Any

from gradest.operations import Array, Axis, NumpyArray, Operations


class ForwardingOperations(Operations):
    """Carries out another's operations, each by its own name. A test holds that none is forgotten here."""

    def __init__(self, ops: Operations) -> None:
        self.ops = ops
        self.unpacks_signs, self.vectorises_last_axis = ops.unpacks_signs, ops.vectorises_last_axis

    def forward(self, name: str, *operands: Any, **options: Any) -> Array:
        """Carry out the operation of a name; a subclass may look at the operands first."""
        value: Array = getattr(self.ops, name)(*operands, **options)
        return value

    def exp(self, x: Array) -> Array:
        return self.forward("exp", x)

    def log(self, x: Array) -> Array:
        return self.forward("log", x)

    def expm1(self, x: Array) -> Array:
        return self.forward("expm1", x)

    def log1p(self, x: Array) -> Array:
        return self.forward("log1p", x)

    def tanh(self, x: Array) -> Array:
        return self.forward("tanh", x)

    def sin(self, x: Array) -> Array:
        return self.forward("sin", x)

    def cos(self, x: Array) -> Array:
        return self.forward("cos", x)

    def sqrt(self, x: Array) -> Array:
        return self.forward("sqrt", x)

    def abs(self, x: Array) -> Array:
        return self.forward("abs", x)

    def maximum(self, x: Array, y: Array | float) -> Array:
        return self.forward("maximum", x, y)

    def greater(self, x: Array, y: Array | float) -> Array:
        return self.forward("greater", x, y)

    def where(self, condition: Array, x: Array | float, y: Array | float) -> Array:
        return self.forward("where", condition, x, y)

    def sum(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
        return self.forward("sum", x, axis=axis, keepdims=keepdims)

    def mean(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
        return self.forward("mean", x, axis=axis, keepdims=keepdims)

    def max(self, x: Array, *, axis: int, keepdims: bool = False) -> Array:
        return self.forward("max", x, axis=axis, keepdims=keepdims)

    def matmul(self, x: Array, y: Array) -> Array:
        return self.forward("matmul", x, y)

    def matrix_transpose(self, x: Array) -> Array:
        return self.forward("matrix_transpose", x)

    def expand_dims(self, x: Array, *, axis: int) -> Array:
        return self.forward("expand_dims", x, axis=axis)

    def slice_axis(self, x: Array, start: int, stop: int, *, axis: int) -> Array:
        return self.forward("slice_axis", x, start, stop, axis=axis)

    def concat(self, *arrays: Array, axis: int) -> Array:
        return self.forward("concat", *arrays, axis=axis)

    def stop_gradient(self, x: Array) -> Array:
        return self.forward("stop_gradient", x)

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        return self.forward("reshape", x, shape)

    def broadcast_to(self, x: Array, shape: tuple[int, ...]) -> Array:
        return self.forward("broadcast_to", x, shape)

    def zeros_like(self, x: Array) -> Array:
        return self.forward("zeros_like", x)

    def constant(self, values: NumpyArray, *, like: Array) -> Array:
        return self.forward("constant", values, like=like)

    def blockwise(self, function: Callable[[Array], Array], x: Array) -> Array:
        return self.forward("blockwise", function, x)

    def sum_each(self, arrays: Iterable[Array], *, axis: int) -> tuple[Array, ...]:
        sums: Any = self.forward("sum_each", arrays, axis=axis)
        return tuple(sums)

    def accumulate(self, total: Array, x: Array) -> Array:
        return self.forward("accumulate", total, x)

    def both_sides(self, function: Callable[[Array], Array], x: Array, change: Array, radius: float) -> Array:
        return self.forward("both_sides", function, x, change, radius)

    def unpack_signs(self, words: Array, size: int, *, like: Array) -> Array:
        return self.forward("unpack_signs", words, size, like=like)

    def piecewise(
        self, x: Array, far: Array, on_far: Callable[[Array], Array], on_near: Callable[[Array], Array]
    ) -> Array:
        return self.forward("piecewise", x, far, on_far, on_near)

    def square(self, x: Array) -> Array:
        return self.forward("square", x)

    def relu(self, x: Array) -> Array:
        return self.forward("relu", x)

    def sigmoid(self, x: Array) -> Array:
        return self.forward("sigmoid", x)

    def softplus(self, x: Array) -> Array:
        return self.forward("softplus", x)

    def affine(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        return self.forward("affine", x, weight, bias)

    def logsumexp(self, x: Array) -> Array:
        return self.forward("logsumexp", x)

    def softmax(self, x: Array) -> Array:
        return self.forward("softmax", x)

    def softmax_cross_entropy(self, logits: Array, targets: Array) -> Array:
        return self.forward("softmax_cross_entropy", logits, targets)

    def softmax_cross_entropy_and_gradient(self, logits: Array, targets: Array) -> tuple[Array, Array]:
        pair: Any = self.forward("softmax_cross_entropy_and_gradient", logits, targets)
        value, gradient = pair
        return value, gradient
