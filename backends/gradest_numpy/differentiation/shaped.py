"""Shapes, padding, grids and polynomials, written in functions that have rules."""

from typing import Any

import numpy as np

from gradest.errors import UnsupportedError
from gradest_numpy.differentiation.linear_algebra import NUMPY_2
from gradest_numpy.differentiation.moved import moving
from gradest_numpy.differentiation.rules import Rule, composed, found
from gradest_numpy.differentiation.traced import TracedArray, apply, plain


def _one_or_all(arrays: list[Any]) -> Any:
    """Return one array, or several in the container that NumPy gives: a tuple since its version 2, a list before."""
    return arrays[0] if len(arrays) == 1 else tuple(arrays) if NUMPY_2 else arrays


@composed(np.atleast_1d)
def _atleast_1d(*arys: Any) -> Any:
    return _one_or_all([x if np.ndim(x) else np.reshape(x, (1,)) for x in arys])


@composed(np.atleast_2d)
def _atleast_2d(*arys: Any) -> Any:
    return _one_or_all([x if np.ndim(x) > 1 else np.reshape(x, (1, -1)) for x in arys])


@composed(np.atleast_3d)
def _atleast_3d(*arys: Any) -> Any:
    return _one_or_all(
        [x if np.ndim(x) > 2 else np.reshape(x, (*np.shape(x), 1) if np.ndim(x) == 2 else (1, -1, 1)) for x in arys]
    )


@composed(np.broadcast_arrays)
def _broadcast_arrays(*args: Any) -> Any:
    shape = np.broadcast_shapes(*map(np.shape, args))
    arrays = [np.broadcast_to(x, shape) for x in args]
    return tuple(arrays) if NUMPY_2 else arrays


@composed(np.meshgrid)
def _meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    rank = len(xi)
    grids: Any = [np.reshape(x, (1,) * k + (-1,) + (1,) * (rank - k - 1)) for k, x in enumerate(xi)]
    if indexing == "xy" and rank > 1:
        grids = [np.swapaxes(x, 0, 1) for x in grids]
    grids = grids if sparse else np.broadcast_arrays(*grids)
    grids = [x.copy() for x in grids] if copy else grids  # which may be written into, where a broadcast may not
    return tuple(grids) if NUMPY_2 and (copy or not sparse) else list(grids)


@composed(np.ix_)
def _ix(*args: Any) -> Any:
    return np.ix_(*plain(args))  # an index: it has no derivative


@composed(np.full_like)
def _full_like(a: Any, fill_value: Any, dtype: Any = None, shape: Any = None) -> Any:
    if type(fill_value) is not TracedArray:
        return np.full_like(plain(a), fill_value, dtype=dtype, shape=shape)
    filled: Any = np.broadcast_to(fill_value, np.shape(a) if shape is None else shape)
    return filled.astype(a.dtype if dtype is None else dtype)


PADDED = Rule(
    "numpy.pad",
    np.pad,
    (
        lambda g, y, array, pad_width, constant_values: g[
            tuple(
                slice(before, before + n)
                for (before, _), n in zip(_widths(pad_width, array), np.shape(array), strict=True)
            )
        ],
    ),
    (lambda t, y, array, pad_width, constant_values: np.pad(t, pad_width),),
)
PADDED_BY_ENTRIES = moving(np.pad)


def _widths(pad_width: Any, array: Any) -> Any:
    return np.broadcast_to(np.asarray(pad_width), (np.ndim(array), 2)).tolist()


