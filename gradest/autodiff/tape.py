"""Reverse mode: a tape of operations, over any backend's operations, pulled back once.

The text is evaluated once; each operation leaves on the tape how its cotangent goes back to its operands
(Linnainmaa 1976, doi:10.1007/BF01931367; Griewank & Walther 2008, doi:10.1137/1.9780898717761). What does not
depend on the leaves leaves nothing. This module knows no framework.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from gradest.autodiff import derivative_rules as rules
from gradest.autodiff.interpreter import Interpreter, WithPrimal, axes_from_end, map_data, shape_of
from gradest.operations import Array, Axis, Data, NumpyArray, Operations, Text

Pullback = Callable[[Array], Array]


def value_and_gradient(
    text: Text, ops: Operations, leaves: Sequence[Array], data: Data
) -> tuple[Array, tuple[Array, ...]]:
    """Return the loss and its gradient by each leaf, of the leaf's shape.

    Parameters
    ----------
    text
        `text(ops, leaves, data) -> scalar`, written in operations.
    """
    tape = TapeOperations(ops)
    nodes = tuple(Node(tape, leaf, moves=True) for leaf in leaves)
    result = text(tape, nodes, map_data(lambda x: Node(tape, x), data))
    if not isinstance(result, Node):
        return result, tuple(ops.zeros_like(leaf) for leaf in leaves)
    tape.pull_back((result, None))
    gradient = tuple(ops.zeros_like(n.primal) if n.cotangent is None else n.cotangent for n in nodes)
    return result.primal, gradient


class Node(WithPrimal):
    """A value, whether it depends on the leaves, and the loss's derivative by it once that is known."""

    __slots__ = ("cotangent", "moves")

    def __init__(self, interpreter: "TapeOperations", primal: Array, *, moves: bool = False) -> None:
        self.interpreter = interpreter
        self.primal = primal
        self.moves = moves
        self.cotangent: Array | None = None


