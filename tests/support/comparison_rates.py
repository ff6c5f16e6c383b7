"""How often a comparison of two runs errs, and how often it finds a change: simulated times, judged as real ones are.

The logarithm of a time is a level of the cell, plus what the minute, the start of the process, the round and the sample
add to it. What they add is drawn by one of `NOISES`; those called "as measured" have the spreads of 10 runs and 7 pairs
of processes of one code on a shared machine of two cores: samples 5 %, rounds 15 %, starts 3 %, all of one sign but the
last.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradest_bench.results.run_comparison import FASTER, NO_CHANGE, SLOWER, TimeChange
from gradest_bench.results.scale_test import WRONG, judge_scale
from gradest_bench.results.significance import ratios_with_law
from gradest_bench.results.verdict import FALSE_WRONG

CELLS, CHANGED, ROUNDS, SAMPLES = 20, 8, 5, 3

Floats = NDArray[np.float64]
Noise = Callable[[np.random.Generator, int, int], Floats]
"""Draws what is added to log times, `(2 sides, CELLS, starts, ROUNDS, SAMPLES)`, of so many starts.

The last argument is how many courses of the machine there are: one that both sides share where they are measured beside
each other, else two."""


def _parts(
    generator: np.random.Generator,
    starts: int,
    courses: int,
    *,
    drift: float,
    start: float,
    rounds: float,
    samples: float,
) -> Floats:
    """Return normal noise: a drift that all cells of a round share, and what starts, rounds and samples add."""
    shape = (2, CELLS, starts)
    return np.asarray(
        drift * generator.standard_normal((courses, 1, starts, ROUNDS, 1))
        + start * generator.standard_normal((*shape, 1, 1))
        + rounds * generator.standard_normal((*shape, ROUNDS, 1))
        + samples * generator.standard_normal((*shape, ROUNDS, SAMPLES))
    )


def _one_sided(
    generator: np.random.Generator, starts: int, courses: int, *, states: float = 0.0, minutes: float = 0.0
) -> Floats:
    """Return noise of one sign in rounds and samples; a fifth of cells in states, and a level of all its minutes."""
    shape = (2, CELLS, starts)
    found = 0.03 * generator.standard_normal((*shape, 1, 1))
    found = found + 0.15 * generator.exponential(size=(*shape, ROUNDS, 1))
    found = found + 0.05 * generator.exponential(size=(*shape, ROUNDS, SAMPLES))
    in_states = (np.arange(CELLS) % 5 == 0)[None, :, None, None, None]
    found = found + states * in_states * generator.integers(0, 2, (*shape, 1, 1))
    return np.asarray(found + minutes * generator.standard_normal((courses, CELLS, 1, 1, 1)))


def _heavy(generator: np.random.Generator, starts: int, courses: int) -> Floats:
    shape = (2, CELLS, starts)
    return np.asarray(
        0.05 * generator.standard_t(3, (*shape, ROUNDS, 1)) + 0.02 * generator.standard_t(3, (*shape, ROUNDS, SAMPLES))
    )


NOISES: dict[str, Noise] = {
    "all parts 1 %": lambda g, k, c: _parts(g, k, c, drift=0.01, start=0.01, rounds=0.01, samples=0.01),
    "drift 15 %": lambda g, k, c: _parts(g, k, c, drift=0.15, start=0.01, rounds=0.02, samples=0.02),
    "rounds 15 %": lambda g, k, c: _parts(g, k, c, drift=0.0, start=0.01, rounds=0.15, samples=0.05),
    "starts 10 %": lambda g, k, c: _parts(g, k, c, drift=0.0, start=0.10, rounds=0.02, samples=0.02),
    "Student t, 3 degrees": _heavy,
    "as measured": _one_sided,
    "as measured, states 25 %": lambda g, k, c: _one_sided(g, k, c, states=0.25),
    "as measured, other minutes 5 %": lambda g, k, c: _one_sided(g, k, c, minutes=0.05),
}
UNFAIR = "as measured, other minutes 5 %"
"""What no comparison of runs apart can know; one of pairs measured beside each other has the same minutes."""


@dataclass(frozen=True)
class Rates:
    """Holds shares of comparisons, or of changed cells, of one noise.

    Attributes
    ----------
    false
        Comparisons of equal code with any change of a time.
    false_beside
        Comparisons in which a cell that did not change is called so, beside some that did.
    found
        By the factor of the change: the share of changed cells that were found.
    denied
        Of the cells that are 10 % slower, those that are called unchanged.
    """

    false: float
    false_beside: float
    found: dict[float, float]
    denied: float


def rates(noise: str, *, starts: int, paired: bool, trials: int, seed: int = 0) -> Rates:
    """Return how often comparisons of `CELLS` cells err and find, of so many simulated ones."""
    generator = np.random.default_rng([seed, starts, paired, *noise.encode()])
    drawn = [NOISES[noise](generator, starts, 1 if paired else 2) for _ in range(trials)]
    false = np.mean([_changed(verdicts(logs, paired=paired)).any() for logs in drawn])
    found, beside = {}, 0.0
    for factor in (1.10, 1.25, 10.0):
        judged = [verdicts(logs, factor=factor, paired=paired) for logs in drawn]
        found[factor] = float(np.mean([[word == SLOWER for word in words[:CHANGED]] for words in judged]))
        beside = max(beside, float(np.mean([_changed(words[CHANGED:]).any() for words in judged])))
        if factor == 1.10:
            denied = float(np.mean([[word == NO_CHANGE for word in words[:CHANGED]] for words in judged]))
    return Rates(float(false), beside, found, denied)


def verdicts(logs: Floats, *, factor: float = 1.0, paired: bool) -> list[str]:
    """Return the verdict on each cell, of which the first `CHANGED` are slower by a factor on the second side."""
    moved = logs.copy()
    moved[1, :CHANGED] += math.log(factor)
    before, after = moved.min(axis=(3, 4))  # the least sample of each start
    starts = logs.shape[2]
    ratios = ratios_with_law(before, after, paired=paired)
    return [TimeChange("", starts, ratio, 1.0).verdict for ratio in ratios]


def _changed(words: list[str]) -> Floats:
    return np.array([word in (SLOWER, FASTER) for word in words])


# -- verdicts on stochastic estimators ------------------------------------------------------------------------------
@dataclass(frozen=True)
class Setting:
    """States the number of directions, of seeds, and whether theory knows how the slopes vary."""

    num_samples: int
    seeds: int
    known: bool


SETTINGS = tuple(
    Setting(number, seeds, known) for known in (True, False) for number in (1, 4, 100) for seeds in (2, 4, 8, 16, 64)
)
FAMILY = 24
"""Cells of a run that are judged together."""


def wrong_rates(setting: Setting, *, runs: int, scale: float = 1.0, seed: int = 0) -> tuple[float, float]:
    """Return the share of runs of `FAMILY` estimators of a scale that hold any "wrong", and of cells that are it."""
    generator = np.random.default_rng([seed, setting.num_samples, setting.seeds, setting.known])
    variation = math.sqrt(2 / setting.num_samples) if setting.known else None
    wrong = np.array([list(_words(generator, setting, variation, scale)) for _ in range(runs)])
    return float(wrong.any(axis=1).mean()), float(wrong.mean())


def _words(generator: np.random.Generator, setting: Setting, variation: float | None, scale: float) -> Iterator[bool]:
    for _ in range(FAMILY):
        slopes = scale * generator.chisquare(setting.num_samples, setting.seeds) / setting.num_samples
        found = judge_scale(slopes, variation=variation, tail=FALSE_WRONG / (2 * FAMILY), slack=0.0)[0]
        yield found == WRONG
