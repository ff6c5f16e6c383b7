"""Says how times of two sides differ, from blocks: whole starts of all workers, the only independent unit.

Samples of a round are alike, rounds of a process nearly so, and noise has one sign: somebody else runs. So a block
counts as its least sample, and what a change must exceed follows from exchanging whole blocks between the sides, which
is exact for any noise and any dependence between cells while both sides run the same code. This module knows no record
and no file.
"""

import itertools
import math
from collections.abc import Sequence
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
_ROUNDING = 1e-9
_SEED = 20_260_101
"""Fixed, so that two comparisons of the same runs agree."""

Logs = NDArray[np.float64]
"""Logarithms of the least samples, `(cells, blocks)`; NaN where a block of a cell cannot be used."""


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


def ratios_with_law(before: Logs, after: Logs, *, paired: bool) -> list[Ratio | None]:
    """Return the ratio of each cell, with intervals that all hold together in 95 % of comparisons of equal code.

    The statistic of a cell is e / se: the mean log ratio over its standard error from a variance shrunk towards the
    median over cells (Smyth 2004, doi:10.2202/1544-6115.1027). Its critical value is the 95 % quantile of the largest
    over cells under relabelling of whole blocks (Westfall & Young 1993, Resampling-Based Multiple Testing). A block is
    exchanged for all cells at once, and each cell counts those of its own that can be used. The rate is exact where
    both sides lose blocks equally often; with 4 blocks, and 20 of which each of 20 cells lost other three quarters,
    6.8 % of 2,500 simulated comparisons of equal code held a change.

    Parameters
    ----------
    before, after
        Logs of least samples, `(cells, blocks)`; of equal numbers of blocks where they are paired by their order.
    paired
        Whether block k of both sides was measured interleaved.

    Returns
    -------
    list
        None for a cell with too few blocks that can be used, as `enough_blocks` has it.
    """
    judged = _enough(before, after, paired=paired)
    ratios: list[Ratio | None] = [None] * len(judged)
    if not judged.any():
        return ratios
    before, after = before[judged], after[judged]
    # a start that no cell can use is no start: exchanged, it would only make sides unlike
    kept = [np.isfinite(side).any(axis=0) for side in (before, after)]
    if paired:
        kept = [kept[0] & kept[1]] * 2
    exchange = _paired if paired else _apart
    estimates, errors = exchange(before[:, kept[0]], after[:, kept[1]])  # observed labelling first
    sizes = np.abs(estimates)
    # a run against itself has neither a change nor a spread
    statistics = np.divide(sizes, errors, out=np.where(sizes > 0, np.inf, 0.0), where=errors > 0)
    # a labelling that leaves a cell without a side says nothing of it
    largest = np.sort(np.where(np.isnan(errors), 0.0, statistics).max(axis=0))
    # the observed labelling is one of all: with it among them, the rate is exact and not merely close; labellings of
    # equal statistics, such as a mirror image, are not parted by rounding
    critical = float(largest[math.ceil((1 - FALSE_CHANGE) * len(largest)) - 1]) * (1 + _ROUNDING)
    found = zip(np.flatnonzero(judged), estimates[:, 0].tolist(), errors[:, 0].tolist(), strict=True)
    for cell, e, se in found:
        ratios[cell] = Ratio(math.exp(e), math.exp(e - critical * se), math.exp(e + critical * se))
    return ratios


def _enough(before: Logs, after: Logs, *, paired: bool) -> NDArray[np.bool_]:
    """Return of each cell whether `enough_blocks` are left."""
    usable = np.isfinite(before), np.isfinite(after)
    if paired:
        usable = (usable[0] & usable[1],) * 2
    return np.array([enough_blocks(int(a.sum()), int(b.sum()), paired=paired) for a, b in zip(*usable, strict=True)])


