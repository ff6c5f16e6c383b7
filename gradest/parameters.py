"""Parameters as they are when bound: floating-point, finite, private copies on one device.

Bad input is the same error on every backend. This module knows no framework by name.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from gradest.backend import Backend, Leaves
from gradest.dtypes import count_non_finite
from gradest.errors import InvalidInputError, InvalidTypeError, NonFiniteError, UnsupportedError
from gradest.evaluation import kind_of
from gradest.operations import Array, NumpyArray
from gradest.tree import Leaf, is_number, require_plain

_T = TypeVar("_T")


def start_of(
    leaves: tuple[Any, ...], paths: tuple[str, ...], backend: Backend, device: str | None
) -> tuple[Leaves, bool]:
    """Return private copies of the parameters on their device, and whether they were NumPy's for another backend."""
    owned = [leaf for leaf in leaves if backend.owns(leaf)]
    for leaf, path in zip(leaves, paths, strict=True):
        refused = _asked(backend, backend.no_parameter, leaf)
        if refused:
            raise InvalidTypeError(f"parameter {path!r} must be a dense array on one device; {refused}")
    where = _asked(backend, backend.device, owned[0]) if owned else device or backend.devices()[0]
    if device not in (None, where):
        raise InvalidInputError(f"device={device!r} was given; the parameters are on {where!r}: move them there first")
    number = backend.dtype(owned[0]) if owned else None
    start = tuple(_private_copy(backend, leaf, path, where, number) for leaf, path in zip(leaves, paths, strict=True))
    if any(map(backend.is_abstract, start)):  # of arrays that have values, inside a transformation all the same
        raise bound_inside(backend)
    if not any(math.prod(leaf.shape) for leaf in start):
        raise InvalidInputError(f"parameters hold no numbers: {', '.join(paths)} are empty; give at least one entry")
    return start, backend.name != "numpy" and not owned


def bound_inside(backend: Backend) -> UnsupportedError:
    """Return the error for an objective that is bound where a transformation of the framework is under way."""
    return UnsupportedError(
        f"an objective was to be bound inside a transformation of {backend.name} (jit, vmap or grad), where arrays "
        "have no values; bind it outside, or call gradest.grad(f, method='reverse') inside, of parameters that are "
        "arguments of the transformed function"
    )


def _private_copy(backend: Backend, leaf: Leaf, path: str, device: str, number: str | None) -> Array:
    """Return a parameter leaf as an array of the backend that nobody else holds.

    `number` is the dtype of a single number beside arrays of the backend; None where there are none.
    """
    if backend.owns(leaf) and type(leaf) is not float:
        _require_float(backend, leaf, path)
        if _asked(backend, backend.device, leaf) == device:  # a large model on a GPU does not go through the host
            made = _asked(backend, backend.copied, leaf)
            if not backend.is_abstract(made):  # else it is refused with the others
                _require_finite(path, math.prod(made.shape), backend.count_non_finite(made))
            return made
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
    _require_float(backend, leaf, path)
    values = _asked(backend, backend.numpy, leaf) if backend.owns(leaf) else np.asarray(leaf)
    if values.dtype.kind not in "fV" or values.dtype.names:  # V: bfloat16 as NumPy sees it, and records
        raise _not_floating(path, str(values.dtype))
    _require_finite(path, values.size, count_non_finite(values))
    return values


def _require_float(backend: Backend, leaf: Leaf, path: str) -> None:
    """Refuse what is not an array, or not one of floating-point numbers as far as its dtype's name says."""
    if not (backend.owns(leaf) or isinstance(leaf, np.ndarray | np.generic | float)):
        raise InvalidTypeError(
            f"parameter {path!r} must be a floating-point array of backend {backend.name!r}; "
            f"found {type(leaf).__name__}"
        )
    require_plain(leaf, path)
    # By name, before values are asked for: a key of JAX's is an array that has no values for NumPy.
    if backend.owns(leaf) and kind_of(getattr(leaf, "dtype", "float64")) != "float":
        raise _not_floating(path, str(leaf.dtype))


def _require_finite(path: str, size: int, bad: int) -> None:
    if bad:
        raise NonFiniteError(f"parameters must be finite; {path!r} has {bad} of {size} entries NaN or infinite")


def _asked(backend: Backend, question: Callable[[Any], _T], leaf: Leaf) -> _T:
    """Return what a backend answers about an array, its error told in gradest's words."""
    try:
        return question(leaf)
    except Exception as error:
        told = backend.translated(error)  # of an array that is no longer there, say
        if told is None:
            raise
        raise told from error


def _not_floating(path: str, found: str) -> InvalidTypeError:
    if "complex" in found:
        return InvalidTypeError(
            f"parameter {path!r} must be real and floating-point; found dtype {found}; pass its real and its imaginary "
            "part as two arrays, and join them in the loss: p['real'] + 1j * p['imag']"
        )
    return InvalidTypeError(
        f"parameter {path!r} must be floating-point; found dtype {found}; if it is to be differentiated, convert it, "
        "e.g. to float64; if not (a counter, an index, a random key), leave it out of params and pass it as an "
        "argument of the loss"
    )
