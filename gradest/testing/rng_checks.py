"""Checks of randomness: `rng` by SPEC 7, seeds kept whole, streams and directions that do not repeat.

Points of evaluation are recorded from outside (`points`), so that nothing needs to be known of how they are drawn.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.directions.keys import Rng
from gradest.measurement.session import flat
from gradest.testing.known_problems import Cubic
from gradest.testing.points import Points, record_points, varied_values
from gradest.testing.results import DETERMINISTIC, CheckResult, claimed, judged, not_applicable
from gradest.testing.subject import Subject

_PAIRS = 6  # seeds compared: two estimates may agree by chance where few outcomes are possible, six do not
_DIRECTIONS = 3
# What is kept of a seed by generators of 32 and of 64 bits.
_WORDS = (2**32, 2**64)
_SHARED_ALLOWED = 0.01
_DECIMALS = 9

Vector = NDArray[np.float64]


def check_rng(subject: Subject) -> CheckResult:
    """Check integers, SeedSequence, Generator and None as `rng`; a deterministic estimator ignores it.

    A failure means that a run cannot be repeated from its seed, or repeats where it should not.
    """
    estimator = subject.with_few_samples(_DIRECTIONS)
    prepared = estimator.prepare(subject.objective(Cubic(cubic=0.3)))

    def estimate(rng: Rng) -> Vector:
        return flat(prepared.objective, prepared(rng=rng))

    if not estimator.stochastic:
        same = all(np.array_equal(estimate(subject.seed), estimate(rng)) for rng in (None, 1, 2))
        faults = [] if same else ["it is declared deterministic and gives estimates that differ with rng"]
        return claimed("rng", faults, "a deterministic estimator ignores rng")
    # A library that draws from the global generator changes a user's own random numbers.
    state = _global_state()
    faults = list(_rng_faults(estimate, subject.seed))
    if state != _global_state():
        faults.append("it draws from NumPy's global generator")
    return claimed("rng", faults, "an int, SeedSequence, Generator or None, as SPEC 7 asks")


def _rng_faults(estimate: Callable[[Any], Vector], seed: int) -> Iterator[str]:
    seeds = range(seed, seed + _PAIRS)
    if not all(np.array_equal(estimate(s), estimate(s)) for s in seeds):
        yield "the same integer gives different estimates"
    if len({estimate(s).tobytes() for s in seeds}) == 1:
        yield "different integers give the same estimate: rng is not used"
    sequence = np.random.SeedSequence(seed)
    if not np.array_equal(estimate(sequence), estimate(np.random.SeedSequence(seed))):
        yield "equal SeedSequences give different estimates"
    generator = np.random.default_rng(seed)
    drawn = [estimate(generator) for _ in range(_PAIRS)]
    if len({d.tobytes() for d in drawn}) == 1:
        yield "a Generator is not advanced: each call with it gives the same estimate"
    if not np.array_equal(drawn[0], estimate(np.random.default_rng(seed))):
        yield "equal Generators give different estimates"
    if len({estimate(None).tobytes() for _ in range(_PAIRS)}) == 1:
        yield "rng=None gives the same estimate each time, and should draw fresh entropy"


def check_seeds(subject: Subject) -> CheckResult:
    """Check that a seed decides by all of its bits: s, s + 2^32 and s + 2^64 differ.

    A failure means that seeds are cut short, so that runs with different seeds may be the same run.
    """
    if not subject.estimator.stochastic:
        return not_applicable("seeds", DETERMINISTIC)
    estimator, problem = subject.with_few_samples(_DIRECTIONS), Cubic(cubic=0.3)
    seeds = range(subject.seed, subject.seed + _PAIRS)
    # Six seeds together: estimates of few outcomes (a coordinate of eight) agree by chance once in a while.
    small = subject.estimates(estimator, problem, seeds)
    faults = []
    for words in _WORDS:
        large = subject.estimates(estimator, problem, [s + words for s in seeds])
        if np.array_equal(small, large):
            faults.append(f"seeds s and s + 2^{words.bit_length() - 1} give the same estimates: a seed is cut short")
    return claimed("seeds", faults, "seeds of any size are kept whole")


def check_streams(subject: Subject) -> CheckResult:
    """Check that the perturbations of seeds s and s + 1 share no numbers: one stream is not the other, shifted.

    A failure means that replicates with successive seeds are not independent. It sees shared numbers (or, of laws of
    few values, shared directions) above 1 %.
    """
    recorded = _recorded(subject, "streams")
    if isinstance(recorded, CheckResult):
        return recorded
    first, second = recorded
    values = varied_values(first), varied_values(second)
    if min(map(len, values)) > 0:
        shared = len(np.intersect1d(np.round(values[0], _DECIMALS), np.round(values[1], _DECIMALS))) / len(values[0])
        what = "numbers"
    else:
        rows = [{row.tobytes() for row in np.round(points, _DECIMALS) + 0.0} for points in (first, second)]
        # A law of few values, such as Rademacher, repeats numbers; whole directions do not repeat.
        dense = min(np.count_nonzero(points, axis=1).mean() for points in (first, second)) > 1
        shared = len(rows[0] & rows[1]) / len(rows[0]) if dense else 0.0
        what = "directions"
    detail = f"seeds {subject.seed} and {subject.seed + 1} share {100 * shared:.1f} % of their {what}"
    return judged("streams", shared, _SHARED_ALLOWED, detail)


def check_resolution(subject: Subject) -> CheckResult:
    """Check that continuous perturbations are drawn with more bits than a float16 has.

    A failure means that directions come from a coarse grid: their moments, and so the variance, are not the law's.
    """
    recorded = _recorded(subject, "resolution")
    if isinstance(recorded, CheckResult):
        return recorded
    sigma = float(subject.option("sigma", 1.0))
    values = varied_values(recorded[0]) / sigma
    if not len(values):
        return not_applicable("resolution", "the law of the directions has few values; a continuous one is looked at")
    coarse = float(np.mean(np.abs(values.astype(np.float16).astype(np.float64) - values) <= 1e-9 * np.abs(values)))
    return judged(
        "resolution", coarse, 0.5, f"{100 * coarse:.0f} % of the perturbations are numbers that a float16 holds"
    )


def check_distinct_directions(subject: Subject) -> CheckResult:
    """Check that no direction is evaluated twice in one estimate, in chunks too: noise is not shared between them.

    A failure means that the estimate has fewer directions than it says, and a larger variance.
    """
    recorded = _recorded(subject, "distinct directions", chunk_size=2)
    if isinstance(recorded, CheckResult):
        return recorded
    moved = recorded[0]
    if not np.count_nonzero(moved, axis=1).mean() > 1:
        return not_applicable(
            "distinct directions", "the perturbations are coordinates, which may be drawn twice; others are counted"
        )
    # chunks that cannot be set show at numbers of directions that they do not divide
    others = (record_points(subject.varied(num_samples=number), subject.seed) for number in subject.larger_numbers)
    tried = [(len(points), _different(points)) for points in (moved, *others) if points is not None]
    evaluated, different = max(tried, key=lambda counts: counts[0] - counts[1])
    detail = f"{different} different points among {evaluated} evaluated"
    return judged("distinct directions", evaluated - different, 0, detail)


def _different(points: Points) -> int:
    return len({row.tobytes() for row in np.round(points, _DECIMALS) + 0.0})


def check_pairs(subject: Subject) -> CheckResult:
    """Check that an antithetic estimator evaluates x + d and x - d for each d.

    A failure means that even terms of the loss, its value first of all, do not cancel.
    """
    if subject.option("antithetic") is not True:
        return not_applicable(
            "pairs", "it has no field antithetic that is True; name it so where it evaluates in pairs"
        )
    recorded = _recorded(subject, "pairs")
    if isinstance(recorded, CheckResult):
        return recorded
    moved = recorded[0]
    rows = {row.tobytes() for row in np.round(moved, _DECIMALS) + 0.0}
    single = sum((np.round(-row, _DECIMALS) + 0.0).tobytes() not in rows for row in moved)
    return judged("pairs", single, 0, f"{single} of {len(moved)} evaluated points x + d have no partner x - d")


def _recorded(subject: Subject, name: str, **values: Any) -> tuple[Points, Points] | CheckResult:
    """Return the displacements evaluated with two successive seeds, or why there are none."""
    if not subject.estimator.stochastic:
        return not_applicable(name, DETERMINISTIC)
    if subject.estimator.random_step:
        return not_applicable(name, "the step alone is random")
    estimator = subject.with_few_samples(**values)
    found = [record_points(estimator, seed) for seed in (subject.seed, subject.seed + 1)]
    if any(points is None for points in found):
        return not_applicable(
            name, "it evaluates no plain values of a NumPy function; one that runs on such a function is looked at"
        )
    return found[0], found[1]  # type: ignore[return-value]  # neither is None, as tested above


def _global_state() -> tuple[bytes, int]:
    legacy: Any = np.random.get_state(legacy=False)  # noqa: NPY002 - read, to see that it is unchanged
    return legacy["state"]["key"].tobytes(), int(legacy["state"]["pos"])
