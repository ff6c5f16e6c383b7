"""Tests whether two sets of timed samples differ: rank test, bootstrap interval, many comparisons.

This module knows no record and no file.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BOOTSTRAP_SAMPLES = 2000
_BOOTSTRAP_SEED = 20_260_101
"""Fixed, so that two comparisons of the same runs agree."""
_PERCENT = 100

Rounds = Sequence[Sequence[float]]
"""Samples, those together that were taken in one round."""


@dataclass(frozen=True)
class Ratio:
    """Holds the ratio of two medians, B / A, with its bootstrap interval and the p-value of the rank test."""

    ratio: float
    low: float
    high: float
    p_value: float


def compare_samples(before: Rounds, after: Rounds, *, confidence: float = 0.95) -> Ratio:
    """Return how the samples of B compare with those of A.

    The p-value is that of the two-sided Mann-Whitney test on all samples (Mann & Whitney 1947,
    doi:10.1214/aoms/1177730491). The interval is a percentile bootstrap of the ratio of medians that draws whole
    rounds, as samples of one round are alike (cluster bootstrap: Davison & Hinkley 1997, section 3.8,
    doi:10.1017/CBO9780511802843).
    """
    from scipy.stats import mannwhitneyu  # half a second, which every other command would pay too

    a, b = (np.array([value for part in rounds for value in part]) for rounds in (before, after))
    generator = np.random.default_rng(_BOOTSTRAP_SEED)
    ratios = _medians(after, generator) / _medians(before, generator)
    tail = (1 - confidence) / 2 * _PERCENT
    low, high = np.percentile(ratios, [tail, _PERCENT - tail])
    # a run against itself has no change; where all its samples are tied, the rank test has a variance of zero
    p_value = 1.0 if np.array_equal(a, b) else float(mannwhitneyu(a, b, alternative="two-sided").pvalue)
    return Ratio(float(np.median(b) / np.median(a)), float(low), float(high), p_value)


def _medians(rounds: Rounds, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return the medians of bootstrap samples of whole rounds."""
    parts = [part for part in rounds if len(part)]
    padded = np.full((len(parts), max(len(part) for part in parts)), np.inf)
    for row, part in zip(padded, parts, strict=True):
        row[: len(part)] = part
    picks = generator.integers(0, len(parts), (BOOTSTRAP_SAMPLES, len(parts)))
    drawn = np.sort(padded[picks].reshape(BOOTSTRAP_SAMPLES, -1), axis=1)  # what pads comes last
    counts = np.isfinite(drawn).sum(axis=1)
    every = np.arange(BOOTSTRAP_SAMPLES)
    medians: NDArray[np.float64] = 0.5 * (drawn[every, (counts - 1) // 2] + drawn[every, counts // 2])
    return medians


def holm(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p-values: those below alpha are false in at most a share alpha of all families.

    Source: Holm 1979, Scandinavian Journal of Statistics 6(2), 65-70.
    """
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    adjusted = [1.0] * len(p_values)
    running = 0.0
    for rank, place in enumerate(order):  # from the smallest on, and never below one that was adjusted before
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = running
    return adjusted


def normal_p_value(difference: float, standard_error: float) -> float:
    """Return the two-sided p-value of a normal difference; 1 for no difference at all."""
    if difference == 0:
        return 1.0
    if not standard_error > 0:
        return 0.0
    return math.erfc(abs(difference) / standard_error / math.sqrt(2))
