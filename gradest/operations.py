"""The operations that a loss may be written in: a small NumPy-like namespace, the same on every backend.

Such a loss, `loss(ops, params, data)` (a "text" in names here), is written once and runs on every backend and under
every interpreter: forward mode, reverse mode, exact differences. It may use Python's arithmetic operators on arrays
(`+ - * /` and unary minus), Python numbers, and the names of `Operations`: nothing else, in particular no indexing
(`slice_axis` takes parts, `concat` joins them), no `.shape` and no branching on values, because some backends trace it
with arrays that have no values or shapes.

Names and axis conventions are the array API standard's where it has one. Losses are population-polymorphic:
parameters with leading axes `(K, ...)` give a loss of shape `(K,)`, so reductions name their axes from the end.

This module knows no framework and no interpreter.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gradest.errors import InvalidInputError, UnsupportedError


class Array(Protocol):
    """An array of whichever framework, or a value of whichever interpreter, the operations belong to.

    This is what a loss may do with one: arithmetic with arrays and numbers, which broadcasts, and negation. `shape` and
    `dtype` and indexing are for the code around a loss, which may itself be traced where none of them is known.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> object: ...
    def __add__(self, other: Any, /) -> "Array": ...
    def __radd__(self, other: Any, /) -> "Array": ...
    def __sub__(self, other: Any, /) -> "Array": ...
    def __rsub__(self, other: Any, /) -> "Array": ...
    def __mul__(self, other: Any, /) -> "Array": ...
    def __rmul__(self, other: Any, /) -> "Array": ...
    def __truediv__(self, other: Any, /) -> "Array": ...
    def __rtruediv__(self, other: Any, /) -> "Array": ...
    def __neg__(self) -> "Array": ...
    def __getitem__(self, key: Any, /) -> "Array": ...


NumpyArray = NDArray[Any]
"""An array of NumPy's, of any dtype: what crosses between a framework and the host."""

Axis = int | tuple[int, ...] | None

Data = Any
"""What a loss reads beside its parameters: nested mappings and tuples of arrays."""


