"""Reads from records the numbers that tables and figures show: errors of either kind, costs; groups, tips, slopes."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import astuple
from typing import TypeVar

import numpy as np

from gradest_bench.report.figure import Point
from gradest_bench.report.units import bytes_text, seconds
from gradest_bench.results.records import Record, number

Key = TypeVar("Key", bound=Hashable)


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


def median(record: Record) -> float:
    """Return the median time in seconds, NaN where there is none."""
    return number(record.timing.median_seconds) if record.timing is not None else math.nan


def evaluations(record: Record) -> float:
    """Return how many values, JVPs and VJPs one estimate took, counted alike."""
    return float(sum(astuple(record.counts.counted))) if record.counts is not None else math.nan


def peak_bytes(record: Record) -> float:
    """Return the peak extra memory in bytes, NaN where it was not measured."""
    return float(record.memory.peak_extra_bytes) if record.memory is not None else math.nan


def tip(record: Record, *more: str) -> str:
    """Return what is said when a mark is pointed at."""
    lines = [f"{record.cell.estimator.label}, {variant(record)}, {record.cell.dtype}"]
    if not math.isnan(error(record)):
        lines.append(f"relative error {error(record):.2e}")
    if not math.isnan(median(record)):
        lines.append(f"{seconds(median(record), disturbed=record.disturbed)} a call")
    if not math.isnan(peak_bytes(record)):
        lines.append(f"{bytes_text(peak_bytes(record))} of extra memory")
    return "\n".join((*lines, *more))


def sorted_points(points: Iterable[Point]) -> tuple[Point, ...]:
    """Return points from left to right."""
    return tuple(sorted(points, key=lambda point: point.x))


def slope(points: Sequence[Point]) -> float:
    """Return the slope of log y against log x by least squares, NaN for fewer than three points."""
    kept = [(math.log(p.x), math.log(p.y)) for p in points if p.x > 0 and p.y > 0 and math.isfinite(p.y)]
    if len({x for x, _ in kept}) < 3:  # a line through two points has no doubt, and says nothing
        return math.nan
    x, y = np.array(kept).T
    return float(np.polyfit(x, y, 1)[0])


def joined(words: Sequence[str]) -> str:
    """Return words as "a, b and c"."""
    return " and ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else "".join(words)
