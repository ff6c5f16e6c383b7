"""Reductions as NumPy spells them, with `where=` and `initial=`, and the statistics that are written in them."""

from typing import Any

import numpy as np

from gradest.errors import UnsupportedError
from gradest_numpy.differentiation.linear_algebra import NUMPY_2
from gradest_numpy.differentiation.reductions import MAX, MEAN, MIN, PROD, STD, SUM, VAR, root
from gradest_numpy.differentiation.rules import NOT_GIVEN, axes_of, composed, counted, found, reduced_size
from gradest_numpy.differentiation.traced import TracedArray, apply, plain, require_real

Option = Any

NUMPY_TURNS_ONE_ROW = np.lib.NumpyVersion(np.__version__) >= "2.2.0"
"""Whether `cov` of one row with `rowvar=False` is of its columns; before, it was of the row."""


def _chosen(a: Any, where: Any, neutral: Any) -> Any:
    return a if where is True or where is NOT_GIVEN else np.where(where, a, a.dtype.type(neutral))


def _given(value: Any, default: Any) -> Any:
    return default if value is NOT_GIVEN or value is None else value


def _is_whole(dtype: Any) -> bool:
    """Return whether a statistic is asked for in integers: then it is a step, with no derivative to follow."""
    return dtype is not None and np.dtype(dtype).kind != "f"


def _plainly(statistic: Any, a: Any, axis: Any, dtype: Any, **options: Any) -> Any:
    """Return a statistic of the values alone, in integers."""
    value = statistic(plain(a), axis, dtype, **{name: plain(x) for name, x in options.items() if x is not NOT_GIVEN})
    require_real(statistic.__name__, value)
    return value


def _started(value: Any, like: Any) -> Any:
    """Return what a reduction starts from in the reduction's dtype, as NumPy does: it makes no float32 float64."""
    return value.astype(like.dtype) if hasattr(value, "astype") else like.dtype.type(value)


@composed(np.sum)
def _sum(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: Option = False,
    initial: Option = NOT_GIVEN, where: Option = True,
) -> Any:  # fmt: skip
    _no_out("sum", out)
    if _is_whole(dtype):
        return _plainly(np.sum, a, axis, dtype, keepdims=keepdims, initial=initial, where=where)
    a = _chosen(a if dtype is None else a.astype(dtype), where, 0)
    total = apply(SUM, (a,), {"axis": axis, "keepdims": _given(keepdims, False)})
    return total if initial is NOT_GIVEN else total + _started(initial, total)


@composed(np.prod)
def _prod(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: Option = False,
    initial: Option = NOT_GIVEN, where: Option = True,
) -> Any:  # fmt: skip
    _no_out("prod", out)
    if _is_whole(dtype):
        return _plainly(np.prod, a, axis, dtype, keepdims=keepdims, initial=initial, where=where)
    a = _chosen(a if dtype is None else a.astype(dtype), where, 1)
    total = apply(PROD, (a,), {"axis": axis, "keepdims": _given(keepdims, False)})
    return total if initial is NOT_GIVEN else total * _started(initial, total)


@composed(np.mean)
def _mean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: Option = False, *, where: Option = True
) -> Any:
    _no_out("mean", out)
    if _is_whole(dtype):
        return _plainly(np.mean, a, axis, dtype, keepdims=keepdims, where=where)
    a = a if dtype is None else a.astype(dtype)
    keepdims = _given(keepdims, False)
    if where is True or where is NOT_GIVEN:
        return apply(MEAN, (a,), {"axis": axis, "keepdims": keepdims})
    count = np.sum(np.broadcast_to(plain(where), np.shape(a)), axis=axis, keepdims=keepdims)
    return np.sum(_chosen(a, where, 0), axis=axis, keepdims=keepdims) / count.astype(a.dtype)