class Operations(ABC):
    """States the operations that every backend and every interpreter must have.

    Laws, checked by `gradest.testing`: each operation equals NumPy's on the same numbers to rounding; the
    composed operations equal their portable form, here written in the others, to rounding; `relu` has
    derivative 0 at 0; operands are never written to.

    A loss may use: `+ - * /`, numbers; `exp log expm1 log1p tanh sin cos sqrt abs square relu sigmoid softplus`;
    `maximum greater where`; `sum mean max logsumexp softmax softmax_cross_entropy`; `matmul affine matrix_transpose
    expand_dims slice_axis concat stop_gradient`. The others are for interpreters and estimators, whose arrays have
    shapes.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> ops = gradest.get_backend("numpy").operations()
    >>> ops.relu(np.array([-1.0, 2.0])).tolist(), float(ops.sum(np.array([1.0, 2.0]), axis=-1))
    ([0.0, 2.0], 3.0)
    """

    # -- elementwise ------------------------------------------------------------------------------------
    @abstractmethod
    def exp(self, x: Array) -> Array: ...

    @abstractmethod
    def log(self, x: Array) -> Array: ...

    @abstractmethod
    def expm1(self, x: Array) -> Array: ...

    @abstractmethod
    def log1p(self, x: Array) -> Array: ...

    @abstractmethod
    def tanh(self, x: Array) -> Array: ...

    @abstractmethod
    def sin(self, x: Array) -> Array: ...

    @abstractmethod
    def cos(self, x: Array) -> Array: ...

    @abstractmethod
    def sqrt(self, x: Array) -> Array: ...

    @abstractmethod
    def abs(self, x: Array) -> Array: ...

    @abstractmethod
    def maximum(self, x: Array, y: Array | float) -> Array: ...

    @abstractmethod
    def greater(self, x: Array, y: Array | float) -> Array:
        """Return `x > y` as booleans, for use as the condition of `where`."""

    @abstractmethod
    def where(self, condition: Array, x: Array | float, y: Array | float) -> Array:
        """Return x where the condition holds and y elsewhere: one of them at least is an array, and has a dtype."""

    # -- reductions -------------------------------------------------------------------------------------
    @abstractmethod
    def sum(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array: ...

    @abstractmethod
    def mean(self, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array: ...

    @abstractmethod
    def max(self, x: Array, *, axis: int, keepdims: bool = False) -> Array: ...

    # -- shapes and products ----------------------------------------------------------------------------
    @abstractmethod
    def matmul(self, x: Array, y: Array) -> Array:
        """Return the matrix product over the last two axes; leading axes broadcast."""

    @abstractmethod
    def matrix_transpose(self, x: Array) -> Array: ...

    @abstractmethod
    def expand_dims(self, x: Array, *, axis: int) -> Array: ...

    @abstractmethod
    def slice_axis(self, x: Array, start: int, stop: int, *, axis: int) -> Array:
        """Return the entries start, ..., stop - 1 along an axis, counted from the end; `0 <= start < stop <= n`."""

    @abstractmethod
    def concat(self, *arrays: Array, axis: int) -> Array:
        """Return arrays one behind the other along an axis, counted from the end; their other axes are equal."""

    @abstractmethod
    def stop_gradient(self, x: Array) -> Array:
        """Return `x` as a constant: every interpreter and native mode gives it derivative zero."""

    # -- shapes, for interpreters and estimators only (arrays that have a shape) ---------------------------
    @abstractmethod
    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array: ...

    @abstractmethod
    def broadcast_to(self, x: Array, shape: tuple[int, ...]) -> Array: ...

    @abstractmethod
    def zeros_like(self, x: Array) -> Array: ...

    @abstractmethod
    def constant(self, values: NumpyArray, *, like: Array) -> Array:
        """Return NumPy values as a constant array of the dtype and on the device of `like`."""

    def blockwise(self, function: Callable[[Array], Array], x: Array) -> Array:
        """Return `function(x)` for a function that treats each entry of x's first axis by itself.

        Frameworks that do not fuse operations may evaluate it on blocks that fit a cache.
        """
        return function(x)

    def sum_each(self, arrays: Iterable[Array], *, axis: int) -> tuple[Array, ...]:
        """Return the sums along an axis of arrays of one shape; each may be overwritten once the next is asked for.

        A framework that compiles may add up all at once.
        """
        return tuple(self.sum(array, axis=axis) for array in arrays)

    def accumulate(self, total: Array, x: Array) -> Array:
        """Return `total + x` of the shape of total, which may be overwritten: nobody else may hold it."""
        return total + x

    def both_sides(self, function: Callable[[Array], Array], x: Array, change: Array, radius: float) -> Array:
        """Return an elementwise function at `x + radius * change_k`, and then at `x - radius * change_k`.

        x of shape S, change `(K, *S)`; the result is `(2 K, *S)`. Frameworks that do not fuse operations may evaluate
        it in place on blocks that fit a cache.
        """
        shape = tuple(int(n) for n in change.shape)
        signs = self.constant(np.array([radius, -radius]).reshape(2, *(1,) * len(shape)), like=change)
        values = function(x + self.expand_dims(change, axis=0) * signs)
        return self.reshape(values, (2 * shape[0], *shape[1:]))

    vectorises_last_axis = False
    """Whether elementwise loops are vectorised along the last axis alone, as a compiler's are."""

    unpacks_signs = False
    """Whether there is `unpack_signs`: worth it where arrays cross by a copy, to a device or to a compiler's memory."""

    def unpack_signs(self, words: Array, size: int, *, like: Array) -> Array:
        """Return `(K, size)` of +1 and -1, of the dtype of `like`, from bits `(K, W)` in 32-bit words."""
        raise UnsupportedError(
            f"{size} signs were asked for from bits; {type(self).__name__} unpacks none; draw the directions as numbers"
        )

    def piecewise(
        self, x: Array, far: Array, on_far: Callable[[Array], Array], on_near: Callable[[Array], Array]
    ) -> Array:
        """Return `on_far(x)` where the condition `far` holds and `on_near(x)` elsewhere.

        `on_near` finds 0 in place of the entries of `x` that are far. Both are evaluated, as a traced text must; a
        framework with the values at hand may evaluate only what occurs.
        """
        # 0 in place of far entries, though their results are thrown away: an overflow there would warn, and in a
        # derivative the 0 of the branch not taken times its infinity would be NaN.
        return self.where(far, on_far(x), on_near(self.where(far, 0.0, x)))

    # -- composed operations: portable here, overridden where a framework has a better kernel --------------
    def square(self, x: Array) -> Array:
        """Return `x * x`."""
        return x * x

    def relu(self, x: Array) -> Array:
        """Return `max(x, 0)`, with derivative 0 at 0 on every backend."""
        # Not `maximum(x, 0)`: JAX and PyTorch split the derivative of a tie between the operands, 1/2 each.
        return self.where(self.greater(x, 0.0), x, self.zeros_like(x))

    def sigmoid(self, x: Array) -> Array:
        """Return `1 / (1 + exp(-x))`, without overflow for any finite `x`."""
        # In float32, exp(-x) overflows below x = -88.7; tanh saturates instead.
        return 0.5 * self.tanh(0.5 * x) + 0.5

    def softplus(self, x: Array) -> Array:
        """Return `log(1 + exp(x))` as `relu(x) + log1p(exp(-|x|))`, without overflow."""
        # log(1 + e^x) = x + log(1 + e^-x): with -|x| in the exponent nothing overflows and small results keep their
        # digits. One comparison decides for both terms: their kinks at 0 cancel then, whichever side 0 is counted to.
        positive = self.greater(x, 0.0)
        rest = self.log1p(self.exp(self.where(positive, -x, x)))
        return self.where(positive, x, self.zeros_like(x)) + rest

    def affine(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        """Return `x @ weight + bias` for x `(..., N, D)`, weight `(..., D, H)`, bias `(..., H)` or None."""
        product = self.matmul(x, weight)
        return product if bias is None else product + self.expand_dims(bias, axis=-2)

    def logsumexp(self, x: Array) -> Array:
        """Return `log(sum(exp(x)))` over the last axis, shifted by its maximum: `(..., C) -> (...)`.

        Entries of -inf add nothing; of a row that has no others it is -inf, and its derivative is undefined (NaN).
        """
        # The result does not depend on the shift, so its derivative by it is 0: held constant, none is computed (and
        # the kink of the maximum leaves no trace).
        shift = self.max(self.stop_gradient(x), axis=-1, keepdims=True)
        shift = self.where(self.greater(shift, -math.inf), shift, 0.0)  # -inf less -inf would be NaN
        return self.log(self.sum(self.exp(x - shift), axis=-1)) + self.max(shift, axis=-1)

    def softmax(self, x: Array) -> Array:
        """Return `exp(x) / sum(exp(x))` over the last axis, shifted by its maximum.

        It is 0 at entries of -inf, and so is its derivative by them; a row that has no others is 0 / 0, NaN.
        """
        weights = self.exp(x - self.max(self.stop_gradient(x), axis=-1, keepdims=True))
        return weights / self.sum(weights, axis=-1, keepdims=True)

    def softmax_cross_entropy(self, logits: Array, targets: Array) -> Array:
        """Return the mean cross-entropy of softmax: logits `(..., N, C)`, targets `(N, C)` -> `(...)`.

        With targets `(M, N, C)` it is that of M batches, `(..., M)`: `(M, 1, C)` are M examples, each for itself.

        mean over N of `logsumexp(z) - <targets, z>`, where `0 * -inf` counts as 0.

        Targets are one-hot labels or shares of the classes (label smoothing), none negative, each row of which adds up
        to 1. A class whose logit is -inf is closed: where its target is 0 it has no part in the loss, and a target
        above 0 for it makes the loss +inf (that there is no such probability is what the loss says). A row whose
        classes are all closed has no softmax: the loss is NaN.
        """
        # Shifted before anything is subtracted: at logits of -1e5 the two terms agree in all but the last digits that
        # float32 has. No digit is lost by the shift, and rows of targets that add up to 1 do not see it.
        shifted = logits - self.max(self.stop_gradient(logits), axis=-1, keepdims=True)
        picked = self.sum(self._open_classes(shifted, targets) * targets, axis=-1)
        return self.mean(self.log(self.sum(self.exp(shifted), axis=-1)) - picked, axis=-1)

    def _open_classes(self, z: Array, targets: Array) -> Array:
        """Return logits with 0 in place of -inf, but where a target asks for the class: `0 * -inf` is NaN."""
        # By the logit first: where that is finite it stays, so that a target that moves away from 0 has its derivative.
        finite = self.where(self.greater(z, -math.inf), z, 0.0)
        return self.where(self.greater(targets, 0.0), z, finite)

    def softmax_cross_entropy_and_gradient(self, logits: Array, targets: Array) -> tuple[Array, Array]:
        """Return `softmax_cross_entropy` and its derivative by the logits, `(softmax(z) - targets) / N`.

        Needs arrays that have a shape; closed-form gradients are written with it.
        """
        value = self.softmax_cross_entropy(logits, targets)
        return value, (self.softmax(logits) - targets) / logits.shape[-2]


def require_one_array(x: Array | float, y: Array | float) -> None:
    """Refuse a choice between two numbers: some frameworks make float32 of them, whatever the loss is computed in.

    Raises
    ------
    InvalidInputError
        Neither is an array.
    """
    # By type: a scalar of NumPy's, which is an array of shape () here, is an instance of `float`.
    if type(x) in (int, float) and type(y) in (int, float):
        raise InvalidInputError(
            f"where was to choose between two numbers, {x} and {y}, which have no dtype of the loss's; make one an "
            f"array of some other's form: ops.zeros_like(x) + {x}"
        )


Text = Callable[[Operations, tuple[Array, ...], Data], Array]
"""A loss written in operations, of parameter leaves and data.

Called a text because it is read in several ways, as the same lines are by several readers: run by a backend, or
interpreted by dual numbers, by a tape, by exact differences.
"""
