"""gradest's operations in MXNet, on `mx.np` arrays and on the symbols of a Gluon `hybrid_forward`.

Everything here runs inside np-shape semantics (`MxnetBackend.scope`): without it an array of shape `()` cannot be.
"""

import ctypes
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.errors import UnsupportedError
from gradest.operations import Axis, Operations, require_one_array
from gradest_mxnet.framework import mx

Array = Any  # mx.np.ndarray, or mx.sym.numpy._Symbol while Gluon traces

_Symbol = mx.sym.Symbol

LARGE_LAYER = 1_000_000
"""Products of two numbers in a layer from which on its bias, and its product where MXNet's BLAS is slow, go other ways.

Each of them is a kernel or two more, which take as long as a small product.
"""


@lru_cache
def blas_is_slow() -> bool:
    """Return whether the OpenBLAS in MXNet's wheel, of 2021, does not know this processor.

    It multiplies by its kernels of 2004 then, four times slower; on a processor that it knows it is as fast as oneDNN.
    """
    library = Path(mx.__file__).with_name("libopenblas.so.0")
    if not library.exists():  # another build of MXNet, whose BLAS is of its builder's choice
        return False
    core_of = getattr(ctypes.CDLL(str(library)), "openblas_get_corename", None)
    if core_of is None:
        return False
    core_of.restype = ctypes.c_char_p
    return bool(core_of() == b"Prescott")


def _np(x: Array) -> Any:
    """Return `F.np` for an array or a symbol."""
    return mx.sym.np if isinstance(x, _Symbol) else mx.np


def _npx(x: Array) -> Any:
    """Return `F.npx` for an array or a symbol."""
    return mx.sym.npx if isinstance(x, _Symbol) else mx.npx


def shape(x: Array) -> tuple[int, ...]:
    """Return the shape of an array, or of a symbol whose variables state theirs."""
    found: tuple[int, ...] = x.infer_shape()[1][0] if isinstance(x, _Symbol) else x.shape
    return found


LOWEST = float(np.finfo(np.float32).min)
"""The lowest finite number of the narrower of the dtypes."""


