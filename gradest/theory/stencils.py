"""Error of one-dimensional difference quotients: truncation, rounding, the best step and the error there.

Per component of a gradient; a gradient of P components with independent errors has sqrt(P) times that in
2-norm. This module must not evaluate a function.
"""

import math
import sys
from dataclasses import dataclass
from fractions import Fraction

from gradest.errors import InvalidInputError, unknown_name
from gradest.real_numbers import real_number
from gradest.whole_numbers import whole_number

# scheme -> order of accuracy, where it is fixed; "central" takes any even one.
FIXED_ORDER = {"forward": 1, "backward": 1, "five-point": 4, "richardson": 4, "complex-step": 2}
SCHEMES = ("central", *FIXED_ORDER)
CENTRAL_DEFAULT_ORDER = 2


@dataclass(frozen=True, kw_only=True)
class DifferenceRule:
    """Holds the constants of a rule: error <= truncation M h^order + amplification noise / h.

    Attributes
    ----------
    order
        Power of the step in the truncation error.
    derivative
        Order of the derivative that M bounds.
    truncation
        Its factor, sign dropped.
    amplification
        Sum of |weights|: what a bound on each evaluation's error is multiplied by, over h.
    rms_amplification
        Root of the sum of squared weights: the same for independent noise of a standard deviation.

    Examples
    --------
    >>> from gradest import theory
    >>> forward = theory.difference_rule("forward")
    >>> forward.order, forward.truncation, forward.amplification
    (1, 0.5, 2.0)
    """

    order: int
    derivative: int
    truncation: float
    amplification: float
    rms_amplification: float


def central_coefficients(order: int) -> dict[int, Fraction]:
    """Return the weights of the central difference of an even order 2k, as exact fractions, keyed by j.

    They are those of f'(x) ~ (1/h) sum_j w_j f(x + j h), j = -k..k without 0.

    Formula: w_j = (-1)^(j+1) (k!)^2 / (j (k-j)! (k+j)!), w_-j = -w_j. Exact for polynomials of degree 2k.
    Source: Fornberg 1988, doi:10.1090/S0025-5718-1988-0935077-0.

    Raises
    ------
    InvalidInputError
        The order is odd, or below 2.

    Examples
    --------
    >>> from gradest import theory
    >>> {j: str(weight) for j, weight in theory.central_coefficients(4).items()}
    {-2: '1/12', -1: '-2/3', 1: '2/3', 2: '-1/12'}
    """
    if whole_number("order", order) % 2:
        raise InvalidInputError(f"central differences have an even order of 2 or more; found {order}; try order=4")
    k = order // 2
    square = math.factorial(k) ** 2
    positive = {
        j: Fraction((-1) ** (j + 1) * square, j * math.factorial(k - j) * math.factorial(k + j))
        for j in range(1, k + 1)
    }
    return {-j: -positive[j] for j in range(k, 0, -1)} | positive


