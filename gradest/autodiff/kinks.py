"""Which displacements carry the loss across a kink, where difference quotients mix two slopes.

The arguments of relu, abs, maximum and greater are watched while the loss runs; a sign that differs from the one at
the point itself is a kink crossed. `max` along an axis is not watched: losses shift by it, and its kinks cancel. This
module computes no derivative and knows no framework.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gradest.autodiff.forwarding import ForwardingOperations
from gradest.operations import Array, NumpyArray, Operations


class KinkRecorder(ForwardingOperations):
    """Carries out a backend's operations and records how far from each kink their arguments are.

    Operations that are smooth as a whole are handed on: a kink inside one (a shift by a maximum) cancels.
    """

    def __init__(self, ops: Operations) -> None:
        super().__init__(ops)
        self.distances: list[Array] = []

    def relu(self, x: Array) -> Array:
        self.distances.append(x)  # the kink is at 0: the argument itself is the signed distance
        return self.ops.relu(x)

    def abs(self, x: Array) -> Array:
        self.distances.append(x)
        return self.ops.abs(x)

    def maximum(self, x: Array, y: Array | float) -> Array:
        self.distances.append(x - y)
        return self.ops.maximum(x, y)

    def greater(self, x: Array, y: Array | float) -> Array:
        self.distances.append(x - y)
        return self.ops.greater(x, y)


def distances_from_kinks(ops: Operations, loss: Callable[[Operations], Array]) -> tuple[Array, ...]:
    """Return how far from each kink a loss runs, in the order in which it meets them; the sign is the side."""
    recorder = KinkRecorder(ops)
    loss(recorder)
    return tuple(recorder.distances)


def crossed(before: Sequence[NumpyArray], after: Sequence[NumpyArray], count: int) -> NDArray[np.bool_]:
    """Return which of `count` evaluations run on another side of some kink than the point itself does.

    `after` holds distances with a leading axis of `count` evaluations, or without where they do not move.
    """
    found = np.zeros(count, dtype=np.bool_)
    for here, there in zip(before, after, strict=True):
        if there.ndim > here.ndim:
            found |= ((there > 0) != (here > 0)).reshape(count, -1).any(axis=1)
    return found
