"""Which displacements carry the loss across a kink, where difference quotients mix two slopes.

The arguments of relu, abs, maximum and greater are watched while the loss runs; a sign that differs from the one at
the point itself is a kink crossed. This module computes no derivative.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gradest.autodiff.forwarding import ForwardingOperations
from gradest.backend import Backend
from gradest.operations import Array, Operations

Signs = list[NDArray[np.bool_]]


class KinkRecorder(ForwardingOperations):
    """Carries out a backend's operations and records on which side of each kink their arguments are.

    Operations that are smooth as a whole are handed on: a kink inside one (a shift by a maximum) cancels.
    """

    def __init__(self, backend: Backend, ops: Operations) -> None:
        super().__init__(ops)
        self.signs: Signs = []
        self._backend = backend

    def _record(self, distance: Array) -> None:
        self.signs.append(self._backend.numpy(distance) > 0)

    def relu(self, x: Array) -> Array:
        self._record(x)
        return self.ops.relu(x)

    def abs(self, x: Array) -> Array:
        self._record(x)
        return self.ops.abs(x)

    def maximum(self, x: Array, y: Array | float) -> Array:
        self._record(x - y)
        return self.ops.maximum(x, y)

    def greater(self, x: Array, y: Array | float) -> Array:
        self._record(x - y)
        return self.ops.greater(x, y)


def signs_at(backend: Backend, ops: Operations, loss: Callable[[Operations], Array]) -> Signs:
    """Return on which side of each kink a loss runs, in the order in which it meets them."""
    recorder = KinkRecorder(backend, ops)
    loss(recorder)
    return recorder.signs


def crossed(before: Signs, after: Signs, count: int) -> NDArray[np.bool_]:
    """Return which of `count` evaluations run on another side of some kink than the point itself does.

    `after` holds signs with a leading axis of `count` evaluations, or without where they do not move.
    """
    found = np.zeros(count, dtype=np.bool_)
    for here, there in zip(before, after, strict=True):
        if there.ndim > here.ndim:
            found |= (there != here).reshape(count, -1).any(axis=1)
    return found
