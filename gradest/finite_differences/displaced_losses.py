"""The loss at parameters with one entry moved, for chunks of entries: what finite differences are made of.

Three ways to evaluate them, named in the result: a batch of perturbed copies (or the framework's vmap, or a loop),
a loop in place on a private copy for functions of NumPy arrays, and structured evaluation, which computes
again only what the entry touches. This module knows no scheme.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from gradest.autodiff import Expressions, NearOnly, Shared, perturbed_values, value_and_differences
from gradest.backend import Leaves
from gradest.coordinates import Alike, Chunk, Factors, SharedSteps, perturbed_losses
from gradest.estimate import Cost
from gradest.objective import Objective
from gradest.operations import Array, Data, NumpyArray

Floats = NumpyArray

_SMALL = 8
"""A block of P / 8 entries or fewer is a small part of a sweep, for which compiling matters more than running."""


@dataclass(eq=False)
class Unperturbed:
    """The values of the unperturbed loss, which all displacements of one estimate have in common.

    `shared` keeps them where operations run one by one, `values` where they are compiled. An estimate makes a new one,
    so that neither outlives its parameters.
    """

    shared: Shared = field(default_factory=Shared)
    values: tuple[Any, ...] | None = None


@dataclass(frozen=True, eq=False)
class Displacement:
    """How far each entry is to be moved, on the host (`flat`, one array a block) and in the framework (`arrays`).

    They cross to the framework once an estimate, not once a chunk.
    """

    flat: tuple[Floats, ...]
    arrays: Leaves
    unperturbed: Unperturbed

    def of(self, chunk: Chunk) -> Floats:
        """Return the displacements of a chunk's entries, `(K,)`, to be read alone."""
        found: Floats = self.flat[chunk.block][chunk.place]
        return found


def as_displacement(objective: Objective, flat: Sequence[Floats], unperturbed: Unperturbed) -> Displacement:
    """Return a displacement from flat NumPy arrays, one a block; it is copied to the objective's device."""
    shaped = zip(flat, objective.layout.shapes, objective.dtypes, strict=True)
    arrays = tuple(
        objective.backend.array(v.reshape(shape), dtype=dtype, device=objective.device) for v, shape, dtype in shaped
    )
    return Displacement(tuple(flat), arrays, unperturbed)


@dataclass(frozen=True, eq=False)
class Displaced:
    """The losses `(K,)` of a chunk's displacements, or their exact differences, and then the loss at the leaves.

    Attributes
    ----------
    again
        Where not all of the loss was computed: what computes all of it, to be called if some of the losses are NaN.
    """

    losses: Array
    value: Array | None = None
    again: Callable[[], Array] | None = None


DisplacedLosses = Callable[[Leaves, Chunk, Displacement], Displaced]
"""`(leaves, chunk, displacement) -> losses`, not awaited."""

ValueOf = Callable[[Leaves, Unperturbed], Array]
"""`(leaves, unperturbed) -> value`: the loss itself, in one evaluation with what an estimate has there already."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How the losses of displacements are evaluated, and the loss itself.

    Attributes
    ----------
    path
        Its name in results.
    value
        The loss itself, not counted, where it is a part of what is compiled for displacements.
    """

    losses: DisplacedLosses
    path: str
    value: ValueOf | None = None

    def value_for(self, objective: Objective) -> ValueOf:
        """Return the loss itself, counted by an objective."""
        value = self.value
        if value is None:
            alone = objective.prepare_value()
            return lambda leaves, _: alone(leaves)

        def counted(leaves: Leaves, unperturbed: Unperturbed) -> Array:
            objective.count(Cost(values=1))
            return value(leaves, unperturbed)

        return counted


def prepare_black_box(objective: Objective, plan: Sequence[Chunk]) -> Evaluation:
    """Return the losses by whole evaluations; the path is "batched", "vmap" or "loop".

    This takes any function. NumPy arrays have ways of their own: what counts there is how often memory is passed over.
    """
    path = objective.population_path
    if all(isinstance(leaf, np.ndarray) for leaf in objective.start):
        return Evaluation(_in_place(objective) if path == "loop" else _written(objective), path)
    return Evaluation(_population(objective, Factors(objective, whole_rows=False, plan=plan)), path)


