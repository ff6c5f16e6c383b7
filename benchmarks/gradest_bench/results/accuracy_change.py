"""Compares the errors of one cell in two runs: ties at rounding level, a least effect, and a stated false-alarm rate.

This module knows no file.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradest.dtypes import epsilon
from gradest_bench.results.records import Record, number

FALSE_ACCURACY_CHANGE = 0.01
"""The probability that one comparison of unchanged code reports any change of an error."""
LEAST_FACTOR = 1.5
"""Errors of a deterministic estimator that differ by less tie: two BLAS kernels differ by up to 1.7 in few units."""
LEAST_STOCHASTIC_FACTOR = 1.25
"""Mean squared errors that differ by less are not reported, however certain."""
LEAST_SEEDS = 8
_ROUNDING_UNITS = 16.0
_UNCERTAINTIES = 4.0

SAME, BETTER, WORSE, CANNOT_TELL = "same", "better", "worse", "cannot tell"


@dataclass(frozen=True)
class AccuracyChange:
    """States how the error of one cell differs; `measure` names the number that is compared."""

    title: str
    measure: str
    before: float
    after: float
    verdict: str


def rounding_unit(dtype: str) -> float:
    """Return half the spacing of numbers at 1 in a dtype."""
    return epsilon(dtype) / 2


def error_floor(record: Record) -> float:
    """Return the relative error below which all errors tie: some units of rounding, or the reference's own."""
    uncertainty = number((record.accuracy.get("reference") or {}).get("uncertainty") or 0.0)
    return max(_ROUNDING_UNITS * rounding_unit(record.cell.dtype), _UNCERTAINTIES * uncertainty)


def least_factor(num_parameters: int, family: int) -> float:
    """Return by what factor a norm of P rounding errors, drawn anew, exceeds another with a probability of 0.01 / 2m.

    Formula: max(1.5, sqrt F^-1(1 - 0.01 / 2m; P, P)), for errors that are normal and independent.
    """
    from scipy.stats import f

    # each of m cells may alarm falsely, on either side: the probability is shared by all 2m
    return max(LEAST_FACTOR, math.sqrt(f.isf(FALSE_ACCURACY_CHANGE / (2 * family), num_parameters, num_parameters)))


def accuracy_changes(pairs: Sequence[tuple[Record, Record]], titles: Mapping[str, str]) -> tuple[AccuracyChange, ...]:
    """Return how the errors of measured pairs differ, with titles by key; what has none on a side is left out."""
    judged = [(a, b) for a, b in pairs if a.accuracy and b.accuracy]
    scattered = [(a, b) for a, b in judged if a.accuracy.get("replicates") and b.accuracy.get("replicates")]
    # an error without chance is compared as it is; one of a single seed of chance says nothing, and is left out
    fixed = [(a, b) for a, b in judged if not b.facts.get("stochastic")]
    # the rate is promised of the comparison: each kind with a rate of its own would alarm twice as often
    family = len(fixed) + len(scattered)
    return (
        *(_fixed(a, b, titles[b.key], family) for a, b in fixed),
        *(_scattered(a, b, titles[b.key], family) for a, b in scattered),
    )


def _fixed(a: Record, b: Record, title: str, family: int) -> AccuracyChange:
    before, after = (number(record.accuracy["single"]["relative_error"]) for record in (a, b))
    floor = max(error_floor(a), error_floor(b))
    factor = least_factor(int(b.facts.get("num_parameters") or 1), family)
    return AccuracyChange(title, "relative error", before, after, _word(before, after, floor, factor))


def _word(before: float, after: float, floor: float, factor: float) -> str:
    # what is not finite has no size: losing it is a change for the worse, gaining it back one for the better
    if not (math.isfinite(before) and math.isfinite(after)):
        return SAME if math.isfinite(before) == math.isfinite(after) else WORSE if math.isfinite(before) else BETTER
    small, large = max(before, floor), max(after, floor)
    return WORSE if large > factor * small else BETTER if small > factor * large else SAME


def _scattered(a: Record, b: Record, title: str, family: int) -> AccuracyChange:
    """Compare squared errors seed by seed: both runs drew the same directions, whose chance is in both."""
    x, y = (record.accuracy["replicates"] for record in (a, b))
    before, after = number(x["relative_mse"]), number(y["relative_mse"])
    first, second = (np.array([number(e) for e in s.get("squared_errors") or ()]) for s in (x, y))
    finite = math.isfinite(before) and math.isfinite(after)
    verdict = _paired_word(first, second, family) if finite else _word(before, after, 0.0, 1.0)
    return AccuracyChange(title, "relative MSE", before, after, verdict)


def _paired_word(before: NDArray[np.float64], after: NDArray[np.float64], family: int) -> str:
    from scipy.stats import t

    count = len(before)
    if count and np.array_equal(before, after):  # seed for seed: no number of seeds would tell more
        return SAME
    if count < LEAST_SEEDS or count != len(after) or not np.isfinite([before, after]).all():
        return CANNOT_TELL
    if not ((before > 0).all() and (after > 0).all()):  # an estimate without any error has no logarithm
        return CANNOT_TELL
    # what is reported is the mean squared error, so its change must be large; whether it is chance, each seed says
    effect = math.log(after.mean() / before.mean())
    if abs(effect) <= math.log(LEAST_STOCHASTIC_FACTOR):
        return SAME
    # logarithms: squared errors are skewed, and a test of their differences would follow the largest seed alone
    differences = np.log(after / before)
    limit = t.isf(FALSE_ACCURACY_CHANGE / (2 * family), count - 1) * differences.std(ddof=1) / math.sqrt(count)
    if not abs(differences.mean()) > limit:
        return SAME
    # most seeds may err less and a few so much more that the mean is larger: neither word would say that
    return CANNOT_TELL if differences.mean() * effect < 0 else WORSE if effect > 0 else BETTER