def _extreme(rule: Any, pair: Any, a: Any, axis: Any, keepdims: Any, initial: Any, where: Any) -> Any:
    initial = initial if initial is NOT_GIVEN else _started(initial, a)
    if where is not True and where is not NOT_GIVEN:
        if initial is NOT_GIVEN:
            raise ValueError(f"{rule.name} with where= needs initial=, as NumPy's does")
        a = np.where(where, a, initial)
    if initial is not NOT_GIVEN and reduced_size(a, axis) == 0:  # of nothing else
        return np.copy(np.broadcast_to(initial, np.shape(np.sum(a, axis=axis, keepdims=keepdims))))[()]
    extreme = apply(rule, (a,), {"axis": axis, "keepdims": _given(keepdims, False)})
    return extreme if initial is NOT_GIVEN else pair(extreme, initial)


@composed(*found(np, "max", "amax"))
def _max(
    a: Any, axis: Any = None, out: None = None, keepdims: Option = False, initial: Option = NOT_GIVEN,
    where: Option = True,
) -> Any:  # fmt: skip
    _no_out("max", out)
    return _extreme(MAX, np.maximum, a, axis, keepdims, initial, where)


@composed(*found(np, "min", "amin"))
def _min(
    a: Any, axis: Any = None, out: None = None, keepdims: Option = False, initial: Option = NOT_GIVEN,
    where: Option = True,
) -> Any:  # fmt: skip
    _no_out("min", out)
    return _extreme(MIN, np.minimum, a, axis, keepdims, initial, where)


@composed(np.ptp)
def _ptp(a: Any, axis: Any = None, out: None = None, keepdims: Option = False) -> Any:
    _no_out("ptp", out)
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


def _spread_of(rule: Any) -> Any:
    def text(
        a: Any, axis: Any = None, dtype: Any = None, out: None = None, ddof: Any = 0, keepdims: Option = False,
        *, correction: Option = NOT_GIVEN,
    ) -> Any:  # fmt: skip
        _no_out(rule.name, out)
        if _is_whole(dtype):
            return rule.function(plain(a), axis, dtype, ddof=_given(correction, ddof), keepdims=_given(keepdims, False))
        a = a if dtype is None else a.astype(dtype)
        options = {"axis": axis, "ddof": _given(correction, ddof), "keepdims": _given(keepdims, False)}
        return apply(rule, (a,), options)

    return text


composed(np.var)(_spread_of(VAR))
composed(np.std)(_spread_of(STD))


def _no_out(name: str, out: Any) -> None:
    if out is not None:
        raise UnsupportedError(f"{name} was called with out= and a value that is being differentiated: write y = f(x)")


def _along_axes(weights: Any, a: Any, axis: Any) -> Any:
    """Return weights for some axes of an array in a shape that broadcasts with it, as NumPy takes them."""
    if axis is None or (not NUMPY_2 and np.ndim(weights) != 1):
        raise TypeError("Axis must be specified when shapes of a and weights differ.")
    axes = axes_of(axis, np.ndim(a))
    if np.shape(weights) != tuple(np.shape(a)[k] for k in axes):
        raise ValueError("Shape of weights must be consistent with shape of a along specified axis.")
    ordered = np.transpose(weights, np.argsort(axes))
    return np.reshape(ordered, tuple(n if k in axes else 1 for k, n in enumerate(np.shape(a))))


@composed(np.average)
def _average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Option = False) -> Any:
    keepdims, axis = _given(keepdims, False), tuple(axis) if NUMPY_2 and isinstance(axis, list) else axis
    if weights is None:
        value = np.mean(a, axis=axis, keepdims=keepdims)
        return (value, np.broadcast_to(value.dtype.type(reduced_size(a, axis)), np.shape(value))) if returned else value
    if np.shape(weights) != np.shape(a):
        weights = _along_axes(weights, a, axis)
    total = np.sum(np.broadcast_to(weights, np.shape(a)), axis=axis, keepdims=keepdims)
    if np.any(plain(total) == 0):
        raise ZeroDivisionError("Weights sum to zero, can't be normalized")
    value = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (value, total.astype(value.dtype)) if returned else value


