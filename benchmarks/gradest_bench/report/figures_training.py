"""Makes the figures of training: the loss by cost, steps and time at each estimator's best step, and by the step."""

import math
from collections.abc import Iterator, Sequence

from gradest_bench.report.curves import CURVES_SPREAD, curve, grid, trained
from gradest_bench.report.figure import Axis, Figure, Point, Series
from gradest_bench.report.record_numbers import grouped, joined, variant
from gradest_bench.results.records import Record
from gradest_bench.results.seed_ends import ends, lost, mean_end

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
            # the held-out loss by cost alone: cost is what was made equal
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
    # a held-out loss may be NaN or infinite where the training loss is none: NaN is less than nothing, and no least
    whole = [record for record in group if not lost(record) and all(map(math.isfinite, ends(record, y)))]
    said = ""
    if whole:
        best = min(whole, key=lambda record: mean_end(record, y))
        top = max(ends(best, y))
        # ranges of the seeds that meet part nothing; that they do not meet is a fact about these seeds, and no test
        as_low = [_name(record) for record in whole if record is not best and min(ends(record, y)) <= top]
        seeds = "seeds" if len(ends(best, y)) > 1 else "a single seed, which tells of no other"
        said = f"{_name(best)} ends lowest, at {_interval(ends(best, y))} over {seeds}"
        said += f"; the seeds do not part it from {joined(as_low)}." if as_low else "; no seed of another comes as low."
    fallen = [f"{_name(record)}, {text}" for record in group for text in lost(record)]
    gone = f" Lost, and drawn until then: {'; '.join(fallen)}." if fallen else ""
    return f"{said} Each at its best step size of the grid, all at equal cost.{gone}".strip()


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
    # the smallest of all: larger ones are where runs are lost
    common = min(size for record in group for size, _ in grid(record))
    # a run that is lost at the common step is the worst there, and must not be left out of the trap
    at_common = {_name(record): dict(grid(record)).get(common, math.inf) for record in group}
    at_best = {_name(record): min(loss for _, loss in grid(record)) for record in group}
    first, second = (min(found, key=lambda name: found[name]) for found in (at_common, at_best))
    said = "The first seed alone."
    if math.isfinite(at_common[first]):
        said += f" At the common step size {common:g}, {first} ends lowest, at {at_common[first]:.3g}; "
        said += f"each at its best, {second} does, at {at_best[second]:.3g}"
        said += "." if first == second else ": one step size for all compares step sizes, and not estimators."
    gone = {
        (name, joined([f"{size:g}" for size in sizes])): [variant(record) for record in part]
        for (name, sizes), part in grouped(group, lambda r: (r.cell.estimator.label, _lost_sizes(r))).items()
        if sizes
    }
    named = [f"{name} ({', '.join(where)}) at {sizes}" for (name, sizes), where in gone.items()]
    return said + (f" Lost, and not drawn: {'; '.join(named)}." if named else "")


def _lost_sizes(record: Record) -> tuple[float, ...]:
    return tuple(size for size, loss in grid(record) if not math.isfinite(loss))


def _name(record: Record) -> str:
    return f"{record.cell.estimator.label} ({variant(record)})"


def _interval(values: Sequence[float]) -> str:
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if len(values) == 1 else f"{low} to {high}"


def _words(y: str) -> str:
    return dict(_ACROSS)[y]