def _moderated(variances: Logs, degrees: Logs) -> Logs:
    """Return variances `(cells, labellings)` shrunk towards their median over cells, from which the law's is taken.

    `degrees` of freedom are those of each cell, `(cells, 1)`; variances that no labelling has are NaN.
    """
    # rounding may leave the variance of equal numbers below zero
    found = np.maximum(variances, 0.0)
    # the median of a variance lies below its mean, the more so the fewer degrees it has
    middles = {d: chi2_quantile(0.5, degrees_of_freedom=float(d)) / d for d in np.unique(degrees).tolist()}
    scales = np.vectorize(middles.__getitem__, otypes=[float])(degrees)
    # one number for all labellings: cells that have changed are calm in the observed one alone, and if only that one
    # profited, cells that have not changed would be called so beside them, in up to a fifth of comparisons
    common = np.nanmedian(found / scales)
    shrunk: Logs = (_LENT_DEGREES * common + degrees * found) / (_LENT_DEGREES + degrees)
    return shrunk


def _paired(before: Logs, after: Logs) -> tuple[Logs, Logs]:
    """Return estimates and errors `(cells, labellings)` for every exchange of A and B in whole blocks."""
    differences = after - before
    number = differences.shape[1]
    # turning all signs round leaves every size as it is: half of them are enough
    if 2 ** (number - 1) <= _MOST_RELABELLINGS:
        signs = np.array(list(itertools.product([1.0], *[[1.0, -1.0]] * (number - 1))))
    else:
        drawn = np.random.default_rng(_SEED).integers(0, 2, (_MOST_RELABELLINGS, number)) * 2.0 - 1.0
        signs = np.vstack([np.ones(number), drawn])
    kept = np.isfinite(differences)
    counts, used = kept.sum(axis=1, keepdims=True), np.where(kept, differences, 0.0)
    means = used @ signs.T / counts
    squares = np.sum(used**2, axis=1, keepdims=True)  # of which no sign changes anything
    variances = (squares - counts * means**2) / (counts - 1)
    return means, np.sqrt(_moderated(variances, counts - 1.0) / counts)


def _apart(before: Logs, after: Logs) -> tuple[Logs, Logs]:
    """Return estimates and errors `(cells, labellings)` for every choice of the blocks that are called A."""
    together = np.hstack([before, after])
    kept = np.isfinite(together)
    counts = kept.sum(axis=1, keepdims=True)
    middles = np.sum(together, axis=1, keepdims=True, where=kept) / counts
    centred = np.where(kept, together - middles, 0.0)  # squares are subtracted below: small ones lose less
    chosen = _choices(together.shape[1], before.shape[1])
    first, second = kept @ chosen.T, kept @ (1.0 - chosen).T  # how many blocks of a cell either side has
    # the pooled variance is of all blocks, however they are parted: only a side without any leaves no statistic
    told = np.minimum(first, second) > 0
    first, second = np.maximum(first, 1.0), np.maximum(second, 1.0)
    a, b = centred @ chosen.T / first, centred @ (1.0 - chosen).T / second
    degrees = counts - 2.0
    squares = np.sum(centred**2, axis=1, keepdims=True)
    pooled = np.where(told, (squares - first * a**2 - second * b**2) / degrees, np.nan)
    return b - a, np.sqrt(_moderated(pooled, degrees) * (1 / first + 1 / second))


def _choices(count: int, first: int) -> NDArray[np.float64]:
    """Return which blocks are called A, `(labellings, count)` of zeros and ones, the observed choice first."""
    if math.comb(count, first) <= _MOST_RELABELLINGS:
        places = [list(chosen) for chosen in itertools.combinations(range(count), first)]
    else:
        generator = np.random.default_rng(_SEED)
        drawn = [generator.permutation(count)[:first].tolist() for _ in range(_MOST_RELABELLINGS)]
        # the observed choice in front: those that are drawn may miss it
        places = [list(range(first)), *drawn]
    chosen = np.zeros((len(places), count))
    np.put_along_axis(chosen, np.array(places), 1.0, axis=1)
    return chosen
