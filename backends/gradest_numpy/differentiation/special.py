"""Derivatives of `scipy.special`, one line each, for those of its functions that NumPy lets us intercept: its ufuncs.

SciPy is not imported here: whoever calls one of its functions has done so. `softmax`, `log_softmax`, `logsumexp`,
`polygamma` and `multigammaln` are Python functions that make plain arrays of what they are given, and are refused with
what to write instead: `np.logaddexp.reduce(x, axis)` is `logsumexp`.
"""

import sys
from functools import cache
from typing import Any

import numpy as np

from gradest_numpy.differentiation.elementwise import PI, const
from gradest_numpy.differentiation.rules import Entry, Rule, over

ROOT_PI = np.sqrt(PI)


def scipy_special() -> Any:
    """Return `scipy.special`, which is loaded where one of its functions is called."""
    return sys.modules["scipy.special"]


class _Special:
    """Reads a function of `scipy.special` when a rule is run, not when the table is read."""

    def __getattr__(self, name: str) -> Any:
        return getattr(scipy_special(), name)


sp = _Special()

ONE_ARRAY: dict[str, Entry] = {
    "expit":     lambda g, y, x: g * y * (1 - y),
    "logit":     lambda g, y, x: g / (x * (1 - x)),
    "log_expit": lambda g, y, x: g * sp.expit(-x),
    "erf":       lambda g, y, x: g * np.exp(-x * x) * const(2 / ROOT_PI, y),
    "erfc":      lambda g, y, x: -g * np.exp(-x * x) * const(2 / ROOT_PI, y),
    "erfcx":     lambda g, y, x: g * erfcx_slope(x, y),
    "erfi":      lambda g, y, x: g * np.exp(x * x) * const(2 / ROOT_PI, y),
    "dawsn":     lambda g, y, x: g * dawsn_slope(x, y),
    "erfinv":    lambda g, y, x: g * np.exp(y * y) * const(ROOT_PI / 2, y),
    "erfcinv":   lambda g, y, x: -g * np.exp(y * y) * const(ROOT_PI / 2, y),
    "ndtr":      lambda g, y, x: g * np.exp(-x * x / 2) / const(np.sqrt(2 * PI), y),
    "log_ndtr":  lambda g, y, x: g * np.exp(-x * x / 2 - y) / const(np.sqrt(2 * PI), y),
    "ndtri":     lambda g, y, p: g * np.exp(y * y / 2) * const(np.sqrt(2 * PI), y),
    "gamma":     lambda g, y, x: g * y * sp.digamma(x),
    "gammaln":   lambda g, y, x: g * sp.digamma(x),
    "loggamma":  lambda g, y, x: g * sp.digamma(x),
    "rgamma":    lambda g, y, x: g * rgamma_slope(x, y),
    "digamma":   lambda g, y, x: g * sp.zeta(2, x),
    "psi":       lambda g, y, x: g * sp.zeta(2, x),
    "entr":      lambda g, y, x: -g * (np.log(x) + 1),
    "exp1":      lambda g, y, x: -g * np.exp(-x) / x,
    "expi":      lambda g, y, x: g * np.exp(x) / x,
    "exp2":      lambda g, y, x: g * y * const(np.log(np.longdouble(2)), y),
    "exp10":     lambda g, y, x: g * y * const(np.log(np.longdouble(10)), y),
    "expm1":     lambda g, y, x: g * (y + 1),
    "log1p":     lambda g, y, x: g / (1 + x),
    "cosm1":     lambda g, y, x: -g * np.sin(x),
    "cbrt":      lambda g, y, x: g / (3 * y * y),
    "spence":    lambda g, y, x: g * over(np.log(x), 1 - x) - g * (x == 1),
    "i0":        lambda g, y, x: g * sp.i1(x),
    "i0e":       lambda g, y, x: g * (sp.i1e(x) - np.sign(x) * y),
    "i1":        lambda g, y, x: g * (sp.i0(x) + sp.iv(2, x)) / 2,
    "i1e":       lambda g, y, x: g * ((sp.i0e(x) + sp.ive(2, x)) / 2 - np.sign(x) * y),
    "j0":        lambda g, y, x: -g * sp.j1(x),
    "j1":        lambda g, y, x: g * (sp.j0(x) - sp.jv(2, x)) / 2,
    "y0":        lambda g, y, x: -g * sp.y1(x),
    "y1":        lambda g, y, x: g * (sp.y0(x) - sp.yv(2, x)) / 2,
    "k0":        lambda g, y, x: -g * sp.k1(x),
    "k1":        lambda g, y, x: -g * (sp.k0(x) + sp.kv(2, x)) / 2,
}  # fmt: skip
"""By name; `digamma` of negative numbers has its slope by Hurwitz's zeta function too."""

