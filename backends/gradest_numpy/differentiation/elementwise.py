"""Derivatives of elementwise functions, one line each: `g` times dy/dx, with y the value at x.

The Jacobian of such a function is diagonal, so that the line of a tangent and that of a cotangent are the same. By the
value y where that is cheaper or more accurate than by x.

At kinks: |x|' is 0 at 0; `maximum` and `minimum` share a tie in halves; `clip` has slope 1 at its bounds; `hypot` has
slope 0 at the origin. At x = 0 `sqrt` has slope infinity, as NumPy warns, and so has all that follows from it; but what
does not move an entry is not moved by its infinite slope: a tangent or cotangent of 0 stays 0.
"""

from typing import Any

import numpy as np

from gradest_numpy.differentiation.rules import PLAIN, Entry, elementwise, found, over, zero

LN2, LN10, PI = np.log(np.longdouble(2)), np.log(np.longdouble(10)), np.arctan2(np.longdouble(0), np.longdouble(-1))


def const(value: Any, like: Any) -> Any:
    """Return a constant, known to extended precision, in the dtype that it is multiplied with."""
    return np.asarray(value).astype(like.dtype)[()]


ONE_ARRAY: dict[Any, Entry] = {
    np.negative:   lambda g, y, x: -g,
    np.positive:   lambda g, y, x: g,
    np.absolute:   lambda g, y, x: g * np.sign(x),
    np.fabs:       lambda g, y, x: g * np.sign(x),
    np.conjugate:  lambda g, y, x: g,
    np.exp:        lambda g, y, x: g * y,
    np.exp2:       lambda g, y, x: g * y * const(LN2, y),
    np.expm1:      lambda g, y, x: g * (y + 1),
    np.log:        lambda g, y, x: g / x,
    np.log2:       lambda g, y, x: g / (x * const(LN2, y)),
    np.log10:      lambda g, y, x: g / (x * const(LN10, y)),
    np.log1p:      lambda g, y, x: g / (1 + x),
    np.sqrt:       lambda g, y, x: per(g, 2 * y),
    np.cbrt:       lambda g, y, x: per(g, 3 * y * y),
    np.square:     lambda g, y, x: g * (2 * x),
    np.reciprocal: lambda g, y, x: -g * y * y,
    np.sin:        lambda g, y, x: g * np.cos(x),
    np.cos:        lambda g, y, x: -g * np.sin(x),
    np.tan:        lambda g, y, x: g * (1 + y * y),
    np.arcsin:     lambda g, y, x: per(g, np.sqrt((1 - x) * (1 + x))),
    np.arccos:     lambda g, y, x: -per(g, np.sqrt((1 - x) * (1 + x))),
    np.arctan:     lambda g, y, x: g / np.hypot(x, 1) / np.hypot(x, 1),  # a square would be infinite
    np.sinh:       lambda g, y, x: g * np.cosh(x),
    np.cosh:       lambda g, y, x: g * np.sinh(x),
    np.tanh:       lambda g, y, x: g * (1 - y * y),
    np.arcsinh:    lambda g, y, x: g / np.hypot(x, 1),
    np.arccosh:    lambda g, y, x: per(g, np.sqrt(x - 1) * np.sqrt(x + 1)),
    np.arctanh:    lambda g, y, x: g / ((1 - x) * (1 + x)),
    np.degrees:    lambda g, y, x: g * const(180 / PI, y),
    np.rad2deg:    lambda g, y, x: g * const(180 / PI, y),
    np.radians:    lambda g, y, x: g * const(PI / 180, y),
    np.deg2rad:    lambda g, y, x: g * const(PI / 180, y),
    np.sinc:       lambda g, y, x: g * sinc_slope(x, y),
    np.nan_to_num: lambda g, y, x, nan=0.0, posinf=None, neginf=None: np.where(np.isfinite(x), g, 0),
    np.real:       lambda g, y, val: g,
}  # fmt: skip


