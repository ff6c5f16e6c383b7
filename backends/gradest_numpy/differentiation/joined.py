"""Functions that join, choose and split arrays: `concatenate`, `where`, and what is written in them."""

from itertools import pairwise
from typing import Any

import numpy as np

from gradest.errors import UnsupportedError
from gradest_numpy.differentiation.moved import numbered, returned
from gradest_numpy.differentiation.rules import NOT_GIVEN, Rule, composed, counted, found, zero
from gradest_numpy.differentiation.traced import TracedArray, apply, plain

# -- joining ---------------------------------------------------------------------------------------


def _concatenated(*arrays: Any, axis: int) -> Any:
    return np.concatenate(arrays, axis=axis)


def _share(g: Any, y: Any, *arrays: Any, position: int, axis: int) -> Any:
    start = sum(np.shape(x)[axis] for x in arrays[:position])
    key = [slice(None)] * np.ndim(y)
    key[axis] = slice(start, start + np.shape(arrays[position])[axis])
    return g[tuple(key)]


def _among_zeros(t: Any, y: Any, *arrays: Any, position: int, axis: int) -> Any:
    parts = [t if k == position else np.zeros(np.shape(x), t.dtype) for k, x in enumerate(arrays)]
    return np.concatenate(parts, axis=axis)


def _directions_among_zeros(t: Any, y: Any, *arrays: Any, position: int, axis: int) -> Any:
    parts = [t if k == position else np.zeros((len(t), *np.shape(x)), t.dtype) for k, x in enumerate(arrays)]
    return np.concatenate(parts, axis=axis % np.ndim(y) + 1)


CONCATENATE = Rule(
    "numpy.concatenate",
    _concatenated,
    (_share,),
    (_among_zeros,),
    variadic=True,
    directions=(_directions_among_zeros,),
)


@composed(np.concatenate)
def _concatenate(arrays: Any, axis: Any = 0) -> Any:
    if axis is None:
        arrays, axis = [np.ravel(x) for x in arrays], 0
    return apply(CONCATENATE, tuple(x if isinstance(x, TracedArray) else np.asarray(x) for x in arrays), {"axis": axis})


@composed(np.stack)
def _stack(arrays: Any, axis: int = 0) -> Any:
    return np.concatenate([np.expand_dims(x, axis) for x in arrays], axis=axis)


@composed(*found(np, "vstack", "row_stack"))
def _vstack(tup: Any) -> Any:
    return np.concatenate([np.atleast_2d(x) for x in tup], axis=0)


@composed(np.hstack)
def _hstack(tup: Any) -> Any:
    arrays = [np.atleast_1d(x) for x in tup]
    return np.concatenate(arrays, axis=0 if np.ndim(arrays[0]) == 1 else 1)


@composed(np.dstack)
def _dstack(tup: Any) -> Any:
    return np.concatenate([np.atleast_3d(x) for x in tup], axis=2)


@composed(np.column_stack)
def _column_stack(tup: Any) -> Any:
    return np.concatenate([x if np.ndim(x) > 1 else np.reshape(x, (-1, 1)) for x in tup], axis=1)


def _depth(arrays: Any) -> int:
    return 1 + max(map(_depth, arrays)) if isinstance(arrays, list) else 0


def _rank(arrays: Any) -> int:
    return max(map(_rank, arrays)) if isinstance(arrays, list) else np.ndim(arrays)


@composed(np.block)
def _block(arrays: Any) -> Any:
    depth = _depth(arrays)
    rank = max(depth, _rank(arrays))

    def joined(part: Any, level: int) -> Any:
        if not isinstance(part, list):
            return np.reshape(part, (1,) * (rank - np.ndim(part)) + np.shape(part))
        return np.concatenate([joined(p, level + 1) for p in part], axis=rank - depth + level)

    return joined(arrays, 0)


@composed(np.append)
def _append(arr: Any, values: Any, axis: Any = None) -> Any:
    if axis is None:
        arr, values, axis = np.ravel(arr), np.ravel(values), 0
    return np.concatenate((arr, values), axis=axis)


def _inserted(position: int) -> Any:
    def adjoint(g: Any, y: Any, arr: Any, values: Any, obj: Any, axis: Any) -> Any:
        numbers = [numbered(x) if k == position else np.zeros(np.shape(x), int) for k, x in enumerate((arr, values))]
        return returned(
            g, numbers=np.insert(numbers[0], obj, numbers[1], axis=axis), shape=np.shape((arr, values)[position])
        )

    return adjoint


INSERT = Rule(
    "numpy.insert",
    lambda arr, values, obj, axis: np.insert(arr, obj, values, axis=axis),
    (_inserted(0), _inserted(1)),
    (
        lambda t, y, arr, values, obj, axis: np.insert(t, obj, np.zeros(np.shape(values), t.dtype), axis=axis),
        lambda t, y, arr, values, obj, axis: np.insert(np.zeros(np.shape(arr), t.dtype), obj, t, axis=axis),
    ),
)


@composed(np.insert)
def _insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    return apply(INSERT, (arr, values), {"obj": plain(obj), "axis": axis})


# -- choosing --------------------------------------------------------------------------------------
WHERE = Rule(
    "numpy.where",
    np.where,
    (zero, lambda g, z, c, x, y: np.where(c, g, 0), lambda g, z, c, x, y: np.where(c, 0, g)),
    (zero, lambda g, z, c, x, y: np.where(c, g, 0), lambda g, z, c, x, y: np.where(c, 0, g)),
    diagonal=True,
)


