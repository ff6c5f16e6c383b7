"""Says where the seeds of a trained cell ended, and which of them were lost. This module knows no file."""

import math
from collections.abc import Mapping
from typing import Any

from gradest.training.records import NOT_FINITE
from gradest_bench.results.records import Record, number

MOST_RISE = 10.0
"""A loss above so many times that of the start is a run that is lost; drawn, it would hide all others."""


def ends(record: Record, y: str) -> list[float]:
    """Return what each seed ended with, NaN where its run has no such column."""
    return [number(run[y][-1]) if run.get(y) else math.nan for run in record.training["curves"]]


def mean_end(record: Record, y: str) -> float:
    """Return the mean over seeds of a loss at the end, infinite where a seed was lost, NaN without such a column."""
    found = ends(record, y)
    # a run that became NaN keeps the parameters before, and so ends with a number that is no end of training
    gone = any(map(is_lost, record.training["curves"])) and not all(map(math.isnan, found))
    return math.inf if gone else sum(found) / len(found)


def lost(record: Record) -> list[str]:
    """Return how the runs of seeds ended that became NaN or infinite, or far above where they began."""
    found = []
    for run in record.training["curves"]:
        if is_lost(run):
            ended = run["ended"] if NOT_FINITE in run["ended"] else f"the loss rose to {number(run['loss'][-1]):.2g}"
            found.append(f"seed {run['seed']}: {ended}")
    return found


def is_lost(run: Mapping[str, Any]) -> bool:
    """Whether a run became NaN or infinite, or ended far above where it began."""
    first, last = number(run["loss"][0]), number(run["loss"][-1])
    return NOT_FINITE in run["ended"] or not last <= MOST_RISE * abs(first)