# -- without NaN -----------------------------------------------------------------------------------
@composed(np.nansum)
def _nansum(a: Any, axis: Any = None, keepdims: Option = False) -> Any:
    return np.sum(_chosen(a, ~np.isnan(a), 0), axis=axis, keepdims=keepdims)


@composed(np.nanprod)
def _nanprod(a: Any, axis: Any = None, keepdims: Option = False) -> Any:
    return np.prod(_chosen(a, ~np.isnan(a), 1), axis=axis, keepdims=keepdims)


@composed(np.nanmean)
def _nanmean(a: Any, axis: Any = None, keepdims: Option = False) -> Any:
    return np.mean(a, axis=axis, keepdims=keepdims, where=~np.isnan(a))


def _extreme_of_numbers(extreme: Any, neutral: float, a: Any, axis: Any, keepdims: Option) -> Any:
    missing = np.isnan(a)
    value = extreme(_chosen(a, ~missing, neutral), axis=axis, keepdims=keepdims)
    none = np.all(missing, axis=axis, keepdims=_given(keepdims, False))
    return np.where(none, np.full_like(plain(value), np.nan), value) if np.any(none) else value


@composed(np.nanmax)
def _nanmax(a: Any, axis: Any = None, keepdims: Option = False) -> Any:
    return _extreme_of_numbers(np.max, -np.inf, a, axis, keepdims)


@composed(np.nanmin)
def _nanmin(a: Any, axis: Any = None, keepdims: Option = False) -> Any:
    return _extreme_of_numbers(np.min, np.inf, a, axis, keepdims)


@composed(np.nanvar)
def _nanvar(a: Any, axis: Any = None, ddof: Any = 0, keepdims: Option = False) -> Any:
    seen = ~np.isnan(a)
    centred = _chosen(a - np.nanmean(a, axis=axis, keepdims=True), seen, 0)
    freedom = np.sum(seen, axis=axis, keepdims=_given(keepdims, False)) - ddof
    count = np.where(freedom > 0, freedom, np.nan).astype(a.dtype)
    return np.sum(np.square(centred), axis=axis, keepdims=keepdims) / count


@composed(np.nanstd)
def _nanstd(a: Any, axis: Any = None, ddof: Any = 0, keepdims: Option = False) -> Any:
    return root(np.nanvar(a, axis=axis, ddof=ddof, keepdims=keepdims))


@composed(np.nancumsum)
def _nancumsum(a: Any, axis: Any = None) -> Any:
    return np.cumsum(_chosen(a, ~np.isnan(a), 0), axis=axis)


@composed(np.nancumprod)
def _nancumprod(a: Any, axis: Any = None) -> Any:
    return np.cumprod(_chosen(a, ~np.isnan(a), 1), axis=axis)


# -- of sorted entries -----------------------------------------------------------------------------
def _along_last(a: Any, axis: Any) -> tuple[Any, tuple[int, ...]]:
    """Return an array with the axes of a reduction made one, the last; and the shape that keepdims keeps."""
    rank = np.ndim(a)
    axes = tuple(range(rank)) if axis is None else tuple(counted(k, rank) for k in np.atleast_1d(axis).tolist())
    rest = tuple(k for k in range(rank) if k not in axes)
    flat = np.reshape(np.transpose(a, (*rest, *axes)), (*(np.shape(a)[k] for k in rest), reduced_size(a, axes)))
    return flat, tuple(1 if k in axes else n for k, n in enumerate(np.shape(a)))


def _nan_of_nan(value: Any, ordered: Any) -> Any:
    """Return a statistic of sorted entries, NaN where one of them is NaN: those are sorted to the end, out of sight."""
    missing = np.isnan(ordered).any(axis=-1)
    return np.where(missing, np.full_like(plain(value), np.nan), value) if missing.any() else value


def _require_levels(levels: Any, most: int, name: str) -> None:
    if not np.all((levels >= 0) & (levels <= most)):
        raise ValueError(f"{name} must be in the range [0, {most}]")  # in NumPy's words