@composed(np.where)
def _where(condition: Any, *choices: Any) -> Any:
    return apply(WHERE, (plain(condition), *choices), {}) if choices else np.nonzero(plain(condition))


def _inside(x: Any, lo: Any, hi: Any) -> Any:
    return (True if lo is None else x >= lo) & (True if hi is None else x <= hi)


def _low(x: Any, lo: Any, hi: Any) -> Any:
    return (x < lo) & (True if hi is None else lo <= hi)


def _high(x: Any, lo: Any, hi: Any) -> Any:
    return (x > hi) | (False if lo is None else lo > hi)


_CLIPS = (
    lambda g, y, x, lo, hi: np.where(_inside(x, lo, hi), g, 0),
    lambda g, y, x, lo, hi: np.where(_low(x, lo, hi), g, 0),
    lambda g, y, x, lo, hi: np.where(_high(x, lo, hi), g, 0),
)
CLIP = Rule("numpy.clip", np.clip, _CLIPS, _CLIPS, diagonal=True)


@composed(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, min: Any = None, max: Any = None) -> Any:  # noqa: A002  # NumPy's
    bounds = [None if b is NOT_GIVEN else b for b in (a_min, a_max, min, max)]
    lo, hi = (short if long is None else long for long, short in zip(bounds[:2], bounds[2:], strict=True))
    return apply(CLIP, (a, lo, hi), {})


@composed(np.select)
def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = np.where(condition, choice, result)
    return result


@composed(np.choose)
def _choose(a: Any, choices: Any, mode: str = "raise") -> Any:
    index = np.asarray(plain(a))
    if mode != "raise" or (index < 0).any() or (index >= len(choices)).any():
        raise UnsupportedError(f"choose has a rule for indices of 0 to {len(choices) - 1} and mode='raise' alone")
    return np.select([index == k for k in range(len(choices))], list(choices))


@composed(np.compress)
def _compress(condition: Any, a: Any, axis: Any = None) -> Any:
    chosen = np.asarray(plain(condition))
    if chosen.ndim != 1:
        raise ValueError("condition must be a 1-d array")
    return np.take(np.ravel(a) if axis is None else a, np.flatnonzero(chosen), axis=0 if axis is None else axis)


@composed(np.extract)
def _extract(condition: Any, arr: Any) -> Any:
    return np.ravel(arr)[np.flatnonzero(plain(condition))]


@composed(np.take_along_axis)
def _take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    if axis is None:
        return np.ravel(arr)[plain(indices)]
    axis = counted(axis, np.ndim(arr))
    indices = plain(indices)
    key = [np.arange(n).reshape((1,) * k + (-1,) + (1,) * (np.ndim(arr) - k - 1)) for k, n in enumerate(np.shape(arr))]
    return arr[(*key[:axis], indices, *key[axis + 1 :])]


@composed(np.trim_zeros)
def _trim_zeros(filt: Any, trim: str = "fb") -> Any:
    values = plain(filt)
    np.trim_zeros(values, trim)  # type: ignore[arg-type]  # its literals; refuses what it does not take: several axes, before NumPy 2.2
    places = np.argwhere(values != 0)
    if not len(places):
        return filt[(slice(0),) * values.ndim]
    first, last = places.min(axis=0), places.max(axis=0)
    return filt[
        tuple(
            slice(first[k] if "f" in trim.lower() else None, last[k] + 1 if "b" in trim.lower() else None)
            for k in range(values.ndim)
        )
    ]


# -- splitting -------------------------------------------------------------------------------------
@composed(np.array_split)
def _array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    length = np.shape(ary)[axis]
    if np.ndim(indices_or_sections) == 0:
        small, larger = divmod(length, int(indices_or_sections))
        sizes = [small + 1] * larger + [small] * (int(indices_or_sections) - larger)
        bounds = [0, *np.cumsum(sizes)]
    else:
        bounds = [0, *indices_or_sections, length]
    before = (slice(None),) * counted(axis, np.ndim(ary))
    return [ary[(*before, slice(int(i), int(j)))] for i, j in pairwise(bounds)]


@composed(np.split)
def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    if np.ndim(indices_or_sections) == 0 and np.shape(ary)[axis] % int(indices_or_sections):
        raise ValueError("array split does not result in an equal division")
    return np.array_split(ary, indices_or_sections, axis)


@composed(np.hsplit)
def _hsplit(ary: Any, indices_or_sections: Any) -> Any:
    return np.split(ary, indices_or_sections, 0 if np.ndim(ary) == 1 else 1)


@composed(np.vsplit)
def _vsplit(ary: Any, indices_or_sections: Any) -> Any:
    if np.ndim(ary) < 2:
        raise ValueError("vsplit only works on arrays of 2 or more dimensions")
    return np.split(ary, indices_or_sections, 0)


@composed(np.dsplit)
def _dsplit(ary: Any, indices_or_sections: Any) -> Any:
    return np.split(ary, indices_or_sections, 2)


@composed(*found(np, "unstack"))
def _unstack(x: Any, axis: int = 0) -> Any:
    return tuple(np.moveaxis(x, axis, 0))
