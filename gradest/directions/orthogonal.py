"""Directions that are orthogonal to each other within blocks of P. Knows no shapes of parameters.

A block is drawn whole, because no direction of it can be drawn without those before it; the last one is kept.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gradest.directions.independent import fill_normal
from gradest.directions.streams import LENGTH, PERMUTATION, Streams
from gradest.errors import MemoryBudgetError
from gradest.operations import NumpyArray

Fill = Callable[[Streams, int, NumpyArray], None]

_COPIES = 3  # the normal matrix, LAPACK's copy of it, and the frame
_ENTRY_BYTES = 8


class Frames:
    """Uniformly random orthonormal frames (Haar), of lengths sqrt(P) or chi_P.

    Direction i is row `i % P` of frame `i // P`.

    Source: Mezzadri 2007, arXiv:math-ph/0609050 (QR with positive diagonal); Choromanski et al. 2018,
    arXiv:1804.02395 (chi lengths).
    """

    def __init__(self, num_samples: int, size: int, *, chi: bool, memory_budget_bytes: int) -> None:
        rows = min(num_samples, size)
        needed = _COPIES * rows * size * _ENTRY_BYTES
        if needed > memory_budget_bytes:
            raise MemoryBudgetError(
                f"{rows} orthogonal directions of {size} entries were asked for: they are drawn together and need "
                f"{needed} bytes, and the memory budget is {memory_budget_bytes}; try fewer num_samples, a larger "
                "memory_budget_bytes, or distribution='rademacher'"
            )
        self._num_samples = num_samples
        self._size = size
        self._chi = chi
        self._last: tuple[int, NDArray[np.float64]] | None = None

    def fill(self, streams: Streams, start: int, out: NumpyArray) -> None:
        """Fill `(K, P)` with the directions start, ..., start + K - 1."""
        for k in range(len(out)):
            block, row = divmod(start + k, self._size)
            out[k] = self._frame(streams, block)[row]
        if self._chi:
            # Lengths have streams of their own: a direction must not change with the law of its length.
            for k in streams.seek(start, start + len(out), purpose=LENGTH):
                out[k] *= math.sqrt(streams.generator.chisquare(self._size) / self._size)

    def _frame(self, streams: Streams, block: int) -> NDArray[np.float64]:
        last = self._last
        if last is not None and last[0] == block:
            return last[1]
        # Only as many rows as are asked for: the frame of n normal vectors has the law of n rows of a whole frame.
        first = block * self._size
        normal = np.empty((min(self._size, self._num_samples - first), self._size))
        fill_normal(streams, first, normal)
        # LAPACK's signs are a convention, not random: without them the frame would not be Haar-distributed.
        orthonormal, triangular = np.linalg.qr(normal.T)
        frame = np.ascontiguousarray((orthonormal * np.copysign(math.sqrt(self._size), np.diagonal(triangular))).T)
        self._last = (block, frame)
        return frame


class Permutations:
    """Coordinates without replacement: direction i is sqrt(P) e_j, j = entry `i % P` of permutation `i // P`."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._last: tuple[int, NDArray[np.int64]] | None = None

    def fill(self, streams: Streams, start: int, out: NumpyArray) -> None:
        """Fill `(K, P)` with the directions start, ..., start + K - 1."""
        out.fill(0.0)
        for k in range(len(out)):
            block, place = divmod(start + k, self._size)
            out[k, self._permutation(streams, block)[place]] = math.sqrt(self._size)

    def _permutation(self, streams: Streams, block: int) -> NDArray[np.int64]:
        last = self._last
        if last is not None and last[0] == block:
            return last[1]
        for _ in streams.seek(block, block + 1, purpose=PERMUTATION):
            self._last = (block, streams.generator.permutation(self._size))
        return self._permutation(streams, block)
