"""Losses at parameters with single entries displaced, in chunks: the evaluations that finite differences are made of.

Three ways to evaluate them, named in the result: a batch of perturbed copies (or the framework's vmap, or a loop),
a loop in place on a private copy for functions of NumPy arrays, and structured evaluation, which computes
again only what the entry touches. This module knows no scheme.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Data, Leaves
from gradest.estimators.coordinates import Chunk, factors_of, spread, tangents_of
from gradest.objective import Objective
from gradest.operations import Array

Floats = NDArray[Any]
DisplacedLosses = Callable[[Leaves, Chunk, Floats], Array]
"""`(leaves, chunk, displacements (K,)) -> losses (K,)` at `leaves + displacements[k] e_k`."""
DisplacedDifferences = Callable[[Leaves, Chunk, Floats], tuple[Array, Array]]
"""`(leaves, chunk, displacements (K,)) -> (loss, losses (K,) minus it)`, without cancellation."""


def prepare_black_box(objective: Objective) -> tuple[DisplacedLosses, str]:
    """Return the losses by whole evaluations, and the path: "batched", "vmap" or "loop"."""
    path = objective.population_path
    if path == "loop" and all(isinstance(leaf, np.ndarray) for leaf in objective.start):
        return _in_place(objective), path
    return _population(objective), path


def _population(objective: Objective) -> DisplacedLosses:
    ops, shapes = objective.ops, objective.layout.shapes

    def make_step(block: int) -> Callable[..., Array]:
        def step(leaves: Leaves, left: Array, right: Array, data: Data) -> Array:
            count = int(left.shape[0])
            population = tuple(
                leaf + spread(ops, left, right, shapes[k])
                if k == block
                else ops.broadcast_to(leaf, (count, *shapes[k]))
                for k, leaf in enumerate(leaves)
            )
            return objective.evaluate_population(population, data)

        return objective.compile(step)

    steps = [make_step(block) for block in range(len(shapes))]

    def losses(leaves: Leaves, chunk: Chunk, displacements: Floats) -> Array:
        found = factors_of(objective, chunk, displacements, leaves[chunk.block], whole_rows=False)
        return steps[chunk.block](leaves, *found)

    return losses


def displaced(objective: Objective, leaves: Leaves, chunk: Chunk, displacements: Floats) -> Leaves:
    """Return the leaves, that of the chunk's block as K copies with one entry displaced in each, `(K, *shape)`."""
    left, right = factors_of(objective, chunk, displacements, leaves[chunk.block], whole_rows=False)
    shape = objective.layout.shapes[chunk.block]
    moving = leaves[chunk.block] + spread(objective.ops, left, right, shape)
    return tuple(moving if k == chunk.block else leaf for k, leaf in enumerate(leaves))


def _in_place(objective: Objective) -> DisplacedLosses:
    """Return the losses one by one, each entry moved in a private copy and put back from the original."""

    def losses(leaves: Leaves, chunk: Chunk, displacements: Floats) -> Array:
        copies = tuple(np.array(leaf) for leaf in leaves)  # C order, writeable, the caller's arrays untouched
        moving, original = copies[chunk.block].reshape(-1), copies[chunk.block].reshape(-1).copy()
        values = []
        for position, displacement in zip(chunk.positions, displacements, strict=True):
            moving[position] = original[position] + displacement
            values.append(np.asarray(objective.evaluate(copies, objective.data)))
            moving[position] = original[position]  # adding and subtracting again would leave its rounding behind
        return np.stack(values)

    return losses


def prepare_structured(objective: Objective) -> tuple[DisplacedLosses, str]:
    """Return the losses computed from the unperturbed evaluation and what an entry of a matrix touches."""

    def make_step(block: int) -> Callable[..., Array]:
        def step(leaves: Leaves, first: Array, second: Array, data: Data) -> Array:
            tangents = tangents_of(objective, leaves, block, first, second, whole_rows=True)
            return objective.evaluate_perturbed(leaves, tangents, data)

        return objective.compile(step)

    steps = [make_step(block) for block in range(len(objective.layout.shapes))]

    def losses(leaves: Leaves, chunk: Chunk, displacements: Floats) -> Array:
        found = factors_of(objective, chunk, displacements, leaves[chunk.block], whole_rows=True)
        return steps[chunk.block](leaves, *found)

    return losses, "structured"


def prepare_exact(objective: Objective, *, whole_rows: bool) -> DisplacedDifferences:
    """Return the loss and the exact differences from it, by `gradest.autodiff`."""

    def make_step(block: int) -> Callable[..., tuple[Array, Array]]:
        def step(leaves: Leaves, first: Array, second: Array, data: Data) -> tuple[Array, Array]:
            tangents = tangents_of(objective, leaves, block, first, second, whole_rows=whole_rows)
            return objective.evaluate_differences(leaves, tangents, data)

        return objective.compile(step)

    steps = [make_step(block) for block in range(len(objective.layout.shapes))]

    def differences(leaves: Leaves, chunk: Chunk, displacements: Floats) -> tuple[Array, Array]:
        found = factors_of(objective, chunk, displacements, leaves[chunk.block], whole_rows=whole_rows)
        value, changes = steps[chunk.block](leaves, *found)
        return value, changes

    return differences
