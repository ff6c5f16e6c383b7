"""Which coordinates are evaluated together: chunks that lie within one parameter block and fit the cache.

A chunk lies within one block, so that the directions of all other blocks are known to be zero and cost nothing. Chunks
follow from the layout alone: results do not depend on a machine's speed or load, and a sweep is planned once.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gradest.chunking import choose_chunk_size, chunks
from gradest.layout import Layout
from gradest.whole_numbers import whole_number

DENSE_CHUNK_BYTES = 1 << 22
"""About what K perturbed copies of the parameters may take in float64: larger ones leave the cache (4 MiB)."""

ITEMSIZE = 8
"""Bytes of a number for the sake of chunks: float64's for every dtype, so that chunks follow from the layout alone."""

Positions = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Chunk:
    """K coordinates of one block, at least one, by their places in the flattened block (C order), sorted, each once.

    Compared by identity: a chunk of a plan is the key under which what was made for it is kept.
    """

    block: int
    positions: Positions

    @cached_property
    def place(self) -> "slice | Positions":
        """The positions as an index into the flattened block: a slice where they follow each other.

        A slice is a view at once; by an index array reading or writing of some hundred entries takes microseconds.
        """
        first, last = int(self.positions[0]), int(self.positions[-1])
        return slice(first, last + 1) if last + 1 - first == self.positions.size else self.positions


def dense_chunks(layout: Layout, coordinates: Positions | None, chunk_size: int | None) -> tuple[Chunk, ...]:
    """Return chunks that cover the coordinates (flat, sorted; None for all P), at most `chunk_size` in each.

    Raises
    ------
    MemoryBudgetError
        The chunk asked for does not fit the budget.
    """
    found: list[Chunk] = []
    for block, (start, size) in enumerate(zip(layout.offsets, layout.sizes, strict=True)):
        if coordinates is None:
            inside = np.arange(size, dtype=np.intp)
        else:
            low, high = np.searchsorted(coordinates, (start, start + size))  # they are sorted: no pass over all P
            inside = coordinates[low:high] - start
        if not inside.size:
            continue
        most = _dense_size(layout, inside.size, chunk_size)
        pieces = chunks(inside.size, most) if coordinates is None else _binary_chunks(inside.size, most)
        found += [Chunk(block, inside[a:b]) for a, b in pieces]
    return tuple(found)


def _binary_chunks(num_items: int, most: int) -> list[tuple[int, int]]:
    """Return `(start, stop)` of chunks whose sizes are powers of two, the largest first.

    Drawn coordinates fall into the blocks in other numbers each time; so few shapes are all that is ever compiled.
    """
    pieces, start = [], 0
    while start < num_items:
        size = 1 << (min(most, num_items - start).bit_length() - 1)
        pieces.append((start, start + size))
        start += size
    return pieces


def _dense_size(layout: Layout, num_items: int, chunk_size: int | None) -> int:
    row_bytes = layout.num_parameters * ITEMSIZE
    asked = _even_size(num_items, DENSE_CHUNK_BYTES // max(1, row_bytes)) if chunk_size is None else chunk_size
    return choose_chunk_size(num_items, bytes_per_item=row_bytes, chunk_size=asked)


def _even_size(num_items: int, most: int) -> int:
    """Return the largest chunk of at most `most` items that leaves no remainder, if at least half as large.

    A compiled step is compiled once for each shape, and a remainder is a second shape.
    """
    most = max(1, min(most, num_items))
    sizes = (size for size in range(most, most // 2, -1) if num_items % size == 0)
    return next(sizes, most)


def row_chunks(layout: Layout, chunk_size: int | None, *, default: int) -> tuple[Chunk, ...]:
    """Return chunks of whole rows of matrices, of whole vectors, and of entries of what has another rank.

    They have at most `chunk_size` directions (about `default`, where it is None), but a row at least.
    """
    if chunk_size is not None:
        whole_number("chunk_size", chunk_size)  # of less than a row all would be taken for a row
    found: list[Chunk] = []
    for block, (shape, start, size) in enumerate(zip(layout.shapes, layout.offsets, layout.sizes, strict=True)):
        if size == 0:
            continue
        if len(shape) not in (1, 2):
            found += dense_chunks(layout, np.arange(start, start + size, dtype=np.intp), chunk_size)
            continue
        row = shape[-1]
        most = max(1, (default if chunk_size is None else chunk_size) // row)
        most = _even_size(size // row, most) if chunk_size is None else most
        rows_here = choose_chunk_size(size // row, bytes_per_item=row * ITEMSIZE, chunk_size=most)
        found += [Chunk(block, np.arange(a * row, b * row)) for a, b in chunks(size // row, rows_here)]
    return tuple(found)
