"""Losses at parameters with single entries displaced, in chunks: the evaluations that finite differences are made of.

Three ways to evaluate them, named in the result: a batch of perturbed copies (or the framework's vmap, or a loop),
a loop in place on a private copy for functions of NumPy arrays, and structured evaluation, which computes
again only what the entry touches. This module knows no scheme.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Data, Leaves
from gradest.estimators.coordinates import Chunk, Factors, spread
from gradest.objective import Objective
from gradest.operations import Array

Floats = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Displacement:
    """How far each entry is to be moved: flat NumPy arrays for each block, and arrays like the leaves.

    Both cross to the framework once an estimate, not once a chunk.
    """

    flat: tuple[Floats, ...]
    arrays: Leaves

    def of(self, chunk: Chunk) -> Floats:
        """Return the displacements of a chunk's entries, `(K,)`."""
        found: Floats = self.flat[chunk.block][chunk.positions]
        return found


def as_displacement(objective: Objective, flat: Sequence[Floats]) -> Displacement:
    """Return a displacement from flat NumPy arrays."""
    shaped = zip(flat, objective.layout.shapes, objective.start, strict=True)
    return Displacement(tuple(flat), tuple(objective.ops.constant(v.reshape(shape), like=x) for v, shape, x in shaped))


DisplacedLosses = Callable[[Leaves, Chunk, Displacement], tuple[Array, Array]]
"""`(leaves, chunk, displacement) -> (losses (K,), None)`, or `(exact differences (K,), the loss at the leaves)`."""


def prepare_black_box(objective: Objective, plan: Sequence[Chunk]) -> tuple[DisplacedLosses, str]:
    """Return the losses by whole evaluations, and the path: "batched", "vmap" or "loop"."""
    path = objective.population_path
    if all(isinstance(leaf, np.ndarray) for leaf in objective.start):
        return (_in_place(objective) if path == "loop" else _written(objective)), path
    return _population(objective, Factors(objective, whole_rows=False, plan=plan)), path


def _population(objective: Objective, factors: Factors) -> DisplacedLosses:
    """Return the losses of perturbed copies that are made where the framework compiles."""

    def evaluate(leaves: Leaves, block: int, left: Array, right: Array, scale: Array, data: Data) -> Array:
        population = perturbed_copies(objective, leaves, block, left, right, scale)
        return objective.evaluate_population(population, data)

    return _compiled(objective, factors, evaluate)


def _written(objective: Objective) -> DisplacedLosses:
    """Return the losses of perturbed copies of NumPy arrays: one pass over memory where arithmetic takes three."""
    shapes = objective.layout.shapes

    def losses(leaves: Leaves, chunk: Chunk, displacement: Displacement) -> tuple[Array, Array]:
        count = chunk.positions.size
        population = [np.broadcast_to(leaf, (count, *shape)) for leaf, shape in zip(leaves, shapes, strict=True)]
        moving = np.repeat(np.reshape(leaves[chunk.block], (1, -1)), count, axis=0)
        moving[np.arange(count), chunk.positions] += displacement.of(chunk)
        population[chunk.block] = moving.reshape(population[chunk.block].shape)
        return objective.evaluate_population(tuple(population), objective.data), None

    return losses


def _in_place(objective: Objective) -> DisplacedLosses:
    """Return the losses one by one, each entry moved in a private copy and put back from the original."""

    def losses(leaves: Leaves, chunk: Chunk, displacement: Displacement) -> tuple[Array, Array]:
        copies = tuple(np.array(leaf) for leaf in leaves)  # C order, writeable, the caller's arrays untouched
        moving, original = copies[chunk.block].reshape(-1), copies[chunk.block].reshape(-1).copy()
        values = []
        for position, move in zip(chunk.positions, displacement.of(chunk), strict=True):
            moving[position] = original[position] + move
            values.append(np.asarray(objective.evaluate(copies, objective.data)))
            moving[position] = original[position]  # adding and subtracting again would leave its rounding behind
        return np.stack(values), None

    return losses


def prepare_structured(objective: Objective, plan: Sequence[Chunk]) -> tuple[DisplacedLosses, str]:
    """Return the losses computed from the unperturbed evaluation and what an entry of a matrix touches."""
    factors = Factors(objective, whole_rows=True, plan=plan)

    def evaluate(leaves: Leaves, block: int, left: Array, right: Array, scale: Array, data: Data) -> Array:
        return objective.evaluate_perturbed(leaves, factors.tangents(leaves, block, left, right, scale), data)

    return _compiled(objective, factors, evaluate), "structured"


def prepare_exact(objective: Objective, plan: Sequence[Chunk], *, whole_rows: bool) -> tuple[DisplacedLosses, str]:
    """Return the exact differences from the loss, and the loss, by `gradest.autodiff`."""
    factors = Factors(objective, whole_rows=whole_rows, plan=plan)

    def evaluate(leaves: Leaves, block: int, left: Array, right: Array, scale: Array, data: Data) -> Any:
        return objective.evaluate_differences(leaves, factors.tangents(leaves, block, left, right, scale), data)

    run = _compiled(objective, factors, evaluate)

    def differences(leaves: Leaves, chunk: Chunk, displacement: Displacement) -> tuple[Array, Array]:
        (value, changes), _ = run(leaves, chunk, displacement)
        return changes, value

    return differences, f"{'structured' if whole_rows else 'batched'}, exact differences"


def _compiled(objective: Objective, factors: Factors, evaluate: Callable[..., Any]) -> DisplacedLosses:
    """Return an evaluation compiled once for each block, in which the others do not move."""

    def make_step(block: int) -> Callable[..., Any]:
        def step(leaves: Leaves, left: Array, right: Array, scale: Array, data: Data) -> Any:
            return evaluate(leaves, block, left, right, scale, data)

        return objective.compile(step)

    steps = [make_step(block) for block in range(len(objective.layout.shapes))]

    def losses(leaves: Leaves, chunk: Chunk, displacement: Displacement) -> tuple[Any, Array]:
        return steps[chunk.block](leaves, *factors(chunk), displacement.arrays[chunk.block]), None

    return losses


def perturbed_copies(
    objective: Objective, leaves: Leaves, block: int, left: Array, right: Array, scale: Array
) -> Leaves:
    """Return the leaves with a leading axis K: a block with an entry displaced in each copy, the others as they are."""
    ops, shapes = objective.ops, objective.layout.shapes
    moving = leaves[block] + spread(ops, left, right, shapes[block]) * scale
    count = int(left.shape[0])
    return tuple(moving if k == block else ops.broadcast_to(leaf, (count, *shapes[k])) for k, leaf in enumerate(leaves))