@composed(np.quantile)
def _quantile(a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: Option = False) -> Any:
    if method != "linear":
        raise UnsupportedError(f"quantile and percentile have a rule for method='linear' alone; found {method!r}")
    flat, kept = _along_last(a, axis)
    ordered = np.sort(flat, axis=-1)
    level = q if hasattr(q, "dtype") else np.asarray(q)
    _require_levels(level, 1, "Quantiles")
    place = level * (np.shape(ordered)[-1] - 1)
    whole = np.floor(plain(place))
    below = whole.astype(int)
    above = np.minimum(below + 1, np.shape(ordered)[-1] - 1)
    share = (place - whole).astype(_dtype_between(a, q, level))
    ends = ordered[..., below], ordered[..., above]
    low, high, gap = (x.astype(share.dtype) for x in (*ends, ends[1] - ends[0]))
    # From the nearer end, as NumPy does: of two equal entries it is their own value.
    value = np.where(share >= 0.5, high - gap * (share.dtype.type(1) - share), low + gap * share)
    if np.ndim(level):
        value = np.moveaxis(value, tuple(range(-np.ndim(level), 0)), tuple(range(np.ndim(level))))
    value = _nan_of_nan(value, ordered)
    return np.reshape(value, (*np.shape(level), *kept)) if _given(keepdims, False) else value


def _dtype_between(a: Any, q: Any, level: Any) -> Any:
    """Return the dtype that NumPy gives quantiles: whole levels, and since version 2 Python's numbers, change none."""
    if level.dtype.kind in "biu" or (NUMPY_2 and type(q) in (int, float)):
        return a.dtype
    return np.result_type(a.dtype, level.dtype if NUMPY_2 else np.float64)


@composed(np.percentile)
def _percentile(a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: Option = False) -> Any:
    _require_levels(np.asarray(plain(q)), 100, "Percentiles")
    # An array, if it was no Python number: one of NumPy's own has a dtype, and passes for a float all the same.
    share = q / 100 if type(q) in (int, float, TracedArray) else np.asarray(np.true_divide(q, 100))
    return np.quantile(a, share, axis=axis, method=method, keepdims=keepdims)  # type: ignore[call-overload]  # NumPy's stubs want its literal


