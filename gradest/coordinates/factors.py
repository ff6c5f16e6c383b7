"""How the basis directions of a chunk reach the framework: as two thin arrays, not as one of `(K, *shape)`.

An entry of a matrix is a row and a column of it, so that K directions of an `(m, n)` block are K rows and K columns,
`K (m + n)` numbers in place of `K m n`. Compiled steps take these factors as arguments and multiply them out
themselves, so that one compilation serves every chunk of a block.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from gradest.coordinates.chunks import ITEMSIZE, Chunk
from gradest.layout import Layout, Shape
from gradest.objective import Objective
from gradest.operations import Array, NumpyArray, Operations
from gradest.tangents import Dense, Rows, Tangent, Zero

KEPT_BYTES = 1 << 22
"""How large the directions of a whole sweep may be to be kept from one estimate to the next (4 MiB)."""


class Factors:
    """Makes the directions of a chunk as two thin arrays of the framework, and keeps those of a plan if they are small.

    Of single entries: rows `(K, rows)` and columns `(K, columns)`, one-hot, whose outer products are the directions.
    Of whole rows: the selector `(I, m)` of the rows, one-hot (`(1, 1)` for a vector), and ones `(I, n)`.
    """

    def __init__(self, objective: Objective, *, whole_rows: bool, plan: Sequence[Chunk] = ()) -> None:
        self.objective = objective
        self.whole_rows = whole_rows
        widths = factor_widths(objective.layout)
        size = sum(chunk.positions.size * sum(widths[chunk.block]) * ITEMSIZE for chunk in plan)
        # All or none: a cache of the first few chunks would be refilled by each sweep and never be read.
        self._keeps = size <= KEPT_BYTES
        self._planned = frozenset(plan)  # drawn coordinates differ each time, and are not kept
        self._kept: dict[Chunk, tuple[Array, Array]] = {}

    def __call__(self, chunk: Chunk) -> tuple[Array, Array]:
        """Return the factors of a chunk, of the dtype and on the device of its block."""
        if chunk in self._kept:
            return self._kept[chunk]
        if self._keeps and chunk in self._planned:
            return self.keep(chunk)
        # Sent for one call: as an argument of a compiled step they take a tenth of what a transfer beforehand does.
        return self._made(chunk, self.objective.backend.argument)

    def keep(self, chunk: Chunk) -> tuple[Array, Array]:
        """Return the factors of a chunk, as arrays of the framework that stay for the next call."""
        if chunk not in self._kept:
            self._kept[chunk] = self._made(chunk, self.objective.backend.array)
        return self._kept[chunk]

    def _made(self, chunk: Chunk, send: Callable[..., Array]) -> tuple[Array, Array]:
        objective, block = self.objective, chunk.block
        make = _row_factors if self.takes_rows(block) else entry_factors
        left, right = make(objective.layout.shapes[block], chunk)
        dtype, device = objective.dtypes[block], objective.device
        return send(left, dtype=dtype, device=device), send(right, dtype=dtype, device=device)

    def takes_rows(self, block: int) -> bool:
        """Whether chunks of the block are whole rows."""
        return self.whole_rows and len(self.objective.layout.shapes[block]) in (1, 2)

    def moving(self, leaves: Sequence[Array], chunk: Chunk, moves: NumpyArray) -> tuple[Tangent, ...]:
        """Return the directions of all blocks, the entries of a chunk of rows moving by `moves`, `(K,)` on the host.

        For frameworks that run operations one by one: there the rows' own moves are at hand, and no product by the
        selector has to pick them.
        """
        objective, block = self.objective, chunk.block
        shape, dtype, device = objective.layout.shapes[block], objective.dtypes[block], objective.device
        rows = objective.backend.argument(moves.reshape(-1, shape[-1]), dtype=dtype, device=device)
        if len(shape) == 1:
            return self._with_zeros(leaves, block, Rows(None, rows))
        if chunk in self._kept or (self._keeps and chunk in self._planned):
            selector, _ = self(chunk)
        else:
            selector = objective.backend.argument(_selector(shape, chunk), dtype=dtype, device=device)
        return self._with_zeros(leaves, block, Rows(selector, rows))

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
            # The selector times the scales picks the rows' own scales: `(I, m) @ (m, n)`, one for each entry moved.
            moving = Rows(left, right if scale is None else ops.matmul(left, scale))
        return self._with_zeros(leaves, block, moving)

    def _with_zeros(self, leaves: Sequence[Array], block: int, moving: Tangent) -> tuple[Tangent, ...]:
        count = moving.count
        return tuple(moving if k == block else Zero(count, leaf) for k, leaf in enumerate(leaves))


def spread(ops: Operations, left: Array, right: Array, shape: Shape) -> Array:
    """Return the directions of two factors as one array `(K, *shape)`."""
    (count, rows), columns = (int(n) for n in left.shape), int(right.shape[1])
    product = ops.reshape(left, (count, rows, 1)) * ops.reshape(right, (count, 1, columns))
    return ops.reshape(product, (count, *shape))


def factor_widths(layout: Layout) -> list[tuple[int, int]]:
    """Return how many rows and columns the factors of each block have; an array of more axes is a matrix too."""
    return [(math.prod(shape[:-1]), shape[-1] if shape else 1) for shape in layout.shapes]


def entry_factors(shape: Shape, chunk: Chunk) -> tuple[NumpyArray, NumpyArray]:
    """Return the rows `(K, rows)` and columns `(K, columns)`, one-hot, of the entries of a chunk."""
    columns = shape[-1] if shape else 1  # a block of more axes is a matrix too: all axes but the last are its rows
    row, column = np.divmod(chunk.positions, columns)
    every = np.arange(chunk.positions.size)
    left, right = np.zeros((every.size, math.prod(shape) // columns)), np.zeros((every.size, columns))
    left[every, row] = right[every, column] = 1.0
    return left, right


def _row_factors(shape: Shape, chunk: Chunk) -> tuple[NumpyArray, NumpyArray]:
    selector = _selector(shape, chunk)
    return selector, np.ones((len(selector), shape[-1]))


def _selector(shape: Shape, chunk: Chunk) -> NumpyArray:
    """Return the rows of a chunk, one-hot: `(I, m)`, or `(1, 1)` of a vector."""
    rows = chunk.positions[:: shape[-1]] // shape[-1]
    selector = np.zeros((rows.size, shape[0] if len(shape) == 2 else 1))
    selector[np.arange(rows.size), rows] = 1.0
    return selector
