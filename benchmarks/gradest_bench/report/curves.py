"""Reads from records what training under each estimator gave: curves with their spread over seeds, ends, step sizes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradest_bench.results.records import Record, number
from gradest_bench.results.seed_ends import MOST_RISE, is_lost

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
    """Return the mean curve over seeds, as far as no seed is lost: no number that is not finite is averaged away.

    Parameters
    ----------
    record
        Of a cell that was trained.
    x, y
        Columns of its runs: "losses", "steps", "seconds"; "loss", "held_out_loss".
    """
    runs = [_columns(run, x, y) for run in record.training["curves"] if y in run]
    found: list[CurvePoint] = []
    starts = [run[0] for run in runs]
    for logs in zip(*runs, strict=False):  # a run that diverged is shorter
        places, values = np.array(logs).T
        if not all(value <= MOST_RISE * abs(first[1]) for value, first in zip(values, starts, strict=True)):
            break  # NaN is not less than anything
        found.append(CurvePoint(float(places.mean()), float(values.mean()), float(values.min()), float(values.max())))
    return found


def _columns(run: dict[str, Any], x: str, y: str) -> list[tuple[float, float]]:
    return [(number(a), number(b)) for a, b in zip(run[x], run[y], strict=True)]


def grid(record: Record) -> list[tuple[float, float]]:
    """Return the step sizes and the training loss that the first seed ended with, infinite where it was lost."""
    return [
        (number(each["step_size"]), math.inf if is_lost(each) else number(each["loss"][-1]))
        for each in record.training["grid"]
    ]
