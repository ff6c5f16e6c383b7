"""Reads from records the numbers that tables and figures show: errors of either kind, costs; groups, tips, slopes."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from gradest_bench.report.figure import Point
from gradest_bench.report.units import at_most, bytes_text, seconds
from gradest_bench.results.records import Record, number

Key = TypeVar("Key", bound=Hashable)

ALIKE = 4 / 3
"""Median times of one run that differ by a smaller factor are not told apart.

The logarithms of the ratios of two such medians, of equal code timed in turns on a shared machine, deviate by 0.14: of
twenty pairs one differs by a third.
"""


def grouped(records: Iterable[Record], key: Callable[[Record], Key]) -> dict[Key, list[Record]]:
    """Return the records by a key, in the order in which keys appear."""
    found: dict[Key, list[Record]] = {}
    for record in records:
        found.setdefault(key(record), []).append(record)
    return found


def variant(record: Record) -> str:
    """Return what tells records of one estimator apart in a figure: backend, and kernel where it is not portable."""
    cell = record.cell
    return cell.worker if cell.kernel == "portable" else f"{cell.worker} {cell.kernel}"


def error(record: Record) -> float:
    """Return the relative L2 error: of one estimate, or its root mean square over seeds for a stochastic one."""
    scatter = record.accuracy.get("replicates")
    if scatter:  # one draw is chance; its root mean square is what compares with the error of the others
        return math.sqrt(number(scatter["relative_mse"]))
    single = record.accuracy.get("single")
    return number(single["relative_error"]) if single else math.nan


def error_text(record: Record) -> str:
    """Return the relative error, of one estimate as a bound where it is below what the reference may be off itself."""
    found = error(record)
    if math.isnan(found) and not record.accuracy.get("single"):
        return ""
    uncertainty = number((record.accuracy.get("reference") or {}).get("uncertainty"))
    # a mean over seeds has other things to be uncertain by
    bounded = found < uncertainty and not record.accuracy.get("replicates")
    return f"< {at_most(uncertainty)}" if bounded else f"{found:.1e}"


SEEDS_SPREAD = "the middle four fifths of the seeds"
SAMPLES_SPREAD = "the middle half of the samples"
Ends = tuple[float | None, float | None]
"""Of an error bar; none where there are too few numbers to speak of a spread."""
_LEAST_SPREAD = 4
"""Numbers below which a quantile is interpolated between the least and the greatest, and no spread."""


def spread_of_seeds(record: Record) -> Ends:
    """Return between which errors four fifths of the seeds of a stochastic estimate lie."""
    squares = [number(found) for found in record.accuracy.get("replicates", {}).get("squared_errors") or ()]
    # one estimate that is not finite would be the end of every quantile, or be left out in silence
    if len(squares) < _LEAST_SPREAD or not np.isfinite(squares).all():
        return None, None
    # a root keeps the order, so that quantiles of squares are squares of quantiles, but for interpolation
    low, high = np.sqrt(np.quantile(squares, (0.1, 0.9)))
    return float(low), float(high)


def spread_of_samples(record: Record) -> Ends:
    """Return between which times half of the samples of a call lie."""
    samples = record.timing.wall_seconds if record.timing is not None else []
    if len(samples) < _LEAST_SPREAD:
        return None, None
    low, high = np.quantile(samples, (0.25, 0.75))
    return float(low), float(high)


def median(record: Record) -> float:
    """Return the median time in seconds, NaN where there is none."""
    return number(record.timing.median_seconds) if record.timing is not None else math.nan


def evaluations(record: Record) -> float:
    """Return how many values, JVPs and VJPs one estimate took, counted alike."""
    if record.counts is None:
        return math.nan
    counted = record.counts.counted
    # alike, though a JVP costs more: what each weighs depends on the framework, and times tell it
    return float(counted.values + counted.jvps + counted.vjps)


def peak_bytes(record: Record) -> float:
    """Return the peak extra memory in bytes, NaN where it was not measured."""
    return float(record.memory.peak_extra_bytes) if record.memory is not None else math.nan


def tip(record: Record, *more: str) -> str:
    """Return what is said when a mark is pointed at."""
    lines = [f"{record.cell.estimator.label}, {variant(record)}, {record.cell.dtype}"]
    if not math.isnan(error(record)):
        lines.append(f"relative error {error(record):.2e}")
    low, high = spread_of_seeds(record)
    if low is not None and high is not None:
        count = len(record.accuracy["replicates"]["squared_errors"])
        lines.append(f"four fifths of {count} seeds: {low:.1e} to {high:.1e}")
    if not math.isnan(median(record)):
        lines.append(f"{seconds(median(record), disturbed=record.disturbed)} a call")
    if not math.isnan(peak_bytes(record)):
        lines.append(f"{bytes_text(peak_bytes(record))} of extra memory")
    return "\n".join((*lines, *more))


def sorted_points(points: Iterable[Point]) -> tuple[Point, ...]:
    """Return points from left to right."""
    return tuple(sorted(points, key=lambda point: point.x))


def slope(points: Sequence[Point]) -> tuple[float, float]:
    """Return the slope of log y against log x by least squares and its standard error; NaN for fewer than three x."""
    kept = [(math.log(p.x), math.log(p.y)) for p in points if p.x > 0 and p.y > 0 and math.isfinite(p.y)]
    if len({x for x, _ in kept}) < 3:  # a line through two points has no doubt, and says nothing
        return math.nan, math.nan
    x, y = np.array(kept).T
    found, level = np.polyfit(x, y, 1)
    # two of the points are used up by the line itself
    scatter = np.sum((y - level - found * x) ** 2) / (len(kept) - 2)
    return float(found), float(np.sqrt(scatter / np.sum((x - x.mean()) ** 2)))


def joined(words: Sequence[str]) -> str:
    """Return words as "a, b and c"."""
    return " and ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else "".join(words)
