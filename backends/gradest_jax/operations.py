"""gradest's operations in `jax.numpy`; the native ones are those of `jax.nn`. Nothing here is compiled or timed."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from gradest.operations import Operations, require_one_array

Array = jax.Array


def _function(function: Callable[..., Any]) -> Any:
    """Return a JAX function as a method that takes the same arguments (its own annotations name others)."""
    return staticmethod(function)


_product = partial(jnp.matmul, precision=lax.Precision.HIGHEST)


class JaxOperations(Operations):
    """Carries out each operation by the `jax.numpy` function of the same meaning.

    Complex arrays (the complex step) are compared by their real parts. Products are computed in the dtype of
    their operands on every device: XLA's default on GPUs would round float32 operands to 10 bits.
    """

    exp = _function(jnp.exp)
    log = _function(jnp.log)
    expm1 = _function(jnp.expm1)
    log1p = _function(jnp.log1p)
    tanh = _function(jnp.tanh)
    sin = _function(jnp.sin)
    cos = _function(jnp.cos)
    sqrt = _function(jnp.sqrt)
    sum = _function(jnp.sum)
    mean = _function(jnp.mean)
    matrix_transpose = _function(jnp.matrix_transpose)
    expand_dims = _function(jnp.expand_dims)
    reshape = _function(jnp.reshape)
    broadcast_to = _function(jnp.broadcast_to)
    zeros_like = _function(jnp.zeros_like)
    stop_gradient = _function(lax.stop_gradient)

    def slice_axis(self, x: Array, start: int, stop: int, *, axis: int) -> Array:
        return lax.slice_in_dim(x, start, stop, axis=axis)

    def concat(self, *arrays: Array, axis: int) -> Array:
        return jnp.concatenate(arrays, axis=axis)

    def matmul(self, x: Array, y: Array) -> Array:
        if not (jnp.iscomplexobj(x) or jnp.iscomplexobj(y)):
            return _product(x, y)
        # XLA on a GPU multiplies complex matrices by three real products, which loses an imaginary part 1e-16 times
        # the real one: all that a complex step is. Four real products keep both.
        real = _product(x.real, y.real) - _product(x.imag, y.imag)
        return lax.complex(real, _product(x.real, y.imag) + _product(x.imag, y.real))

    def abs(self, x: Array) -> Array:
        if jnp.iscomplexobj(x):
            # The analytic continuation: |z| itself is not analytic. Its slope at 0 is 0.
            return jnp.where(x.real < 0, -x, jnp.where(x.real == 0, 0, x))
        return x * jnp.sign(x)  # jnp.abs has derivative 1 at 0, not 0

    def maximum(self, x: Array, y: Array | float) -> Array:
        if not (jnp.iscomplexobj(x) or jnp.iscomplexobj(y)):
            return jnp.maximum(x, y)
        real = jnp.real(x)
        return jnp.where((real > jnp.real(y)) | jnp.isnan(real), x, y)  # a tie is y's, as for the interpreters

    def greater(self, x: Array, y: Array | float) -> Array:
        # jnp.greater decides between equal real parts by the imaginary ones, which hold the complex step alone.
        return jnp.greater(jnp.real(x), jnp.real(y))

    def where(self, condition: Array, x: Array | float, y: Array | float) -> Array:
        require_one_array(x, y)
        return jnp.where(condition, x, y)

    def max(self, x: Array, *, axis: int, keepdims: bool = False) -> Array:
        if jnp.iscomplexobj(x):
            largest = jnp.max(x.real, axis=axis, keepdims=True)
            attained = x.real == largest  # tied entries share the derivative equally, as by jnp.max
            step = jnp.mean(x.imag, axis=axis, keepdims=True, where=attained)
            result = lax.complex(largest, step)
            return result if keepdims else jnp.squeeze(result, axis=axis)
        return jnp.max(x, axis=axis, keepdims=keepdims)

    def constant(self, values: NDArray[Any], *, like: Array) -> Array:
        # A copy, as jnp.asarray may share aligned memory; converted here, as JAX compiles that anew for each shape.
        return jnp.asarray(np.array(values, dtype=like.dtype))

    def _open_classes(self, z: Array, targets: Array) -> Array:
        # One choice in place of two: XLA compiles each, for every program that a loss is part of.
        return jnp.where(self.greater(z, -math.inf) | self.greater(targets, 0.0), z, 0.0)

    def sum_each(self, arrays: Iterable[Array], *, axis: int) -> tuple[Array, ...]:
        found = tuple(arrays)
        if found[0].dtype not in (jnp.float32, jnp.float64):  # of half precision JAX adds up in float32
            return super().sum_each(found, axis=axis)  # type: ignore[return-value]  # JAX's arrays
        # One program of several results: a sum of each by itself takes four times as long to compile, and to run.
        zero = jnp.zeros((), found[0].dtype)
        sums: tuple[Array, ...] = lax.reduce(found, (zero,) * len(found), _add_each, (axis % found[0].ndim,))
        return sums

    unpacks_signs = True
    vectorises_last_axis = True

    def unpack_signs(self, words: Array, size: int, *, like: Array) -> Array:
        # Made on the device of one bit each: a 32nd of the bytes cross to it.
        bits = (words[:, :, None] >> jnp.arange(32, dtype=jnp.uint32)) & jnp.uint32(1)
        signs: Array = (1 - 2 * bits.astype(like.dtype)).reshape(words.shape[0], -1)
        return signs[:, :size]

    def piecewise(
        self, x: Array, far: Array, on_far: Callable[[Array], Array], on_near: Callable[[Array], Array]
    ) -> Array:
        # `cond` runs one branch. Under vmap it becomes a select that runs both, which is right too.
        both = partial(super().piecewise, x, far, on_far, on_near)  # type: ignore[arg-type]  # functions of JAX's arrays
        result: Array = lax.cond(jnp.any(far), both, lambda: on_near(x))
        return result


def _add_each(sums: tuple[Array, ...], terms: tuple[Array, ...]) -> tuple[Array, ...]:
    return tuple(x + y for x, y in zip(sums, terms, strict=True))


class NativeJaxOperations(JaxOperations):
    """Composed operations by `jax.nn`; complex arrays take the portable form, where it compares real parts."""

    sigmoid = _function(jax.nn.sigmoid)

    def relu(self, x: Array) -> Any:
        return super().relu(x) if jnp.iscomplexobj(x) else jax.nn.relu(x)

    def softplus(self, x: Array) -> Any:
        return super().softplus(x) if jnp.iscomplexobj(x) else jax.nn.softplus(x)

    def logsumexp(self, x: Array) -> Any:
        return super().logsumexp(x) if jnp.iscomplexobj(x) else jax.nn.logsumexp(x, axis=-1)

    def softmax(self, x: Array) -> Any:
        return super().softmax(x) if jnp.iscomplexobj(x) else jax.nn.softmax(x, axis=-1)

    def softmax_cross_entropy(self, logits: Array, targets: Array) -> Any:
        if jnp.iscomplexobj(logits):
            return super().softmax_cross_entropy(logits, targets)
        shares = self._open_classes(jax.nn.log_softmax(logits, axis=-1), targets)
        return -jnp.mean(jnp.sum(shares * targets, axis=-1), axis=-1)
