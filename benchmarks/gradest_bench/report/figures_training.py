"""Makes the figures of training: the loss by cost, steps and time at each estimator's best step, and by the step."""

import math
from collections.abc import Iterator, Sequence

from gradest_bench.report.curves import CURVES_SPREAD, curve, diverged, ends, grid, trained
from gradest_bench.report.figure import Axis, Figure, Point, Series
from gradest_bench.report.record_numbers import grouped, variant
from gradest_bench.results.records import Record

_ALONG = (
    ("losses", "cost, in evaluations of the loss"),
    ("steps", "steps"),
    ("seconds", "seconds of training"),
)
_ACROSS = (("loss", "training loss"), ("held_out_loss", "held-out loss"))


def training_curves(records: Sequence[Record]) -> Iterator[Figure]:
    """Yield the training loss by cost, steps and time, the held-out loss by cost, and the end by the step size."""
    for (problem, dtype), group in grouped(trained(records), lambda r: (r.cell.problem.label, r.cell.dtype)).items():
        for y, across in _ACROSS:
            for x, along in _ALONG[: 3 if y == "loss" else 1]:
                series = tuple(found for record in group if (found := _series(record, x, y)).points)
                if series:
                    yield Figure(
                        key=f"training-{y}-{x}-{problem}-{dtype}",
                        title=f"{across.capitalize()} by {along.partition(',')[0]}: {problem}, {dtype}",
                        sentence=_curves_sentence(group, y),
                        x=Axis(along),
                        y=Axis(across),
                        series=series,
                        bars_mean=CURVES_SPREAD,
                    )
        yield _by_step_size(problem, dtype, group)


def _series(record: Record, x: str, y: str) -> Series:
    """Return a curve; its start, where nothing was spent yet, has no place on an axis of powers of ten."""
    seeds = len(record.training["curves"])
    points = [
        Point(
            each.x,
            each.y,
            f"{record.cell.estimator.label}, {variant(record)}, step size {record.training['step_size']:g}\n"
            f"{_words(y)} {each.y:.4g} ({each.low:.4g} to {each.high:.4g}, {seeds} seeds) at {each.x:.4g} {x}",
            *((each.low, each.high) if seeds > 1 else (None, None)),
        )
        for each in curve(record, x, y)
        if each.x > 0
    ]
    return Series(record.cell.estimator.label, variant(record), tuple(points))


def _curves_sentence(group: Sequence[Record], y: str) -> str:
    """Return which ended lowest, as far as the seeds tell it, and which runs diverged."""
    whole = [record for record in group if all(map(math.isfinite, ends(record, y)))]
    said = ""
    if whole:
        best = min(whole, key=lambda record: sum(ends(record, y)) / len(ends(record, y)))
        top = max(ends(best, y))
        as_low = [r for r in whole if r is not best and min(ends(r, y)) <= top]
        named = ", ".join(f"{r.cell.estimator.label} ({variant(r)})" for r in as_low)
        said = f"{_name(best)} ends lowest, at {_interval(ends(best, y))} over seeds"
        said += (
            f"; the seeds do not part it from {named}." if named else "; every seed of it is below all of the others'."
        )
    falls = [f"{_name(record)}, {text}" for record in group for text in diverged(record)]
    fallen = f" Diverged: {'; '.join(falls)}; the curve ends there." if falls else ""
    return f"{said} Each at its best step size of the grid, all at equal cost.{fallen}".strip()


def _by_step_size(problem: str, dtype: str, group: Sequence[Record]) -> Figure:
    series = []
    for record in group:
        points = [
            Point(size, loss, f"{_name(record)}\nstep size {size:g}: training loss {loss:.4g} at the end")
            for size, loss in grid(record)
            if math.isfinite(loss)
        ]
        series.append(Series(record.cell.estimator.label, variant(record), tuple(points)))
    return Figure(
        key=f"training-step-{problem}-{dtype}",
        title=f"Training loss at the end by step size: {problem}, {dtype}",
        sentence=_trap_sentence(group),
        x=Axis("step size"),
        y=Axis("training loss at the end, first seed"),
        series=tuple(series),
    )


def _trap_sentence(group: Sequence[Record]) -> str:
    """Return what one common step size would say, and what the best of each says; of one seed, and that is said."""
    said = [f"First seed alone. {_gone(group)}".strip()]
    common = min(size for record in group for size, _ in grid(record))
    at_common = {_name(r): dict(grid(r)).get(common, math.inf) for r in group}
    at_best = {_name(r): min(loss for _, loss in grid(r)) for r in group}
    first, second = (min(found, key=lambda name: found[name]) for found in (at_common, at_best))
    if math.isfinite(at_common[first]):
        said.append(f"At the common step size {common:g}, {first} ends lowest, at {at_common[first]:.3g}")
        said.append(f"each at its best, {second} does, at {at_best[second]:.3g}")
        end = "." if first == second else ": one step size for all compares step sizes, and not estimators."
        return f"{said[0]} {said[1]}; {said[2]}{end}"
    return said[0]


def _gone(group: Sequence[Record]) -> str:
    gone = [f"{_name(r)} at {size:g}" for r in group for size, loss in grid(r) if not math.isfinite(loss)]
    return f"Diverged, and not drawn: {', '.join(gone)}." if gone else ""


def _name(record: Record) -> str:
    return f"{record.cell.estimator.label} ({variant(record)})"


def _interval(values: Sequence[float]) -> str:
    return f"{min(values):.3g} to {max(values):.3g}"


def _words(y: str) -> str:
    return dict(_ACROSS)[y]