class MxnetOperations(Operations):
    """Carries out each operation by the MXNet function of the same meaning."""

    def exp(self, x: Array) -> Array:
        return _np(x).exp(x)

    def log(self, x: Array) -> Array:
        return _np(x).log(x)

    def expm1(self, x: Array) -> Array:
        return _np(x).expm1(x)

    def log1p(self, x: Array) -> Array:
        return _np(x).log1p(x)

    def tanh(self, x: Array) -> Array:
        # The kernel of Gluon's Activation: in float32 five times faster than mx.np.tanh, and closer.
        return _npx(x).activation(x, act_type="tanh")

    def sin(self, x: Array) -> Array:
        return _np(x).sin(x)

    def cos(self, x: Array) -> Array:
        return _np(x).cos(x)

    def sqrt(self, x: Array) -> Array:
        return _np(x).sqrt(x)

    def abs(self, x: Array) -> Array:
        return _np(x).abs(x)

    def maximum(self, x: Array, y: Array | float) -> Array:
        return _np(x).maximum(x, y)

    def greater(self, x: Array, y: Array | float) -> Array:
        return _np(x).greater(x, y)

    def where(self, condition: Array, x: Array | float, y: Array | float) -> Array:
        require_one_array(x, y)
        # MXNet 1.9.1 gives the gradient to the other branch's entries where one branch is a number.
        if isinstance(x, int | float):
            x = _np(y).zeros_like(y) + x
        elif isinstance(y, int | float):
            y = _np(x).zeros_like(x) + y
        return _np(condition).where(condition, x, y)

    def sum(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
        return _np(x).sum(x, axis=axis, keepdims=keepdims)

    def mean(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
        return _np(x).mean(x, axis=axis, keepdims=keepdims)

    def max(self, x: Array, *, axis: int, keepdims: bool = False) -> Array:
        return _np(x).max(x, axis=axis, keepdims=keepdims)

    def matmul(self, x: Array, y: Array) -> Array:
        if not isinstance(x, _Symbol) and x.dtype == np.float16:  # whose products MXNet has on a GPU alone
            return self.matmul(x.astype("float32"), y.astype("float32")).astype("float16")
        # Against one matrix the two are the same product; mx.np.matmul takes twice as long to go backward.
        return _np(x).dot(x, y) if len(shape(y)) == 2 else _np(x).matmul(x, y)

    def matrix_transpose(self, x: Array) -> Array:
        return _np(x).moveaxis(x, -1, -2)

    def expand_dims(self, x: Array, *, axis: int) -> Array:
        return _np(x).expand_dims(x, axis=axis)

    def slice_axis(self, x: Array, start: int, stop: int, *, axis: int) -> Array:
        # By the legacy operator: symbols of `mx.sym.np` have no slicing.
        legacy = mx.sym if isinstance(x, _Symbol) else mx.nd
        return legacy.slice_axis(x.as_nd_ndarray(), axis=axis, begin=start, end=stop).as_np_ndarray()

    def concat(self, *arrays: Array, axis: int) -> Array:
        return _np(arrays[0]).concatenate(list(arrays), axis=axis)

    def stop_gradient(self, x: Array) -> Array:
        if isinstance(x, _Symbol):
            return mx.sym.BlockGrad(x.as_nd_ndarray()).as_np_ndarray()
        return x.detach()

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        return _np(x).reshape(x, shape)

    def broadcast_to(self, x: Array, shape: tuple[int, ...]) -> Array:
        return _np(x).broadcast_to(x, shape)

    def zeros_like(self, x: Array) -> Array:
        return _np(x).zeros_like(x)

    def softmax_cross_entropy(self, logits: Array, targets: Array) -> Array:
        dims = shape(logits)
        if len(shape(targets)) != 2:
            return super().softmax_cross_entropy(logits, targets)
        # The portable form with one inner product over samples and classes: MXNet's sums carry a compensation, which
        # makes NaN of the -inf of a closed class that a target asks for.
        shifted = logits - self.max(self.stop_gradient(logits), axis=-1, keepdims=True)
        flat = (*dims[:-2], dims[-2] * dims[-1])
        held = self.reshape(self._open_classes(shifted, targets), flat)
        picked = _np(held).dot(held, self.reshape(targets, flat[-1:]))
        return self.mean(self.log(self.sum(self.exp(shifted), axis=-1)), axis=-1) - picked / dims[-2]

    def _open_classes(self, z: Array, targets: Array) -> Array:
        # As the portable one, by a lower bound that is -inf where a target asks for the class: on a small network the
        # backward pass of two choices takes as long as a layer, and a logarithm of an array half as long. Times a
        # target of 0, the lowest number is 0 as well.
        not_asked = (targets.as_nd_ndarray() == 0.0).as_np_ndarray()
        return _np(z).maximum(z, LOWEST / not_asked)

    def constant(self, values: NDArray[Any], *, like: Array) -> Array:
        if isinstance(like, _Symbol):
            raise UnsupportedError(
                "a constant was asked for inside a loss that MXNet traces; a symbol holds no values; give it as "
                "data of the problem"
            )
        # `ascontiguousarray` would make shape (1,) of (), and with it gradients of one axis more.
        return mx.np.array(np.asarray(values, order="C"), dtype=like.dtype, ctx=like.ctx)


class NativeMxnetOperations(MxnetOperations):
    """Composed operations by Gluon's kernels where it has better ones, and layers by the quickest way there is.

    The cross-entropy is the portable one: MXNet's log_softmax is off by up to 4e-6 in float32, 1.4e-6 where a class is
    certain (a negative loss), and so is its derivative; its softmax is right.
    """

    def affine(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        if bias is None or not len(shape(x)) == len(shape(weight)) == len(shape(bias)) + 1 == 2:
            return super().affine(x, weight, bias)
        rows, units = shape(x)[0], shape(bias)[0]
        if rows * math.prod(shape(weight)) < LARGE_LAYER:
            return self.matmul(x, weight) + bias
        legacy = mx.sym if isinstance(x, _Symbol) else mx.nd
        inputs, weights = x.as_nd_ndarray(), weight.as_nd_ndarray()
        if blas_is_slow():
            # Without its bias, whose gradient oneDNN leaves unfilled where the weight is a constant.
            product = legacy.FullyConnected(inputs, legacy.transpose(weights), num_hidden=units, no_bias=True)
        else:
            product = legacy.dot(inputs, weights)
        # The backward pass of a broadcast sum adds up the bias's gradient slowly; a product with ones does not.
        ones = legacy.BlockGrad(legacy.ones_like(legacy.slice_axis(inputs, axis=1, begin=0, end=1)))
        spread = legacy.dot(ones, legacy.expand_dims(bias.as_nd_ndarray(), axis=0))
        return legacy.elemwise_add(product, spread).as_np_ndarray()

    def relu(self, x: Array) -> Array:
        return _npx(x).relu(x)

    def sigmoid(self, x: Array) -> Array:
        return _npx(x).sigmoid(x)

    def softmax(self, x: Array) -> Array:
        return _npx(x).softmax(x, axis=-1)
