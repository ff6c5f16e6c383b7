"""Entries of an array taken by an index, and the array in another dtype."""

from types import EllipsisType
from typing import Any

import numpy as np

from gradest.primitives import defjvp, defvjp, primitive
from gradest_numpy.differentiation.rules import Rule

BASIC = (int, np.integer, slice, type(None), EllipsisType)


def is_basic(key: Any) -> bool:
    """Return whether an index takes each entry once, by integers and slices: then it may be assigned to."""
    parts = key if isinstance(key, tuple) else (key,)
    return all(isinstance(part, BASIC) and not isinstance(part, bool) for part in parts)


def add_at(total: Any, g: Any, key: Any) -> None:
    """Add g into the entries of `total` at an index; an entry taken twice gets both."""
    if is_basic(key):
        total[key] += g
    else:
        np.add.at(total, key, g)


def _taken(x: Any, key: Any) -> Any:
    return x[key]


@primitive
def scattered(g: Any, *, key: Any, shape: tuple[int, ...]) -> Any:
    """Return an array of zeros with g added at an index: the adjoint of taking entries, and linear itself.

    A primitive, so that second derivatives go through it: an outer trace could not see what is written here.
    """
    total = np.zeros(shape, g.dtype)
    if is_basic(key) or (isinstance(key, np.ndarray) and key.dtype == bool):
        total[key] = g  # no entry is taken twice
    else:
        np.add.at(total, key, g)
    return total


defvjp(scattered, lambda ans, g, key, shape: lambda h: h[key])
defjvp(scattered, "same")


def _adjoint(g: Any, y: Any, x: Any, key: Any) -> Any:
    return scattered(g, key=key, shape=np.shape(x))


def _all_directions(t: Any, y: Any, x: Any, key: Any) -> Any:
    if not is_basic(key):
        return NotImplemented  # NumPy puts the axes of some index arrays in front
    return t[(slice(None), *(key if isinstance(key, tuple) else (key,)))]


GETITEM = Rule(
    "indexing",
    _taken,
    (_adjoint,),
    (lambda t, y, x, key: t[key],),
    directions=(_all_directions,),
    adds=add_at,
)
"""x[key], for a basic, boolean, integer or mixed index."""

ASTYPE = Rule(
    "astype",
    lambda x, dtype: x.astype(dtype),
    (lambda g, y, x, dtype: g.astype(x.dtype),),
    (lambda t, y, x, dtype: t.astype(dtype),),
)
"""x in another floating dtype; the cotangent comes back in x's own."""