@composed(np.median)
def _median(a: Any, axis: Any = None, *, keepdims: Option = False) -> Any:
    flat, kept = _along_last(a, axis)
    ordered, count = np.sort(flat, axis=-1), np.shape(flat)[-1]
    value = _nan_of_nan(np.mean(ordered[..., (count - 1) // 2 : count // 2 + 1], axis=-1), ordered)
    return np.reshape(value, kept) if _given(keepdims, False) else value


# -- differences, integrals, covariances -----------------------------------------------------------
@composed(np.diff)
def _diff(a: Any, n: int = 1, axis: int = -1, prepend: Option = NOT_GIVEN, append: Option = NOT_GIVEN) -> Any:
    if n <= 0:  # NumPy adds no edges either where nothing is subtracted
        return a if n == 0 else np.diff(plain(a), n)
    axis = counted(axis, np.ndim(a))
    edges = [x for x in (prepend, a, append) if x is not NOT_GIVEN]
    whole = (*np.shape(a)[:axis], 1, *np.shape(a)[axis + 1 :])
    a = np.concatenate([x if np.ndim(x) else np.broadcast_to(x, whole) for x in edges], axis=axis)
    before = (slice(None),) * axis
    for _ in range(n):
        a = a[(*before, slice(1, None))] - a[(*before, slice(None, -1))]
    return a


@composed(np.ediff1d)
def _ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    inner = np.diff(np.ravel(ary))
    ends = [None if end is None else _flat_as(inner.dtype, end) for end in (to_begin, to_end)]
    return np.concatenate([part for part in (ends[0], inner, ends[1]) if part is not None])


def _flat_as(dtype: Any, x: Any) -> Any:
    x = np.ravel(x)
    if not np.can_cast(x.dtype, dtype, casting="same_kind"):
        raise TypeError("dtype of an end must be compatible with input `ary` under the `same_kind` rule.")  # as NumPy
    return x if x.dtype == dtype else x.astype(dtype)


@composed(*found(np, "trapezoid", "trapz"))
def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = y if hasattr(y, "dtype") else np.asarray(y)
    width = dx if x is None else np.diff(x, axis=-1 if np.ndim(x) == 1 else axis)
    given, axis = axis, counted(axis, np.ndim(y))
    before = (slice(None),) * axis
    if x is not None and np.ndim(width) == 1:  # points along the axis; an array of steps broadcasts as it is
        width = np.reshape(width, (-1,) + (1,) * (np.ndim(y) - axis - 1))
    heights = y[(*before, slice(1, None))] + y[(*before, slice(None, -1))]
    return np.sum(width * heights / 2, axis=given)  # of what was broadcast with the points: counted from its own end


@composed(np.gradient)
def _gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    axes = tuple(range(np.ndim(f))) if axis is None else tuple(np.atleast_1d(axis).tolist())
    steps = varargs * len(axes) if len(varargs) == 1 else varargs or (1.0,) * len(axes)
    if edge_order != 1 or any(np.ndim(step) for step in steps):
        raise UnsupportedError(
            "gradient has a rule for evenly spaced points and edge_order=1 alone; write it in slices"
        )
    if min((np.shape(f)[k] for k in axes), default=2) < 2:
        raise ValueError("Shape of array too small to calculate a numerical gradient")
    slopes = []
    for k, h in zip(axes, steps, strict=True):
        v = np.moveaxis(f, k, 0)
        inner = (v[2:] - v[:-2]) / (2.0 * h)
        slopes.append(np.moveaxis(np.concatenate([(v[1:2] - v[:1]) / h, inner, (v[-1:] - v[-2:-1]) / h]), 0, k))
    return slopes[0] if len(axes) == 1 else tuple(slopes) if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else slopes


@composed(np.cov)
def _cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None) -> Any:
    for name, given in (("m", m), ("y", y)):
        if np.ndim(given) > 2:
            raise ValueError(f"{name} has more than 2 dimensions")
    rows = np.atleast_2d(m)
    rows = rows.astype(np.result_type(rows, np.float64))  # as NumPy computes it
    turned = np.ndim(m) != 1 if NUMPY_TURNS_ONE_ROW else np.shape(rows)[0] != 1
    rows = rows.T if not rowvar and turned else rows
    if y is not None:
        more = np.atleast_2d(y)
        rows = np.concatenate([rows, more.T if not rowvar and np.shape(more)[0] != 1 else more], axis=0)
    freedom = int(not bias) if ddof is None else ddof
    count = max(np.shape(rows)[1] - freedom, 0)  # below 0 there is no variance: NaN or inf, as NumPy's
    centred = rows - np.mean(rows, axis=1, keepdims=True)
    return np.squeeze(centred @ centred.T / np.float64(count))


@composed(np.corrcoef)
def _corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    c = np.cov(x, y, rowvar)
    if np.ndim(c) == 0:
        return c / c
    scale = np.sqrt(np.diagonal(c))
    return np.clip(c / scale[:, None] / scale[None, :], -1, 1)


@composed(*found(np, "cumulative_sum"))
def _cumulative_sum(x: Any, axis: Any = None) -> Any:
    _require_axis(x, axis)
    return np.cumsum(x, axis=axis)


@composed(*found(np, "cumulative_prod"))
def _cumulative_prod(x: Any, axis: Any = None) -> Any:
    _require_axis(x, axis)
    return np.cumprod(x, axis=axis)


def _require_axis(x: Any, axis: Any) -> None:
    if axis is None and np.ndim(x) != 1:
        raise ValueError("For arrays which have more than one dimension ``axis`` argument is required.")
