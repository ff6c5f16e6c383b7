"""Exact differences `f(x + t_k) - f(x)`: arithmetic on pairs of a value and its difference, without cancellation.

No two nearly equal numbers are subtracted: each operation states the difference of its value from the difference of
its arguments, exp by expm1, log by log1p, a product by `dx (y + dy) + x dy` (divided-difference arithmetic: Kahan &
Fateman 1999, doi:10.1145/334714.334716; Reps & Rall 2003, Higher-Order and Symbolic Computation 16:93-149).
Differences stay accurate to rounding however small the step. Across a kink the pieces are compared exactly.
`stop_gradient` is the identity here: it has no part in the values of a function. This module knows no framework.
"""

from collections.abc import Sequence
from typing import Any

from gradest.autodiff import linear_rules as linear
from gradest.autodiff.difference_rules import OF_X, UNARY, gap_between, logsumexp_difference, softmax_difference
from gradest.autodiff.linear_rules import Change
from gradest.autodiff.pairs import Pair, PairOperations, interpret, primal_of
from gradest.autodiff.softmax_losses import softmax_loss_difference
from gradest.autodiff.unperturbed import Shared
from gradest.operations import Array, Data, Operations, Text
from gradest.tangents import Dense, Tangent


def value_and_differences(
    text: Text,
    ops: Operations,
    leaves: Sequence[Array],
    tangents: Sequence[Tangent],
    data: Data,
    *,
    shared: Shared | None = None,
) -> tuple[Array, Array]:
    """Return the loss and its K differences `f(leaves + tangent_k) - f(leaves)`, `(K,)`, accurate to rounding.

    Parameters
    ----------
    text
        `text(ops, leaves, data) -> scalar`, written in operations.
    leaves, tangents
        The parameters, and for each its block of K displacements, of any size.
    shared
        Where the values of the unperturbed loss are kept between calls at the same parameters and data.
    """
    return interpret(DifferenceOperations(ops, shared), text, leaves, tangents, data)


class Comparison:
    """`x > y` before and after the change: its operands are kept, so that `where` sees both outcomes."""

    __slots__ = ("x", "y")

    def __init__(self, x: Pair, y: Pair | float) -> None:
        self.x = x
        self.y = y


