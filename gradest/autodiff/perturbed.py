"""Evaluates a loss at K perturbed parameters, `f(x + t_k)`, computing once what the K evaluations share.

Nothing is linearised: the losses are those of K plain evaluations (a vmap over the perturbed parameters), with rounding
of the same size. While a value is still linear in the parameters (a product of a weight with data) it is kept as base
and change, one product for all K. An elementwise function is then evaluated at the perturbed arguments themselves: of
one column where only that moves, else of K whole arrays. This module knows no framework.
"""

import math
import operator
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from gradest.autodiff import linear_rules as linear
from gradest.autodiff.interpreter import Interpreter, Wrapped, axes_from_end, map_data, shape_of
from gradest.autodiff.linear_rules import Change
from gradest.autodiff.softmax_losses import softmax_loss_difference
from gradest.autodiff.unperturbed import Shared
from gradest.operations import Array, Axis, Data, NumpyArray, Operations, Text
from gradest.tangents import Columns, LowRank, Mirrored, Outer, Rows, Tangent


def perturbed_values(
    text: Text,
    ops: Operations,
    leaves: Sequence[Array],
    tangents: Sequence[Tangent],
    data: Data,
    *,
    shared: Shared | None = None,
) -> Array:
    """Return the K losses `f(leaves + tangent_k)`, `(K,)`.

    Parameters
    ----------
    text
        `text(ops, leaves, data) -> scalar`, written in operations.
    leaves, tangents
        The parameters, and for each its block of K displacements.
    shared
        Where the values of the unperturbed loss are kept between calls at the same parameters and data.
    """
    interpreter = PerturbedOperations(ops, Shared() if shared is None else shared)
    interpreter.shared.begin(leaves, data)
    values = tuple(Perturbed(interpreter, x, linear.start_change(t)) for x, t in zip(leaves, tangents, strict=True))
    result = text(interpreter, values, map_data(lambda x: Perturbed(interpreter, x), data))
    base = result.base if isinstance(result, Perturbed) else result
    if isinstance(result, Perturbed) and result.moves:
        return result.whole(0)
    # The parameters that move do not reach the loss: K times the same. A leaf gives the dtype and the device.
    zero = ops.reshape(ops.sum(ops.zeros_like(leaves[0])), (1,))
    return ops.broadcast_to(zero + base, (tangents[0].count,))


class Perturbed(Wrapped):
    """A value of shape S: `base + change` with a change of structure, or K values `(K, *S)` as `values`."""

    __slots__ = ("base", "change", "values")

    def __init__(
        self, interpreter: "PerturbedOperations", base: Any, change: Change = None, values: Array | None = None
    ) -> None:
        self.interpreter = interpreter
        self.base = base
        self.change = change
        self.values = values

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.base.shape) if self.values is None else tuple(self.values.shape[1:])

    @property
    def array(self) -> Array:
        return self.base if self.values is None else self.values

    @property
    def moves(self) -> bool:
        """Whether the K perturbations reach it."""
        return self.change is not None or self.values is not None

    def whole(self, rank: int) -> Array:
        """Return the K values, with axes that broadcast with arrays of the rank; the base if it does not move."""
        ops: Operations = self.interpreter.ops  # type: ignore[attr-defined]  # an interpreter of this module
        base: Array = self.base
        if self.values is not None:
            return linear.align(ops, self.values, rank)
        if self.change is None:
            return base
        return linear.align(ops, base + self.change.dense(ops), rank)


