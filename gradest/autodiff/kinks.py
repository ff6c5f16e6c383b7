"""Which displacements carry the loss across a kink, where difference quotients mix two slopes.

The arguments of relu, abs, maximum and greater are watched while the loss runs; a sign that differs from the one at
the point itself is a kink crossed. This module computes no derivative.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Backend
from gradest.operations import Array, Axis, NumpyArray, Operations

Signs = list[NDArray[np.bool_]]


class KinkRecorder(Operations):
    """Carries out a backend's operations and records on which side of each kink their arguments are."""

    def __init__(self, backend: Backend, ops: Operations) -> None:
        self.ops = ops
        self.signs: Signs = []
        self._backend = backend

    def _record(self, distance: Array) -> None:
        self.signs.append(self._backend.numpy(distance) > 0)

    # -- kinks --------------------------------------------------------------------------------------------
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

    # -- smooth operations, passed on whole: a kink inside one (a shift by a maximum) cancels ---------------
    def exp(self, x: Array) -> Array:
        return self.ops.exp(x)

    def log(self, x: Array) -> Array:
        return self.ops.log(x)

    def expm1(self, x: Array) -> Array:
        return self.ops.expm1(x)

    def log1p(self, x: Array) -> Array:
        return self.ops.log1p(x)

    def tanh(self, x: Array) -> Array:
        return self.ops.tanh(x)

    def sqrt(self, x: Array) -> Array:
        return self.ops.sqrt(x)

    def square(self, x: Array) -> Array:
        return self.ops.square(x)

    def sigmoid(self, x: Array) -> Array:
        return self.ops.sigmoid(x)

    def softplus(self, x: Array) -> Array:
        return self.ops.softplus(x)

    def logsumexp(self, x: Array) -> Array:
        return self.ops.logsumexp(x)

    def softmax(self, x: Array) -> Array:
        return self.ops.softmax(x)

    def softmax_cross_entropy(self, logits: Array, targets: Array) -> Array:
        return self.ops.softmax_cross_entropy(logits, targets)

    def where(self, condition: Array, x: Array | float, y: Array | float) -> Array:
        return self.ops.where(condition, x, y)

    def sum(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
        return self.ops.sum(x, axis=axis, keepdims=keepdims)

    def mean(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
        return self.ops.mean(x, axis=axis, keepdims=keepdims)

    def max(self, x: Array, *, axis: int, keepdims: bool = False) -> Array:
        return self.ops.max(x, axis=axis, keepdims=keepdims)

    def matmul(self, x: Array, y: Array) -> Array:
        return self.ops.matmul(x, y)

    def affine(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        return self.ops.affine(x, weight, bias)

    def matrix_transpose(self, x: Array) -> Array:
        return self.ops.matrix_transpose(x)

    def expand_dims(self, x: Array, *, axis: int) -> Array:
        return self.ops.expand_dims(x, axis=axis)

    def stop_gradient(self, x: Array) -> Array:
        return self.ops.stop_gradient(x)

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        return self.ops.reshape(x, shape)

    def broadcast_to(self, x: Array, shape: tuple[int, ...]) -> Array:
        return self.ops.broadcast_to(x, shape)

    def zeros_like(self, x: Array) -> Array:
        return self.ops.zeros_like(x)

    def constant(self, values: NumpyArray, *, like: Array) -> Array:
        return self.ops.constant(values, like=like)


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
