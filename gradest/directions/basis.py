"""The basis directions e_1..e_P in chunks: which coordinates stand in each, and how a step names them.

A chunk lies within one parameter block, so that all other blocks have no direction at all. Directions cross to the
framework as two thin factors, not as `(K, *shape)`: an entry of an array is a row and a column of it. This module
knows no estimator.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gradest.chunking import choose_chunk_size, chunks
from gradest.layout import Layout, Shape
from gradest.objective import Objective
from gradest.operations import Array, NumpyArray, Operations
from gradest.tangents import Dense, Rows, Tangent, Zero

DENSE_CHUNK_BYTES = 1 << 22
"""About what K perturbed copies of the parameters may take in float64: larger ones leave the cache (4 MiB)."""

QUEUED_CHUNKS = 4
"""How many chunks are begun before the first is awaited: a device stays busy, and memory does not grow with P."""

KEPT_BYTES = 1 << 22
"""How large the directions of a whole sweep may be to be kept from one estimate to the next (4 MiB)."""

_ITEMSIZE = 8  # sizes are counted in float64 for every dtype, so that chunks follow from the layout alone

_HOST_DTYPES = frozenset({"float32", "float64", "longdouble", np.dtype(np.longdouble).name})

Positions = NDArray[np.intp]
Begun = TypeVar("Begun")
Done = TypeVar("Done")


@dataclass(frozen=True, eq=False)
class Chunk:
    """States K coordinates of one block, by their places in the flattened block (C order)."""

    block: int
    positions: Positions


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
            low, high = np.searchsorted(coordinates, (start, start + size))
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
    row_bytes = layout.num_parameters * _ITEMSIZE
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
        rows_here = choose_chunk_size(size // row, bytes_per_item=row * _ITEMSIZE, chunk_size=most)
        found += [Chunk(block, np.arange(a * row, b * row)) for a, b in chunks(size // row, rows_here)]
    return tuple(found)


class Factors:
    """Makes the directions of a chunk as two thin arrays of the framework, and keeps those of a plan if they are small.

    Of single entries: rows `(K, rows)` and columns `(K, columns)`, one-hot, whose outer products are the directions. Of
    whole rows: the selector `(I, m)` of the rows, one-hot (`(1, 1)` for a vector), and ones `(I, n)`.
    """

    def __init__(self, objective: Objective, *, whole_rows: bool, plan: Sequence[Chunk] = ()) -> None:
        self.objective = objective
        self.whole_rows = whole_rows
        rows = (math.prod(shape[:-1]) + (shape[-1] if shape else 1) for shape in objective.layout.shapes)
        width = dict(enumerate(rows))
        size = sum(chunk.positions.size * width[chunk.block] * _ITEMSIZE for chunk in plan)
        self._keeps = size <= KEPT_BYTES
        self._planned = frozenset(plan)
        self._kept: dict[Chunk, tuple[Array, Array]] = {}

    def __call__(self, chunk: Chunk) -> tuple[Array, Array]:
        """Return the factors of a chunk, of the dtype and on the device of its block."""
        if chunk in self._kept:
            return self._kept[chunk]
        layout, like = self.objective.layout, self.objective.start[chunk.block]
        make = _row_factors if self.takes_rows(chunk.block) else _entry_factors
        left, right = (self.objective.ops.constant(v, like=like) for v in make(layout.shapes[chunk.block], chunk))
        if self._keeps and chunk in self._planned:
            self._kept[chunk] = left, right
        return left, right

    def takes_rows(self, block: int) -> bool:
        """Whether chunks of the block are whole rows."""
        return self.whole_rows and len(self.objective.layout.shapes[block]) in (1, 2)

    def tangents(
        self, leaves: Sequence[Array], block: int, left: Array, right: Array, scale: Array | None = None
    ) -> tuple[Tangent, ...]:
        """Return the directions of all blocks: symbolic zeros but for one, whose entries are scaled by `scale`."""
        ops, shape = self.objective.ops, self.objective.layout.shapes[block]
        moving: Tangent
        if not self.takes_rows(block):
            directions = spread(ops, left, right, shape)
            moving = Dense(directions if scale is None else directions * scale)
        elif len(shape) == 1:
            moving = Rows(None, right if scale is None else ops.reshape(scale, (1, shape[0])))
        else:
            moving = Rows(left, right if scale is None else ops.matmul(left, scale))
        return tuple(moving if k == block else Zero(moving.count, leaf) for k, leaf in enumerate(leaves))


def _entry_factors(shape: Shape, chunk: Chunk) -> tuple[NumpyArray, NumpyArray]:
    columns = shape[-1] if shape else 1
    row, column = np.divmod(chunk.positions, columns)
    every = np.arange(chunk.positions.size)
    left, right = np.zeros((every.size, math.prod(shape) // columns)), np.zeros((every.size, columns))
    left[every, row] = right[every, column] = 1.0
    return left, right


def _row_factors(shape: Shape, chunk: Chunk) -> tuple[NumpyArray, NumpyArray]:
    rows = chunk.positions[:: shape[-1]] // shape[-1]
    selector = np.zeros((rows.size, shape[0] if len(shape) == 2 else 1))
    selector[np.arange(rows.size), rows] = 1.0
    return selector, np.ones((rows.size, shape[-1]))


def spread(ops: Operations, left: Array, right: Array, shape: Shape) -> Array:
    """Return the directions of two factors as one array `(K, *shape)`."""
    (count, rows), columns = (int(n) for n in left.shape), int(right.shape[1])
    product = ops.reshape(left, (count, rows, 1)) * ops.reshape(right, (count, 1, columns))
    return ops.reshape(product, (count, *shape))


def pipeline(
    plan: Sequence[Chunk], begin: Callable[[Chunk], Begun], finish: Callable[[Chunk, Begun], Done]
) -> list[Done]:
    """Return `finish(chunk, begin(chunk))` for each chunk in order, with a few begun ahead of the one awaited."""
    queue: deque[tuple[Chunk, Begun]] = deque()
    done = []
    for chunk in plan:
        queue.append((chunk, begin(chunk)))
        if len(queue) > QUEUED_CHUNKS:
            done.append(finish(*queue.popleft()))
    return done + [finish(chunk, begun) for chunk, begun in queue]


class Gathering:
    """Puts derivatives into their places in the gradient as they come, times `scale`; other entries are zero."""

    def __init__(self, objective: Objective, *, scale: float = 1.0) -> None:
        self._objective = objective
        self._scale = scale
        sizes = zip(objective.layout.sizes, objective.dtypes, strict=True)
        self._blocks = [np.zeros(size, dtype=dtype if dtype in _HOST_DTYPES else np.float64) for size, dtype in sizes]

    def add(self, chunk: Chunk, values: NumpyArray) -> None:
        """Put `scale * values` into the places of a chunk."""
        self._blocks[chunk.block][chunk.positions] = values * self._scale

    def leaves(self) -> tuple[Array, ...]:
        """Return the gradient's leaves; they may be this object's own memory."""
        objective, layout = self._objective, self._objective.layout
        return tuple(
            objective.backend.array(block.reshape(shape), dtype=dtype, device=objective.device, copy=False)
            for block, shape, dtype in zip(self._blocks, layout.shapes, objective.dtypes, strict=True)
        )


def gather(objective: Objective, parts: Sequence[tuple[Chunk, NumpyArray]]) -> tuple[Array, ...]:
    """Return the gradient leaves with the parts' entries in their places, zeros elsewhere."""
    gathering = Gathering(objective)
    for chunk, values in parts:
        gathering.add(chunk, values)
    return gathering.leaves()
