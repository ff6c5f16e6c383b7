"""Base of forward mode and of exact differences: pairs of a value (the primal) and its change in K directions.

A change is a derivative `f'(x) t` for dual numbers (the tangent) and a difference `f(x + t) - f(x)` for exact
differences. Linear operations do the same to both, and stand here; subclasses state what the others do.
"""

import math
import operator
from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from gradest.autodiff import linear_rules as linear
from gradest.autodiff.interpreter import Interpreter, WithPrimal, axes_from_end, map_data, shape_of
from gradest.autodiff.linear_rules import Change
from gradest.autodiff.unperturbed import Shared
from gradest.operations import Array, Axis, Data, NumpyArray, Operations, Text
from gradest.tangents import Tangent


class Pair(WithPrimal):
    """A value of the shape S and its change in K directions, `(K, *S)` with structure; None if it does not move."""

    __slots__ = ("change",)

    def __init__(self, interpreter: "PairOperations", primal: Array, change: Change = None) -> None:
        self.interpreter = interpreter
        self.primal = primal
        self.change = change


class PairOperations(Interpreter):
    """Carries out operations on pairs; subclasses state the change of each operation that is not linear."""

    def __init__(self, ops: Operations, shared: Shared | None = None) -> None:
        self.ops = ops
        self.shared = Shared() if shared is None else shared

    def primal(self, operation: Hashable, function: Callable[..., Array], *operands: Array | float) -> Array:
        """Return a function of the operands' values, as it was computed first; numbers are values."""
        # Estimators evaluate the same loss at the same point in many chunks of directions: primals are memoised.
        primals = [primal_of(x) for x in operands]
        value: Array = self.shared.compute(operation, primals, lambda: function(*primals))
        return value

    # -- what subclasses state ----------------------------------------------------------------------------
    @abstractmethod
    def unary_change(self, name: str, x: Array, y: Array, dx: Array) -> Array:
        """Return the change of the elementwise operation `name` at x, where its value is y."""

    @abstractmethod
    def product_change(self, x: Array, y: Array, dx: Array | None, dy: Array | None) -> Array:
        """Return the change of `x * y`."""

    @abstractmethod
    def quotient_change(self, x: Array, y: Array, quotient: Array, dx: Array | None, dy: Array | None) -> Array:
        """Return the change of `x / y`."""

    @abstractmethod
    def maximum_change(self, x: Array, y: Array, dx: Array | None, dy: Array | None) -> Array:
        """Return the change of `max(x, y)`."""

    # -- elementwise ------------------------------------------------------------------------------------
    def elementwise(self, value: Array, rule: Callable[..., Array], operands: Sequence[Array | float]) -> Pair:
        """Return the pair of a value and `rule(*primals, *changes)` in the frame that the operands share."""
        changes = [changes_of(x) for x in operands]
        if all(c is None for c in changes):  # data and constants: a value without a change
            return Pair(self, value)
        arrays, wrap = linear.frame(self.ops, changes, shape_of(value))
        return Pair(self, value, wrap(rule(*(primal_of(x) for x in operands), *arrays)))

    def unary(self, name: str, x: Pair) -> Pair:
        y = self.primal(name, getattr(self.ops, name), x)
        return self.elementwise(y, lambda p, dx: self.unary_change(name, p, y, dx), (x,))

    def maximum(self, x: Pair, y: Pair | float) -> Pair:
        value = self.primal("maximum", self.ops.maximum, x, y)
        return self.elementwise(value, self.maximum_change, (x, y))

    def multiply(self, x: Pair, y: Pair | float) -> Pair:
        value = self.primal("multiply", operator.mul, x, y)
        if not isinstance(y, Pair):  # a number scales each kind of directions as it is: no frame, no dense array
            return Pair(self, value, None if x.change is None else x.change.scaled(y))
        return self.elementwise(value, self.product_change, (x, y))

    def divide(self, x: Pair | float, y: Pair | float) -> Pair:
        quotient = self.primal("divide", operator.truediv, x, y)
        rule = self.quotient_change
        return self.elementwise(quotient, lambda p, q, dx, dy: rule(p, q, quotient, dx, dy), (x, y))

    def add(self, x: Pair, y: Pair | float) -> Pair:
        value = self.primal("add", operator.add, x, y)
        return Pair(self, value, linear.add_changes(self.ops, x.change, changes_of(y), shape_of(value)))

    def subtract(self, x: Pair | float, y: Pair | float) -> Pair:
        value = self.primal("subtract", operator.sub, x, y)
        dy = changes_of(y)
        # As a sum with the opposite: `add_changes` is the one place that knows which structures can be added.
        opposite = None if dy is None else dy.scaled(-1.0)
        return Pair(self, value, linear.add_changes(self.ops, changes_of(x), opposite, shape_of(value)))

    def negative(self, x: Pair) -> Pair:
        return Pair(self, self.primal("negative", operator.neg, x), None if x.change is None else x.change.scaled(-1.0))

    # -- reductions -------------------------------------------------------------------------------------
    def sum(self, x: Pair, *, axis: Axis = None, keepdims: bool = False) -> Pair:
        change = linear.sum_change(self.ops, x.change, axis=axis, keepdims=keepdims)
        value = self.primal(("sum", axis, keepdims), lambda a: self.ops.sum(a, axis=axis, keepdims=keepdims), x)
        return Pair(self, value, change)

    def mean(self, x: Pair, *, axis: Axis = None, keepdims: bool = False) -> Pair:
        value = self.primal(("mean", axis, keepdims), lambda a: self.ops.mean(a, axis=axis, keepdims=keepdims), x)
        total = linear.sum_change(self.ops, x.change, axis=axis, keepdims=keepdims)
        if total is None:
            return Pair(self, value)
        # Scaled after it is summed, when there are fewest entries.
        count = math.prod(int(x.shape[a]) for a in axes_from_end(axis, len(x.shape)))
        return Pair(self, value, total.scaled(1.0 / count))

    # -- shapes and products ----------------------------------------------------------------------------
    def matmul(self, x: Pair, y: Pair) -> Pair:
        value = self.primal("matmul", self.ops.matmul, x, y)
        return Pair(self, value, self.matmul_change(x, y, shape_of(value)))

    def matmul_change(self, x: Pair, y: Pair, shape: tuple[int, ...]) -> Change:
        """Return the change of a matrix product to first order, `dx @ y + x @ dy`."""
        by_x = None if x.change is None else linear.matmul_right(self.ops, x.change, y.primal)
        by_y = None if y.change is None else linear.matmul_left(self.ops, x.primal, y.change)
        return linear.add_changes(self.ops, by_x, by_y, shape)

    def affine(self, x: Pair, weight: Pair, bias: Pair | None = None) -> Pair:
        value = self.primal("affine", self.ops.affine, x, weight, *(() if bias is None else (bias,)))
        change = self.matmul_change(x, weight, shape_of(value))
        if bias is not None:
            by_bias = linear.expand_change(self.ops, bias.change, axis=-2)
            change = linear.add_changes(self.ops, change, by_bias, shape_of(value))
        return Pair(self, value, change)

    def matrix_transpose(self, x: Pair) -> Pair:
        value = self.primal("transpose", self.ops.matrix_transpose, x)
        return Pair(self, value, linear.transpose_change(self.ops, x.change))

    def expand_dims(self, x: Pair, *, axis: int) -> Pair:
        # Counted from the end, the axis is the same for the primal `(*S)` and the change `(K, *S)`.
        from_end = axis if axis < 0 else axis - len(x.shape) - 1
        change = linear.expand_change(self.ops, x.change, axis=from_end)
        value = self.primal(("expand", from_end), lambda a: self.ops.expand_dims(a, axis=from_end), x)
        return Pair(self, value, change)

    def reshape(self, x: Pair, shape: tuple[int, ...]) -> Pair:
        value = self.primal(("reshape", shape), lambda a: self.ops.reshape(a, shape), x)
        return Pair(self, value, linear.reshape_change(self.ops, x.change, shape_of(value)))

    def broadcast_to(self, x: Pair, shape: tuple[int, ...]) -> Pair:
        value = self.primal(("broadcast", shape), lambda a: self.ops.broadcast_to(a, shape), x)
        return Pair(self, value, linear.broadcast_change(self.ops, x.change, shape))

    def slice_axis(self, x: Pair, start: int, stop: int, *, axis: int) -> Pair:
        (axis,) = axes_from_end(axis, len(x.shape))

        def part(a: Array) -> Array:
            return self.ops.slice_axis(a, start, stop, axis=axis)

        value = self.primal(("slice", start, stop, axis), part, x)
        return Pair(self, value, linear.mapped_change(self.ops, x.change, part))

    def concat(self, *arrays: Pair, axis: int) -> Pair:
        (axis,) = axes_from_end(axis, len(arrays[0].shape))
        value = self.primal(("concat", axis), lambda *a: self.ops.concat(*a, axis=axis), *arrays)
        change = linear.concat_changes(self.ops, [(x.primal, x.change) for x in arrays], axis=axis)
        return Pair(self, value, change)

    def zeros_like(self, x: Pair) -> Pair:
        return Pair(self, self.ops.zeros_like(x.primal))

    def constant(self, values: NumpyArray, *, like: Pair) -> Pair:
        return Pair(self, self.ops.constant(values, like=like.primal))

    def stop_gradient(self, x: Pair) -> Pair:
        return Pair(self, self.ops.stop_gradient(x.primal))


def primal_of(x: Array | float) -> Array | float:
    """Return the value of a pair; a Python number is its own."""
    return x.primal if isinstance(x, Pair) else x


def changes_of(x: Array | float) -> Change:
    """Return the change of a pair; a Python number has none."""
    return x.change if isinstance(x, Pair) else None


def interpret(
    interpreter: PairOperations,
    text: Text,
    leaves: Sequence[Array],
    tangents: Sequence[Tangent],
    data: Data,
) -> tuple[Array, Array]:
    """Return a loss's value and its K changes `(K,)` when the leaves change by the tangents."""
    ops = interpreter.ops
    interpreter.shared.begin(leaves, data)
    pairs = tuple(Pair(interpreter, x, linear.start_change(t)) for x, t in zip(leaves, tangents, strict=True))
    result = text(interpreter, pairs, map_data(lambda x: Pair(interpreter, x), data))
    value: Any = primal_of(result)
    change = changes_of(result)
    # A loss that the moving parameters do not reach. The zeros are made of a leaf, which has the dtype and the device.
    if change is None:
        zero = ops.reshape(ops.sum(ops.zeros_like(leaves[0])), (1,))
        return value, ops.broadcast_to(zero, (tangents[0].count,))
    return value, change.dense(ops)
