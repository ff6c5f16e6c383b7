"""Random directions in the shapes of the parameters, a block at a time, by a law of `laws`."""

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from gradest.directions.independent import PART_ENTRIES, packed_signs
from gradest.directions.keys import Key
from gradest.directions.laws import Extent, law_of
from gradest.directions.reading import Reader
from gradest.directions.streams import Streams
from gradest.layout import Layout, Shape
from gradest.operations import NumpyArray
from gradest.tangents import Dense, LowRank, Tangent
from gradest.whole_numbers import whole_number

Noise = tuple[Any, ...]
"""For each parameter an array `(K, *shape)`, or `(left (K, m, r), right (K, n, r))` of a low-rank product."""

Factors = tuple[NumpyArray, NumpyArray]
"""One low-rank direction of a matrix `(m, n)`: left `(m, r)` and right `(n, r)`, of which it is left @ right^T."""

_MATRIX_AXES = 2
_SCRATCH_ENTRIES = 1 << 16
_ALIGNMENT_BYTES = 64


class Directions:
    """The random directions of one estimate, scaled so that E v v^T = I over all P entries.

    Parameters
    ----------
    key
        What decides them all; see `root_key`.
    distribution
        The name of their law: "normal"; "rademacher" (+1, -1); "uniform" on [-sqrt 3, sqrt 3); "sphere" (sqrt(P) u);
        "coordinates" (sqrt(P) e_j, with or "-without-replacement"); "orthogonal" (Haar frames of P, length sqrt(P)
        each); "orthogonal-chi" (lengths chi_P: each direction alone is normal); "low-rank" (`A B^T / sqrt(r)` for
        each matrix, A and B normal; other shapes are normal); or any other entry of `gradest.directions.LAWS`.
    num_samples
        How many directions there are; orthogonal ones come in blocks of `min(num_samples, P)`.
    dtype
        "float32" or "float64": in which precision they are drawn (two streams that differ). Anything else is
        drawn in float64.

    Attributes
    ----------
    key
        As given.
    rank
        As given; None where directions are not factors.
    signs
        Whether all numbers are +1 and -1.

    Examples
    --------
    >>> import gradest
    >>> from gradest.directions import Directions, root_key
    >>> layout = gradest.Layout(("w", "b"), ((2, 3), (3,)))
    >>> drawn = Directions(root_key(0), layout, "rademacher", num_samples=8, memory_budget_bytes=2**20)
    >>> w, b = drawn.block(0, 8)
    >>> w.shape, b.shape, bool((drawn.block(4, 8)[1] == b[4:]).all())
    ((8, 2, 3), (8, 3), True)
    """

    def __init__(
        self,
        key: Key,
        layout: Layout,
        distribution: str = "normal",
        *,
        num_samples: int,
        dtype: str = "float64",
        rank: int = 1,
        memory_budget_bytes: int,
    ) -> None:
        require_distribution(distribution, rank)
        self.key = key
        self._layout = layout
        law = law_of(distribution)
        self.rank = rank if law.factored else None
        # Half precisions draw in float64 too, and are rounded when placed: fewer streams, and no NumPy law in 16 bits.
        self._dtype = np.dtype(np.float32 if dtype == "float32" else np.float64)
        self._fill = law.draw(Extent(layout.num_parameters, num_samples, memory_budget_bytes))
        self._read = law.read
        self.signs = law.signs

    def block(self, start: int, stop: int) -> Noise:
        """Return the directions start, ..., stop - 1 as new arrays, one entry for each parameter."""
        if self.rank is None:
            return tuple(self._drawn(start, stop, self._layout.shapes))
        # Dividing one factor scales the product: E v v^T = I without touching the larger array.
        drawn = iter(self._drawn(start, stop, factor_shapes(self._layout, self.rank)))
        blocks: list[Any] = []
        for shape in self._layout.shapes:
            block = next(drawn)
            if len(shape) == _MATRIX_AXES:
                block /= math.sqrt(self.rank)
                blocks.append((block, next(drawn)))
            else:
                blocks.append(block)
        return tuple(blocks)

    @property
    def factored(self) -> bool:
        """Whether a direction of a matrix is drawn as two factors."""
        return self.rank is not None

    @property
    def read_in_parts(self) -> bool:
        """Whether the beginning of a direction can be drawn without the rest."""
        return self._read is not None

    @property
    def factor_entries(self) -> int:
        """How many numbers the factors of one direction hold, over all matrices; 0 where it has none."""
        return (
            0 if self.rank is None else self.rank * sum(sum(s) for s in self._layout.shapes if len(s) == _MATRIX_AXES)
        )

    def scratch(self, *, whole: bool = False) -> NumpyArray:
        """Return memory for `parts`, which several directions that are read in turns may share; or for all of one."""
        return np.empty(self._layout.num_parameters if whole else PART_ENTRIES, dtype=self._dtype)

    def parts(self, index: int, scratch: NumpyArray, *, radius: float = 1.0) -> Iterator[NumpyArray]:
        """Yield radius times all numbers that direction `index` is drawn from, `PART_ENTRIES` at a time.

        Of radius 1 they are those of `block`, bit for bit. Each part lies in the scratch, over the last one, or beside
        it where the scratch has room for all, and is the caller's to change.
        """
        shapes = self._layout.shapes if self.rank is None else factor_shapes(self._layout, self.rank)
        size = sum(math.prod(shape) for shape in shapes)
        if self._read is not None:
            yield from self._read(Streams(self.key), index, size, scratch, radius)
            return
        whole = scratch[:size] if scratch.size >= size else np.empty(size, dtype=self._dtype)
        self._fill(Streams(self.key), index, whole[None, :])
        if radius != 1.0:
            np.multiply(whole, radius, out=whole)
        for first in range(0, size, PART_ENTRIES):
            yield whole[first : first + PART_ENTRIES]

    def read(self, index: int, scratch: NumpyArray, *, radius: float = 1.0) -> Iterator[Factors | Iterator[NumpyArray]]:
        """Yield for each parameter radius times direction `index`: two factors, or its numbers in pieces `(n,)`.

        Pieces are as `parts` has them, and all of them must be taken before the next parameter is asked for.
        """
        # One factor of two is multiplied, and the numbers of all parameters come from one stream.
        reader = Reader(self.parts(index, scratch, radius=radius if self.rank is None else 1.0))
        for shape in self._layout.shapes:
            if self.rank is None:
                yield reader.take(math.prod(shape))
            elif len(shape) != _MATRIX_AXES:
                yield _multiplied(reader.take(math.prod(shape)), radius)
            else:
                left = reader.array((shape[0], self.rank), self._dtype)
                left /= math.sqrt(self.rank)  # as in `block`
                left *= radius
                yield left, reader.array((shape[1], self.rank), self._dtype)

    def packed_block(self, start: int, stop: int) -> Noise:
        """Return Rademacher directions as one array of bits for `Operations.unpack_signs`, 32 times smaller."""
        return (packed_signs(Streams(self.key), start, stop - start, self._layout.num_parameters),)

    def _drawn(self, start: int, stop: int, shapes: Sequence[Shape]) -> list[NumpyArray]:
        """Return arrays `(K, *shape)` that hold consecutive parts of the directions.

        Short directions are dealt out to contiguous arrays; long ones stay where they are drawn, and each part of each
        is contiguous.
        """
        sizes = [math.prod(shape) for shape in shapes]
        streams, total, count = Streams(self.key), sum(sizes), stop - start
        ends = list(accumulate(sizes))
        # No cache would hold a row: a copy costs more than parts with a stride between rows.
        if total > _SCRATCH_ENTRIES:
            flat = aligned((count, total), self._dtype)
            self._fill(streams, start, flat)
            parts = [flat[:, end - size : end] for end, size in zip(ends, sizes, strict=True)]
            return [part.reshape(count, *shape) for part, shape in zip(parts, shapes, strict=True)]
        blocks = [aligned((count, size), self._dtype) for size in sizes]
        # Whole directions are drawn into memory that stays in cache, and dealt out from there.
        rows = max(1, min(count, _SCRATCH_ENTRIES // max(1, total)))
        scratch = np.empty((rows, total), dtype=self._dtype)
        for first in range(0, count, rows):
            part = scratch[: min(rows, count - first)]
            self._fill(streams, start + first, part)
            for block, end, size in zip(blocks, ends, sizes, strict=True):
                block[first : first + len(part)] = part[:, end - size : end]
        return [block.reshape(count, *shape) for block, shape in zip(blocks, shapes, strict=True)]


def aligned(shape: Shape, dtype: np.dtype[Any]) -> NumpyArray:
    """Return new memory that begins at a multiple of 64 bytes: XLA then takes it as it is, without a copy."""
    needed = math.prod(shape) * dtype.itemsize
    memory = np.empty(needed + _ALIGNMENT_BYTES, dtype=np.uint8)
    first = -memory.ctypes.data % _ALIGNMENT_BYTES
    return memory[first : first + needed].view(dtype).reshape(shape)


def _multiplied(pieces: Iterator[NumpyArray], factor: float) -> Iterator[NumpyArray]:
    for piece in pieces:
        piece *= factor
        yield piece


def require_distribution(distribution: str, rank: int) -> None:
    """Refuse a law that does not exist, and a rank that is not a positive integer."""
    law_of(distribution)
    whole_number("rank", rank)


def factor_shapes(layout: Layout, rank: int) -> list[Shape]:
    """Return the shapes that a low-rank direction is drawn in: two factors for each matrix, else the parameter's."""
    shapes: list[Shape] = []
    for shape in layout.shapes:
        shapes.extend([(shape[0], rank), (shape[1], rank)] if len(shape) == _MATRIX_AXES else [shape])
    return shapes


def direction_entries(layout: Layout, distribution: str, rank: int) -> int:
    """Return how many numbers one direction is drawn from: P, or fewer for low rank."""
    if not law_of(distribution).factored:
        return layout.num_parameters
    return sum(math.prod(shape) for shape in factor_shapes(layout, rank))


def as_tangents(noise: Sequence[Any]) -> tuple[Tangent, ...]:
    """Return a block of directions, on any framework's arrays, as tangents with the structure they have.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest.directions import as_tangents
    >>> (tangent,) = as_tangents([np.ones((8, 3))])
    >>> type(tangent).__name__
    'Dense'
    """
    return tuple(LowRank(*entry) if isinstance(entry, tuple | list) else Dense(entry) for entry in noise)
