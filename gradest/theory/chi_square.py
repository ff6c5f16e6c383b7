"""The chi-square and normal distributions, written out so that the core needs no SciPy.

Regularised incomplete gamma functions by their power series below the mean and by a continued fraction above
it; of very many degrees of freedom by an expansion about the mean. This module must not know what is being tested.
"""

import math
import sys
from numbers import Real
from statistics import NormalDist

from gradest.errors import InvalidInputError
from gradest.real_numbers import real_number

_EPSILON = sys.float_info.epsilon
_TINY = sys.float_info.min / _EPSILON
# From here on the remainder of Stirling's series, after the terms below, is under the unit roundoff.
_STIRLING_FROM = 20.0
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)

# From here on series and fraction, which take a multiple of sqrt(a) terms, give way to the expansion, which takes none.
_UNIFORM_FROM = 1e6
# Its coefficients, by powers of eta: of 1 and of 1/a. Those of 1/a^2 are below rounding. DLMF 8.12.12.
_UNIFORM = (
    (-1 / 3, 1 / 12, -2 / 135, 1 / 864, 1 / 2835, -139 / 777600, 1 / 25515),
    (-1 / 540, -1 / 288, 1 / 378, -77 / 77760),
)


def _log_prefactor(a: float, x: float) -> float:
    """Return log(x^a e^-x / Gamma(a + 1)), without the cancellation of large terms where a is large."""
    # For large a the three terms are each of size a log a, and leave a difference of size one: their leading parts are
    # cancelled by hand, by Stirling's series for the gamma function.
    if a < _STIRLING_FROM:
        return a * math.log(x) - x - math.lgamma(a + 1)
    correction = sum(term / a ** (2 * i + 1) for i, term in enumerate(_STIRLING))
    excess = (x - a) / a
    return -a * (excess - math.log1p(excess)) - 0.5 * math.log(2 * math.pi * a) - correction


def _lower_series(a: float, x: float) -> float:
    """Return P(a, x) by sum_n x^n / ((a+1)...(a+n)), for x below a + 1."""
    term, total, shifted = 1.0, 1.0, a
    while term > total * _EPSILON:
        shifted += 1
        term *= x / shifted
        total += term
    return total * math.exp(_log_prefactor(a, x))


def _upper_fraction(a: float, x: float) -> float:
    """Return Q(a, x) by Lentz's evaluation of its continued fraction, for x from a + 1 on."""
    b = x + 1 - a
    c, d = 1 / _TINY, 1 / b
    fraction, change, i = d, 0.0, 0
    while abs(change - 1) > _EPSILON:
        i += 1
        numerator = -i * (i - a)
        b += 2
        d = numerator * d + b
        d = 1 / (d if abs(d) > _TINY else _TINY)
        c = b + numerator / c
        c = c if abs(c) > _TINY else _TINY
        change = c * d
        fraction *= change
    return fraction * a * math.exp(_log_prefactor(a, x))


def _tails_about_the_mean(a: float, x: float) -> tuple[float, float]:
    """Return P(a, x) and Q(a, x) for a large a, each with full relative accuracy.

    Source: Temme 1979, doi:10.1137/0510071; DLMF 8.12.3, https://dlmf.nist.gov/8.12.
    """
    excess = (x - a) / a
    if abs(excess) < 0.1:  # (excess - log(1 + excess)) / (excess^2 / 2), whose terms cancel
        bend = sum(2 * (-excess) ** k / (k + 2) for k in range(16))
        eta = excess * math.sqrt(bend)
    else:
        eta = math.copysign(math.sqrt(2 * (excess - math.log1p(excess))), excess)
    normal = eta * math.sqrt(a / 2)
    by_power = [sum(term * eta**n for n, term in enumerate(row)) for row in _UNIFORM]
    # Where |eta| is not small the tails are beyond the range of a float, and so is this.
    correction = math.exp(-normal * normal) / math.sqrt(2 * math.pi * a) * (by_power[0] + by_power[1] / a)
    return 0.5 * math.erfc(-normal) - correction, 0.5 * math.erfc(normal) + correction


