"""The table of exact differences: `g(x + d) - g(x)` of each elementwise operation g, by x, its value y, and d.

`g(x + d) - g(x)` as it stands cancels when d is small: most digits of the two values are the same. Each entry is
written so that nothing cancels, and is accurate to rounding for small d. It holds for every d: where the short form
would overflow or cancel itself, d is large and the direct subtraction is chosen, right to a rounding of the values.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from gradest.operations import Array, Operations

Difference = Callable[..., Array]
"""`(ops, x, y, d) -> g(x + d) - y`, for `y = g(x)`; d broadcasts with x. What `OF_X` makes of x comes last."""

FAR = 1.0
"""Steps beyond this in an exponent are far: `exp(x + d) - exp(x)` then loses less than one bit."""
RATIO_FAR = 0.5
"""Relative steps beyond this are far for a logarithm: `x + d` is then exact or dominated by d."""
TANH_FAR = 0.9
"""The addition theorem of tanh divides by 1 minus at most this: it loses 10 roundings at most."""


def exp_difference(ops: Operations, x: Array, y: Array, d: Array) -> Array:
    """Return `exp(x) expm1(d)`, or the direct difference where d is large."""
    # For x = -800 and d = 800, `y * expm1(d)` is 0 times infinity. Only upward: downward, expm1 ends at -1.
    return ops.piecewise(d, ops.greater(d, FAR), lambda e: ops.exp(x + e) - y, lambda e: y * ops.expm1(e))


def log_difference(ops: Operations, x: Array, y: Array, d: Array) -> Array:
    """Return `log1p(d / x)`, or the direct difference where d is no small part of x."""
    # log(x + d) - log(x) = log((x + d) / x). As d nears -x, 1 + d/x cancels and brings out the rounding of the
    # quotient; the sum x + d is exact there (Sterbenz's lemma), and its logarithm right.
    far = ops.greater(ops.abs(d), RATIO_FAR * x)
    return ops.piecewise(d, far, lambda e: ops.log(x + e) - y, lambda e: ops.log1p(e / x))


def log1p_difference(ops: Operations, x: Array, y: Array, d: Array) -> Array:
    """Return `log1p(d / (1 + x))`, or the direct difference where d is no small part of 1 + x."""
    whole = 1.0 + x
    far = ops.greater(ops.abs(d), RATIO_FAR * whole)
    return ops.piecewise(d, far, lambda e: ops.log1p(x + e) - y, lambda e: ops.log1p(e / whole))


def tanh_slope(ops: Operations, x: Array) -> Array:
    """Return `1 - tanh(x)^2` from exponentials, which are exact where tanh saturates."""
    # tanh(x) rounds to 1 where |x| > 19 (float64), and 1 - y^2 would be 0 there; this form keeps every digit of sech^2.
    decay = ops.exp(-2.0 * ops.abs(x))  # at most 1: nothing overflows
    return 4.0 * decay / ops.square(1.0 + decay)


def tanh_difference(ops: Operations, x: Array, y: Array, d: Array, slope: Array) -> Array:
    """Return `u (1 - y^2) / (1 + y u)` for `u = tanh(d)`, or the direct difference where that would cancel.

    `slope` is `tanh_slope(x)`.
    """
    # From the addition theorem: tanh(x + d) - y = (y + u) / (1 + y u) - y = u (1 - y^2) / (1 + y u).
    u = ops.tanh(d)
    # 1 + y u cancels where a step leads back from far out. |d| is then more than 1.4, and the direct difference right
    # to a rounding of tanh.
    far = ops.greater(-y * u, TANH_FAR)
    return ops.piecewise(u, far, lambda e: ops.tanh(x + d) - y, lambda e: e * slope / (1.0 + y * e))


def sin_difference(ops: Operations, x: Array, y: Array, d: Array, cosine: Array) -> Array:
    """Return `2 sin(d / 2) cos(x + d / 2)`, the cosine by the addition theorem; `cosine` is `cos(x)`."""
    # Not the cosine of the sum x + d / 2: it would see a small d rounded to the spacing of numbers around x.
    half = 0.5 * d
    rise = ops.sin(half)
    return 2.0 * rise * (ops.cos(half) * cosine - rise * y)


def cos_difference(ops: Operations, x: Array, y: Array, d: Array, sine: Array) -> Array:
    """Return `-2 sin(d / 2) sin(x + d / 2)`, the sine by the addition theorem; `sine` is `sin(x)`."""
    half = 0.5 * d
    rise = ops.sin(half)
    return -2.0 * rise * (ops.cos(half) * sine + rise * y)


def sigmoid_difference(ops: Operations, x: Array, y: Array, d: Array, of_half: tuple[Array, Array]) -> Array:
    """Return the difference of `tanh(x / 2) / 2`; `of_half` is that tanh, and its slope."""
    # sigmoid(x) = 1/2 + tanh(x / 2) / 2, and the 1/2 leaves a difference. y is not used: it holds that 1/2.
    tanh, slope = of_half
    return 0.5 * tanh_difference(ops, 0.5 * x, tanh, 0.5 * d, slope)


def softplus_difference(ops: Operations, x: Array, y: Array, d: Array, weight: Array) -> Array:
    """Return `log1p(sigmoid(x) expm1(d))`, or the direct difference where d is large; `weight` is `sigmoid(x)`."""
    # log((1 + e^x e^d) / (1 + e^x)) = log(1 + e^x / (1 + e^x) (e^d - 1)), and e^x / (1 + e^x) is the sigmoid.
    far = ops.greater(ops.abs(d), FAR)
    return ops.piecewise(d, far, lambda e: ops.softplus(x + e) - y, lambda e: ops.log1p(weight * ops.expm1(e)))


def sqrt_difference(ops: Operations, x: Array, y: Array, d: Array) -> Array:
    """Return `d / (sqrt(x + d) + sqrt(x))`, 0 from 0 to 0."""
    # Multiplied by the conjugate: (a - b) (a + b) = a^2 - b^2, which is d exactly.
    total = ops.sqrt(x + d) + y
    positive = ops.greater(total, 0.0)  # 0 only from 0 to 0; beyond the domain it is NaN, and stays so
    return ops.where(positive, d, 0.0) / ops.where(positive, total, total + 1.0)


def abs_difference(ops: Operations, x: Array, y: Array, d: Array) -> Array:
    """Return `max(d, -2|x| - d)` for d counted outward from 0, which holds across the kink."""
    # On the same side of 0, |x + d| - |x| is the outward step; across it, |x + d| = -(|x| + outward). The larger holds.
    outward = ops.where(ops.greater(-x, 0.0), -d, d)
    return ops.maximum(outward, -2.0 * y - outward)


def relu_difference(ops: Operations, x: Array, y: Array, d: Array) -> Array:
    """Return the difference of `max(x, 0)`, which holds across the kink."""
    # From above 0 the value falls by x at most; from below, nothing is left but what reaches beyond 0.
    return ops.where(ops.greater(x, 0.0), ops.maximum(d, -x), ops.maximum(x + d, 0.0))


# fmt: off
UNARY: Mapping[str, Difference] = {
    # y = g(x)    g(x + d) - y
    "exp":        exp_difference,                                         # y expm1(d)
    "expm1":      lambda ops, x, y, d, exp: exp_difference(ops, x, exp, d),  # the same: the 1 leaves a difference
    "log":        log_difference,                                         # log1p(d / x)
    "log1p":      log1p_difference,                                       # log1p(d / (1 + x))
    "tanh":       tanh_difference,                                        # u (1 - y^2) / (1 + y u), u = tanh(d)
    "sin":        sin_difference,                                         # 2 sin(d / 2) cos(x + d / 2)
    "cos":        cos_difference,                                         # -2 sin(d / 2) sin(x + d / 2)
    "sigmoid":    sigmoid_difference,                                     # half of tanh's at x / 2
    "softplus":   softplus_difference,                                    # log1p(sigmoid(x) expm1(d))
    "sqrt":       sqrt_difference,                                        # d / (sqrt(x + d) + y)
    "square":     lambda ops, x, y, d: d * (2.0 * x + d),
    "abs":        abs_difference,
    "relu":       relu_difference,
}
# fmt: on

OF_X: Mapping[str, Callable[[Operations, Array], Any]] = {
    "expm1": lambda ops, x: ops.exp(x),
    "tanh": tanh_slope,
    "sin": lambda ops, x: ops.cos(x),
    "cos": lambda ops, x: ops.sin(x),
    "sigmoid": lambda ops, x: (ops.tanh(0.5 * x), tanh_slope(ops, 0.5 * x)),
    "softplus": lambda ops, x: ops.sigmoid(x),
}
"""What a rule takes of x alone beside its value: computed once for all d, which come in many chunks."""


def logsumexp_difference(ops: Operations, x: Array, d: Array) -> Array:
    """Return the difference of `log(sum(exp(x)))` over the last axis, for x `(..., C)` and d `(K, ..., C)`."""
    # log(sum e^(x + d) / sum e^x) = log(sum p e^d) = log(1 + sum p (e^d - 1)) for p = softmax(x), which sums to 1.
    # Far steps are counted from the largest entry: at x = 1e5 the sum x + d would have lost half of d's digits.
    x = _below_largest(ops, x)
    weights, y = ops.softmax(x), ops.logsumexp(x)
    difference = ops.piecewise(
        d,
        ops.greater(ops.max(ops.abs(d), axis=-1, keepdims=True), FAR),
        lambda e: ops.expand_dims(ops.logsumexp(x + e) - y, axis=-1),
        lambda e: ops.log1p(ops.sum(weights * ops.expm1(e), axis=-1, keepdims=True)),
    )
    return ops.sum(difference, axis=-1)


def softmax_difference(ops: Operations, x: Array, y: Array, d: Array) -> Array:
    """Return the difference of softmax over the last axis, `(p expm1(d) - p s) / (1 + s)`, `s = sum p expm1(d)`."""

    def near(e: Array) -> Array:
        # p e^d / (1 + s) - p, brought to one denominator: each term is of the size of d, none of the size of p.
        growth = y * ops.expm1(e)
        total = ops.sum(growth, axis=-1, keepdims=True)
        return (growth - y * total) / (1.0 + total)

    far = ops.greater(ops.max(ops.abs(d), axis=-1, keepdims=True), FAR)
    x = _below_largest(ops, x)
    return ops.piecewise(d, far, lambda e: ops.softmax(x + e) - y, near)


def _below_largest(ops: Operations, x: Array) -> Array:
    """Return x less its largest entry along the last axis, which softmax and differences of logsumexp do not see."""
    return x - ops.max(x, axis=-1, keepdims=True)


def gap_between(ops: Operations, x: Array | float, y: Array | float) -> Array:
    """Return `x - y`, and 0 where both are -inf: of two masked entries neither is ahead."""
    if isinstance(x, int | float):
        return (0.0 if x == y else x - y) if isinstance(y, int | float) else -gap_between(ops, y, x)  # type: ignore[return-value]  # of two numbers, a number
    zero = ops.zeros_like(x)
    y = y + zero  # an array, if it was a number
    largest = ops.maximum(x, y)
    real = ops.greater(largest, -math.inf)
    # Where it is not, both are -inf, or one is NaN and stays so in the maximum with 0.
    return ops.where(real, x, ops.maximum(largest, 0.0)) - ops.where(real, y, 0.0)
