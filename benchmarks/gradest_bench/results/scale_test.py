"""Tests whether slopes of independent estimates on their target have the mean 1, by laws right for few of them.

The slope of N directions is a mean of squares, skewed to the right: low means come with low spreads, and a normal or
Student interval errs to the low side. Slopes with their long tail below the mean are not covered: of runs of 24 cells
with 64 slopes of 2 less a lognormal number (spread 0.5 of the logarithm), 8 of 150 held a false "wrong". The correction
below, in a mirror, would leave 1 of 300, and find a scale of 1.5 in 4 % of such cells where 73 % are found now: means
of squares have no such tail, so power is kept. This module knows no record and no file.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

AGREES = "agrees"
WRONG = "wrong"
TOO_FEW_SEEDS = "too few seeds"

LEAST_SEEDS = 8
"""Below so many, the spread of the slopes is not known well enough to be used."""
_MOST_UPPER = 3.0
"""Where even this scale would pass, there are too few seeds to call anything right."""
_FIT_LEVEL = 0.02

Slopes = NDArray[np.float64]


def judge_scale(slopes: Slopes, *, variation: float | None, tail: float, slack: float) -> tuple[str, str]:
    """Return "agrees", "wrong" or "too few seeds" for slopes `(n,)` that should have the mean 1, and why.

    Parameters
    ----------
    variation
        An upper bound of the standard deviation of one slope over its mean, where theory has one.
    tail
        The probability of a false "wrong" on each side.
    slack
        How far the mean may lie from 1 by itself.
    """
    if not np.isfinite(slopes).all():
        return WRONG, "estimates with NaN or infinity"
    if len(slopes) < 2:
        return TOO_FEW_SEEDS, ""
    if variation is not None and _explains(variation, slopes):
        return _by_theory(slopes, variation, tail, slack)
    return _by_spread(slopes, tail, slack)


def _degrees(count: int, kurtosis: float) -> float:
    """Return the degrees of freedom of a variance of `count` numbers with an excess kurtosis."""
    # Var(s^2) = sigma^4 (2 / (n - 1) + kurtosis / n): that of a chi-square law of so many degrees, over them
    return 2.0 / (2.0 / (count - 1) + kurtosis / count)


def _explains(variation: float, slopes: Slopes) -> bool:
    """Whether the slopes vary no more than theory says, at a level of 2 %."""
    from scipy.stats import chi2

    degrees = _degrees(len(slopes), 6 * variation**2)  # a Gamma law's excess kurtosis
    # a mean below 1 is not divided by: a scale that vanishes would make any spread look large
    ratio = np.std(slopes, ddof=1) / (max(float(np.mean(slopes)), 1.0) * variation)
    return bool(degrees * ratio**2 <= chi2.isf(_FIT_LEVEL, degrees))


def _by_theory(slopes: Slopes, variation: float, tail: float, slack: float) -> tuple[str, str]:
    """Judge by the Gamma law of a mean of squares; the bound is raised where many seeds show more."""
    from scipy.stats import gamma

    count, mean = len(slopes), float(np.mean(slopes))
    if count >= LEAST_SEEDS and mean > 0:
        variation = max(variation, float(np.std(slopes, ddof=1)) / mean)
    # a Gamma law of shape k varies by 1 / sqrt(k), and a mean of n slopes by variation / sqrt(n)
    shape = count / variation**2
    low, high = (float(quantile) / shape for quantile in (gamma.ppf(tail, shape), gamma.isf(tail, shape)))
    if high > _MOST_UPPER:
        return TOO_FEW_SEEDS, f"a scale of {high:.2g} would pass; some {_seeds_by_theory(variation, tail)} would tell"
    if low - slack <= mean <= high + slack:
        return AGREES, ""
    return WRONG, f"scale {mean:.3g}; a calibrated estimator has {low:.3g} to {high:.3g} with {count} seeds"


def _seeds_by_theory(variation: float, tail: float) -> int:
    """Return with about how many seeds too large a scale would no longer pass, should they show a fifth more spread."""
    from scipy.stats import gamma

    square = (1.2 * variation) ** 2
    return _least(lambda count: gamma.isf(tail, count / square) * square / count <= _MOST_UPPER)


def _seeds_by_spread(mean: float, spread: float, tails: float, tail: float) -> int:
    """Return with about how many seeds of this mean and spread an estimate of nothing would no longer pass.

    Twice as many as it takes if they show no longer tails than the few that are there: few seeds hide them.
    """
    from scipy.stats import t

    return 2 * _least(lambda count: t.isf(tail, _degrees(count, tails)) * spread / math.sqrt(count) <= mean)


def _least(enough: Callable[[int], bool]) -> int:
    """Return about the least number that is enough, a tenth or less too large."""
    count = LEAST_SEEDS
    while not enough(count):
        count += max(1, count // 10)
    return count


def _by_spread(slopes: Slopes, tail: float, slack: float) -> tuple[str, str]:
    """Judge by the slopes' own spread: Student's law with the degrees of freedom that their tails leave.

    Of the deviation of the mean and that of its cube root, which is nearly symmetric for a mean of squares, the
    smaller counts. Source: Wilson & Hilferty 1931, doi:10.1073/pnas.17.12.684.
    """
    from scipy.stats import kurtosis, skew, t

    count, mean, spread = len(slopes), float(np.mean(slopes)), float(np.std(slopes, ddof=1))
    if count < LEAST_SEEDS:
        return TOO_FEW_SEEDS, f"{count} of at least {LEAST_SEEDS}"
    if abs(mean - 1.0) <= slack and spread <= slack:
        return AGREES, ""  # all slopes are alike to rounding: moments of rounding errors mean nothing
    # of a Gamma law the kurtosis is 1.5 skew^2; few slopes show too little of either, so the larger counts
    tails = 3.0 if spread == 0 else max(float(kurtosis(slopes)), 1.5 * float(skew(slopes)) ** 2, 3.0)
    limit = float(t.isf(tail, _degrees(count, tails)))
    error = spread / math.sqrt(count)
    if mean > 0 and limit * error > mean:
        needed = _seeds_by_spread(mean, spread, tails, tail)
        return TOO_FEW_SEEDS, f"an estimate of nothing would pass; some {needed} would tell"
    # the slack is taken off towards 1, on the side on which the mean lies
    shifted = mean - math.copysign(min(slack, abs(mean - 1.0)), mean - 1.0)
    statistic = abs(shifted - 1.0) / error if error > 0 else (math.inf if shifted != 1.0 else 0.0)
    if shifted > 0 and error > 0:
        relative = error / shifted
        # the cube root of what varies by r about 1 has the mean 1 - r^2 / 9, and deviates by r / 3
        statistic = min(statistic, abs(3 * (shifted ** (1 / 3) - 1) + relative**2 / 3) / relative)
    if statistic > limit:
        return WRONG, f"scale {mean:.3g} ± {limit * error:.2g}, 1 for a calibrated estimator"
    return (AGREES, "") if mean > 0 else (TOO_FEW_SEEDS, "an estimate of nothing would pass")
