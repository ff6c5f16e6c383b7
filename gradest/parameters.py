"""Parameters as they are when bound: floating-point, finite, private copies on one device.

Bad input is the same error on every backend. This module knows no framework by name.
"""

import math
from typing import Any

import numpy as np

from gradest.backend import Backend, Leaves
from gradest.errors import InvalidInputError, InvalidTypeError, NonFiniteError
from gradest.evaluation import kind_of
from gradest.operations import Array, NumpyArray
from gradest.tree import Leaf, is_number


def start_of(
    leaves: tuple[Any, ...], paths: tuple[str, ...], backend: Backend, device: str | None
) -> tuple[Leaves, bool]:
    """Return private copies of the parameters on their device, and whether they were NumPy's for another backend."""
    owned = [leaf for leaf in leaves if backend.owns(leaf)]
    where = backend.device(owned[0]) if owned else device or backend.devices()[0]
    if device not in (None, where):
        raise InvalidInputError(f"device={device!r} was given; the parameters are on {where!r}: move them there first")
    number = backend.dtype(owned[0]) if owned else None
    start = tuple(_private_copy(backend, leaf, path, where, number) for leaf, path in zip(leaves, paths, strict=True))
    if not any(math.prod(leaf.shape) for leaf in start):
        raise InvalidInputError(f"parameters hold no numbers: {', '.join(paths)} are empty; give at least one entry")
    return start, backend.name != "numpy" and not owned


def _private_copy(backend: Backend, leaf: Leaf, path: str, device: str, number: str | None) -> Array:
    """Return a parameter leaf as an array of the backend that nobody else holds.

    `number` is the dtype of a single number beside arrays of the backend; None where there are none.
    """
    values = float_array(backend, leaf, path)
    if type(leaf) is float:
        dtype = number or "float64"
    elif number and is_number(leaf) and not backend.owns(leaf):
        dtype = number
    else:
        dtype = backend.dtype(leaf) if backend.owns(leaf) else values.dtype.name  # native byte order
    return backend.array(values, dtype=dtype, device=device)


def float_array(backend: Backend, leaf: Leaf, path: str) -> NumpyArray:
    """Return a parameter leaf as a NumPy array, refusing what is not floating-point or not finite."""
    if not (backend.owns(leaf) or isinstance(leaf, np.ndarray | np.generic | float)):
        raise InvalidTypeError(
            f"parameter {path!r} must be a floating-point array of backend {backend.name!r}; "
            f"found {type(leaf).__name__}"
        )
    if isinstance(leaf, np.ma.MaskedArray | np.matrix):
        raise InvalidTypeError(
            f"parameter {path!r} must be a plain array; found {type(leaf).__name__}, whose arithmetic is another; pass "
            "np.asarray of it, and a mask as an argument"
        )
    # By name first: a key of JAX's is an array that has no values for NumPy.
    if backend.owns(leaf) and kind_of(getattr(leaf, "dtype", "float64")) != "float":
        raise _not_floating(path, str(leaf.dtype))
    values = backend.numpy(leaf) if backend.owns(leaf) else np.asarray(leaf)
    if values.dtype.kind not in "fV" or values.dtype.names:  # V: bfloat16 as NumPy sees it, and records
        raise _not_floating(path, str(values.dtype))
    bad = values.size - int(np.isfinite(values.astype(np.float64)).sum())
    if bad:
        raise NonFiniteError(f"parameters must be finite; {path!r} has {bad} of {values.size} entries NaN or infinite")
    return values


def _not_floating(path: str, found: str) -> InvalidTypeError:
    return InvalidTypeError(
        f"parameter {path!r} must be floating-point; found dtype {found}; if it is to be differentiated, convert it, "
        "e.g. to float64; if not (a counter, an index, a random key), leave it out of params and pass it as an "
        "argument of the loss"
    )
