"""A point beside the parameters on a device, or in numbers that NumPy does not have; otherwise as `points` has it.

Directions are drawn on the host, the same on every device, and cross parameter by parameter: signs as bits, a 32nd of
the numbers, low-rank directions as factors. What crosses is never more than one parameter at a time.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Leaves
from gradest.directions import Directions
from gradest.directions.reading import Readable
from gradest.objective import Objective
from gradest.operations import Array, NumpyArray
from gradest.sampling.sampler import caster, summed_in
from gradest.tangents import LowRank


class DevicePoint:
    """A point in the framework's own arrays, one for each parameter, each let go before it is made again."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._arrays: list[Any] = [None] * len(objective.dtypes)

    @property
    def leaves(self) -> Leaves:
        """The point as the framework's arrays."""
        return tuple(self._arrays)

    def move(self, leaves: Leaves, directions: Readable, k: int, *, radius: float, scratch: NumpyArray) -> None:
        """Write `leaves + radius * direction_k`."""
        self._arrays = [None] * len(self._arrays)  # let go first: a new one may take its memory
        for j, (leaf, direction) in enumerate(zip(leaves, self._placed(directions, k, scratch), strict=True)):
            # The operators write into the direction, which is nobody else's, where a framework's arrays can be written:
            # JAX's are made anew.
            direction *= radius
            direction += leaf
            self._arrays[j] = direction

    def mirror(self, leaves: Leaves) -> None:
        """Write the point on the other side of `leaves`: `x + (x - (x + d))`."""
        for j, leaf in enumerate(leaves):
            array, self._arrays[j] = self._arrays[j], None
            array -= leaf
            array *= -1.0
            array += leaf
            self._arrays[j] = array

    def weigh(self, directions: Readable, weights: NDArray[np.float64]) -> None:
        """Write `sum_k weights[k] * direction_k`, k from 0; of half precision it is made in float32."""
        scratch, dtypes, cast = directions.scratch(), self._objective.dtypes, caster(self._objective)
        self._arrays = [None] * len(self._arrays)
        for k, weight in enumerate(weights.tolist()):
            for j, direction in enumerate(self._placed(directions, k, scratch)):
                part = cast(direction, summed_in(dtypes[j]))
                part *= weight
                if k:
                    self._arrays[j] += part
                else:
                    self._arrays[j] = part
        for j, dtype in enumerate(dtypes):
            self._arrays[j] = cast(self._arrays[j], dtype)

    def _placed(self, directions: Readable, k: int, scratch: NumpyArray) -> Iterator[Array]:
        """Yield a direction for each parameter, as an array of its shape and dtype on the device."""
        objective, ops = self._objective, self._objective.ops
        if isinstance(directions, Directions) and directions.signs and ops.unpacks_signs:
            yield from self._unpacked(directions, k)
            return
        entries = zip(objective.layout.shapes, objective.dtypes, directions.read(k, scratch), strict=True)
        for shape, dtype, entry in entries:
            if isinstance(entry, tuple):
                left, right = (self._array(factor[None], dtype) for factor in entry)
                yield ops.reshape(LowRank(left, right).dense(ops), shape)
            else:
                whole, start = np.empty(math.prod(shape), scratch.dtype), 0
                for piece in entry:
                    whole[start : start + piece.size] = piece
                    start += piece.size
                yield self._array(whole.reshape(shape), dtype)

    def _unpacked(self, directions: Directions, k: int) -> Iterator[Array]:
        objective, ops, layout = self._objective, self._objective.ops, self._objective.layout
        (words,) = (self._array(block, "uint32") for block in directions.packed_block(k, k + 1))
        for offset, size, shape, like in zip(layout.offsets, layout.sizes, layout.shapes, objective.start, strict=True):
            first, skipped = divmod(offset, _WORD_BITS)  # a parameter may begin within a word
            last = -(-(offset + size) // _WORD_BITS)
            signs = ops.unpack_signs(words[:, first:last], skipped + size, like=like)
            yield ops.reshape(signs[:, skipped:], shape)

    def _array(self, values: NumpyArray, dtype: str) -> Array:
        objective = self._objective
        return objective.backend.array(values, dtype=dtype, device=objective.device, copy=False)


_WORD_BITS = 32
