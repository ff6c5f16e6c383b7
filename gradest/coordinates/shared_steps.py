"""Steps in which one block moves, compiled once for all blocks of one form.

A deep network has many blocks and few shapes, and what a loss takes to compile is paid for each step: of ten layers,
twenty times. Which of the blocks of its form moves is an argument of a step; the copies of the others have to be real
arrays there, as a framework's vmap makes of them anyway.
"""

from collections.abc import Callable
from functools import cache

import numpy as np

from gradest.backend import Leaves
from gradest.coordinates.factors import spread
from gradest.objective import Objective
from gradest.operations import Array

Alike = tuple[int, ...]
"""Blocks of one shape and dtype, by their numbers."""


class SharedSteps:
    """A step for each form of blocks: `steps.of(block)` is the step, and the argument that says which block moves.

    Parameters
    ----------
    objective
        Whose blocks they are.
    make_step
        What makes the step of blocks that are alike. Where nothing is compiled, each block is alike to itself alone.
    """

    def __init__(self, objective: Objective, make_step: Callable[[Alike], Callable[..., Array]]) -> None:
        self._alike = _blocks_alike(objective)
        self._steps = {alike: make_step(alike) for alike in set(self._alike)}

        @cache  # a small array for each block, sent when it is first asked for
        def which(block: int) -> Array:
            moves = np.array([block == other for other in self._alike[block]], dtype=np.float64)
            return objective.ops.constant(moves, like=objective.start[block])

        self._which = which

    def of(self, block: int) -> tuple[Callable[..., Array], Array]:
        """Return the step in which the block moves, and what it is to be given as `which`."""
        return self._steps[self._alike[block]], self._which(block)


def _blocks_alike(objective: Objective) -> list[Alike]:
    forms = list(zip(objective.layout.shapes, objective.dtypes, strict=True))
    if "compile" not in objective.backend.native or objective.population_path == "loop":
        return [(k,) for k in range(len(forms))]
    return [tuple(k for k, other in enumerate(forms) if other == form) for form in forms]


def perturbed_copies(
    objective: Objective, leaves: Leaves, alike: Alike, left: Array, right: Array, scale: Array, which: Array | None
) -> Leaves:
    """Return K copies of the leaves, each with one entry of a block displaced; the leading axis counts the copies.

    The block is the one of those in `alike` where `which` is 1; None where it is the only one.
    """
    ops, shapes = objective.ops, objective.layout.shapes
    moves, count = spread(ops, left, right, shapes[alike[0]]) * scale, int(left.shape[0])

    def copies(k: int, leaf: Array) -> Array:
        if k not in alike:
            return ops.broadcast_to(leaf, (count, *shapes[k]))
        if which is None or len(alike) == 1:
            return leaf + moves
        here = ops.slice_axis(which, alike.index(k), alike.index(k) + 1, axis=0)
        here = ops.reshape(here, (1,) * (len(shapes[k]) + 1))
        # Chosen, not multiplied by 0: what does not move keeps the sign of its zeros.
        return ops.where(ops.greater(here, 0.0), leaf + moves, leaf)

    return tuple(copies(k, leaf) for k, leaf in enumerate(leaves))