def _tails(statistic: float, degrees_of_freedom: float) -> tuple[float, float]:
    """Return lower and upper tail; the smaller one carries full relative accuracy."""
    degrees_of_freedom = real_number("degrees_of_freedom", degrees_of_freedom, "(0, inf)", example=1)
    if isinstance(statistic, bool) or not isinstance(statistic, Real) or math.isnan(statistic):
        raise InvalidInputError(
            f"a chi-square statistic must be a number; found {statistic!r}; check the estimates for NaN"
        )
    # Series and fraction each converge fast on their own side of the mean, and compute the smaller tail there; the
    # larger one, from 1, loses nothing.
    a, x = degrees_of_freedom / 2, statistic / 2
    if x <= 0:
        return 0.0, 1.0
    if math.isinf(x):
        return 1.0, 0.0
    if a >= _UNIFORM_FROM:
        return _tails_about_the_mean(a, x)
    if x < a + 1:
        lower = _lower_series(a, x)
        return lower, 1 - lower
    upper = _upper_fraction(a, x)
    return 1 - upper, upper


def chi2_cdf(statistic: float, *, degrees_of_freedom: float) -> float:
    """Return the probability that a chi-square variable is at most `statistic`.

    Formula: the regularised lower incomplete gamma function P(degrees/2, statistic/2). Source: DLMF 8.11.4, https://dlmf.nist.gov/8.11.

    Examples
    --------
    >>> from gradest import theory
    >>> round(theory.chi2_cdf(3.841459, degrees_of_freedom=1), 4)
    0.95
    """
    return _tails(statistic, degrees_of_freedom)[0]


def chi2_sf(statistic: float, *, degrees_of_freedom: float) -> float:
    """Return the p-value of a chi-square test, P(X > statistic), accurate far into the tail.

    Source: DLMF 8.9.2, https://dlmf.nist.gov/8.9, evaluated by Lentz's method.

    Examples
    --------
    >>> from gradest import theory
    >>> f"{theory.chi2_sf(100.0, degrees_of_freedom=2):.4e}"
    '1.9287e-22'
    """
    return _tails(statistic, degrees_of_freedom)[1]


def chi2_quantile(probability: float, *, degrees_of_freedom: float, upper: bool = False) -> float:
    """Return the chi-square quantile: t with P(X <= t) = probability, or P(X > t) = probability where `upper` is set.

    By bisection of an interval found by doubling, to rounding.

    Raises
    ------
    InvalidInputError
        The probability is not in (0, 1), or the degrees of freedom are not positive.

    Examples
    --------
    >>> from gradest import theory
    >>> round(theory.chi2_quantile(0.95, degrees_of_freedom=1), 4)
    3.8415
    """
    probability = real_number("probability", probability, "(0, 1)", example=0.05)
    # The tail asked for is the one computed: 1 - tail would lose a probability of 1e-20 to rounding.
    side = 1 if upper else 0

    def too_small(statistic: float) -> bool:
        tail = _tails(statistic, degrees_of_freedom)[side]
        return tail > probability if upper else tail < probability

    low = high = float(degrees_of_freedom)
    while too_small(high):
        high *= 2
    while not too_small(low) and low > 0:
        low /= 2
    if low == 0:
        return 0.0
    while high - low > 2 * _EPSILON * high:
        middle = (low + high) / 2
        low, high = (middle, high) if too_small(middle) else (low, middle)
    return (low + high) / 2


def normal_quantile(probability: float) -> float:
    """Return the quantile of the standard normal distribution: z with P(Z <= z) = probability.

    Source: Wichura 1988, algorithm AS 241, doi:10.2307/2347330, in Python's statistics module.

    Examples
    --------
    >>> from gradest import theory
    >>> round(theory.normal_quantile(0.975), 4)
    1.96
    """
    probability = real_number("probability", probability, "(0, 1)", example=0.05)
    return NormalDist().inv_cdf(probability)
