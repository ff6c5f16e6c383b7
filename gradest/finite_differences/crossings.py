"""Which displacements carry a loss across a kink of relu, abs or maximum, and telling whoever asked.

A difference quotient across a kink mixes the slopes of its two sides. It is off by as much as they differ, which no
error estimate that supposes a smooth loss sees. Kinks can be seen only in a loss written in operations. This module
knows no rule and no estimator.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gradest.autodiff.kinks import crossed, distances_from_kinks
from gradest.backend import Leaves
from gradest.coordinates import Chunk, Factors, perturbed_copies
from gradest.errors import KinkWarning
from gradest.estimate import Cost
from gradest.finite_differences.displaced_losses import Displacement
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import Array, Data
from gradest.user_warnings import warn_user

KINKS = ("ignore", "mark", "warn")
"""What to do about kinks: not look for them, mark them in the estimate, or mark them and warn."""


Crossings = Callable[[Leaves, Sequence[Chunk], Sequence[Displacement]], NDArray[np.bool_]]
"""`(leaves, plan, displacements) -> which coordinates of the plan cross a kink, (P,)`; False for all others."""


def prepare_crossings(objective: Objective) -> Crossings:
    """Return the look for kinks, which costs one value at the leaves and one for each displacement of a coordinate.

    It runs whole evaluations, in steps that are compiled once, whatever path the estimate itself takes.

    Raises
    ------
    UnsupportedError
        The loss is an opaque function, whose kinks cannot be seen.
    """
    text = objective.require_text("looking for kinks", instead="two steps instead, and compare")
    layout, ops, numpy = objective.layout, objective.ops, objective.backend.numpy
    factors = Factors(objective, whole_rows=False)

    def at_leaves(leaves: Leaves, data: Data) -> tuple[Array, ...]:
        return distances_from_kinks(ops, lambda watched: text(watched, leaves, data))

    def make_step(block: int) -> Callable[..., tuple[Array, ...]]:
        def step(leaves: Leaves, left: Array, right: Array, scale: Array, data: Data) -> tuple[Array, ...]:
            # All blocks have the leading axis of the copies: a loss may join two of them.
            return at_leaves(perturbed_copies(objective, leaves, block, (left, right), scale), data)

        return objective.compile(step)

    start = objective.compile(at_leaves)
    steps = [make_step(block) for block in range(len(layout.shapes))]

    def crossings(leaves: Leaves, plan: Sequence[Chunk], moves: Sequence[Displacement]) -> NDArray[np.bool_]:
        found = np.zeros(layout.num_parameters, dtype=np.bool_)
        objective.count(Cost(values=1 + len(moves) * sum(chunk.positions.size for chunk in plan)))
        here = [numpy(distance) for distance in start(leaves)]
        for chunk in plan:
            places = layout.offsets[chunk.block] + chunk.positions
            for move in moves:
                there = steps[chunk.block](leaves, *factors(chunk), move.arrays[chunk.block])
                found[places] |= crossed(here, [numpy(distance) for distance in there], places.size)
        return found

    return crossings


def warn_of_crossings(layout: Layout, crossings: NDArray[np.bool_]) -> None:
    """Warn where a displacement crosses a kink, naming the parameters and how many of their entries it concerns."""
    if not crossings.any():
        return
    blocks = zip(layout.names, layout.offsets, layout.sizes, strict=True)
    counts = {name: (int(crossings[start : start + size].sum()), size) for name, start, size in blocks}
    where = ", ".join(f"{name!r} {count} of {size}" for name, (count, size) in counts.items() if count)
    warn_user(
        f"{int(crossings.sum())} of {crossings.size} difference quotients cross a kink ({where}) and mix the slopes of "
        "its sides; take a shorter step, or leave these entries out by the estimate's `crossings`",
        KinkWarning,
    )
