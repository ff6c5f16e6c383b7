"""From fitness values to the weights of directions: baselines and shaping, in float64 and outside any framework."""

import numpy as np
from numpy.typing import NDArray

from gradest.errors import NonFiniteError, unknown_name
from gradest.lengths import unit_of
from gradest.theory.direction_only import SHAPINGS

BASELINES = ("none", "value", "leave-one-out", "mean")

Values = NDArray[np.float64]


def centred_weights(fitness: Values, baseline: str, sigma: float) -> Values:
    """Return `(f_i - f_mean) / ((N - 1) sigma)` for "leave-one-out", with N in place of N - 1 for "mean".

    Parameters
    ----------
    fitness
        `(1, N)`, function values or their differences from f(x).

    The first is what subtracting the mean of all *other* values gives: unbiased. The second shrinks by 1 - 1/N.

    Source: Kool, van Hoof & Welling 2019, ICLR workshop (leave-one-out); derived (the two are proportional).
    """
    # One formula for both: f_i less the mean of the others is N / (N - 1) times f_i less the mean of all.
    count = fitness.shape[1] - (1 if baseline == "leave-one-out" else 0)
    weights: Values = (fitness[0] - mean_within(fitness[0])) / (count * sigma)
    return weights


def mean_within(values: Values) -> float:
    """Return the mean of values, no less than the least and no more than the largest of them.

    Three times 0.1 over 3 is not 0.1: of a loss that is the same everywhere, signs and z-scores would be those of this.
    """
    return float(np.clip(values.mean(), values.min(), values.max()))


def shaped_weights(fitness: Values, shaping: str, centre: float) -> Values:
    """Return the weights `(N,)` of directions for a shaping that keeps the direction and loses the length.

    Parameters
    ----------
    fitness
        `(1, N)` one-sided, or `(2, N)` with f(x + sigma v) and f(x - sigma v).
    centre
        What one-sided values are compared with by "sign".

    Formula: `u_i / N` one-sided, `(u_i+ - u_i-) / (2 N)` for pairs, with utilities u over all values together:
    centred ranks in [-1/2, 1/2] (ties share their mean rank), z-scores, or signs (of the difference of a pair).

    Raises
    ------
    NonFiniteError
        A value is NaN or infinite: it has no rank.

    Source: Wierstra et al. 2014, JMLR 15:949-980 (ranks); Salimans et al. 2017, arXiv:1703.03864.
    """
    # Sorting puts NaN last and calls it the best or the worst; a direction would be made from it without a word.
    bad = fitness.size - int(np.isfinite(fitness).sum())
    if bad:
        raise NonFiniteError(
            f"shaping={shaping!r} was asked for; {bad} of {fitness.size} function values are NaN or infinite and "
            "have no rank; try a smaller sigma"
        )
    count = fitness.shape[1]
    if shaping == "sign":
        difference: Values = fitness[0] - (fitness[1] if len(fitness) > 1 else centre)
        weights: Values = np.sign(difference) / count
        return weights
    # Both sides are shaped together: ranked apart, f(x + s v) and f(x - s v) would lose how they compare.
    utilities = _UTILITIES[shaping](fitness.reshape(-1)).reshape(fitness.shape)
    # One-sided utilities are doubled, so that "/ (2 N)" serves both.
    both: Values = utilities[0] - utilities[1] if len(fitness) > 1 else 2 * utilities[0]
    return both / (2 * count)


def require_shaping(shaping: str | None, baseline: str) -> None:
    """Refuse names of shapings and baselines that do not exist."""
    if baseline not in BASELINES:
        raise unknown_name("baseline", baseline, BASELINES)
    if shaping is not None and shaping not in SHAPINGS:
        raise unknown_name("fitness shaping", shaping, SHAPINGS)


def _centred_ranks(values: Values) -> Values:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank = last - (counts + 1) / 2  # of each distinct value, counted from 0
    ranks: Values = mean_rank[places.reshape(-1)] / max(1, values.size - 1)
    return ranks - 0.5 if values.size > 1 else np.zeros_like(values)


def _z_scores(values: Values) -> Values:
    unit = unit_of(values)
    centred: Values = values / unit - mean_within(values / unit)
    # All values equal: no direction is better than another, and the estimate is zero.
    deviation = float(np.sqrt(np.square(centred).mean()))
    if deviation > 0.0:
        centred /= deviation
    return centred


_UTILITIES = {"centered-rank": _centred_ranks, "z-score": _z_scores}
