"""Shows a sweep and its results in a terminal: progress, tables by problem, what did not run and why."""

import math
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gradest.measurement.outcome import Outcome
from gradest.measurement.timing import DISTURBED_BELOW, Timing
from gradest_bench.command.progress import ProgressLines
from gradest_bench.command.terminal import make_progress, titled_table, wide_enough
from gradest_bench.report.printable import shown
from gradest_bench.report.record_numbers import error_text, grouped, median, variant
from gradest_bench.report.units import DISTURBED, bytes_text, counted, mark, seconds
from gradest_bench.results.records import Memory, Record, number, z_of
from gradest_bench.results.verdict import WRONG, Judgement
from gradest_bench.run.group import steps_of
from gradest_bench.suite.cells import NULL, Cell

_MOST_TITLES = 3
"""More cells with the same reason are counted, not named."""


class ProgressBar:
    """Shows a sweep's steps as a bar with the time left; in a log, few lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = make_progress(console, disable=not console.is_terminal)
        self._task = self._progress.add_task("starting workers", total=None)
        self._steps: dict[str, int] = {}
        self._lines = None if console.is_terminal else ProgressLines(console)
        self._cells = 0
        self._ended = 0

    def __enter__(self) -> "ProgressBar":
        self._progress.start()
        if self._lines is not None:
            self._lines.__enter__()
            self._lines.doing("starting workers")
        return self

    def __exit__(self, *error: object) -> None:
        if self._lines is not None:
            self._lines.__exit__(None, None, None)
        self._progress.stop()

    def planned(self, cells: Sequence[Cell], kept: int) -> None:
        """Set the number of steps."""
        # what no worker could identify has ended before anything was planned, and is among those that have ended
        self._cells = self._ended + len(cells)
        # steps, not cells: a cell of many rounds would stand still for minutes
        done = self._progress.tasks[0].completed
        self._progress.update(self._task, total=done + sum(steps_of(cell) for cell in cells))
        if kept:
            self._console.print(f"{kept} cells have a result already; {len(cells)} to run", highlight=False)

    def step(self, cell: Cell) -> None:
        """Move on by one step."""
        self._steps[cell.key] = self._steps.get(cell.key, 0) + 1
        self._progress.update(self._task, advance=1, description=escape(shown(cell.title)))
        if self._lines is not None:
            self._lines.doing(cell.title)

    def finished(self, record: Record) -> None:
        """Count whatever steps a cell did not come to."""
        self._ended += 1
        # a cell that failed leaves steps out: the bar would never come to its end without them
        self._progress.update(self._task, advance=steps_of(record.cell) - self._steps.get(record.key, 0))
        if self._lines is not None:
            self._lines.advance(self._ended, self._cells)


def show_records(console: Console, records: Sequence[Record], judged: Mapping[str, Judgement]) -> None:
    """Print one table for each problem and dtype, then what did not run and why, then the coverage."""
    measured = [record for record in records if record.outcome == Outcome.OK]
    # errors and times of two problems have nothing to be compared by
    by_problem = grouped(measured, lambda record: (record.cell.problem.label, record.cell.dtype))
    tables = [_table(f"{problem}, {dtype}", part, judged) for (problem, dtype), part in by_problem.items()]
    wide = wide_enough(console, tables)
    for table in tables:
        wide.print(table)
    show_outcomes(console, records)


def show_outcomes(console: Console, records: Sequence[Record]) -> None:
    """Print what did not run and why, what could not be predicted, what is disturbed, and the coverage."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for record in records:
        if record.outcome != Outcome.OK or record.reason:
            expected = " (expected)" if record.expected else ""
            found = f"{record.outcome}{expected}: {record.reason}"
            reasons.setdefault((record.outcome, found), []).append(record.cell.title)
    explained: set[str] = set()
    for (outcome, reason), titles in reasons.items():
        named = "; ".join(titles[:_MOST_TITLES])
        more = f"; and {len(titles) - _MOST_TITLES} more" if len(titles) > _MOST_TITLES else ""
        indented = reason.replace("\n", "\n  ")  # so that no line of a record looks like one of the run's
        console.print(f"[bold]{escape(indented)}[/]\n  {escape(named + more)}", highlight=False)
        if outcome != Outcome.OK and outcome not in explained:
            console.print(f"  ({Outcome(outcome).wording})", highlight=False, style="dim")
            explained.add(outcome)
    disturbed = sum(record.disturbed for record in records)
    if disturbed:
        console.print(
            f"{disturbed} cells were disturbed: the machine gave them less than {DISTURBED_BELOW:.0%} of its processor "
            f"(marked {DISTURBED})",
            highlight=False,
        )
    waiting = [record for record in records if record.timing is not None and record.timing.waiting]
    if waiting:
        console.print(f"{counted(len(waiting), 'cell')} waited: {_why_waited(waiting)}", highlight=False)
    measured = sum(1 for record in records if record.outcome == Outcome.OK)
    console.print(f"{measured} of {len(records)} cells measured", highlight=False)


