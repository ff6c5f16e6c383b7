"""Writes the page of many runs: what each was, and for each suite the history of every cell over them."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from gradest.measurement.outcome import Outcome
from gradest_bench.report.about import duration, versions
from gradest_bench.report.history import Entry, History, histories
from gradest_bench.report.html import TableCell, number_cell, table, text_cell
from gradest_bench.report.printable import escape
from gradest_bench.report.record_numbers import error, median
from gradest_bench.report.shell import document, folded, sentences
from gradest_bench.report.sparkline import sparkline
from gradest_bench.report.units import DISTURBED, DISTURBED_MEANS, counted, seconds
from gradest_bench.results.loading import Run
from gradest_bench.results.places import without_places
from gradest_bench.results.records import Record
from gradest_bench.results.verdict import WRONG

_RUNS = ("run", "suite", "measured", "took", "cells", "wrong", "failed", "gradest", "processor")
_CELLS = ("cell", "runs", "time", "latest time", "latest / first", "error", "latest error", "ended", "machine")
REPORT = "report.html"


def index_html(entries: Sequence[Entry], place: Path) -> str:
    """Return runs, given from the earliest on, as the text of one HTML file that will lie in the folder `place`."""
    readable = [entry for entry in entries if entry.run is not None]
    days = [entry.made.first for entry in readable if entry.made is not None]
    between = f", from {min(days):%Y-%m-%d} to {max(days):%Y-%m-%d}" if days else ""
    count = counted(len(entries), "run")
    about = f'<p class="question">{escape(count + between)}</p>'
    return document("Runs of gradest bench", about, {"runs": _runs(entries, place), "cells": _suites(readable)})


def _runs(entries: Sequence[Entry], place: Path) -> str:
    # the latest first: it is the one that is looked for
    rows = [_run_row(entry, entry.run, place) for entry in reversed(entries) if entry.run is not None]
    faults = [f"{entry.folder.name}: {without_places(entry.fault)}" for entry in entries if entry.run is None]
    unread = f"<p>{counted(len(faults), 'folder')} cannot be read:</p>{sentences(faults)}" if faults else ""
    return table("runs", _RUNS, rows) + unread


def _run_row(entry: Entry, run: Run, place: Path) -> list[TableCell]:
    made = entry.made
    wrong = sum(1 for record in run.records if run.verdicts[record.key][0] == WRONG)
    failed = sum(1 for record in run.records if Outcome(record.outcome).failed and not record.expected)
    least = "" if made is None or made.exact else "at least "
    return [
        text_cell(entry.folder.name, link=_link(entry.folder / REPORT, place)),
        text_cell(entry.suite),
        text_cell("" if made is None else f"{made.first:%Y-%m-%d %H:%M}"),
        number_cell(made.worked.total_seconds() if made else None, f"{least}{duration(made.worked)}" if made else ""),
        text_cell(f"{len(run.measured)} of {run.num_cells}"),
        number_cell(wrong, str(wrong), "bad" if wrong else ""),
        number_cell(failed, str(failed), "bad" if failed else ""),
        text_cell(", ".join(versions(run))),
        text_cell(run.environment.get("machine", {}).get("processor")),
    ]


def _link(report: Path, place: Path) -> str:
    """Return the address of a report as seen from the index; "" where none was written."""
    # with a dot before it, no name of a folder can be read as another kind of address
    return f"./{quote(os.path.relpath(report, place))}" if report.is_file() else ""


def _suites(entries: Sequence[Entry]) -> str:
    """Return the history of the cells of each suite that was run, the last one first, and open."""
    parts: list[str] = []
    for suite, group in reversed(_by_suite(entries).items()):
        runs = [entry.run for entry in group if entry.run is not None]
        found = histories(runs)
        rows = [_cell_row(history) for history in found]
        summary = f"{suite}: {counted(len(found), 'cell')} over {counted(len(runs), 'run')}"
        parts.append(folded(summary, table(f"cells of {suite}", _CELLS, rows), opened=not parts))
    reading = (
        "Lines go from the earliest run to the latest and are logarithmic; a gap is a run in which the cell was not "
        f"measured. The ratio of two medians judges nothing: gradest bench compare does. {DISTURBED}, and pale: "
        f"{DISTURBED_MEANS}."
    )
    return f"<p>{escape(reading)}</p>{''.join(parts)}"


def _by_suite(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return the runs by suite, the suite that was run last at the end."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        # taken out and put in again: a dict keeps the place of the first insertion
        found[entry.suite] = [*found.pop(entry.suite, []), entry]
    return found


def _cell_row(history: History) -> list[TableCell]:
    title, latest = history.title, history.known[-1]
    # what failed may have been timed before: that is no time of a call that gives what was asked
    measured = [record if record is not None and record.outcome == Outcome.OK else None for record in history.records]
    times = [median(record) if record else math.nan for record in measured]
    errors = [error(record) if record else math.nan for record in measured]
    pale = [record is not None and record.disturbed for record in measured]
    # NaN, of a run without the cell, is not above zero
    timed = [value for value in times if value > 0]
    ratio = timed[-1] / timed[0] if len(timed) > 1 else None
    disturbed = latest.disturbed
    return [
        text_cell(title, "wide"),
        number_cell(len(history.known), str(len(history.known))),
        _drawing(sparkline(times, f"times of {title}", pale=pale)),
        number_cell(times[-1], seconds(times[-1], disturbed=disturbed), "warn" if disturbed else ""),
        number_cell(ratio, "" if ratio is None else f"{ratio:.3g}"),
        _drawing(sparkline(errors, f"errors of {title}")),
        number_cell(errors[-1], f"{errors[-1]:.2e}"),
        text_cell(_endings(history.known), "ok" if latest.outcome == Outcome.OK else "warn"),
        text_cell(history.machine),
    ]


def _drawing(drawn: str) -> TableCell:
    return TableCell("", drawing=drawn)


def _endings(records: Sequence[Record]) -> str:
    """Return how a cell ended, and since when otherwise: the outcomes of the runs, those in a row alike once."""
    changes = [record.outcome for k, record in enumerate(records) if k == 0 or records[k - 1].outcome != record.outcome]
    return " → ".join(changes)
