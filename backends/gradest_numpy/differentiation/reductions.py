"""Sums, means, products, spreads and extremes over axes, and running sums and products.

Conventions: entries tied for an extreme share it equally; `std` and norms have slope 0 where they are 0; products are
differentiated without dividing, so that zeros among their factors are right.
"""

from typing import Any

import numpy as np

from gradest_numpy.differentiation.rules import (
    Rule,
    axes_of,
    divided,
    general,
    itself,
    kept,
    over,
    reduced_size,
    spread,
)


def _axes_after_directions(x: Any, axis: Any) -> tuple[int, ...]:
    return tuple(a + 1 for a in axes_of(axis, np.ndim(x)))


SUM = Rule(
    "numpy.sum",
    np.sum,
    (lambda g, y, x, axis=None, keepdims=False: spread(g, x, axis, keepdims),),
    (itself(np.sum),),
    directions=(
        lambda t, y, x, axis=None, keepdims=False: np.sum(t, axis=_axes_after_directions(x, axis), keepdims=keepdims),
    ),
)
MEAN = Rule(
    "numpy.mean",
    np.mean,
    (lambda g, y, x, axis=None, keepdims=False: spread(divided(g, reduced_size(x, axis)), x, axis, keepdims),),
    (itself(np.mean),),
    directions=(
        lambda t, y, x, axis=None, keepdims=False: np.mean(t, axis=_axes_after_directions(x, axis), keepdims=keepdims),
    ),
)


def _total(weights: Any, t: Any, axis: Any, keepdims: bool) -> Any:
    return np.sum(weights * t, axis=axis, keepdims=keepdims)


def _by_weights(name: str, function: Any, weights: Any) -> Rule:
    """Return the rule of a reduction whose derivative by each entry is `weights(y kept, x, axis, **options)`."""

    def vjp(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
        return kept(g, x, axis, keepdims) * weights(kept(y, x, axis, keepdims), x, axis, **options)

    def jvp(t: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
        return _total(weights(kept(y, x, axis, keepdims), x, axis, **options), t, axis, keepdims)

    def directions(t: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
        along = _axes_after_directions(x, axis)
        return np.sum(weights(kept(y, x, axis, keepdims), x, axis, **options) * t, axis=along, keepdims=keepdims)

    return Rule(name, function, (vjp,), (jvp,), directions=(directions,))


def shares(y: Any, x: Any, axis: Any) -> Any:
    """Return the derivative of an extreme by each entry: those that attain it share it equally."""
    attained = (x == y).astype(x.dtype)
    return attained / np.maximum(np.sum(attained, axis=axis, keepdims=True), 1)


def other_factors(y: Any, x: Any, axis: Any) -> Any:
    """Return, for each entry, the product of all others that it is reduced with."""
    axes, rank = axes_of(axis, np.ndim(x)), np.ndim(x)
    last = tuple(range(rank - len(axes), rank))
    moved = np.moveaxis(x, axes, last)
    rest = moved.shape[: rank - len(axes)]
    flat = np.reshape(moved, (*rest, reduced_size(x, axis)))  # in full: of no entries -1 could be any number
    ones = np.ones_like(flat[..., :1])
    before = np.cumprod(np.concatenate([ones, flat[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([ones, flat[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
    return np.moveaxis(np.reshape(before * after, moved.shape), last, axes)


def _freedom(x: Any, axis: Any, ddof: Any) -> Any:
    return max(reduced_size(x, axis) - ddof, 0)  # never below 0: NumPy's variance is infinite then


MAX = _by_weights("numpy.max", np.max, shares)
MIN = _by_weights("numpy.min", np.min, shares)
PROD = _by_weights("numpy.prod", np.prod, other_factors)
VAR = _by_weights(
    "numpy.var",
    np.var,
    lambda y, x, axis, ddof=0: divided(2 * (x - np.mean(x, axis=axis, keepdims=True)), _freedom(x, axis, ddof)),
)
STD = _by_weights(
    "numpy.std",
    np.std,
    lambda y, x, axis, ddof=0: divided(over(x - np.mean(x, axis=axis, keepdims=True), y), _freedom(x, axis, ddof)),
)
NORM = _by_weights("numpy.linalg.norm", np.linalg.norm, lambda y, x, axis: over(x, y))
"""The square root of the sum of squares over one or two axes, or over all."""


def root(v: Any, order: float = 2) -> Any:
    """Return v to the power 1 / order, with slope 0 where it is 0: what is rooted has its kink there."""
    none = v == 0
    inner = np.where(none, np.ones_like(v), v)
    return np.where(none, np.zeros_like(v), np.sqrt(inner) if order == 2 else inner ** inner.dtype.type(1 / order))


# -- running sums and products ---------------------------------------------------------------------
def _flattened(x: Any, axis: Any) -> tuple[Any, int]:
    return (np.ravel(x), 0) if axis is None or np.ndim(x) == 0 else (x, axis)


def _cumsum_adjoint(g: Any, y: Any, a: Any, axis: Any = None) -> Any:
    g, along = _flattened(g, axis)
    return np.reshape(np.flip(np.cumsum(np.flip(g, along), axis=along), along), np.shape(a))


def _cumprod_vjp(g: Any, y: Any, a: Any, axis: Any = None) -> Any:
    # dy_k/dx_i is the product of the factors up to k but i. The sum over k of g_k times it is the product of those
    # before i, times r_i = g_i + x_{i+1} r_{i+1}: nothing is divided by.
    x, along = _flattened(a, axis)
    x, g, y = (np.moveaxis(v, along, 0) for v in (x, np.reshape(g, x.shape), np.reshape(y, x.shape)))
    rest, result = np.zeros_like(x[:1]), []
    for i in range(len(x) - 1, -1, -1):
        rest = g[i : i + 1] + (x[i + 1 : i + 2] * rest if i + 1 < len(x) else 0)
        result.append(rest * y[i - 1 : i] if i else rest)
    together = np.concatenate(result[::-1], axis=0) if result else np.zeros_like(x)
    return np.reshape(np.moveaxis(together, 0, along), np.shape(a))


def _cumprod_jvp(t: Any, y: Any, a: Any, axis: Any = None) -> Any:
    x, along = _flattened(a, axis)
    x, t, y = (np.moveaxis(v, along, 0) for v in (x, np.reshape(t, x.shape), np.reshape(y, x.shape)))
    change, result = np.zeros_like(x[:1]), []
    for i in range(len(x)):
        change = change * x[i : i + 1] + (y[i - 1 : i] if i else 1) * t[i : i + 1]
        result.append(change)
    return np.moveaxis(np.concatenate(result, axis=0) if result else np.zeros_like(x), 0, along)


general(
    {
        np.cumsum: (_cumsum_adjoint, lambda t, y, a, axis=None: np.cumsum(t, axis=axis)),
        np.cumprod: (_cumprod_vjp, _cumprod_jvp),
    }
)