class PerturbedOperations(Interpreter):
    """Evaluates linear operations on base and change, and all others at the perturbed values themselves."""

    def __init__(self, ops: Operations, shared: Shared) -> None:
        self.ops = ops
        self.shared = shared

    def elementwise(self, name: str, function: Callable[..., Array], *operands: Any) -> Perturbed:
        """Return the function of the operands: on one column where only that moves, else on K whole values."""
        operands = tuple(x if isinstance(x, Perturbed) else Perturbed(self, x) for x in operands)
        # Three ways, the cheapest that holds. 1. Nothing moves: computed once, for all K and all calls.
        if not any(x.moves for x in operands):
            return Perturbed(self, self._base(name, function, *operands))
        # 2. Each perturbation moves one column: the function is evaluated there, n times less than on whole arrays.
        if all(x.values is None and _in_columns(x.change) for x in operands):
            base = self._base(name, function, *operands)
            changes, wrap = linear.frame(self.ops, [x.change for x in operands], shape_of(base))
            if len(operands) == 1:
                (x,), (d,) = operands, changes
                # base + (moved - base) gives moved back: two numbers within a factor of two have an exact difference
                # (Sterbenz's lemma), and beyond that the sum rounds once, as an evaluation does.
                moved = self.ops.blockwise(lambda e: function(x.base + e) - base, d)  # type: ignore[arg-type]  # x moves
                return Perturbed(self, base, wrap(moved))
            moved = function(*(x.base if d is None else x.base + d for x, d in zip(operands, changes, strict=True)))
            return Perturbed(self, base, wrap(self._rise(moved, base)))
        # 3. All K arrays; of both sides of a point where directions come in pairs, which can share exponentials.
        if len(operands) == 1 and isinstance(operands[0].change, Mirrored):
            base, change = operands[0].base, operands[0].change
            half = change.half.dense(self.ops)
            if tuple(half.shape[1:]) == tuple(base.shape):
                return Perturbed(self, None, values=self.ops.both_sides(function, base, half, change.radius))
        rank = max(len(shape_of(x.base) if x.values is None else x.shape) for x in operands)
        return Perturbed(self, None, values=function(*(x.whole(rank) for x in operands)))

    def _rise(self, moved: Array, base: Array) -> Array:
        """Return `moved - base`, and 0 where both are the same infinity: a mask of -inf stays one."""
        ops = self.ops

        def infinite() -> Array:
            zero = ops.zeros_like(base)
            return ops.greater(ops.where(ops.greater(-ops.abs(base), -math.inf), zero, zero + 1.0), 0.0)

        def from_infinity(at: Array) -> Array:
            # What is no longer that infinity is out of reach of `base + change`: the opposite one makes the sum NaN.
            unchanged = ops.maximum(-ops.abs(at), 0.0)  # 0, or NaN where that is what it has become
            return ops.where(ops.greater(at, base), -base, ops.where(ops.greater(base, at), -base, unchanged))

        far = self.shared.compute("infinite", (base,), infinite)
        return ops.piecewise(moved, far, from_infinity, lambda at: at - base)

    def linear(
        self,
        operation: Hashable,
        x: Perturbed,
        on_array: Callable[[Array], Array],
        on_change: Callable[[Change], Change],
    ) -> Perturbed:
        """Return a linear operation whose axes count from the end, on base and change or on the K values."""
        if x.values is not None:
            return Perturbed(self, None, values=on_array(x.values))
        return Perturbed(self, self._base(operation, on_array, x), on_change(x.change))

    def _base(self, operation: Hashable, function: Callable[..., Array], *operands: Perturbed) -> Array:
        """Return a function of bases, as it was computed first."""
        bases = [x.base for x in operands]
        value: Array = self.shared.compute(operation, bases, lambda: function(*bases))
        return value

    # -- elementwise ------------------------------------------------------------------------------------
    def unary(self, name: str, x: Perturbed) -> Perturbed:
        return self.elementwise(name, getattr(self.ops, name), x)

    def maximum(self, x: Perturbed, y: Perturbed | float) -> Perturbed:
        return self.elementwise("maximum", self.ops.maximum, x, y)

    def greater(self, x: Perturbed, y: Perturbed | float) -> Any:
        # Booleans are no base and change, and may differ between the K. `where` asks for them when it knows the frame.
        return _Comparison(x, y)

    def where(self, condition: "_Comparison", x: Perturbed | float, y: Perturbed | float) -> Perturbed:
        ops = self.ops

        def choose(a: Array, b: Array, p: Array, q: Array) -> Array:
            return ops.where(ops.greater(a, b), p, q)

        return self.elementwise("where", choose, condition.x, condition.y, x, y)

    def multiply(self, x: Perturbed, y: Perturbed | float) -> Perturbed:
        if not isinstance(y, Perturbed):
            # The number is part of the operation's name: what is shared between evaluations depends on it.
            return self.linear(("times", y), x, lambda a: a * y, lambda c: None if c is None else c.scaled(y))
        return self.elementwise("multiply", lambda a, b: a * b, x, y)

    def divide(self, x: Perturbed | float, y: Perturbed | float) -> Perturbed:
        return self.elementwise("divide", lambda a, b: a / b, x, y)

    def negative(self, x: Perturbed) -> Perturbed:
        return self.multiply(x, -1.0)

    def add(self, x: Perturbed, y: Perturbed | float) -> Perturbed:
        if not isinstance(y, Perturbed):
            return self.linear(("plus", y), x, lambda a: a + y, lambda c: c)
        if x.values is None and y.values is None:
            base = self._base("add", operator.add, x, y)
            return Perturbed(self, base, linear.add_changes(self.ops, x.change, y.change, shape_of(base)))
        return self.elementwise("add", operator.add, x, y)

    def subtract(self, x: Perturbed | float, y: Perturbed | float) -> Perturbed:
        if isinstance(y, Perturbed):
            return self.add(self.negative(y), x)  # a sign changes without rounding
        assert isinstance(x, Perturbed)  # one of the two is
        return self.add(x, -y)

    # -- reductions -------------------------------------------------------------------------------------
    def sum(self, x: Perturbed, *, axis: Axis = None, keepdims: bool = False) -> Perturbed:
        axes, ops = axes_from_end(axis, len(x.shape)), self.ops
        return self.linear(
            ("sum", axes, keepdims),
            x,
            lambda a: ops.sum(a, axis=axes, keepdims=keepdims),
            lambda c: linear.sum_change(ops, c, axis=axes, keepdims=keepdims),
        )

    def mean(self, x: Perturbed, *, axis: Axis = None, keepdims: bool = False) -> Perturbed:
        count = 1
        for a in axes_from_end(axis, len(x.shape)):
            count *= int(x.shape[a])
        return self.multiply(self.sum(x, axis=axis, keepdims=keepdims), 1.0 / count)

    def max(self, x: Perturbed, *, axis: int, keepdims: bool = False) -> Perturbed:
        # Which entry is the largest may differ between the K: not linear, and not of one column alone.
        axis = axis if axis < 0 else axis - len(x.shape)
        return self._whole(("max", axis, keepdims), x, lambda a: self.ops.max(a, axis=axis, keepdims=keepdims))

    def _whole(self, operation: Hashable, x: Perturbed, function: Callable[[Array], Array]) -> Perturbed:
        """Return a function of the K whole values, or of the base where it does not move."""
        if not x.moves:
            return Perturbed(self, self._base(operation, function, x))
        return Perturbed(self, None, values=function(x.whole(len(x.shape))))

    # -- shapes and products ----------------------------------------------------------------------------
    def matmul(self, x: Perturbed, y: Perturbed) -> Perturbed:
        return self.affine(x, y)

    def affine(self, x: Perturbed, weight: Perturbed, bias: Perturbed | None = None) -> Perturbed:
        # (x + dx)(W + dW) has a term of second order where both move: only then is it no longer base and change.
        if x.values is None and weight.values is None and (x.change is None or weight.change is None):
            product = self._linear_product(x, weight)
            return product if bias is None else self._add_bias(product, bias)
        product = Perturbed(self, None, values=self._moving_product(x, weight))
        return product if bias is None else self._add_bias(product, bias)

    def _linear_product(self, x: Perturbed, weight: Perturbed) -> Perturbed:
        """Return a product of which at most one factor moves, as base and change."""
        ops = self.ops
        change: Change = None
        if x.change is not None:
            change = linear.matmul_right(ops, x.change, weight.base)
        if weight.change is not None:
            change = linear.matmul_left(ops, x.base, weight.change)
        return Perturbed(self, self._base("matmul", ops.matmul, x, weight), change)

    def _moving_product(self, x: Perturbed, weight: Perturbed) -> Array:
        """Return the K products of factors that both move, or of which one has no base."""
        ops = self.ops
        # x_k (W + l_k r_k^T) = x_k W + (x_k l_k) r_k^T: the large product shares W, and the K weights are never made.
        change = weight.change.apart(ops) if isinstance(weight.change, Mirrored) else weight.change
        if x.moves and weight.values is None and (change is None or isinstance(change, LowRank)):
            values = x.whole(len(x.shape))
            product = linear.matmul_population(ops, values, weight.base)
            if change is not None:
                product = product + ops.matmul(ops.matmul(values, change.left), ops.matrix_transpose(change.right))
            return product
        rank = max(len(x.shape), len(weight.shape))
        return ops.matmul(x.whole(rank), weight.whole(rank))

    def _add_bias(self, product: Perturbed, bias: Perturbed) -> Perturbed:
        """Return the sum; the product's change, which nobody else holds, may be overwritten."""
        shift = self.expand_dims(bias, axis=-2)
        if product.values is None and shift.values is None and product.change is not None:
            base = self._base("add", operator.add, product, shift)
            if tuple(base.shape) == tuple(product.base.shape):  # else the product's memory would be too small
                change = linear.accumulate_change(self.ops, product.change, shift.change, shape_of(base))
                return Perturbed(self, base, change)
        return self.add(product, shift)

    def matrix_transpose(self, x: Perturbed) -> Perturbed:
        return self.linear("transpose", x, self.ops.matrix_transpose, lambda c: linear.transpose_change(self.ops, c))

    def expand_dims(self, x: Perturbed, *, axis: int) -> Perturbed:
        from_end = axis if axis < 0 else axis - len(x.shape) - 1
        return self.linear(
            ("expand", from_end),
            x,
            lambda a: self.ops.expand_dims(a, axis=from_end),
            lambda c: linear.expand_change(self.ops, c, axis=from_end),
        )

    def reshape(self, x: Perturbed, shape: tuple[int, ...]) -> Perturbed:
        if x.values is None and x.change is None:
            return Perturbed(self, self._base(("reshape", shape), lambda a: self.ops.reshape(a, shape), x))
        values = x.whole(len(x.shape))
        return Perturbed(self, None, values=self.ops.reshape(values, (int(values.shape[0]), *shape)))

    def broadcast_to(self, x: Perturbed, shape: tuple[int, ...]) -> Perturbed:
        if x.values is None and x.change is None:
            return Perturbed(self, self._base(("broadcast", shape), lambda a: self.ops.broadcast_to(a, shape), x))
        values = x.whole(len(shape))
        return Perturbed(self, None, values=self.ops.broadcast_to(values, (int(values.shape[0]), *shape)))

    def slice_axis(self, x: Perturbed, start: int, stop: int, *, axis: int) -> Perturbed:
        (axis,) = axes_from_end(axis, len(x.shape))

        def part(a: Array) -> Array:
            return self.ops.slice_axis(a, start, stop, axis=axis)

        return self.linear(("slice", start, stop, axis), x, part, lambda c: linear.mapped_change(self.ops, c, part))

    def concat(self, *arrays: Perturbed, axis: int) -> Perturbed:
        ops, (axis,) = self.ops, axes_from_end(axis, len(arrays[0].shape))
        if all(x.values is None for x in arrays):
            base = self._base(("concat", axis), lambda *a: ops.concat(*a, axis=axis), *arrays)
            return Perturbed(self, base, linear.concat_changes(ops, [(x.base, x.change) for x in arrays], axis=axis))
        count = next(int(x.values.shape[0]) for x in arrays if x.values is not None)
        whole = [ops.broadcast_to(x.whole(len(x.shape)), (count, *x.shape)) for x in arrays]
        return Perturbed(self, None, values=ops.concat(*whole, axis=axis))

    def stop_gradient(self, x: Perturbed) -> Perturbed:
        return x  # values are asked for, and it changes none

    def zeros_like(self, x: Perturbed) -> Perturbed:
        if x.values is None:
            return Perturbed(self, self.ops.zeros_like(x.base))
        return Perturbed(self, None, values=self.ops.zeros_like(x.values))

    def constant(self, values: NumpyArray, *, like: Perturbed) -> Perturbed:
        reference = like.base if like.values is None else like.values
        return Perturbed(self, self.ops.constant(values, like=reference))

    # -- composed ---------------------------------------------------------------------------------------
    def logsumexp(self, x: Perturbed) -> Perturbed:
        return self._whole("logsumexp", x, self.ops.logsumexp)

    def softmax(self, x: Perturbed) -> Perturbed:
        return self._whole("softmax", x, self.ops.softmax)

    def softmax_cross_entropy(self, logits: Perturbed, targets: Perturbed) -> Perturbed:
        ops = self.ops
        if targets.moves or not len(logits.shape) == len(targets.shape) == 2:
            return super().softmax_cross_entropy(logits, targets)  # type: ignore[return-value]  # as its operands are
        # The loss's difference is small beside the loss and computed as such: adding it rounds once, at the end.
        if isinstance(logits.change, Columns | Outer):
            value = self._base("softmax_cross_entropy", ops.softmax_cross_entropy, logits, targets)
            change = softmax_loss_difference(ops, logits.base, targets.base, logits.change, self.shared)
            return Perturbed(self, None, values=value + change)
        if not logits.moves:
            return Perturbed(self, self._base("softmax_cross_entropy", ops.softmax_cross_entropy, logits, targets))
        # K whole arrays of logits: the framework's own kernel is the quickest.
        values = ops.softmax_cross_entropy(logits.whole(len(logits.shape)), targets.base)
        return Perturbed(self, None, values=values)


class _Comparison:
    """`x > y`, kept as its operands until `where` evaluates it at the perturbed values."""

    __slots__ = ("x", "y")

    def __init__(self, x: Perturbed, y: Perturbed | float) -> None:
        self.x = x
        self.y = y


def _in_columns(change: Change) -> bool:
    return change is None or isinstance(change, Columns | Rows)