@composed(np.pad)
def _pad(
    array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0, reflect_type: str = "even"
) -> Any:
    if isinstance(pad_width, dict):  # by axis, which newer versions of NumPy take
        by_axis = {int(k) % np.ndim(array): widths for k, widths in pad_width.items()}
        pad_width = [np.broadcast_to(by_axis.get(k, 0), (2,)).tolist() for k in range(np.ndim(array))]
    if mode == "constant":
        if type(constant_values) is TracedArray:
            raise UnsupportedError("pad has no rule by constant_values; np.concatenate takes values with a derivative")
        return apply(PADDED, (array,), {"pad_width": pad_width, "constant_values": constant_values})
    if mode not in ("edge", "reflect", "symmetric", "wrap") or reflect_type != "even":
        raise UnsupportedError(
            f"pad has no rule with mode={mode!r}, reflect_type={reflect_type!r}; use 'constant', 'edge', 'reflect', "
            "'symmetric' or 'wrap'"
        )
    return apply(PADDED_BY_ENTRIES, (array,), {"pad_width": pad_width, "mode": mode})


@composed(np.linspace)
def _linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, axis: int = 0) -> Any:
    if num < 0:
        raise ValueError(f"Number of samples, {num}, must be non-negative.")
    shape, parts = np.broadcast_shapes(np.shape(start), np.shape(stop)), num - 1 if endpoint else num
    step = (stop - start) / max(parts, 1)
    places = np.arange(num).reshape((-1,) + (1,) * np.ndim(step))
    points = start + places.astype(step.dtype) * step
    if endpoint and num > 1:
        last = np.broadcast_to(stop, (1, *shape)).astype(points.dtype)  # exactly, as NumPy does
        points = np.concatenate([points[:-1], last], axis=0)
    points = np.moveaxis(points, 0, axis)
    return (points, step if parts > 0 else np.nan) if retstep else points  # as NumPy: one point has no step


@composed(np.interp)
def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    xp, fp = (np.asarray(given) if isinstance(given, list | tuple) else given for given in (xp, fp))
    at, grid = np.asarray(plain(x)), np.asarray(plain(xp))
    below, above = at < grid[0], at > grid[-1]
    i = np.clip(np.searchsorted(grid, at, side="right") - 1, 0, max(len(grid) - 2, 0))
    j = np.minimum(i + 1, len(grid) - 1)
    step = grid[i] == grid[j]  # of one point, or of two last ones in one place, where the value is the last one's
    slope = (fp[j] - fp[i]) / np.where(step, 1, xp[j] - xp[i])
    # No point beyond the ends, whose line is thrown away: from infinity 0 times it would be NaN in a derivative.
    inside = np.where(step, fp[j], fp[i] + slope * (np.where(below | above, xp[i], x) - xp[i]))
    inside = np.where(below, fp[0] if left is None else left, inside)
    return np.where(above, fp[-1] if right is None else right, inside)


@composed(np.polyval)
def _polyval(p: Any, x: Any) -> Any:
    value = np.zeros_like(plain(x))
    if isinstance(p, list | tuple) and not any(type(c) is TracedArray for c in p):
        p = np.asarray(p)  # whose entries have a dtype, as to NumPy
    for coefficient in p:
        value = value * x + coefficient
    return value


@composed(np.vander)
def _vander(x: Any, N: Any = None, increasing: bool = False) -> Any:
    if np.ndim(x) != 1:
        raise ValueError("x must be a one-dimensional array or sequence.")
    powers = np.arange(len(x) if N is None else N)
    wide = np.expand_dims(x, -1).astype(np.result_type(x, int))  # as NumPy's, which makes float64 of float32
    return wide ** (powers if increasing else powers[::-1]).astype(wide.dtype)


@composed(*found(np, "real_if_close"))
def _real_if_close(a: Any, tol: Any = 100) -> Any:
    return a


@composed(np.divmod)
def _divmod(x: Any, y: Any) -> Any:
    return np.floor_divide(x, y), np.remainder(x, y)


@composed(np.modf)
def _modf(x: Any) -> Any:
    whole = np.trunc(x)
    none = np.zeros_like(whole)  # of x's own dtype, which a number 0 would change where x is one number
    return np.where(np.isinf(whole), none, x - np.where(np.isinf(whole), none, whole)), whole