class DifferenceOperations(PairOperations):
    """The rules of exact differences for pairs of value and difference."""

    def unary_change(self, name: str, x: Array, y: Array, dx: Array) -> Array:
        of_x = OF_X.get(name)
        more = () if of_x is None else (self.shared.compute(("of x", name), (x,), lambda: of_x(self.ops, x)),)
        return self.ops.blockwise(lambda d: UNARY[name](self.ops, x, y, d, *more), dx)

    def product_change(self, x: Array, y: Array, dx: Array | None, dy: Array | None) -> Array:
        # (x + dx) (y + dy) - x y, multiplied out before it is computed: x y is never there to be subtracted.
        if dx is None:
            return x * dy
        return dx * y if dy is None else dx * (y + dy) + x * dy

    def quotient_change(self, x: Array, y: Array, quotient: Array, dx: Array | None, dy: Array | None) -> Array:
        # (x + dx) / (y + dy) - q = (x + dx - q y - q dy) / (y + dy), where x = q y falls out.
        if dy is None:
            return dx / y
        return (-quotient * dy if dx is None else dx - quotient * dy) / (y + dy)

    def maximum_change(self, x: Array, y: Array, dx: Array | None, dy: Array | None) -> Array:
        ops = self.ops
        # Counted from the operand that was the larger, x or y: max(x + dx, y + dy) - x = max(dx, dy - gap), and alike
        # for y. Small steps stay small numbers, whichever side of the kink they end on.
        gap = gap_between(ops, x, y)
        dx, dy = (_no_change(ops, gap) if d is None else d for d in (dx, dy))
        return ops.where(ops.greater(gap, 0.0), ops.maximum(dx, dy - gap), ops.maximum(gap + dx, dy))

    def greater(self, x: Pair, y: Pair | float) -> Any:
        return Comparison(x, y)

    def where(self, condition: Comparison, x: Pair | float, y: Pair | float) -> Pair:
        ops = self.ops
        before = ops.greater(condition.x.primal, primal_of(condition.y))

        def moved(p: Array, change: Array | None) -> Array:
            return p if change is None else p + change

        def rule(a: Array, b: Array, p: Array, q: Array, *changes: Array | None) -> Array:
            da, db, dx, dy = changes
            gap = gap_between(ops, p, q)
            # The condition may turn out otherwise after the change. Where it does, the result jumps from one branch to
            # the other, by their difference; where it does not, it changes as its branch does.
            after = ops.greater(moved(a, da), moved(b, db))
            stays_x, stays_y = (_no_change(ops, gap) if d is None else d for d in (dx, dy))
            onto_x = ops.where(before, stays_x, moved(gap, dx))
            onto_y = ops.where(before, moved(-gap, dy), stays_y)
            return ops.where(after, onto_x, onto_y)

        value = ops.where(before, primal_of(x), primal_of(y))
        return self.elementwise(value, rule, (condition.x, condition.y, x, y))

    def max(self, x: Pair, *, axis: int, keepdims: bool = False) -> Pair:
        ops, axis = self.ops, axis if axis < 0 else axis - len(x.shape)
        value = ops.max(x.primal, axis=axis, keepdims=keepdims)
        if x.change is None:
            return Pair(self, value)
        # max(x + d) - max(x) = max(x - max(x) + d): whoever wins afterwards, no two maxima are subtracted.
        below = x.primal - ops.max(x.primal, axis=axis, keepdims=True)
        return Pair(self, value, Dense(ops.max(below + x.change.dense(ops), axis=axis, keepdims=keepdims)))

    def stop_gradient(self, x: Pair) -> Pair:
        return x  # a difference of values: what is held constant for derivatives moves all the same

    def matmul_change(self, x: Pair, y: Pair, shape: tuple[int, ...]) -> Change:
        change = super().matmul_change(x, y, shape)
        if x.change is None or y.change is None:
            return change
        # The second-order term, which a derivative drops: (x + dx) (y + dy) - x y = dx y + x dy + dx dy.
        return linear.add_changes(self.ops, change, linear.matmul_both(self.ops, x.change, y.change), shape)

    def logsumexp(self, x: Pair) -> Pair:
        value = self.ops.logsumexp(x.primal)
        if x.change is None:
            return Pair(self, value)
        return Pair(
            self,
            value,
            Dense(self.ops.blockwise(lambda d: logsumexp_difference(self.ops, x.primal, d), x.change.dense(self.ops))),
        )

    def softmax(self, x: Pair) -> Pair:
        value = self.ops.softmax(x.primal)
        if x.change is None:
            return Pair(self, value)
        return Pair(self, value, Dense(softmax_difference(self.ops, x.primal, value, x.change.dense(self.ops))))

    def softmax_cross_entropy(self, logits: Pair, targets: Pair) -> Pair:
        if logits.change is None or targets.change is not None or not len(logits.shape) == len(targets.shape) == 2:
            return super().softmax_cross_entropy(logits, targets)  # type: ignore[return-value]  # of pairs, a pair
        value = self.primal("softmax_cross_entropy", self.ops.softmax_cross_entropy, logits, targets)
        losses = softmax_loss_difference(self.ops, logits.primal, targets.primal, logits.change, self.shared)
        return Pair(self, value, Dense(losses))


def _no_change(ops: Operations, like: Array) -> Array:
    """Return zeros of the array's shape and dtype, which the number 0 has on no backend; of a number, 0."""
    # Not 0 times it: entries of -inf (masks) would give NaN.
    return 0.0 if isinstance(like, int | float) else ops.zeros_like(like)