def _population(objective: Objective, factors: Factors) -> DisplacedLosses:
    """Return the losses of perturbed copies that are made inside the framework's compiled step.

    Blocks of one form share a step; what form it is decides what is copied and what stays, and must not be traced.
    """

    def make_step(alike: Alike) -> Callable[..., Array]:
        def step(leaves: Leaves, left: Array, right: Array, scale: Array, which: Array, data: Data) -> Array:
            return perturbed_losses(objective, leaves, alike, (left, right), scale, which, data)

        return objective.stepped(step)

    steps = SharedSteps(objective, make_step)

    def losses(leaves: Leaves, chunk: Chunk, displacement: Displacement) -> Displaced:
        step, which = steps.of(chunk.block)
        return Displaced(step(leaves, *factors(chunk), displacement.arrays[chunk.block], which))

    return losses


def _written(objective: Objective) -> DisplacedLosses:
    """Return the losses of perturbed copies of NumPy arrays: one pass over memory where arithmetic takes three."""
    shapes = objective.layout.shapes

    def losses(leaves: Leaves, chunk: Chunk, displacement: Displacement) -> Displaced:
        count = chunk.positions.size
        points = [np.asarray(leaf) for leaf in leaves]
        population = [np.broadcast_to(leaf, (count, *shape)) for leaf, shape in zip(points, shapes, strict=True)]
        # `broadcast_to` makes views of the other blocks, which cost nothing; one block alone is copied K times.
        moving = np.repeat(np.reshape(points[chunk.block], (1, -1)), count, axis=0)
        moving[np.arange(count), chunk.positions] += displacement.of(chunk)
        population[chunk.block] = moving.reshape(population[chunk.block].shape)
        return Displaced(objective.evaluate_population(tuple(population), objective.data))

    return losses


def _in_place(objective: Objective) -> DisplacedLosses:
    """Return the losses one by one, each entry moved in a private copy and put back from the original."""

    def losses(leaves: Leaves, chunk: Chunk, displacement: Displacement) -> Displaced:
        # Writeable, and the caller's arrays untouched. NumPy keeps Fortran's order, of which `reshape` makes a copy.
        copies = tuple(np.array(leaf, order="C") for leaf in leaves)
        moving, original = copies[chunk.block].reshape(-1), copies[chunk.block].reshape(-1).copy()
        values = []
        for position, move in zip(chunk.positions, displacement.of(chunk), strict=True):
            moving[position] = original[position] + move
            values.append(np.asarray(objective.evaluate(copies, objective.data)))
            moving[position] = original[position]  # adding and subtracting again would leave its rounding behind
        return Displaced(np.stack(values))

    return losses


def prepare_structured(objective: Objective, plan: Sequence[Chunk]) -> Evaluation:
    """Return the losses by recomputing only what an entry of a weight matrix touches: one column of a layer's output.

    The rest comes from one unperturbed evaluation, which all chunks of an estimate share.
    """
    factors = Factors(objective, whole_rows=True, plan=plan)
    return _interpreted(objective, factors, objective.evaluate_perturbed, perturbed_values, "structured")


def prepare_exact(objective: Objective, plan: Sequence[Chunk], *, whole_rows: bool) -> Evaluation:
    """Return the differences `f(x + h e_i) - f(x)` free of cancellation, and the loss, by `gradest.autodiff`.

    The change is propagated through each operation, so that no two nearly equal losses are ever subtracted.
    """
    factors = Factors(objective, whole_rows=whole_rows, plan=plan)
    path = f"{'structured' if whole_rows else 'batched'}, exact differences"
    return _interpreted(objective, factors, objective.evaluate_differences, value_and_differences, path)


def _interpreted(
    objective: Objective,
    factors: Factors,
    evaluate: Callable[..., Any],
    interpret: Callable[..., Any],
    path: str,
) -> Evaluation:
    """Return an evaluation by one of gradest's interpreters, which computes the unperturbed values once an estimate.

    `evaluate` counts what it evaluates, and `interpret` does the same uncounted, with operations of its own.
    """

    def eagerly(leaves: Leaves, chunk: Chunk, displacement: Displacement) -> Displaced:
        if factors.takes_rows(chunk.block):
            tangents = factors.moving(leaves, chunk, displacement.of(chunk))
        else:
            tangents = factors.tangents(leaves, chunk.block, *factors(chunk), displacement.arrays[chunk.block])
        return _displaced(evaluate(leaves, tangents, objective.data, shared=displacement.unperturbed.shared))

    if "compile" not in objective.backend.native:
        return Evaluation(objective.scoped(eagerly), path)
    compiled = _Compiled(objective, factors, evaluate, interpret)
    return Evaluation(compiled, path, compiled.value)