TWO_ARRAYS: dict[Any, tuple[Entry, Entry]] = {
    np.add:         (lambda g, z, x, y: g,
                     lambda g, z, x, y: g),
    np.subtract:    (lambda g, z, x, y: g,
                     lambda g, z, x, y: -g),
    np.multiply:    (lambda g, z, x, y: g * y,
                     lambda g, z, x, y: g * x),
    np.divide:      (lambda g, z, x, y: g / y,
                     lambda g, z, x, y: -g * z / y),
    np.power:       (lambda g, z, x, y: along_base(g, x, y),
                     lambda g, z, x, y: g * by_exponent(z, x)),
    np.float_power: (lambda g, z, x, y: along_base(g, x, y),
                     lambda g, z, x, y: g * by_exponent(z, x)),
    np.maximum:     (lambda g, z, x, y: g * above(x, y),
                     lambda g, z, x, y: g * above(y, x)),
    np.minimum:     (lambda g, z, x, y: g * above(y, x),
                     lambda g, z, x, y: g * above(x, y)),
    np.fmax:        (lambda g, z, x, y: g * np.where(np.isnan(y), 1, above(x, y)),
                     lambda g, z, x, y: g * np.where(np.isnan(x), 1, above(y, x))),
    np.fmin:        (lambda g, z, x, y: g * np.where(np.isnan(y), 1, above(y, x)),
                     lambda g, z, x, y: g * np.where(np.isnan(x), 1, above(x, y))),
    np.arctan2:     (lambda g, z, y, x: g * over(over(x, np.hypot(x, y)), np.hypot(x, y)),
                     lambda g, z, y, x: -g * over(over(y, np.hypot(x, y)), np.hypot(x, y))),
    np.hypot:       (lambda g, z, x, y: g * over(x, z),
                     lambda g, z, x, y: g * over(y, z)),
    np.logaddexp:   (lambda g, z, x, y: g * np.exp(x - finite(z)),
                     lambda g, z, x, y: g * np.exp(y - finite(z))),
    np.logaddexp2:  (lambda g, z, x, y: g * np.exp2(x - finite(z)),
                     lambda g, z, x, y: g * np.exp2(y - finite(z))),
    np.copysign:    (lambda g, z, x, y: g * (np.sign(x) * np.copysign(np.ones_like(z), y)),
                     zero),
    np.fmod:        (lambda g, z, x, y: g,
                     lambda g, z, x, y: -g * np.rint((x - z) / y)),
    np.remainder:   (lambda g, z, x, y: g,
                     lambda g, z, x, y: -g * np.floor_divide(x, y)),
    np.ldexp:       (lambda g, z, x, n: np.ldexp(g, n),
                     zero),
    np.nextafter:   (lambda g, z, x, y: g,
                     zero),
    np.heaviside:   (zero,
                     lambda g, z, x, y: g * (x == 0)),
}  # fmt: skip


PLAIN.update(found(np.linalg, "matrix_rank"))
# Steps, and what is no floating-point number: the slope is 0 wherever there is one.
PLAIN.update(
    found(np, *[
        "sign", "floor", "ceil", "trunc", "rint", "around", "round", "round_", "fix", "floor_divide", "signbit",
        "spacing", "isnan", "isinf", "isfinite", "isneginf", "isposinf", "isreal", "iscomplex", "iscomplexobj",
        "isrealobj", "isclose", "allclose", "array_equal", "array_equiv", "equal", "not_equal", "less",
        "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_not", "logical_xor",
        "all", "any", "alltrue", "sometrue", "argmax", "argmin", "nanargmax", "nanargmin", "argsort",
        "argpartition", "lexsort", "argwhere", "nonzero", "flatnonzero", "count_nonzero", "searchsorted",
        "digitize", "shape", "ndim", "size", "zeros_like", "ones_like", "empty_like", "result_type", "can_cast",
        "min_scalar_type", "common_type", "imag", "iterable", "in1d", "isin", "tril_indices_from",
        "triu_indices_from", "diag_indices_from", "may_share_memory", "shares_memory", "array2string",
        "array_repr", "array_str", "einsum_path",
    ])
)  # fmt: skip


def above(x: Any, y: Any) -> Any:
    """Return 1 where x > y, 0 where x < y, and 1/2 where they are tied."""
    return ((x > y).astype(np.result_type(x, y, np.float16)) + (x >= y)) / 2


def finite(z: Any) -> Any:
    """Return z, and 0 where it is -inf: then exp(x - z) of x = -inf is 0 and not NaN."""
    return np.where(np.isneginf(z), np.zeros_like(z), z)


def per(g: Any, d: Any) -> Any:
    """Return g / d, and 0 where both are 0."""
    none = d == 0
    if not np.any(none):
        return g / d
    still = none & (g == 0)
    return np.where(still, 0, g / np.where(still, 1, d))


def along_base(g: Any, x: Any, y: Any) -> Any:
    """Return g times d x^y / dx, and 0 where g is 0 and x too, of which a root has an infinite slope."""
    slope = by_base(x, y)
    if (type(y) in (int, float) and (y >= 1 or y == 0)) or not np.any(steep := np.isinf(slope) & (x == 0)):
        return g * slope
    still = steep & (g == 0)
    return np.where(still, 0, g * np.where(still, 0, slope))


def by_base(x: Any, y: Any) -> Any:
    """Return d x^y / dx, which is 0 for y = 0 at x = 0 too."""
    if type(y) in (int, float):
        return 2 * x if y == 2 else y * x ** (y - 1) if y else np.zeros_like(x)
    return y * np.power(x, np.where(y == 0, 1, y - 1))


def by_exponent(z: Any, x: Any) -> Any:
    """Return d x^y / dy = x^y log x, which is 0 at x = 0."""
    return z * np.log(np.where(x == 0, np.ones_like(x, dtype=z.dtype), x))


def sinc_slope(x: Any, y: Any) -> Any:
    """Return the derivative of sin(u) / u, u = pi x, by x; near 0, where the closed form cancels, its series."""
    pi = const(PI, y)
    u = pi * x
    near = np.abs(u) < 1
    v = np.where(near, u, 1)
    term, series = np.ones_like(v), np.zeros_like(v)
    for k in range(1, 13):  # sum of (-1)^k 2k u^(2k-1) / (2k+1)!
        term = -term / ((2 * k) * (2 * k + 1)) * (v * v if k > 1 else v)
        series = series + 2 * k * term
    away = np.where(near, 1, x)
    return np.where(near, pi * series, (np.cos(pi * away) - y) / away)


elementwise(ONE_ARRAY)
elementwise(TWO_ARRAYS)
