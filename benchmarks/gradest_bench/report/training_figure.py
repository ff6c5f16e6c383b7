"""Draws runs of training: the loss by evaluations, by steps and by time, for any drawer. This module knows no run."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gradest_bench.report.figure import Axis, Figure, Point, Series
from gradest_bench.report.paper import draw_panels, require_drawing, write_drawn

TITLE = "What the choice of a gradient does to training"
_AXES = {
    "losses": "evaluations of the loss, or what costs as much",
    "step": "steps",
    "seconds": "seconds of steps on this machine",
}

Rows = Sequence[Mapping[str, Any]]


def training_figures(runs: Mapping[str, Rows]) -> list[Figure]:
    """Return a figure for each measure of effort: a curve of the training loss, and one of the held-out loss, a run."""
    return [_figure(runs, name, label) for name, label in _AXES.items()]


def _figure(runs: Mapping[str, Rows], name: str, label: str) -> Figure:
    series = [
        Series(run, variant, points)
        for run, rows in runs.items()
        for variant, field in (("training", "loss"), ("held out", "held_out_loss"))
        if (points := tuple(_point(run, row, name, field) for row in rows if row.get(field) is not None))
    ]
    return Figure(
        key=f"training-{name}",
        title=f"by {label.split(',')[0]}",
        sentence=TITLE,
        x=Axis(label, log=False),
        # A loss may be negative, as an unbounded one or a log-likelihood is: a logarithm would hide the run.
        y=Axis("loss", log=all(point.y > 0 for each in series for point in each.points if math.isfinite(point.y))),
        series=tuple(series),
    )


def _point(run: str, row: Mapping[str, Any], name: str, field: str) -> Point:
    return Point(float(row[name]), float(row[field]), f"{run}: {row[field]:.4g} after {row['step']} steps")


def draw_training(runs: Mapping[str, Rows], path: str | os.PathLike[str] | None = None) -> Any:
    """Return the figures side by side, and write them where a path is given; raises as `require_drawing` does."""
    target = None if path is None else Path(path)
    require_drawing(target)
    drawn = draw_panels(training_figures(runs), title=TITLE)
    if target is not None:
        write_drawn(drawn, target)
    return drawn