def _displaced(found: Any, again: Callable[[], Array] | None = None) -> Displaced:
    """Return what an interpreter found: losses, or the loss and its differences."""
    value, losses = found if isinstance(found, tuple) else (None, found)
    return Displaced(losses, value, again)


class _Compiled:
    """Evaluations compiled for each block, where the others do not move, and once for what they have in common.

    The unperturbed loss in each block's program would be compiled again for each, which takes far longer than it runs.
    """

    def __init__(
        self, objective: Objective, factors: Factors, evaluate: Callable[..., Any], interpret: Callable[..., Any]
    ) -> None:
        self._objective, self._evaluate, self._interpret = objective, evaluate, interpret
        self._factors, self._first = factors, _first_chunks(objective, factors)
        # Values cannot be handed from one compiled step to another by reference: they go in and out as arguments, and
        # `expressions`, which all steps number alike, says which is which. `numbers` is filled while `common` is
        # traced, at its first call, which comes before the first call of a step. Each block needs other values.
        self._expressions = Expressions()
        self._numbers: list[int] = []
        self._common = objective.compile(self._in_common, seldom=True)
        total = objective.layout.num_parameters
        small = [_SMALL * size <= total for size in objective.layout.sizes]
        self._near = [self._compiled(block, near=True, seldom=seldom) for block, seldom in enumerate(small)]
        self._whole = [self._compiled(block, near=False, seldom=seldom) for block, seldom in enumerate(small)]

    def _compiled(self, block: int, *, near: bool, seldom: bool) -> Callable[..., Any]:
        return self._objective.compile(partial(self._step, block, near=near), seldom=seldom)

    def _in_common(self, leaves: Leaves, pairs: Any, scales: Leaves, data: Data) -> tuple[Array, tuple[Any, ...]]:
        objective, shared = self._objective, Shared(self._expressions)
        text = objective.require_text("structured evaluation")
        ops = NearOnly(objective.ops)  # what is far has nothing in common with anything, and takes long to trace
        for first, (left, right) in zip(self._first, pairs, strict=True):
            tangents = self._factors.tangents(leaves, first.block, left, right, scales[first.block])
            self._interpret(text, ops, leaves, tangents, data, shared=shared)
        self._numbers[:] = shared.values
        # The loss itself too: most of it is among those values, and a program of its own would compile that again.
        return text(objective.ops, leaves, data), tuple(shared.values.values())

    def _step(
        self,
        block: int,
        leaves: Leaves,
        left: Array,
        right: Array,
        scale: Array,
        given: tuple[Any, ...],
        data: Data,
        *,
        near: bool,
    ) -> Any:
        objective, shared = self._objective, Shared(self._expressions, dict(zip(self._numbers, given, strict=True)))
        tangents = self._factors.tangents(leaves, block, left, right, scale)
        if not near:  # of evaluations that have been counted
            return self._interpret(objective.text, objective.ops, leaves, tangents, data, shared=shared)
        ops = NearOnly(objective.ops)
        found = self._evaluate(leaves, tangents, data, shared=shared, ops=ops)
        return (found[0], ops.marked(found[1])) if isinstance(found, tuple) else ops.marked(found)

    def __call__(self, leaves: Leaves, chunk: Chunk, displacement: Displacement) -> Displaced:
        _, values = self._unperturbed(leaves, displacement.unperturbed)
        given = leaves, *self._factors(chunk), displacement.arrays[chunk.block], values

        def again() -> Array:
            return _displaced(self._whole[chunk.block](*given)).losses

        return _displaced(self._near[chunk.block](*given), again)

    def value(self, leaves: Leaves, unperturbed: Unperturbed) -> Array:
        """Return the loss itself."""
        found: Array = self._unperturbed(leaves, unperturbed)[0]
        return found

    def _unperturbed(self, leaves: Leaves, unperturbed: Unperturbed) -> tuple[Any, ...]:
        if unperturbed.values is None:
            # How far it is to go has no part in these values; the leaves are of the same form.
            pairs = tuple(self._factors.keep(chunk) for chunk in self._first)
            unperturbed.values = self._common(leaves, pairs, leaves)
        return unperturbed.values


def _first_chunks(objective: Objective, factors: Factors) -> list[Chunk]:
    """Return a chunk of each block that has entries: a row, or an entry."""
    blocks = enumerate(zip(objective.layout.shapes, objective.layout.sizes, strict=True))
    return [
        Chunk(block, np.arange(shape[-1] if factors.takes_rows(block) else 1))
        for block, (shape, size) in blocks
        if size
    ]
