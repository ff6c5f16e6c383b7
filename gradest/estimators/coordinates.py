"""The basis directions e_1..e_P in chunks: which coordinates stand in each, and how a step names them.

A chunk lies within one parameter block, so that all other blocks have no direction at all. Directions cross to the
framework as two thin factors, not as `(K, *shape)`: an entry of an array is a row and a column of it. This module
knows no estimator.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.chunking import choose_chunk_size, chunks
from gradest.layout import Layout, Shape
from gradest.objective import Objective
from gradest.operations import Array, Operations
from gradest.tangents import Dense, Rows, Tangent, Zero

DENSE_CHUNK_BYTES = 1 << 21
"""About what K perturbed copies of the parameters may take: larger populations leave the cache (2 MiB)."""

_ITEMSIZE = 8  # sizes are counted in float64 for every dtype, so that chunks follow from the layout alone

Positions = NDArray[np.intp]


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
    found = []
    for block, (start, size) in enumerate(zip(layout.offsets, layout.sizes, strict=True)):
        if coordinates is None:
            inside = np.arange(size, dtype=np.intp)
        else:
            low, high = np.searchsorted(coordinates, (start, start + size))
            inside = coordinates[low:high] - start
        if inside.size:
            size_here = _dense_size(layout, inside.size, chunk_size)
            found += [Chunk(block, inside[a:b]) for a, b in chunks(inside.size, size_here)]
    return tuple(found)


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


def factors(shape: Shape, chunk: Chunk, sizes: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Return `left` `(K, rows)` and `right` `(K, columns)` whose outer products are `sizes[k] * e_k`."""
    columns = shape[-1] if shape else 1
    count = chunk.positions.size
    left = np.zeros((count, math.prod(shape) // columns), dtype=sizes.dtype)
    right = np.zeros((count, columns), dtype=sizes.dtype)
    row, column = np.divmod(chunk.positions, columns)
    left[np.arange(count), row] = 1.0
    right[np.arange(count), column] = sizes
    return left, right


def spread(ops: Operations, left: Array, right: Array, shape: Shape) -> Array:
    """Return the directions of two factors as one array `(K, *shape)`."""
    (count, rows), columns = (int(n) for n in left.shape), int(right.shape[1])
    product = ops.reshape(left, (count, rows, 1)) * ops.reshape(right, (count, 1, columns))
    return ops.reshape(product, (count, *shape))


def row_factors(shape: Shape, chunk: Chunk, sizes: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Return the selector `(I, m)` (of one entry for a vector) and the scale `(I, n)` of a chunk of whole rows."""
    columns = shape[-1]
    scale = sizes.reshape(-1, columns)
    if len(shape) == 1:
        return np.ones((1, 1), dtype=sizes.dtype), scale
    selector = np.zeros((scale.shape[0], shape[0]), dtype=sizes.dtype)
    selector[np.arange(scale.shape[0]), chunk.positions[::columns] // columns] = 1.0
    return selector, scale


def tangents_of(
    objective: Objective, leaves: Sequence[Array], block: int, first: Array, second: Array, *, whole_rows: bool
) -> tuple[Tangent, ...]:
    """Return the tangents of all blocks: those of the factors for one, symbolic zeros for the rest."""
    shape, ops = objective.layout.shapes[block], objective.ops
    moving: Tangent
    if whole_rows and len(shape) in (1, 2):
        moving = Rows(None if len(shape) == 1 else first, second)
    else:
        moving = Dense(spread(ops, first, second, shape))
    return tuple(moving if k == block else Zero(moving.count, leaf) for k, leaf in enumerate(leaves))


def factors_of(
    objective: Objective, chunk: Chunk, sizes: NDArray[Any], like: Array, *, whole_rows: bool
) -> tuple[Array, ...]:
    """Return the factors of a chunk as arrays of the framework, of the dtype and on the device of `like`."""
    shape = objective.layout.shapes[chunk.block]
    make = row_factors if whole_rows and len(shape) in (1, 2) else factors
    return tuple(objective.ops.constant(values, like=like) for values in make(shape, chunk, sizes))


def gather(
    objective: Objective, parts: Sequence[tuple[Chunk, NDArray[Any]]], *, scale: float = 1.0
) -> tuple[Array, ...]:
    """Return the gradient leaves with the parts' entries in their places, zeros elsewhere, all times `scale`."""
    layout, backend = objective.layout, objective.backend
    wide = np.result_type(np.float64, *(values.dtype for _, values in parts))
    blocks = [np.zeros(size, dtype=wide) for size in layout.sizes]
    for chunk, values in parts:
        blocks[chunk.block][chunk.positions] = values * scale
    return tuple(
        backend.array(block.reshape(shape), dtype=dtype, device=objective.device)
        for block, shape, dtype in zip(blocks, layout.shapes, objective.dtypes, strict=True)
    )
