"""Shows what `gradest bench run --dry-run` would run: how many cells, where, and how long they may take."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from gradest import GradestError
from gradest_bench.command.terminal import titled_table
from gradest_bench.results.folders import runs
from gradest_bench.results.invocations import read_invocations, span
from gradest_bench.results.records import Record
from gradest_bench.results.store import latest, read_records
from gradest_bench.suite.cells import Cell
from gradest_bench.suite.duration import least_seconds, most_seconds
from gradest_bench.suite.schema import Suite

_ENOUGH_RECORDS = 4
"""Fewer say little of the pace of a run: the first cells wait for their workers to start."""


@dataclass(frozen=True)
class Expectation:
    """States how long cells may take.

    Attributes
    ----------
    least_seconds
        What the suite asks to be timed for, in sum: no run is shorter.
    most_seconds
        The sum of the limits of time: a run is longer only by what starts its workers.
    earlier_seconds, earlier
        At the pace of the latest run below results/ that had half of the cells, and its folder; None without one.
    """

    least_seconds: float
    most_seconds: float
    earlier_seconds: float | None = None
    earlier: Path | None = None


def expectation(cells: Sequence[Cell]) -> Expectation:
    """Return how long cells may take, by what their suite says and by earlier runs."""
    least, most = least_seconds(cells), most_seconds(cells)
    # by key: another effort is another cell, and has another pace
    keys = {cell.key for cell in cells}
    # the latest first: the machine and the code may have changed since the others
    for folder in runs():
        try:
            kept = latest(read_records(folder)).values()
            pace = _pace([record for record in kept if record.key in keys and not record.begun], folder, len(keys))
        except GradestError:  # a damaged run tells no pace, and is no fault of the one that is planned
            continue
        if pace is not None:
            return Expectation(least, most, pace * len(cells), folder)
    return Expectation(least, most)


def _pace(ended: Sequence[Record], folder: Path, wanted: int) -> float | None:
    """Return the seconds from one cell's end to the next, on average, less the pauses; None where few have ended."""
    made = span(read_invocations(folder), ended)
    if made is None or len(ended) < max(_ENOUGH_RECORDS, wanted / 2):
        return None
    # of a run that kept no beginning, the time of the first cell is not known
    return made.worked.total_seconds() / (len(ended) if made.exact else len(ended) - 1)


def show_dry_run(console: Console, suite: Suite, cells: Sequence[Cell]) -> None:
    """Print the number of cells by backend and dtype, and how long they may take."""
    console.print(f"{suite.name}: {len(cells)} cells; nothing is run", highlight=False, markup=False)
    table = titled_table("cells", "backend", "dtype", "problems", "estimators", "cells")
    for (worker, dtype), count in Counter((cell.worker, cell.dtype) for cell in cells).items():
        here = [cell for cell in cells if (cell.worker, cell.dtype) == (worker, dtype)]
        problems = {cell.problem.label for cell in here}
        estimators = {cell.estimator.label for cell in here}
        table.add_row(escape(worker), escape(dtype), str(len(problems)), str(len(estimators)), str(count))
    console.print(table)
    stated = suite.expected_minutes
    if stated is not None:
        console.print(f"the suite states {stated:g} min for all of it, on two cores, with --budget 1", highlight=False)
    console.print(_sentence(expectation(cells)), highlight=False, markup=False, soft_wrap=True)


def _sentence(found: Expectation) -> str:
    bounds = (
        f"at least {_duration(found.least_seconds)} of timing, at most {_duration(found.most_seconds)} by its limits"
    )
    if found.earlier_seconds is None:
        return f"expected time: {bounds}; no earlier run of these cells tells more"
    return f"expected time: {_duration(found.earlier_seconds)}, at the pace of {found.earlier}; {bounds}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        # a tenth of a second rounded to none would read as if nothing were timed
        return f"{seconds:.0f} s" if seconds >= 1 or not seconds else f"{seconds:.1g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
