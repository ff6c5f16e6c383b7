"""Says how times of two sides differ, from blocks: whole starts of all workers, the only independent unit.

Samples of a round are alike, rounds of a process nearly so, and noise has one sign: somebody else runs. So a block
counts as its least sample, and what a change must exceed follows from exchanging whole blocks between the sides, which
is exact for any noise and any dependence between cells while both sides run the same code. This module knows no record
and no file.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradest.theory import chi2_quantile

FALSE_CHANGE = 0.05
"""The probability that one comparison of unchanged code reports any change of a time."""
LEAST_APART = 4
"""Blocks on each side below which no relabelling is rare enough to be called a change."""
LEAST_PAIRED = 6
"""Pairs of blocks below which none is: 1 of 2^5 swaps."""
_LENT_DEGREES = 4.0
"""The degrees of freedom that cells lend each other for their variances."""
_MOST_RELABELLINGS = 1000
_SEED = 20_260_101
"""Fixed, so that two comparisons of the same runs agree."""

Logs = NDArray[np.float64]
"""Logarithms of the least samples, `(cells, blocks)`."""


@dataclass(frozen=True)
class Ratio:
    """Holds a ratio of times, B / A, and the interval that holds for all cells at once."""

    ratio: float
    low: float
    high: float

    @property
    def visible(self) -> float:
        """The least factor of change that these blocks would show: the half-width of the interval."""
        return math.sqrt(self.high / self.low)


def block_floor(rounds: Sequence[Sequence[float]], *, num_rounds: int, num_samples: int) -> float:
    """Return the log of the least sample of a block, of its first rounds and of the first samples of each.

    A least value depends on how many there were: both sides of a comparison must give the same numbers.
    """
    return math.log(min(min(part[:num_samples]) for part in rounds[:num_rounds]))


def enough_blocks(before: int, after: int, *, paired: bool) -> bool:
    """Whether any change could be found with so many blocks on the two sides."""
    return min(before, after) >= (LEAST_PAIRED if paired else LEAST_APART)


def ratios_with_law(before: Logs, after: Logs, *, paired: bool, false_change: float = FALSE_CHANGE) -> list[Ratio]:
    """Return the ratio of each cell, with intervals that all hold together in 95 % of comparisons of equal code.

    The statistic of a cell is e / se: the mean log ratio over its standard error from a variance shrunk towards the
    median over cells (Smyth 2004, doi:10.2202/1544-6115.1027). Its critical value is the 95 % quantile of the largest
    over cells under relabelling of whole blocks (Westfall & Young 1993, Resampling-Based Multiple Testing).

    Parameters
    ----------
    before, after
        Logs of least samples, `(cells, blocks)`; of equal numbers of blocks where they are paired by their order.
    paired
        Whether block k of both sides was measured interleaved.
    false_change
        The probability that any of these intervals leaves out 1 though the code is the same.
    """
    labelled = _paired(before, after) if paired else _apart(before, after)
    estimates, errors = next(labelled)
    largest = [_largest(estimates, errors), *(_largest(*relabelled) for relabelled in labelled)]
    # the observed labelling is one of all: with it among them, the rate is exact and not merely close
    critical = sorted(largest)[math.ceil((1 - false_change) * len(largest)) - 1]
    return [
        Ratio(math.exp(e), math.exp(e - critical * se), math.exp(e + critical * se))
        for e, se in zip(estimates.tolist(), errors.tolist(), strict=True)
    ]


def _largest(estimates: Logs, errors: Logs) -> float:
    sizes = np.abs(estimates)
    # a run against itself has neither a change nor a spread
    return float(np.max(np.divide(sizes, errors, out=np.where(sizes > 0, np.inf, 0.0), where=errors > 0)))


def _moderated(variances: Logs, degrees: int) -> Logs:
    """Return variances shrunk towards what is common: the median over cells, of which chi-square's is taken off."""
    common = float(np.median(variances)) * degrees / chi2_quantile(0.5, degrees_of_freedom=float(degrees))
    shrunk: Logs = (_LENT_DEGREES * common + degrees * variances) / (_LENT_DEGREES + degrees)
    return shrunk


def _paired(before: Logs, after: Logs) -> Iterator[tuple[Logs, Logs]]:
    """Yield estimates and standard errors as observed, then for every exchange of A and B in whole blocks."""
    differences = after - before
    count = differences.shape[1]
    # turning all signs round leaves every size as it is: half of them are enough
    if 2 ** (count - 1) <= _MOST_RELABELLINGS:
        signs = np.array(list(itertools.product([1.0], *[[1.0, -1.0]] * (count - 1))))
    else:
        drawn = np.random.default_rng(_SEED).integers(0, 2, (_MOST_RELABELLINGS, count)) * 2.0 - 1.0
        signs = np.vstack([np.ones(count), drawn])
    for sign in signs:  # the first one changes nothing
        swapped = differences * sign
        variances = swapped.var(axis=1, ddof=1)
        yield swapped.mean(axis=1), np.sqrt(_moderated(variances, count - 1) / count)


def _apart(before: Logs, after: Logs) -> Iterator[tuple[Logs, Logs]]:
    """Yield estimates and standard errors as observed, then for every choice of the blocks that are called A."""
    together = np.hstack([before, after])
    first, count = before.shape[1], together.shape[1]
    for chosen in _choices(count, first):
        mask = np.zeros(count, dtype=bool)
        mask[chosen] = True
        a, b = together[:, mask], together[:, ~mask]
        degrees = count - 2
        pooled = (a.var(axis=1) * a.shape[1] + b.var(axis=1) * b.shape[1]) / degrees
        spread = 1 / a.shape[1] + 1 / b.shape[1]
        yield b.mean(axis=1) - a.mean(axis=1), np.sqrt(_moderated(pooled, degrees) * spread)


def _choices(count: int, first: int) -> Iterator[list[int]]:
    if math.comb(count, first) <= _MOST_RELABELLINGS:
        yield from (list(chosen) for chosen in itertools.combinations(range(count), first))
        return
    yield list(range(first))
    generator = np.random.default_rng(_SEED)
    for _ in range(_MOST_RELABELLINGS):
        yield generator.permutation(count)[:first].tolist()
