"""Reverse mode that keeps few intermediate values: the others are computed again, segment by segment.

This trades time for memory, as `jax.checkpoint` does. The loss runs once without a tape. What is kept is the list of
operations and, at a few places between them, the values that are still in use. Backward, each segment runs again from
its first place with a tape, which is pulled back and dropped (Griewank & Walther 2000, doi:10.1145/347837.347846). The
number of operations is not known beforehand: when there are too many places, every other one is dropped (Stumm &
Walther 2010, doi:10.1137/080742439). This module knows no framework.
"""

import operator
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from gradest.autodiff.interpreter import Interpreter, WithPrimal, map_data, shape_of
from gradest.autodiff.tape import Node, TapeOperations
from gradest.operations import Array, Axis, Data, NumpyArray, Operations, Text

# Operators reach an interpreter by these names; a recorded entry is run again by the same name.
_ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "negative": operator.neg,
}


def checkpointed_value_and_gradient(
    text: Text, ops: Operations, leaves: Sequence[Array], data: Data, *, places: int
) -> tuple[Array, tuple[Array, ...]]:
    """Return the loss and its gradient by each leaf; values are held at `places` places and within one segment.

    Parameters
    ----------
    text
        `text(ops, leaves, data) -> scalar`, written in operations.
    places
        The most places between operations at which values are kept, 1 or more.
    """
    program = Program(ops, places)
    parameters = [program.input(leaf, moves=True) for leaf in leaves]
    result = text(program, tuple(parameters), map_data(program.input, data))
    cotangents: dict[int, Array | None] = {}
    if isinstance(result, Value):
        program.pull_back(result.number, cotangents)
        result = result.primal
    gradient = (cotangents.get(p.number) for p in parameters)
    return result, tuple(ops.zeros_like(x) if g is None else g for g, x in zip(gradient, leaves, strict=True))


class Value(WithPrimal):
    """A value of the first run, and its number; it is freed when the text lets go of it."""

    __slots__ = ("__weakref__", "moves", "number")

    def __init__(self, interpreter: "Program", primal: Array, number: int, *, moves: bool) -> None:
        self.interpreter = interpreter
        self.primal = primal
        self.number = number
        self.moves = moves


@dataclass(frozen=True)
class _Reference:
    """Stands for a value by its number in a recorded operation."""

    number: int


@dataclass(frozen=True, eq=False)
class _Entry:
    """One operation: its name, its arguments, and the number of its result."""

    name: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]
    number: int


