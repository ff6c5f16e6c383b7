"""Functions that only move entries: each entry of the result is an entry of the array, or 0.

One rule serves them all. The function itself, of the numbers 1, 2, ... in place of the entries, says where each entry
went; the adjoint adds what comes back from there. The common ones have a shorter adjoint, written out.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from gradest.errors import UnsupportedError
from gradest.primitives import defjvp, defvjp, primitive
from gradest_numpy.differentiation.rules import Rule, add, axes_of, found, itself, linear, name_of, unbroadcast

MOVED = found(
    np, *[
        "repeat", "tile", "roll", "rot90", "flip", "fliplr", "flipud", "take", "delete", "resize", "diag",
        "diagonal", "diagflat", "tril", "triu", "rollaxis",
    ]
)  # fmt: skip
MOVED_BY_INDEX = found(np.lib.stride_tricks, "sliding_window_view")
MOVED_IN_LINALG = found(np.linalg, "diagonal")


def numbered(x: Any) -> Any:
    """Return the numbers 1, 2, ... in the shape of x; 0 is left to say that an entry comes from nowhere."""
    return np.arange(1, np.size(x) + 1).reshape(np.shape(x))


@primitive
def returned(g: Any, *, numbers: Any, shape: tuple[int, ...]) -> Any:
    """Return the cotangent of an array of the shape from that of its moved entries, by their numbers."""
    size = int(np.prod(shape, dtype=int))
    if g.dtype.itemsize > 8:  # extended precision, which `bincount` would round to float64
        total = np.zeros(size + 1, g.dtype)
        np.add.at(total, numbers, g)
    else:
        total = np.bincount(numbers.ravel(), g.ravel(), minlength=size + 1).astype(g.dtype)
    return total[1:].reshape(shape)


defjvp(returned, "same")
defvjp(
    returned, lambda ans, g, numbers, shape: lambda h: np.where(numbers > 0, _flat(h)[np.maximum(numbers - 1, 0)], 0)
)


def _flat(h: Any) -> Any:
    return np.ravel(h)


def moving(function: Callable[..., Any]) -> Rule:
    """Return the rule of a function that moves the entries of its first array."""

    def adjoint(g: Any, y: Any, x: Any, **options: Any) -> Any:
        return returned(g, numbers=function(numbered(x), **options), shape=np.shape(x))

    return Rule(name_of(function), function, (adjoint,), (itself(function),))


for _function in (*MOVED, *MOVED_BY_INDEX, *MOVED_IN_LINALG):
    add(_function, moving(_function))


def _reshaped(g: Any, y: Any, x: Any, **options: Any) -> Any:
    order = options.get("order", "C")
    if order not in ("C", "F"):
        raise UnsupportedError(
            f"reshape or ravel with order={order!r} was called with a value that is being differentiated; it depends "
            "on how the value lies in memory: use order='C' or 'F'"
        )
    return np.reshape(g, np.shape(x), order=order)


def _transposed(g: Any, y: Any, a: Any, axes: Any = None) -> Any:
    return np.transpose(g, None if axes is None else np.argsort(axes_of(axes, np.ndim(a))))


linear(
    {
        np.reshape:      _reshaped,
        np.ravel:        _reshaped,
        np.transpose:    _transposed,
        np.swapaxes:     lambda g, y, a, axis1=0, axis2=1: np.swapaxes(g, axis1, axis2),
        np.moveaxis:     lambda g, y, a, source=0, destination=0: np.moveaxis(g, destination, source),
        np.squeeze:      lambda g, y, a, axis=None: np.reshape(g, np.shape(a)),
        np.expand_dims:  lambda g, y, a, axis=0: np.reshape(g, np.shape(a)),
        np.broadcast_to: lambda g, y, array, shape=(): unbroadcast(g, np.shape(array)),
        np.copy:         lambda g, y, a, order="K": g,
    }
)  # fmt: skip
for _function in found(np.linalg, "matrix_transpose"):
    linear({_function: lambda g, y, x: np.swapaxes(g, -1, -2)})
