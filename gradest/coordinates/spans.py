"""Coordinates in spans of one length, across parameter blocks, so that one compiled step serves all of them.

A chunk of one block needs a step of its own, which a framework that compiles pays for block by block: a network of
twenty arrays would be compiled twenty times. Where zeros of the other blocks must be real arrays anyway, nothing is
lost by letting a span run on into the next block.
"""

from dataclasses import dataclass

import numpy as np

from gradest.backend import Leaves
from gradest.chunking import choose_chunk_size, chunks
from gradest.coordinates.chunks import DENSE_CHUNK_BYTES, ITEMSIZE, Chunk
from gradest.coordinates.factors import KEPT_BYTES, entry_factors, factor_widths, spread
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import Array, NumpyArray

_Pair = tuple[Array, Array]


@dataclass(frozen=True, eq=False)
class Span:
    """Consecutive coordinates of all parameters: a chunk of each block that they lie in, and where it begins.

    Compared by identity, as chunks are.
    """

    pieces: tuple[tuple[int, Chunk], ...]


class Spans:
    """All P coordinates in spans of `length`, the last filled up with directions of zeros, and their directions.

    Attributes
    ----------
    length
        K, how many directions go together: `chunk_size`, or as many as fit the cache.
    plan
        The spans, in order.

    Raises
    ------
    MemoryBudgetError
        The chunk asked for does not fit the budget.
    """

    def __init__(self, objective: Objective, chunk_size: int | None) -> None:
        self._objective, layout = objective, objective.layout
        self.length = _length(layout, chunk_size)
        self.plan = tuple(Span(_pieces(layout, *ends)) for ends in chunks(layout.num_parameters, self.length))
        widths = factor_widths(layout)
        sent = (self.length * sum(widths[chunk.block]) for span in self.plan for _, chunk in span.pieces)
        self._keeps = sum(sent) * ITEMSIZE <= KEPT_BYTES
        self._kept: dict[Span, tuple[_Pair, ...]] = {}
        self._zeros: list[_Pair] = []

    def factors(self, span: Span) -> tuple[_Pair, ...]:
        """Return the factors of the directions of a span, `(K, rows)` and `(K, columns)` for each block."""
        if span in self._kept:
            return self._kept[span]
        if not self._zeros:  # sent once, for every span; here, where the backend's own settings hold, dtypes are kept
            self._zeros = [
                self._send(block, np.zeros((self.length, rows)), np.zeros((self.length, columns)))
                for block, (rows, columns) in enumerate(factor_widths(self._objective.layout))
            ]
        found = list(self._zeros)
        for first, chunk in span.pieces:
            found[chunk.block] = self._send(chunk.block, *self._padded(first, chunk))
        if self._keeps:
            self._kept[span] = tuple(found)
        return tuple(found)

    def directions(self, factors: tuple[_Pair, ...]) -> Leaves:
        """Return the directions of factors, `(K, *shape)` for each block; for use inside a compiled step."""
        shapes = self._objective.layout.shapes
        return tuple(spread(self._objective.ops, *pair, shape) for pair, shape in zip(factors, shapes, strict=True))

    def _padded(self, first: int, chunk: Chunk) -> tuple[NumpyArray, NumpyArray]:
        around = ((first, self.length - first - chunk.positions.size), (0, 0))
        left, right = entry_factors(self._objective.layout.shapes[chunk.block], chunk)
        return np.pad(left, around), np.pad(right, around)

    def _send(self, block: int, left: NumpyArray, right: NumpyArray) -> _Pair:
        ops, like = self._objective.ops, self._objective.start[block]
        return ops.constant(left, like=like), ops.constant(right, like=like)


def _length(layout: Layout, chunk_size: int | None) -> int:
    count, row_bytes = layout.num_parameters, layout.num_parameters * ITEMSIZE
    if chunk_size is None:
        most = min(count, max(1, DENSE_CHUNK_BYTES // max(1, row_bytes)))
        chunk_size = -(-count // -(-count // most))  # as even as can be: what fills up the last span is computed too
    return choose_chunk_size(count, bytes_per_item=row_bytes, chunk_size=chunk_size)


def _pieces(layout: Layout, start: int, stop: int) -> tuple[tuple[int, Chunk], ...]:
    """Return the chunks of blocks that coordinates `start` to `stop` lie in, and where in the span each begins."""
    found = []
    for block, (offset, size) in enumerate(zip(layout.offsets, layout.sizes, strict=True)):
        low, high = max(start, offset), min(stop, offset + size)
        if low < high:
            found.append((low - start, Chunk(block, np.arange(low - offset, high - offset, dtype=np.intp))))
    return tuple(found)