TWO_ARRAYS: dict[str, tuple[Entry | None, Entry | None]] = {
    "xlogy":        (lambda g, z, x, y: g * np.log(y),
                     lambda g, z, x, y: g * part(x, y)),
    "xlog1py":      (lambda g, z, x, y: g * np.log1p(y),
                     lambda g, z, x, y: g * part(x, 1 + y)),
    "rel_entr":     (lambda g, z, x, y: g * (np.log(x / y) + 1),
                     lambda g, z, x, y: -g * part(x, y)),
    "kl_div":       (lambda g, z, x, y: g * np.log(x / y),
                     lambda g, z, x, y: g * (1 - part(x, y))),
    "beta":         (lambda g, z, a, b: g * z * (sp.digamma(a) - sp.digamma(a + b)),
                     lambda g, z, a, b: g * z * (sp.digamma(b) - sp.digamma(a + b))),
    "betaln":       (lambda g, z, a, b: g * (sp.digamma(a) - sp.digamma(a + b)),
                     lambda g, z, a, b: g * (sp.digamma(b) - sp.digamma(a + b))),
    "huber":        (lambda g, z, d, r: g * np.where(np.abs(r) > d, np.abs(r) - d, 0),
                     lambda g, z, d, r: g * np.clip(r, -d, d)),
    "pseudo_huber": (lambda g, z, d, r: g * (2 * z / d - r * r / np.hypot(d, r)),
                     lambda g, z, d, r: g * r * d / np.hypot(d, r)),
    "boxcox":       (lambda g, z, x, p: g * x ** (p - 1),
                     None),
    "gammainc":     (None,
                     lambda g, z, a, x: g * np.exp(sp.xlogy(a - 1, x) - x - sp.gammaln(a))),
    "gammaincc":    (None,
                     lambda g, z, a, x: -g * np.exp(sp.xlogy(a - 1, x) - x - sp.gammaln(a))),
    "jv":           (None,
                     lambda g, z, n, x: g * (sp.jv(n - 1, x) - sp.jv(n + 1, x)) / 2),
    "yv":           (None,
                     lambda g, z, n, x: g * (sp.yv(n - 1, x) - sp.yv(n + 1, x)) / 2),
    "iv":           (None,
                     lambda g, z, n, x: g * (sp.iv(n - 1, x) + sp.iv(n + 1, x)) / 2),
    "kv":           (None,
                     lambda g, z, n, x: -g * (sp.kv(n - 1, x) + sp.kv(n + 1, x)) / 2),
    "expn":         (None,
                     lambda g, z, n, x: -g * expn_below(n, x, z)),
}  # fmt: skip


def part(x: Any, y: Any) -> Any:
    """Return x / y, which is 0 for x = 0 at y = 0 too: what has no weight has no slope."""
    none = x == 0
    return np.where(none, 0, x / np.where(none, 1, y))


def expn_below(n: Any, x: Any, z: Any) -> Any:
    """Return E_(n - 1)(x), of which SciPy has none below n = 1; z is E_n(x)."""
    n = np.trunc(n)  # as SciPy takes it
    return np.where(n == 0, z * (1 + 1 / np.where(n == 0, x, 1)), sp.expn(np.maximum(n - 1, 0), x))


def erfcx_slope(x: Any, y: Any) -> Any:
    """Return `2 x y - 2 / sqrt(pi)`, by its series in 1 / x^2 where the two nearly cancel."""
    far = x > 50
    q = np.square(1 / np.where(far, x, 1)) / 2
    series = -2 * q * (1 - 3 * q * (1 - 5 * q * (1 - 7 * q)))
    return np.where(far, series * const(1 / ROOT_PI, y), 2 * x * y - const(2 / ROOT_PI, y))


def dawsn_slope(x: Any, y: Any) -> Any:
    """Return `1 - 2 x y`, by its series in 1 / x^2 where the two nearly cancel."""
    far = np.abs(x) > 50
    q = np.square(1 / np.where(far, x, 1)) / 2
    return np.where(far, -q * (1 + 3 * q * (1 + 5 * q * (1 + 7 * q))), 1 - 2 * x * y)


def rgamma_slope(x: Any, y: Any) -> Any:
    """Return `-y digamma(x)`, which at the zeros x = -n has the limit (-1)^n n!."""
    zero = (y == 0) & (x <= 0)
    n = np.where(zero, -x, 0)
    limit = np.cos(const(PI, y) * n) * sp.gamma(1 + n)
    return np.where(zero, limit, -y * sp.digamma(np.where(zero, 1, x)))


@cache
def rule_of(function: Any) -> Rule | None:
    """Return the rule of a ufunc of SciPy's; the name alone would not do, as others make ufuncs too."""
    name = getattr(function, "__name__", "")
    if "scipy.special" not in sys.modules or function != getattr(scipy_special(), name, None):
        return None
    entries: tuple[Entry | None, ...] | None = (ONE_ARRAY[name],) if name in ONE_ARRAY else TWO_ARRAYS.get(name)
    return None if entries is None else Rule(f"scipy.special.{name}", function, entries, entries, diagonal=True)
