"""Keeping a device busy with chunks, and putting what comes back into its places in the gradient."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from gradest.coordinates.chunks import Chunk
from gradest.objective import Objective
from gradest.operations import Array, NumpyArray

QUEUED_CHUNKS = 4
"""How many chunks are begun before the first is awaited: a device stays busy, and memory does not grow with P."""

_HOST_DTYPES = frozenset({"float32", "float64", "longdouble", np.dtype(np.longdouble).name})

Piece = TypeVar("Piece")
Begun = TypeVar("Begun")
Done = TypeVar("Done")


def pipeline(
    plan: Sequence[Piece], begin: Callable[[Piece], Begun], finish: Callable[[Piece, Begun], Done]
) -> list[Done]:
    """Return `finish(piece, begin(piece))` for each chunk or span of a plan, a few begun ahead of the one awaited.

    `begin` hands work to the framework, which returns at once where it runs asynchronously; `finish` reads the
    result, which waits. Awaiting each chunk before the next is begun would leave the device idle between them.
    """
    queue: deque[tuple[Piece, Begun]] = deque()
    done = []
    for piece in plan:
        queue.append((piece, begin(piece)))
        if len(queue) > QUEUED_CHUNKS:
            done.append(finish(*queue.popleft()))
    return done + [finish(piece, begun) for piece, begun in queue]


class Gathering:
    """Puts derivatives into their places in the gradient as they come, times `scale`; other entries are zero.

    On the host, where an assignment costs nothing: a framework's scatter would be compiled for each shape of chunk.
    """

    def __init__(self, objective: Objective, *, scale: float = 1.0) -> None:
        self._objective = objective
        self._scale = scale
        sizes = zip(objective.layout.sizes, objective.dtypes, strict=True)
        # NumPy has no bfloat16 of its own: such blocks are gathered in float64, and rounded once when handed back.
        self._blocks = [np.zeros(size, dtype=dtype if dtype in _HOST_DTYPES else np.float64) for size, dtype in sizes]

    def add(self, chunk: Chunk, values: NumpyArray) -> None:
        """Put `scale * values` into the places of a chunk."""
        self._blocks[chunk.block][chunk.place] = values * self._scale

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
