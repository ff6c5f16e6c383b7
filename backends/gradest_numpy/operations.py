"""gradest's operations in NumPy."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gradest.operations import Axis, Operations, require_one_array
from gradest_numpy.elementary import log1p, tanh_both_sides

Array = Any  # an `NDArray`; NumPy's own annotations of functions as methods fit no base class


BLOCK_ENTRIES = 65_536
"""Entries of a block: its temporaries stay in the cache, and calls are few."""


class NumpyOperations(Operations):
    """Carries out each operation by the NumPy function of the same meaning.

    Complex arrays (the complex step) are compared by their real parts, at a tie too: NumPy's own order goes on to the
    imaginary ones, which hold the step alone.
    """

    exp: Any = staticmethod(np.exp)
    log: Any = staticmethod(np.log)
    expm1: Any = staticmethod(np.expm1)
    log1p: Any = staticmethod(log1p)
    tanh: Any = staticmethod(np.tanh)
    sin: Any = staticmethod(np.sin)
    cos: Any = staticmethod(np.cos)
    sqrt: Any = staticmethod(np.sqrt)
    matmul: Any = staticmethod(np.matmul)
    reshape: Any = staticmethod(np.reshape)
    zeros_like: Any = staticmethod(np.zeros_like)

    def abs(self, x: Array) -> Array:
        if not np.iscomplexobj(x):
            return np.abs(x)
        # The analytic continuation, for the complex step: |z| itself is not analytic. Its slope at 0 is 0.
        return np.where(x.real < 0, -x, np.where(x.real == 0, 0, x))

    def maximum(self, x: Array, y: Array | float) -> Array:
        if not (np.iscomplexobj(x) or np.iscomplexobj(y)):
            return np.maximum(x, y)
        real = np.real(x)
        return np.where((real > np.real(y)) | np.isnan(real), x, y)  # a tie is y's, as for the interpreters

    def greater(self, x: Array, y: Array | float) -> Array:
        return np.greater(np.real(x), np.real(y)) if np.iscomplexobj(x) or np.iscomplexobj(y) else np.greater(x, y)

    def where(self, condition: Array, x: Array | float, y: Array | float) -> Array:
        require_one_array(x, y)
        return np.where(condition, x, y)

    def sum(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
        return np.add.reduce(x, axis=axis, keepdims=keepdims)  # what `x.sum` calls, without the calls between

    def mean(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
        return x.mean(axis=axis, keepdims=keepdims)

    def max(self, x: Array, *, axis: int, keepdims: bool = False) -> Array:
        if not np.iscomplexobj(x):
            return x.max(axis=axis, keepdims=keepdims)
        largest = x.real.max(axis=axis, keepdims=True)
        attained = x.real == largest  # tied entries share the derivative equally
        count = attained.sum(axis=axis, keepdims=keepdims)
        result = np.empty(count.shape, x.dtype)
        result.real = largest.reshape(count.shape)
        result.imag = np.where(attained, x.imag, 0).sum(axis=axis, keepdims=keepdims) / count
        return result

    def matrix_transpose(self, x: Array) -> Array:
        return x.swapaxes(-1, -2)

    def expand_dims(self, x: Array, *, axis: int) -> Array:
        return np.expand_dims(x, axis)

    def slice_axis(self, x: Array, start: int, stop: int, *, axis: int) -> Array:
        before = (slice(None),) * (axis % x.ndim)
        return x[(*before, slice(start, stop))]

    def concat(self, *arrays: Array, axis: int) -> Array:
        return np.concatenate(arrays, axis=axis)

    def stop_gradient(self, x: Array) -> Array:
        return x

    def broadcast_to(self, x: Array, shape: tuple[int, ...]) -> Array:
        return np.broadcast_to(x, shape)

    def constant(self, values: Array, *, like: Array) -> Array:
        return np.asarray(values, dtype=like.dtype)

    def blockwise(self, function: Callable[[Array], Array], x: Array) -> Array:
        # NumPy fuses nothing: each step of the function writes a whole temporary, which had better stay in the cache.
        rows = max(1, BLOCK_ENTRIES * len(x) // max(1, x.size))
        if rows >= len(x):
            return function(x)
        first = function(x[:rows])  # says what shape and dtype the result has
        result = np.empty((len(x), *first.shape[1:]), first.dtype)
        result[:rows] = first
        for start in range(rows, len(x), rows):
            result[start : start + rows] = function(x[start : start + rows])
        return result

    def accumulate(self, total: Array, x: Array) -> Array:
        # In place only where the sum has the total's dtype: writing it there would round it otherwise.
        fits = isinstance(total, np.ndarray) and np.result_type(total, x) == total.dtype
        return np.add(total, x, out=total) if fits else total + x

    def both_sides(self, function: Callable[[Array], Array], x: Array, change: Array, radius: float) -> Array:
        result = np.empty((2, *change.shape), np.result_type(x, change))
        rows = max(1, BLOCK_ENTRIES * len(change) // max(1, change.size))
        for start in range(0, len(change), rows):
            step = change[start : start + rows] * radius
            above, below = result[:, start : start + rows]
            np.add(x, step, out=above)
            np.subtract(x, step, out=below)
            for side in (above, below):
                if isinstance(function, np.ufunc):  # others would need a temporary: they have no `out`
                    function(side, out=side)
                else:
                    side[...] = function(side)
        return result.reshape(2 * len(change), *change.shape[1:])

    def softplus(self, x: Array) -> Array:
        if np.iscomplexobj(x):
            return super().softplus(x)
        return np.maximum(x, 0) + log1p(np.exp(-np.abs(x)))  # the same, without two choices that copy

    def _open_classes(self, z: Array, targets: Array) -> Array:
        # As above: where every class is open, which the least logit tells, there is nothing to do.
        if z.real.min(initial=0.0) > -math.inf:
            return z
        return super()._open_classes(z, targets)

    def piecewise(
        self, x: Array, far: Array, on_far: Callable[[Array], Array], on_near: Callable[[Array], Array]
    ) -> Array:
        # The values are there and can be looked at: where nothing is far, the far form is not evaluated in vain.
        if not far.any():
            return on_near(x)
        return super().piecewise(x, far, on_far, on_near)


class NativeNumpyOperations(NumpyOperations):
    """Composed operations in place: the same mathematics with fewer passes over memory.

    What is being differentiated by NumPy's own protocols (engine="native") is not written into: it goes the portable
    way, as complex numbers do.
    """

    def affine(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        product = np.matmul(x, weight)
        if bias is not None:
            product += bias[..., None, :] if bias.ndim > 1 else bias
        return product

    def relu(self, x: Array) -> Array:
        # Of a maximum each of two equal numbers has half the derivative; relu has slope 0 at 0.
        return np.maximum(x, 0) if type(x) is np.ndarray and not np.iscomplexobj(x) else super().relu(x)

    def both_sides(self, function: Callable[[Array], Array], x: Array, change: Array, radius: float) -> Array:
        # The two sides share their exponentials, which tanh by itself cannot; `elementary` states the error.
        if function is np.tanh and x.dtype == change.dtype == np.float32 and change.shape[1:] == x.shape:
            return tanh_both_sides(x, change, radius)
        return super().both_sides(function, x, change, radius)

    def softmax_cross_entropy(self, logits: Array, targets: Array) -> Array:
        if type(logits) is not np.ndarray or logits.dtype.kind == "c" or targets.ndim != 2:
            return super().softmax_cross_entropy(logits, targets)
        shifted = logits - logits.max(axis=-1, keepdims=True)
        picked = self._picked(shifted, targets, "...nc,nc->...")
        np.exp(shifted, out=shifted)
        return (np.log(shifted.sum(axis=-1)).sum(axis=-1) - picked) / _count(logits)

    def softmax_cross_entropy_and_gradient(self, logits: Array, targets: Array) -> tuple[Array, Array]:
        if type(logits) is not np.ndarray or logits.dtype.kind == "c" or targets.ndim != 2:
            return super().softmax_cross_entropy_and_gradient(logits, targets)
        # Classes outermost: NumPy reduces over a long contiguous axis several times faster than over a short last one.
        count = _count(logits)
        weights, wanted = logits.swapaxes(-1, -2).copy(), targets.swapaxes(-1, -2).copy()
        weights -= np.maximum.reduce(weights, axis=-2, keepdims=True)
        picked = self._picked(weights, wanted, "...cn,cn->...")
        np.exp(weights, out=weights)
        totals = np.add.reduce(weights, axis=-2, keepdims=True)
        value = (np.add.reduce(np.log(totals), axis=(-1, -2)) - picked) / count
        totals *= count
        weights /= totals
        wanted /= count
        weights -= wanted
        return value, weights.swapaxes(-1, -2)

    def _picked(self, shifted: Array, targets: Array, axes: str) -> Array:
        """Return the sum of `targets * shifted` over the axes named, where `0 * -inf` counts as 0."""
        picked = _inner(shifted, targets, axes)
        # A closed class shows in the sum, as NaN: the logits need not be looked through for one.
        found = picked == picked  # of one number `all` would take longer than the sum
        if found if shifted.ndim == 2 else found.all():
            return picked
        return _inner(self._open_classes(shifted, targets), targets, axes)


def _inner(x: Array, y: Array, axes: str) -> Array:
    """Return inner products, by BLAS where there is one alone. Neither way warns of NaN."""
    return np.vdot(x, y) if x.ndim == 2 else np.einsum(axes, x, y)


def _count(logits: Array) -> Array:
    """Return the number of samples in the logits' dtype: NumPy 1 takes a float32 scalar over an int for float64."""
    return logits.dtype.type(logits.shape[-2])
