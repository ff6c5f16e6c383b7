"""A point beside the parameters, in memory of its own that is written again for each evaluation.

It is always made from the parameters as they are, never by undoing the last change: nothing drifts. The same memory
takes the weighted sum of directions at the end, and is then the gradient. This module knows no estimator.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Leaves
from gradest.chunking import CACHE_BYTES
from gradest.directions.directions import Factors, aligned
from gradest.directions.independent import PART_ENTRIES
from gradest.directions.reading import Readable
from gradest.objective import Objective
from gradest.operations import NumpyArray
from gradest.sampling.sampler import summed_in

HOST_DTYPES = frozenset({"float16", "float32", "float64", "longdouble"})
"""The dtypes that NumPy computes in."""

_READERS = 256  # directions that are read in turns: each has a generator of about a kilobyte
_PRODUCT_ENTRIES = 1 << 20  # of a product of factors that is added to what is there


class HostPoint:
    """A point in NumPy's memory, of which the framework's arrays are views where it shares memory with NumPy.

    It is written in blocks that stay in cache: beside the point there is never more of a direction than one block, or
    the factors of one parameter.
    """

    def __init__(self, objective: Objective) -> None:
        layout = objective.layout
        self._backend = objective.backend
        self._device = objective.device
        self._dtypes = objective.dtypes
        self._shapes, self._offsets = layout.shapes, layout.offsets
        # At multiples of 64 bytes XLA takes memory as it is.
        self._flat = [
            aligned((size,), np.dtype(dtype)) for size, dtype in zip(layout.sizes, objective.dtypes, strict=True)
        ]
        scratch = {flat.dtype: np.empty(PART_ENTRIES, flat.dtype) for flat in self._flat}
        self._scratch = [scratch[flat.dtype] for flat in self._flat]

    @property
    def leaves(self) -> Leaves:
        """The point as the framework's arrays, valid until it is written again."""
        return tuple(
            self._backend.array(flat.reshape(shape), dtype=dtype, device=self._device, copy=False)
            for flat, shape, dtype in zip(self._flat, self._shapes, self._dtypes, strict=True)
        )

    def move(self, leaves: Leaves, directions: Readable, k: int, *, radius: float, scratch: NumpyArray) -> None:
        """Write `leaves + radius * direction_k`; the scratch, where it has room for all, then holds the second term."""
        # Multiplied in the parameter's own dtype, as any loop over x + sigma v computes.
        in_drawing = all(flat.dtype == scratch.dtype for flat in self._flat)
        direction = directions.read(k, scratch, radius=radius if in_drawing else 1.0)
        for leaf, flat, shape, product, entry in zip(
            leaves, self._flat, self._shapes, self._scratch, direction, strict=True
        ):
            base = self._values(leaf)
            if isinstance(entry, tuple):
                left, right = (factor.astype(flat.dtype, copy=False) for factor in entry)
                if not in_drawing:
                    left *= flat.dtype.type(radius)
                _add_product(base.reshape(shape), left, right, flat.reshape(shape), product)
                continue
            start = 0
            for piece in entry:
                stop = start + piece.size
                step = piece.astype(flat.dtype, copy=False)
                if not in_drawing:
                    step *= step.dtype.type(radius)
                np.add(base[start:stop], step, out=flat[start:stop])
                start = stop

    def mirror(self, leaves: Leaves) -> None:
        """Write the point on the other side of `leaves`: `x + (x - (x + d))`, without drawing d again.

        The difference in brackets is exact where d is small beside x (Sterbenz's lemma), so the two points lie exactly
        opposite each other.
        """
        for leaf, flat, scratch in zip(leaves, self._flat, self._scratch, strict=True):
            base = self._values(leaf)
            for start in range(0, flat.size, PART_ENTRIES):
                here = slice(start, start + PART_ENTRIES)
                back = np.subtract(base[here], flat[here], out=scratch[: flat[here].size])
                np.add(base[here], back, out=flat[here])

    def oppose(self, leaves: Leaves, step: NumpyArray) -> None:
        """Write `leaves - step` for a displacement `(P,)` of the parameters' dtype that was kept."""
        for leaf, flat, offset in zip(leaves, self._flat, self._offsets, strict=True):
            np.subtract(self._values(leaf), step[offset : offset + flat.size], out=flat)

    def weigh(self, directions: Readable, weights: NDArray[np.float64], *, radius: float = 1.0) -> None:
        """Write `sum_k weights[k] * radius * direction_k`, k from 0; of half precision it is made in float32."""
        wide = [np.dtype(summed_in(dtype)) for dtype in self._dtypes]
        sums = [
            flat if flat.dtype == dtype else np.empty(flat.size, dtype)
            for flat, dtype in zip(self._flat, wide, strict=True)
        ]
        if directions.factored:
            self._weigh_factors(sums, directions, weights)
        else:
            self._weigh_parts(sums, directions, weights, radius)
        for flat, found in zip(self._flat, sums, strict=True):
            if found is not flat:
                flat[:] = found

    def _weigh_parts(
        self, sums: Sequence[NumpyArray], directions: Readable, weights: NDArray[np.float64], radius: float
    ) -> None:
        scratch = directions.scratch()
        total, size = np.empty_like(scratch), sum(flat.size for flat in sums)
        # Directions are read in turns, a block of each: the sum over them is written once, and is in cache until then.
        # Of those that are drawn whole each reader holds all: one at a time.
        at_once = _READERS if directions.read_in_parts else 1
        for first in range(0, len(weights), at_once):
            some = range(first, min(first + at_once, len(weights)))
            readers = [directions.parts(k, scratch, radius=radius) for k in some]
            for start in range(0, size, PART_ENTRIES):
                here = total[: min(PART_ENTRIES, size - start)]
                here.fill(0.0) if first == 0 else self._gather(sums, start, here)
                for k, reader in zip(some, readers, strict=True):
                    add_weighted(here, next(reader), weights[k])
                self._scatter(sums, start, here)

    def _weigh_factors(self, sums: Sequence[NumpyArray], directions: Readable, weights: NDArray[np.float64]) -> None:
        scratch = directions.scratch()
        at_once = max(1, CACHE_BYTES // max(1, scratch.itemsize * directions.factor_entries))
        most = min(_PRODUCT_ENTRIES, max(flat.size for flat in sums))
        memory = {dtype: np.empty(most, dtype) for dtype in {flat.dtype for flat in sums}}
        products = [memory[flat.dtype] for flat in sums]
        for flat in sums:
            flat.fill(0.0)
        for first in range(0, len(weights), at_once):
            some = weights[first : first + at_once]
            held: list[list[Factors]] = [[] for _ in sums]
            for k, weight in enumerate(some, start=first):
                for flat, factors, entry in zip(sums, held, directions.read(k, scratch), strict=True):
                    if isinstance(entry, tuple):
                        factors.append((entry[0] * entry[0].dtype.type(weight), entry[1]))
                        continue
                    start = 0
                    for piece in entry:
                        add_weighted(flat[start : start + piece.size], piece, weight)
                        start += piece.size
            for flat, shape, factors, product in zip(sums, self._shapes, held, products, strict=True):
                if factors:  # one product (m, K r) @ (K r, n), whose K terms are never there by themselves
                    left, right = (
                        np.concatenate(side, axis=1).astype(flat.dtype, copy=False)
                        for side in zip(*factors, strict=True)
                    )
                    _add_product(flat.reshape(shape), left, right, flat.reshape(shape), product)

    def scatter(self, values: NumpyArray) -> None:
        """Write the values of all parameters, flat."""
        self._scatter(self._flat, 0, values)

    def _scatter(self, blocks: Sequence[NumpyArray], start: int, values: NumpyArray) -> None:
        for block, offset in zip(blocks, self._offsets, strict=True):
            first, last = max(start, offset), min(start + values.size, offset + block.size)
            if first < last:
                block[first - offset : last - offset] = values[first - start : last - start]

    def _gather(self, blocks: Sequence[NumpyArray], start: int, out: NumpyArray) -> None:
        for block, offset in zip(blocks, self._offsets, strict=True):
            first, last = max(start, offset), min(start + out.size, offset + block.size)
            if first < last:
                out[first - start : last - start] = block[first - offset : last - offset]

    def _values(self, leaf: object) -> NumpyArray:
        return np.ravel(self._backend.host(leaf))  # type: ignore[arg-type]  # an array of the backend


def add_weighted(total: NumpyArray, part: NumpyArray, weight: float) -> None:
    """Add `weight * part` to the total in place; the part is overwritten."""
    part *= part.dtype.type(weight)
    total += part


def _add_product(base: NumpyArray, left: NumpyArray, right: NumpyArray, out: NumpyArray, scratch: NumpyArray) -> None:
    """Write `base + left @ right^T` to `out`, which may be the base, as many rows at once as the scratch holds."""
    rows, columns = base.shape
    if scratch.size < columns:
        scratch = np.empty(columns, dtype=scratch.dtype)
    at_once = max(1, scratch.size // max(1, columns))
    product = np.multiply if left.shape[1] == 1 else np.matmul  # of rank one quicker: BLAS begins anew for each block
    for first in range(0, rows, at_once):
        here = slice(first, first + at_once)
        step = scratch[: math.prod(base[here].shape)].reshape(base[here].shape)
        product(left[here], right.T, out=step)
        np.add(base[here], step, out=out[here])