class Program(Interpreter):
    """Carries out operations and lists them, keeping the values in use at a few places."""

    def __init__(self, ops: Operations, places: int) -> None:
        self.ops = ops
        self._most = places
        self._interval = 1
        self._inputs: dict[int, tuple[Array, bool]] = {}
        self._entries: list[_Entry] = []
        # Which values are still in use is what Python's reference counts know: those that the loss has let go of leave
        # this set, and their arrays are freed, before the next place is kept.
        self._alive: weakref.WeakSet[Value] = weakref.WeakSet()
        self._kept: dict[int, dict[int, tuple[Array, bool]]] = {}
        self._count = 0

    def input(self, primal: Array, *, moves: bool = False) -> Value:
        """Return the value of a parameter (which moves) or of data; inputs are always kept."""
        value = Value(self, primal, self._number(), moves=moves)
        self._inputs[value.number] = primal, moves
        return value

    def _number(self) -> int:
        self._count += 1
        return self._count

    def apply(self, name: str, *arguments: Any, **options: Any) -> Value:
        """Carry out an operation and list it; keep the values in use if this is a place to."""
        function = _ARITHMETIC.get(name) or getattr(self.ops, name)
        primal = function(*(x.primal if isinstance(x, Value) else x for x in arguments), **options)
        moves = any(x.moves for x in arguments if isinstance(x, Value))
        value = Value(self, primal, self._number(), moves=moves)
        references = tuple(_Reference(x.number) if isinstance(x, Value) else x for x in arguments)
        self._entries.append(_Entry(name, references, options, value.number))
        self._alive.add(value)
        if len(self._entries) % self._interval == 0:
            self._keep(len(self._entries))
        return value

    def _keep(self, place: int) -> None:
        self._kept[place] = {v.number: (v.primal, v.moves) for v in self._alive}
        # How many operations follow is not known. With twice the interval the places stay evenly spread, and about half
        # of the allowed ones are still in use.
        if len(self._kept) > self._most:
            self._interval *= 2
            self._kept = {place: kept for place, kept in self._kept.items() if place % self._interval == 0}

    # -- backward -----------------------------------------------------------------------------------------
    def pull_back(self, result: int, cotangents: dict[int, Array | None]) -> None:
        """Fill in the cotangents of the inputs, from 1 at the result, segment by segment from the last."""
        # Place 0 keeps nothing: the inputs, which are always there, are all that is in use.
        places = sorted({0, *self._kept, len(self._entries)})
        # Of a loss that is one of its parameters the derivative is 1, and no operation says so.
        cotangents[result] = self._one(self._inputs[result][0]) if result in self._inputs else None
        for first, stop in reversed(list(pairwise(places))):
            self._pull_segment(self._entries[first:stop], self._kept.pop(first, {}), result, cotangents)

    def _one(self, like: Array) -> Array:
        return self.ops.constant(np.ones(shape_of(like)), like=like)

    def _pull_segment(
        self,
        entries: Sequence[_Entry],
        kept: Mapping[int, tuple[Array, bool]],
        result: int,
        cotangents: dict[int, Array | None],
    ) -> None:
        tape = TapeOperations(self.ops)
        start = {n: Node(tape, primal, moves=moves) for n, (primal, moves) in {**self._inputs, **kept}.items()}
        nodes: dict[int, Any] = dict(start)
        for entry in entries:
            arguments = (nodes[x.number] if isinstance(x, _Reference) else x for x in entry.arguments)
            nodes[entry.number] = getattr(tape, entry.name)(*arguments, **entry.options)
        # What later segments use of this one has its cotangent from them, and is now an end of the segment's own graph.
        ends = [entry.number for entry in entries if entry.number in cotangents and nodes[entry.number].moves]
        tape.pull_back(*[(nodes[number], cotangents.pop(number)) for number in ends])  # None, for 1, is the result's
        for number, node in start.items():
            # Of values that earlier segments made: those carry them on. A value used by several segments adds them up.
            if node.moves and node.cotangent is not None:
                before = cotangents.get(number)
                cotangents[number] = node.cotangent if before is None else before + node.cotangent

    # -- the vocabulary -------------------------------------------------------------------------------------
    def add(self, x: Array, y: Array | float) -> Value:
        return self.apply("add", x, y)

    def subtract(self, x: Array | float, y: Array | float) -> Value:
        return self.apply("subtract", x, y)

    def multiply(self, x: Array, y: Array | float) -> Value:
        return self.apply("multiply", x, y)

    def divide(self, x: Array | float, y: Array | float) -> Value:
        return self.apply("divide", x, y)

    def negative(self, x: Array) -> Value:
        return self.apply("negative", x)

    def unary(self, name: str, x: Array) -> Value:
        return self.apply(name, x)

    def maximum(self, x: Array, y: Array | float) -> Value:
        return self.apply("maximum", x, y)

    def greater(self, x: Array, y: Array | float) -> Value:
        return self.apply("greater", x, y)

    def where(self, condition: Array, x: Array | float, y: Array | float) -> Value:
        return self.apply("where", condition, x, y)

    def sum(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Value:
        return self.apply("sum", x, axis=axis, keepdims=keepdims)

    def mean(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Value:
        return self.apply("mean", x, axis=axis, keepdims=keepdims)

    def max(self, x: Array, *, axis: int, keepdims: bool = False) -> Value:
        return self.apply("max", x, axis=axis, keepdims=keepdims)

    def matmul(self, x: Array, y: Array) -> Value:
        return self.apply("matmul", x, y)

    def affine(self, x: Array, weight: Array, bias: Array | None = None) -> Value:
        return self.apply("affine", x, weight, bias)

    def matrix_transpose(self, x: Array) -> Value:
        return self.apply("matrix_transpose", x)

    def expand_dims(self, x: Array, *, axis: int) -> Value:
        return self.apply("expand_dims", x, axis=axis)

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Value:
        return self.apply("reshape", x, shape)

    def broadcast_to(self, x: Array, shape: tuple[int, ...]) -> Value:
        return self.apply("broadcast_to", x, shape)

    def slice_axis(self, x: Array, start: int, stop: int, *, axis: int) -> Value:
        return self.apply("slice_axis", x, start, stop, axis=axis)

    def concat(self, *arrays: Array, axis: int) -> Value:
        return self.apply("concat", *arrays, axis=axis)

    def stop_gradient(self, x: Array) -> Value:
        return self.apply("stop_gradient", x)

    def zeros_like(self, x: Array) -> Value:
        return self.apply("zeros_like", x)

    def constant(self, values: NumpyArray, *, like: Value) -> Value:
        # An input, and not an operation: it depends on nothing that moves, and is there for every segment.
        return self.input(self.ops.constant(np.asarray(values), like=like.primal))

    def logsumexp(self, x: Array) -> Value:
        return self.apply("logsumexp", x)

    def softmax(self, x: Array) -> Value:
        return self.apply("softmax", x)

    def softmax_cross_entropy(self, logits: Array, targets: Array) -> Value:
        return self.apply("softmax_cross_entropy", logits, targets)