def _why_waited(waiting: Sequence[Record]) -> str:
    """Return for what cells waited: the machine was looked at before each block of calls and after, not meanwhile."""
    if any(record.cell.estimator.name == NULL.name for record in waiting):
        return "for the machine, which looked free around them; so did the null estimator, which waits for nothing else"
    return "by themselves, for a lock, a file or another process; the machine was free before and after"


def _table(title: str, records: Sequence[Record], judged: Mapping[str, Judgement]) -> Table:
    parameters = records[0].facts.get("num_parameters")
    table = titled_table(title if parameters is None else f"{title}, P = {parameters:,}")
    untimed = math.inf  # what has no time comes last
    # the label too, so that rows of equal times, or of none, stand alike in every run
    ordered = sorted(records, key=lambda r: (median(r) if median(r) > 0 else untimed, r.cell.estimator.label))
    rows = [_row(record, judged[record.key]) for record in ordered]
    # columns that are empty throughout would fold a narrow terminal for nothing
    shown = [heading for heading in rows[0] if any(row[heading] for row in rows)]
    for heading in shown:
        left = heading in ("estimator", "backend", "verdict")
        table.add_column(heading, justify="left" if left else "right", no_wrap=not left)
    for row in rows:
        table.add_row(*(row[heading] for heading in shown))
    return table


def _row(record: Record, judged: Judgement) -> dict[str, str]:
    cell, accuracy = record.cell, record.accuracy
    single, scatter = accuracy.get("single", {}), accuracy.get("replicates", {})
    predicted = (accuracy.get("predicted") or {}).get("relative_mse")
    cosine = number((scatter or single).get("cosine"))  # the zero gradient of the null estimator has none
    found, reason = judged
    z = z_of(record)
    return {
        "estimator": escape(cell.estimator.label),
        "backend": escape(variant(record)),
        "rel. error": error_text(record),
        "cosine": "" if math.isnan(cosine) else f"{cosine:.4f}",
        **_times(record.timing),
        "MSE": f"{number(scatter['relative_mse']):.3g}" if scatter else "",
        "theory": "" if predicted is None else f"{number(predicted):.3g}",
        "z": "" if z is None else f"{z:+.1f}",
        "peak": bytes_text(record.memory.peak_extra_bytes) if record.memory else "",
        "first peak": _first_peak(record.memory),
        "verdict": f"[bold red]{found}[/]: {escape(reason)}" if found == WRONG else found,
    }


def _first_peak(memory: Memory | None) -> str:
    found = memory.preparation_extra_bytes if memory is not None else None
    return "" if found is None else bytes_text(found)


def _times(timing: Timing | None) -> dict[str, str]:
    if timing is None or timing.median_seconds is None:
        return {"time": "", "± IQR": "", "x loss": "", "first call": ""}
    return {
        "time": seconds(timing.median_seconds, disturbed=timing.disturbed),
        "± IQR": "" if timing.iqr_seconds is None else seconds(timing.iqr_seconds, disturbed=timing.disturbed),
        "x loss": "" if timing.loss_units is None else f"{timing.loss_units:,.2f}{mark(disturbed=timing.disturbed)}",
        "first call": seconds(timing.first_call_seconds),
    }
