"""Forward mode: Jacobian-vector products along K tangents at once, by dual numbers over any backend's operations.

A dual number is a value (the primal) and its derivatives along the tangents: `f(x + e t) = f(x) + e f'(x) t` with
`e^2 = 0` (Clifford 1873, doi:10.1112/plms/s1-4.1.381; Wengert 1964, doi:10.1145/355586.364791). The primal is computed
once and shared by all K tangents; what does not move has no tangent. This module knows no framework.
"""

from collections.abc import Sequence

from gradest.autodiff import derivative_rules as rules
from gradest.autodiff import linear_rules as linear
from gradest.autodiff.interpreter import shape_of
from gradest.autodiff.linear_rules import Change
from gradest.autodiff.pairs import Pair, PairOperations, interpret, primal_of
from gradest.operations import Array, Data, Operations, Text
from gradest.tangents import Dense, Tangent


def value_and_jvps(
    text: Text, ops: Operations, leaves: Sequence[Array], tangents: Sequence[Tangent], data: Data
) -> tuple[Array, Array]:
    """Return the loss and its K directional derivatives along the tangents, `(K,)`.

    Parameters
    ----------
    text
        `text(ops, leaves, data) -> scalar`, written in operations.
    leaves, tangents
        The parameters, and for each its block of K directions.
    """
    return interpret(DualOperations(ops), text, leaves, tangents, data)


class DualOperations(PairOperations):
    """The rules of differentiation for pairs of value and tangents."""

    # In all rules dx has an axis of directions in front, and the derivative has none: to broadcast is the vmap.
    def unary_change(self, name: str, x: Array, y: Array, dx: Array) -> Array:
        return dx * rules.UNARY[name](self.ops, x, y)

    def product_change(self, x: Array, y: Array, dx: Array | None, dy: Array | None) -> Array:
        return _total(None if dx is None else dx * y, None if dy is None else dy * x)

    def quotient_change(self, x: Array, y: Array, quotient: Array, dx: Array | None, dy: Array | None) -> Array:
        # d(x/y) = dx / y - (x/y) dy / y: the quotient is there already.
        return _total(None if dx is None else dx / y, None if dy is None else dy * (-quotient / y))

    def maximum_change(self, x: Array, y: Array, dx: Array | None, dy: Array | None) -> Array:
        share = rules.maximum_shares(self.ops, x, y)
        return _total(None if dx is None else dx * share, None if dy is None else dy * (1.0 - share))

    def greater(self, x: Pair, y: Pair | float) -> Pair:
        return Pair(self, self.ops.greater(x.primal, primal_of(y)))

    def where(self, condition: Pair, x: Pair | float, y: Pair | float) -> Pair:
        ops, chosen = self.ops, condition.primal

        def rule(p: Array, q: Array, dx: Array | None, dy: Array | None) -> Array:
            return ops.where(chosen, 0.0 if dx is None else dx, 0.0 if dy is None else dy)

        return self.elementwise(ops.where(chosen, primal_of(x), primal_of(y)), rule, (x, y))

    def max(self, x: Pair, *, axis: int, keepdims: bool = False) -> Pair:
        value = self.ops.max(x.primal, axis=axis, keepdims=keepdims)
        if x.change is None:
            return Pair(self, value)
        return Pair(self, value, self._weighted(x, rules.max_shares(self.ops, x.primal, axis=axis), axis, keepdims))

    def logsumexp(self, x: Pair) -> Pair:
        value = self.ops.logsumexp(x.primal)
        if x.change is None:
            return Pair(self, value)
        # d lse(x) = sum(softmax(x) dx). The portable form would push K tangents through an exp and a log instead.
        return Pair(self, value, self._weighted(x, self.ops.softmax(x.primal), -1, False))

    def softmax(self, x: Pair) -> Pair:
        value = self.ops.softmax(x.primal)
        if x.change is None:
            return Pair(self, value)
        # dy = y (dx - sum(y dx)): the Jacobian diag(y) - y y^T, applied and never made.
        mean = self._weighted(x, value, -1, True)
        centred = linear.add_changes(self.ops, x.change, _opposite(mean), shape_of(value))
        return Pair(self, value, self.multiply(Pair(self, value, centred), Pair(self, value)).change)

    def _weighted(self, x: Pair, weights: Array, axis: int, keepdims: bool) -> Change:
        """Return the sum of x's tangents along an axis, with weights that do not move."""
        # Written as operations on pairs, it keeps the tangents' structure. The primal of the product is not asked for:
        # it is that of the weights, since x itself may be -inf where its weight is 0.
        weighted = self.multiply(Pair(self, weights, x.change), Pair(self, weights))
        return self.sum(weighted, axis=axis, keepdims=keepdims).change

    def softmax_cross_entropy(self, logits: Pair, targets: Pair) -> Pair:
        if logits.change is None or targets.change is not None or not len(logits.shape) == len(targets.shape) == 2:
            return super().softmax_cross_entropy(logits, targets)  # type: ignore[return-value]  # of pairs, a pair
        # A step of reverse mode inside forward mode: the loss is one number, so its derivative by the logits is one
        # array for all K tangents, and each tangent costs an inner product with it.
        value, cotangent = self.ops.softmax_cross_entropy_and_gradient(logits.primal, targets.primal)
        return Pair(self, value, Dense(linear.contract(self.ops, logits.change, cotangent)))


def _opposite(x: Change) -> Change:
    return None if x is None else x.scaled(-1.0)


def _total(x: Array | None, y: Array | None) -> Array:
    """Return the sum of two contributions, of which at least one is there."""
    return y if x is None else x if y is None else x + y  # type: ignore[return-value]  # one at least is an array
