"""Reads from records what training under each estimator gave: curves with their spread over seeds, ends, step sizes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradest_bench.results.records import Record, number

CURVES_SPREAD = "the least and the greatest of the seeds"


@dataclass(frozen=True)
class CurvePoint:
    """States where the seeds of a cell stood at one log: their mean along both axes, and the ends of their spread."""

    x: float
    y: float
    low: float
    high: float


def trained(records: Sequence[Record]) -> list[Record]:
    """Return the records of cells that were trained."""
    return [record for record in records if record.training]


def curve(record: Record, x: str, y: str) -> list[CurvePoint]:
    """Return the mean curve over seeds, as far as every seed goes with numbers that are finite: none is averaged away.

    Parameters
    ----------
    record
        Of a cell that was trained.
    x, y
        Columns of its runs: "losses", "steps", "seconds"; "loss", "held_out_loss".
    """
    runs = [_columns(run, x, y) for run in record.training["curves"] if y in run]
    found: list[CurvePoint] = []
    for logs in zip(*runs, strict=False):  # a run that diverged is shorter
        places, values = np.array(logs).T
        if not np.isfinite(values).all():
            break
        found.append(CurvePoint(float(places.mean()), float(values.mean()), float(values.min()), float(values.max())))
    return found


def _columns(run: dict[str, Any], x: str, y: str) -> list[tuple[float, float]]:
    return [(number(a), number(b)) for a, b in zip(run[x], run[y], strict=True)]


def ends(record: Record, y: str) -> list[float]:
    """Return what each seed ended with, NaN where its run has no such column."""
    return [number(run[y][-1]) if run.get(y) else math.nan for run in record.training["curves"]]


def diverged(record: Record) -> list[str]:
    """Return how the runs of seeds ended that became NaN or infinite."""
    found = [f"seed {run['seed']}: {run['ended']}" for run in record.training["curves"] if "became" in run["ended"]]
    return list(dict.fromkeys(found))


def grid(record: Record) -> list[tuple[float, float]]:
    """Return the step sizes and the training loss that the first seed ended with, infinite where it diverged."""
    return [(number(each["step_size"]), _ended(each)) for each in record.training["grid"]]


def _ended(each: dict[str, Any]) -> float:
    return math.inf if "became" in each["ended"] else number(each["loss"][-1])
