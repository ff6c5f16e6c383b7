"""Steps in which one block moves, compiled once for all blocks of one form.

A deep network has many blocks and few shapes, and what a loss takes to compile is paid for each step: of ten layers,
twenty times. Which of the blocks of its form moves is an argument of a step. Blocks of other forms do not move there:
what a user's function makes of them alone is computed once.
"""

from collections.abc import Callable
from functools import cache

import numpy as np

from gradest.backend import Leaves
from gradest.coordinates.factors import spread
from gradest.objective import Objective
from gradest.operations import Array, Data

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
    if not _is_compiled(objective):
        return [(k,) for k in range(len(forms))]
    return [tuple(k for k, other in enumerate(forms) if other == form) for form in forms]


def _is_compiled(objective: Objective) -> bool:
    return "compile" in objective.backend.native and objective.population_path != "loop"


def perturbed_losses(
    objective: Objective,
    leaves: Leaves,
    alike: Alike,
    pair: tuple[Array, Array],
    scale: Array,
    which: Array,
    data: Data,
) -> Array:
    """Return the K losses with one entry of a block displaced in each, `(K,)`; `pair` are the entries' factors.

    The block is the one of those in `alike` where `which` is 1.
    """
    if not _is_compiled(objective):
        return objective.evaluate_population(perturbed_copies(objective, leaves, alike[0], pair, scale), data)
    ops, shape = objective.ops, objective.layout.shapes[alike[0]]
    moves = spread(ops, *pair, shape) * scale
    if len(alike) == 1:
        return objective.evaluate_moved(leaves, {alike[0]: leaves[alike[0]] + moves}, data)
    moved = {}
    for place, block in enumerate(alike):
        here = ops.reshape(ops.slice_axis(which, place, place + 1, axis=0), (1,) * (len(shape) + 1))
        # Chosen, not multiplied by 0: what does not move keeps the sign of its zeros.
        moved[block] = ops.where(ops.greater(here, 0.0), leaves[block] + moves, leaves[block])
    return objective.evaluate_moved(leaves, moved, data)


def perturbed_copies(
    objective: Objective, leaves: Leaves, block: int, pair: tuple[Array, Array], scale: Array
) -> Leaves:
    """Return K copies of the leaves, each with one entry of a block displaced; the leading axis counts the copies."""
    ops, shapes, count = objective.ops, objective.layout.shapes, int(pair[0].shape[0])
    moving = leaves[block] + spread(ops, *pair, shapes[block]) * scale
    return tuple(moving if k == block else ops.broadcast_to(leaf, (count, *shapes[k])) for k, leaf in enumerate(leaves))
