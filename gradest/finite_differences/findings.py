"""What one sweep finds: derivatives in their places, and what its losses show of rounding and of values not finite.

Chunks are small, so that they stay in a cache: some microseconds of NumPy's for each look at each of them would add
up to more than their arithmetic. So losses are kept, and looked at some thousands at a time.
"""

from collections.abc import Sequence

import numpy as np

from gradest.backend import Leaves
from gradest.coordinates import Chunk, Gathering
from gradest.evaluation import ValuesSeen
from gradest.finite_differences.bending import Surroundings
from gradest.finite_differences.plain_rounding import PlainRounding
from gradest.finite_differences.quotients import Quotient
from gradest.objective import Objective
from gradest.operations import NumpyArray

NOTED_TOGETHER = 1 << 13
"""How many entries are kept before their losses are looked at: 64 kB of float64 for each displacement."""


class Findings:
    """Takes the slopes of a sweep chunk by chunk; `noted` says what the losses showed.

    Parameters
    ----------
    objective, scale
        Whose gradient it is, and what its entries are multiplied by.
    around
        What was seen of the loss about the start point, if it was looked at.
    """

    def __init__(self, objective: Objective, *, scale: float, around: Surroundings | None) -> None:
        self._gradient = Gathering(objective, scale=scale)
        self._rounding = PlainRounding(objective.value_epsilon, around)
        self._seen = ValuesSeen()
        self._kept: list[tuple[NumpyArray, Sequence[Quotient]]] = []
        self._count = 0

    def add(self, chunk: Chunk, slopes: NumpyArray, quotients: Sequence[Quotient]) -> None:
        """Take a chunk's slopes `(K,)` and the quotients that they are made of."""
        self._gradient.add(chunk, slopes)
        self._kept.append((slopes, quotients))
        self._count += slopes.size
        if self._count >= NOTED_TOGETHER:
            self._take_note()

    def leaves(self) -> Leaves:
        """Return the gradient."""
        return self._gradient.leaves()

    def noted(self) -> tuple[ValuesSeen, PlainRounding]:
        """Return what all values were, and how far rounding moves the quotients."""
        self._take_note()
        return self._seen, self._rounding

    def _take_note(self) -> None:
        if not self._kept:
            return
        losses = np.concatenate([part for _, quotients in self._kept for q in quotients for part in q.losses])
        self._seen.see(losses)
        slopes = np.concatenate([part for part, _ in self._kept])
        distances = np.concatenate([quotients[0].distance for _, quotients in self._kept])
        self._rounding.add(slopes, distances)
        self._kept.clear()
        self._count = 0