def _central_rule(order: int) -> DifferenceRule:
    weights = central_coefficients(order)
    truncation = Fraction(math.factorial(order // 2) ** 2, math.factorial(order + 1))
    return DifferenceRule(
        order=order,
        derivative=order + 1,
        truncation=float(truncation),
        amplification=float(sum(abs(w) for w in weights.values())),
        rms_amplification=math.sqrt(sum(w * w for w in weights.values())),
    )


def difference_rule(scheme: str, *, order: int | None = None) -> DifferenceRule:
    """Return the constants of a difference scheme's error bound: order, truncation and amplification of rounding.

    Bounds: forward h M2/2 + 2 e/h, central h^2 M3/6 + e/h, five-point h^4 M5/30 + 3e/(2h). Richardson's (4 D(h/2) -
    D(h))/3 is h^4 M5/480 + 3 e/h, the five-point rule at h/2; order 2k central has (k!)^2/(2k+1)! h^(2k) M_(2k+1);
    the complex step Im f(x + i h)/h has h^2 M3/6 and no rounding term, as it subtracts nothing: the unit roundoff
    of f' itself is not counted.

    Source: Taylor's theorem; Squire & Trapp 1998, doi:10.1137/S003614459631241X, for the complex step.

    Raises
    ------
    UnknownNameError
        No scheme has that name.
    InvalidInputError
        An order was given that the scheme does not have.

    Examples
    --------
    >>> from gradest import theory
    >>> rule = theory.difference_rule("five-point")
    >>> rule.order, round(1 / rule.truncation), rule.amplification
    (4, 30, 1.5)
    """
    if scheme not in SCHEMES:
        raise unknown_name("difference scheme", scheme, SCHEMES)
    if scheme == "central":
        return _central_rule(CENTRAL_DEFAULT_ORDER if order is None else order)
    if order not in (None, FIXED_ORDER[scheme]):
        raise InvalidInputError(
            f"scheme {scheme!r} has order {FIXED_ORDER[scheme]}, and order {order} was asked for; "
            "use scheme='central' for other even orders"
        )
    if scheme in ("forward", "backward"):
        return DifferenceRule(
            order=1, derivative=2, truncation=0.5, amplification=2.0, rms_amplification=math.sqrt(2.0)
        )
    if scheme == "complex-step":
        return DifferenceRule(order=2, derivative=3, truncation=1 / 6, amplification=0.0, rms_amplification=0.0)
    five = _central_rule(4)
    if scheme == "five-point":
        return five
    # (4 D(h/2) - D(h)) / 3 is the five-point rule at step h/2, written otherwise.
    return DifferenceRule(
        order=4,
        derivative=5,
        truncation=five.truncation / 2**4,
        amplification=five.amplification * 2,
        rms_amplification=five.rms_amplification * 2,
    )


def difference_error(
    scheme: str, step: float, *, noise: float, derivative_bound: float, order: int | None = None, rms: bool = False
) -> float:
    """Return the predicted error of one component at a step, to draw the V-shaped curve.

    Formula: C M h^p + A e / h, a bound on the worst case; with `rms`, sqrt((C M h^p)^2 + (A2 s / h)^2).

    Parameters
    ----------
    noise
        Bound e on the absolute error of one evaluation; with `rms`, its standard deviation s.
    derivative_bound
        M, a bound on |f^(p+1)| near x, where `DifferenceRule.derivative` tells which one.

    Raises
    ------
    InvalidInputError
        The step is not positive, `noise` or `derivative_bound` is negative, or a number is not finite.

    Examples
    --------
    >>> from gradest import theory
    >>> error = theory.difference_error("central", 1e-5, noise=1e-16, derivative_bound=1.0)
    >>> f"{error:.2e}"
    '2.67e-11'
    """
    step = real_number("step", step, "(0, inf)", example=1e-5)
    noise = real_number("noise", noise, "[0, inf)", example=1e-16)
    derivative_bound = real_number("derivative_bound", derivative_bound, "[0, inf)", example=1.0)
    rule = difference_rule(scheme, order=order)
    truncation = rule.truncation * derivative_bound * _power(step, rule.order) if derivative_bound else 0.0
    if rms:
        return math.hypot(truncation, rule.rms_amplification * noise / step)
    return truncation + rule.amplification * noise / step


def _power(step: float, order: int) -> float:
    try:
        return step**order
    except OverflowError:  # of Python's numbers, for steps near 1e200: the error is as large as numbers are
        return math.inf


def difference_optimum(
    scheme: str, *, noise: float, derivative_bound: float, order: int | None = None, rms: bool = False
) -> tuple[float, float]:
    """Return the step that minimises `difference_error`, in units of x, and the error there.

    Formula: h* = (A e / (p C M))^(1/(p+1)), error (1 + p) C M h*^p; with `rms`, h* = (A2 s / (sqrt(p) C M))^(1/(p+1))
    and error sqrt(1 + p) C M h*^p, whose forward case is h* = 8^(1/4) sqrt(s / M2). The complex step has no
    optimum: the root of the smallest normal number is returned, where its truncation vanishes.

    Raises
    ------
    InvalidInputError
        `noise` or `derivative_bound` is not positive and finite: the best step would be 0 or infinite.

    Source: Gill, Murray, Saunders & Wright 1983, doi:10.1137/0904025; Moré & Wild 2012,
    doi:10.1145/2168773.2168777, for the root-mean-square version.

    Examples
    --------
    >>> from gradest import theory
    >>> step, error = theory.difference_optimum("central", noise=1e-16, derivative_bound=1.0)
    >>> f"{step:.2e} {error:.2e}"
    '6.69e-06 2.24e-11'
    """
    # Nothing bounds the complex step from below but underflow: its square must still be a normal number.
    if scheme == "complex-step":
        step = math.sqrt(sys.float_info.min)
    else:
        rule = difference_rule(scheme, order=order)
        if not (0 < noise < math.inf and 0 < derivative_bound < math.inf):
            raise InvalidInputError(
                f"the best step needs noise > 0 and derivative_bound > 0, both finite; found {noise} and "
                f"{derivative_bound}; try unit roundoff times |f| and the size of f over a natural scale of x"
            )
        amplification = rule.rms_amplification / math.sqrt(rule.order) if rms else rule.amplification / rule.order
        step = (amplification * noise / (rule.truncation * derivative_bound)) ** (1 / (rule.order + 1))
    error = difference_error(scheme, step, noise=noise, derivative_bound=derivative_bound, order=order, rms=rms)
    return step, error
