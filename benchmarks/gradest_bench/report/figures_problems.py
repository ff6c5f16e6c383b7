"""Makes the figures of accuracy without theory: the error on each problem, and on each block of parameters."""

import math
from collections.abc import Iterator, Sequence
from itertools import islice

from gradest_bench.report.figure import Axis, Figure, Point, Series
from gradest_bench.report.record_numbers import error, grouped, tip, variant
from gradest_bench.results.accuracy_change import rounding_unit
from gradest_bench.results.records import Record, number

_LEAST_PROBLEMS = 3
_MOST_BLOCK_ESTIMATORS = 8
_MOST_BLOCK_FIGURES = 6


def errors_by_problem(records: Sequence[Record]) -> Iterator[Figure]:
    """Yield the errors of deterministic estimators problem by problem, for every dtype with three problems or more."""
    judged = [r for r in records if r.accuracy and not r.facts.get("stochastic") and r.cell.estimator.name != "null"]
    # a fixed step is the subject of the figures of steps, and would hide the others here
    judged = [record for record in judged if not isinstance(record.cell.estimator.fields.get("step"), float)]
    for dtype, group in grouped(judged, lambda record: record.cell.dtype).items():
        problems = tuple(dict.fromkeys(record.cell.problem.label for record in group))
        if len(problems) < _LEAST_PROBLEMS:
            continue
        floor = 0.1 * rounding_unit(dtype)  # an error of nothing has no logarithm: it is drawn below all rounding
        places = {label: place for place, label in enumerate(problems)}
        series = []
        for (name, which), part in grouped(group, lambda r: (r.cell.estimator.name, variant(r))).items():
            points = [Point(places[r.cell.problem.label], max(error(r), floor), tip(r)) for r in part]
            series.append(Series(name, which, tuple(points), "marks"))
        yield Figure(
            key=f"problems-{dtype}",
            title=f"Error on each problem, {dtype}",
            sentence=_largest(group),
            x=Axis("problem", log=False, categories=problems),
            y=Axis("relative error"),
            series=tuple(series),
        )


def _largest(group: Sequence[Record]) -> str:
    """Return whose error is the largest; one that is no number has no place in the figure, and is named."""
    finite = [record for record in group if math.isfinite(error(record))]
    others = [record.cell.title for record in group if not math.isfinite(error(record))]
    worst = max(finite, key=error, default=None)
    said = f"The largest error is that of {worst.cell.title}: {error(worst):.1e}." if worst is not None else ""
    return f"{said} Not finite, and not drawn: {'; '.join(others)}.".lstrip() if others else said


def block_errors(records: Sequence[Record]) -> Iterator[Figure]:
    """Yield the error of each parameter block, for the first problems with several blocks and few estimators."""
    blocked = [
        r
        for r in records
        if len(r.accuracy.get("blocks") or {}) > 1 and not r.facts.get("stochastic") and r.cell.estimator.name != "null"
    ]
    by_problem = grouped(blocked, lambda r: (r.cell.problem.label, r.cell.dtype))
    for (problem, dtype), group in islice(by_problem.items(), _MOST_BLOCK_FIGURES):
        names = list(dict.fromkeys(record.cell.estimator.label for record in group))
        if len(names) > _MOST_BLOCK_ESTIMATORS:
            continue
        blocks = tuple(group[0].accuracy["blocks"])
        series = [
            Series(record.cell.estimator.label, variant(record), _block_points(record, blocks), "marks")
            for record in group
        ]
        worst = max((p for s in series for p in s.points if math.isfinite(p.y)), key=lambda p: p.y, default=None)
        sentence = (
            f"The largest relative error of any block: {worst.tip.splitlines()[0]}, {worst.y:.1e}." if worst else ""
        )
        yield Figure(
            key=f"blocks-{problem}-{dtype}",
            title=f"Error of each block of parameters: {problem}, {dtype}",
            sentence=sentence + " Blocks of exact zeros are not drawn.",
            x=Axis("block", log=False, categories=blocks),
            y=Axis("relative error of the block"),
            series=tuple(series),
        )


def _block_points(record: Record, blocks: tuple[str, ...]) -> tuple[Point, ...]:
    found = record.accuracy["blocks"]
    return tuple(
        Point(float(k), number(found.get(name)), tip(record, f"block {name}: {number(found.get(name)):.2e}"))
        for k, name in enumerate(blocks)
    )