class TapeOperations(Interpreter):
    """Records each operation with its pullbacks, in order."""

    def __init__(self, ops: Operations) -> None:
        self.ops = ops
        self._entries: list[tuple[Node, list[tuple[Node, Pullback]]]] = []

    def record(self, value: Array, *links: tuple[Array | float, Pullback]) -> Node:
        """Return the node of a value, with the pullback to each operand that moves."""
        # Data and constants do not move: nothing goes back to them, and nothing of them is kept for it.
        active = [(x, pullback) for x, pullback in links if isinstance(x, Node) and x.moves]
        node = Node(self, value, moves=bool(active))
        if active:
            self._entries.append((node, active))
        return node

    def pull_back(self, *ends: tuple[Node, Array | None]) -> None:
        """Give every node that the ends depend on its cotangent, from those of the ends; None stands for 1."""
        for end, cotangent in ends:
            # The derivative of the result by itself is 1: reverse mode starts there and walks back.
            one = self.ops.constant(np.ones(shape_of(end.primal)), like=end.primal) if cotangent is None else cotangent
            end.cotangent = one if end.cotangent is None else end.cotangent + one
        # An operation is recorded after those that made its operands. Backward, all uses of a node come before the
        # operation that made it: when that is reached, its cotangent is complete. No sorting is needed.
        while self._entries:
            node, links = self._entries.pop()  # popped, so that values are freed as soon as they have been used
            if node.cotangent is None:
                continue  # the result does not depend on it: a value that was computed and not used
            for x, pullback in links:
                # The chain rule: the derivative by an operand is the derivative by the result of the operation times
                # the operation's own, which `pullback` multiplies by without ever making a Jacobian.
                part = pullback(node.cotangent)
                # A node used twice gets the sum of what comes back from each use.
                x.cotangent = part if x.cotangent is None else x.cotangent + part

    # -- elementwise ------------------------------------------------------------------------------------
    def unary(self, name: str, x: Node) -> Node:
        y = getattr(self.ops, name)(x.primal)
        return self.record(y, (x, lambda g: g * rules.UNARY[name](self.ops, x.primal, y)))

    def _binary(self, value: Array, x: Array | float, y: Array | float, by_x: Pullback, by_y: Pullback) -> Node:
        """Record an elementwise operation of two operands that may have been broadcast."""
        return self.record(
            value,
            (x, lambda g: self._unbroadcast(by_x(g), shape_of(x))),
            (y, lambda g: self._unbroadcast(by_y(g), shape_of(y))),
        )

    def add(self, x: Node, y: Node | float) -> Node:
        return self._binary(x.primal + _primal(y), x, y, lambda g: g, lambda g: g)

    def subtract(self, x: Node | float, y: Node | float) -> Node:
        difference: Array = _primal(x) - _primal(y)  # type: ignore[assignment]  # one of the two is a node
        return self._binary(difference, x, y, lambda g: g, lambda g: -g)

    def multiply(self, x: Node, y: Node | float) -> Node:
        p, q = x.primal, _primal(y)
        return self._binary(p * q, x, y, lambda g: g * q, lambda g: g * p)

    def divide(self, x: Node | float, y: Node | float) -> Node:
        q = _primal(y)
        quotient: Array = _primal(x) / q  # type: ignore[assignment]  # as above; d(x/y)/dy = -(x/y)/y: the quotient is there already
        return self._binary(quotient, x, y, lambda g: g / q, lambda g: -g * quotient / q)

    def negative(self, x: Node) -> Node:
        return self.record(-x.primal, (x, lambda g: -g))

    def maximum(self, x: Node, y: Node | float) -> Node:
        p, q = x.primal, _primal(y)

        def share() -> Array:  # computed backward only: forward evaluations would pay for it in vain
            return rules.maximum_shares(self.ops, p, q)

        return self._binary(self.ops.maximum(p, q), x, y, lambda g: g * share(), lambda g: g * (1.0 - share()))

    def greater(self, x: Node, y: Node | float) -> Node:
        return self.record(self.ops.greater(x.primal, _primal(y)))

    def where(self, condition: Node, x: Node | float, y: Node | float) -> Node:
        ops, chosen = self.ops, condition.primal
        value = ops.where(chosen, _primal(x), _primal(y))
        return self._binary(value, x, y, lambda g: ops.where(chosen, g, 0.0), lambda g: ops.where(chosen, 0.0, g))

    # -- reductions -------------------------------------------------------------------------------------
    def sum(self, x: Node, *, axis: Axis = None, keepdims: bool = False) -> Node:
        value = self.ops.sum(x.primal, axis=axis, keepdims=keepdims)
        return self.record(value, (x, lambda g: self._spread(g, x.shape, axis, keepdims)))

    def mean(self, x: Node, *, axis: Axis = None, keepdims: bool = False) -> Node:
        value = self.ops.mean(x.primal, axis=axis, keepdims=keepdims)
        share = 1.0 / math.prod(int(x.shape[a]) for a in axes_from_end(axis, len(x.shape)))
        return self.record(value, (x, lambda g: self._spread(g * share, x.shape, axis, keepdims)))

    def max(self, x: Node, *, axis: int, keepdims: bool = False) -> Node:
        value = self.ops.max(x.primal, axis=axis, keepdims=keepdims)

        def pullback(g: Array) -> Array:
            return self._spread(g, x.shape, axis, keepdims) * rules.max_shares(self.ops, x.primal, axis=axis)

        return self.record(value, (x, pullback))

    # -- shapes and products ----------------------------------------------------------------------------
    def matmul(self, x: Node, y: Node) -> Node:
        return self.record(self.ops.matmul(x.primal, y.primal), *self._product_links(x, y))

    def affine(self, x: Node, weight: Node, bias: Node | None = None) -> Node:
        value = self.ops.affine(x.primal, weight.primal, None if bias is None else bias.primal)
        links = self._product_links(x, weight)
        if bias is not None:
            rows = bias

            def pullback(g: Array) -> Array:  # the bias was added to every row
                return self._unbroadcast(self.ops.sum(g, axis=-2), rows.shape)

            links = (*links, (rows, pullback))
        return self.record(value, *links)

    def _product_links(self, x: Node, y: Node) -> tuple[tuple[Node, Pullback], ...]:
        ops, p, q = self.ops, x.primal, y.primal
        # With Z = X Y: dL/dX = G Y^T and dL/dY = X^T G, summed over axes along which a factor was broadcast.
        return (
            (x, lambda g: self._unbroadcast(ops.matmul(g, ops.matrix_transpose(q)), x.shape)),
            (y, lambda g: self._unbroadcast(ops.matmul(ops.matrix_transpose(p), g), y.shape)),
        )

    def matrix_transpose(self, x: Node) -> Node:
        return self.record(self.ops.matrix_transpose(x.primal), (x, self.ops.matrix_transpose))

    def expand_dims(self, x: Node, *, axis: int) -> Node:
        return self.record(self.ops.expand_dims(x.primal, axis=axis), (x, lambda g: self.ops.reshape(g, x.shape)))

    def reshape(self, x: Node, shape: tuple[int, ...]) -> Node:
        return self.record(self.ops.reshape(x.primal, shape), (x, lambda g: self.ops.reshape(g, x.shape)))

    def broadcast_to(self, x: Node, shape: tuple[int, ...]) -> Node:
        return self.record(self.ops.broadcast_to(x.primal, shape), (x, lambda g: self._unbroadcast(g, x.shape)))

    def slice_axis(self, x: Node, start: int, stop: int, *, axis: int) -> Node:
        ops, size = self.ops, int(x.shape[axis])

        def pullback(g: Array) -> Array:  # what was left out has no part in it: zeros on both sides
            sides = [(0, start), (stop, size)]
            before, after = (
                [ops.zeros_like(ops.slice_axis(x.primal, a, b, axis=axis))] if a < b else [] for a, b in sides
            )
            return ops.concat(*before, g, *after, axis=axis) if before or after else g

        return self.record(ops.slice_axis(x.primal, start, stop, axis=axis), (x, pullback))

    def concat(self, *arrays: Node, axis: int) -> Node:
        ops, links, start = self.ops, list[tuple[Node, Pullback]](), 0
        for x in arrays:  # each gets back the part of the cotangent that stands in its place
            stop = start + int(x.shape[axis])
            links.append((x, partial(_part, ops, start, stop, axis)))
            start = stop
        return self.record(ops.concat(*(x.primal for x in arrays), axis=axis), *links)

    def stop_gradient(self, x: Node) -> Node:
        return Node(self, self.ops.stop_gradient(x.primal))

    def zeros_like(self, x: Node) -> Node:
        return Node(self, self.ops.zeros_like(x.primal))

    def constant(self, values: NumpyArray, *, like: Node) -> Node:
        return Node(self, self.ops.constant(values, like=like.primal))

    # -- composed ---------------------------------------------------------------------------------------
    def logsumexp(self, x: Node) -> Node:
        ops = self.ops
        value = ops.logsumexp(x.primal)
        return self.record(value, (x, lambda g: ops.expand_dims(g, axis=-1) * ops.softmax(x.primal)))

    def softmax(self, x: Node) -> Node:
        ops = self.ops
        y = ops.softmax(x.primal)
        # The Jacobian is diag(y) - y y^T, which is never made: its product with g takes one inner product.
        return self.record(y, (x, lambda g: y * (g - ops.sum(g * y, axis=-1, keepdims=True))))

    def softmax_cross_entropy(self, logits: Node, targets: Node) -> Node:
        if not logits.moves or targets.moves:  # the fused form has a derivative by the logits alone
            return super().softmax_cross_entropy(logits, targets)  # type: ignore[return-value]  # of nodes, a node
        ops = self.ops
        # (softmax(z) - t) / B comes along with the value: both need the same exponentials.
        value, derivative = ops.softmax_cross_entropy_and_gradient(logits.primal, targets.primal)

        def pullback(g: Array) -> Array:
            part = ops.expand_dims(ops.expand_dims(g, axis=-1), axis=-1) * derivative
            return self._unbroadcast(part, logits.shape)  # of several batches of targets for the same logits

        return self.record(value, (logits, pullback))

    # -- shapes of cotangents -----------------------------------------------------------------------------
    def _unbroadcast(self, g: Array, shape: tuple[int, ...]) -> Array:
        """Return a cotangent summed over the axes along which an operand of the shape was broadcast."""
        found = tuple(int(n) for n in g.shape)
        if found == shape:
            return g
        # Broadcasting copies, and the derivative of a copy goes back to what was copied: the adjoint of a copy is a
        # sum.
        leading = len(found) - len(shape)
        if leading > 0:
            g = self.ops.sum(g, axis=tuple(range(leading)))
        widened = tuple(k for k, n in enumerate(shape) if n == 1 and found[leading + k] != 1)
        return self.ops.sum(g, axis=widened, keepdims=True) if widened else g

    def _spread(self, g: Array, shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Array:
        """Return the cotangent of a reduction, at every entry that was reduced."""
        # The adjoint of a sum is a copy. The axes that were dropped have to be there again to be broadcast along.
        if not keepdims:
            reduced = {a + len(shape) for a in axes_from_end(axis, len(shape))}
            g = self.ops.reshape(g, tuple(1 if k in reduced else int(n) for k, n in enumerate(shape)))
        return self.ops.broadcast_to(g, shape)


def _part(ops: Operations, start: int, stop: int, axis: int, g: Array) -> Array:
    return ops.slice_axis(g, start, stop, axis=axis)


def _primal(x: Node | float) -> Array | float:
    return x.primal if isinstance(x, Node) else x
