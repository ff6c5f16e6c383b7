"""The statistical tests that checks use: p-values of a mean and of a correlation, bounds on a ratio.

Each holds in the limit of many replicates. With 1000 replicates of 5 directions, a test at 10^-3 raises a false alarm
with probability 0.001 to 0.002 for normal directions and 0.004 at most for low-rank ones of rank 1, whose tails are
the heaviest (1500 simulations); further out the factor grows. This module knows no estimator.
"""

import math
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradest.theory import chi2_quantile, normal_quantile

Vectors = NDArray[np.float64]

ROUNDING = 1e-9
"""What a mean may move, relative to its target, in directions in which the estimates do not scatter at all."""

_LEAST_VARIATION = 1e-5
"""The least squared coefficient of variation that bounds on a ratio are for: they are within 0.1 % of 1 then."""

_EPSILON = sys.float_info.epsilon
_TINY = sys.float_info.min / _EPSILON


@dataclass(frozen=True)
class MeanTest:
    """A test that a mean is what it should be: `-log10` of its p-value, and the degrees of freedom."""

    surprise: float
    degrees_of_freedom: int


def hotelling_test(estimates: Vectors, target: Vectors, *, rounding: float = ROUNDING) -> MeanTest:
    """Test that K estimates `(K, P)` have the mean `target` `(P,)`, with their own covariance.

    `T^2 = K d^T S^+ d` with d the deviation of the mean; `(K - r) T^2 / (r (K - 1))` is F(r, K - r) for normal
    estimates, r the rank of S. Where S vanishes the mean must not move at all, `rounding` aside.

    Source: Hotelling 1931, doi:10.1214/aoms/1177732979.
    """
    replicates = len(estimates)
    norm = float(np.linalg.norm(target)) or 1.0
    deviation = (estimates.mean(axis=0) - target) / norm
    scatter = np.atleast_2d(np.cov(estimates / norm, rowvar=False))
    # A pseudo-inverse by hand: a mean that moved where the estimates do not scatter must fail, and pinv drops it.
    eigenvalues, vectors = np.linalg.eigh(scatter)
    coordinates = vectors.T @ deviation
    # Variances, so the square of what may move; below P roundings of the largest an eigenvalue is no number.
    kept = eigenvalues > max(rounding**2, len(target) * _EPSILON * float(eigenvalues[-1]))
    if float(np.linalg.norm(coordinates[~kept])) > rounding + 10 * math.sqrt(_EPSILON * max(float(eigenvalues[-1]), 0)):
        return MeanTest(math.inf, int(kept.sum()))
    rank = int(kept.sum())
    if rank == 0:
        return MeanTest(0.0, 0)
    statistic = replicates * float(np.sum(coordinates[kept] ** 2 / eigenvalues[kept]))
    share = 1.0 / (1.0 + statistic / (replicates - 1))
    return MeanTest(-log10_beta_tail(share, (replicates - rank) / 2, rank / 2), rank)


def log10_beta_tail(x: float, a: float, b: float) -> float:
    """Return log10 of the regularised incomplete beta function `I_x(a, b)`, far into the tail without underflow.

    Source: DLMF 8.17.22, https://dlmf.nist.gov/8.17, by Lentz's method.
    """
    if x >= 1.0:
        return 0.0
    # The continued fraction converges fast below the mean only; above it, the other tail is computed.
    if x > (a + 1) / (a + b + 2):
        return math.log10(max(1.0 - 10.0 ** log10_beta_tail(1.0 - x, b, a), _TINY))
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1))
    fraction, change, i = d, 0.0, 0
    while abs(change - 1.0) > _EPSILON:
        i += 1
        even = i * (b - i) * x / ((a + 2 * i - 1) * (a + 2 * i))
        odd = -(a + i) * (a + b + i) * x / ((a + 2 * i) * (a + 2 * i + 1))
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1.0 + term * d)
            c = _away_from_zero(1.0 + term / c)
            change = c * d
            fraction *= change
    return (front + math.log(fraction / a)) / math.log(10)


def _away_from_zero(number: float) -> float:
    return number if abs(number) > _TINY else _TINY


def lag_correlation(estimates: Vectors, lag: int, *, rounding: float = ROUNDING) -> float:
    """Return the correlation of replicates k and k + lag, in standard deviations of independent ones.

    `sum_k <d_k, d_{k+lag}> / sum_k |d_k|^2` has variance `tr S^2 / ((tr S)^2 K)` where replicates are independent.
    """
    deviations = estimates - estimates.mean(axis=0)
    total = float(np.sum(deviations * deviations))
    # Estimates that do not scatter correlate by the rounding of their last digits, which repeats.
    if total <= len(estimates) * (rounding * float(np.linalg.norm(estimates.mean(axis=0)))) ** 2:
        return 0.0
    scatter = deviations.T @ deviations / total
    correlation = float(np.sum(deviations[:-lag] * deviations[lag:])) / total
    # Deviations from their own mean correlate by -1/K.
    return (correlation + 1 / len(estimates)) * math.sqrt(len(estimates) / float(np.sum(scatter * scatter)))


def deviations_allowed(false_alarm: float) -> float:
    """Return how many standard deviations a normal number stays within, but for the probability of a false alarm."""
    return -normal_quantile(false_alarm / 2)


def ratio_bounds(squares: Vectors, false_alarm: float) -> tuple[float, float]:
    """Return the range of measured / predicted mean of K squared errors `(K,)`, but for the probability.

    Quantiles of chi2(d)/d with d = 2 K / CV^2 and CV^2 measured (Satterthwaite 1946, doi:10.2307/3002019).
    """
    # The mean of heavy-tailed squares scatters more than that of normal ones: by how much is measured, not supposed.
    variation = float(np.var(squares, ddof=1) / np.mean(squares) ** 2)
    # squares that hardly scatter, as orthogonal directions have them, may be off by rounding all the same
    degrees = 2 * len(squares) / max(variation, _LEAST_VARIATION)
    low, high = (chi2_quantile(false_alarm / 2, degrees_of_freedom=degrees, upper=up) for up in (False, True))
    return low / degrees, high / degrees
