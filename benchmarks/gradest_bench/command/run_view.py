"""What a sweep and its results look like in a terminal: progress, tables by problem, what did not run and why."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gradest.measurement.outcome import Outcome
from gradest.measurement.timing import DISTURBED_BELOW, Timing
from gradest_bench.command.terminal import DISTURBED, make_progress
from gradest_bench.report.units import bytes_text, seconds
from gradest_bench.results.records import Record, number
from gradest_bench.results.verdict import WRONG, verdict
from gradest_bench.run.group import steps_of
from gradest_bench.suite.cells import Cell

_PLAIN_EVERY = 10


class ProgressBar:
    """Shows a sweep's steps as a bar with the time left; on a terminal that cannot, a line every few cells."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = make_progress(console, disable=not console.is_terminal)
        self._task = self._progress.add_task("starting workers", total=None)
        self._steps: dict[str, int] = {}
        self._cells = 0
        self._ended = 0

    def __enter__(self) -> "ProgressBar":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def planned(self, cells: Sequence[Cell], kept: int) -> None:
        """Set the number of steps."""
        self._cells = len(cells)
        self._progress.update(self._task, total=sum(steps_of(cell) for cell in cells))
        if kept:
            self._console.print(f"{kept} cells have a result already; {len(cells)} to run", highlight=False)

    def step(self, cell: Cell) -> None:
        """Move on by one step."""
        self._steps[cell.key] = self._steps.get(cell.key, 0) + 1
        self._progress.update(self._task, advance=1, description=escape(cell.title))

    def finished(self, record: Record) -> None:
        """Count whatever steps a cell did not come to."""
        self._ended += 1
        self._progress.update(self._task, advance=steps_of(record.cell) - self._steps.get(record.key, 0))
        if not self._console.is_terminal and (self._ended % _PLAIN_EVERY == 0 or self._ended == self._cells):
            self._console.print(f"{self._ended} of {self._cells} cells", highlight=False)


def show_records(console: Console, records: Sequence[Record]) -> None:
    """Print one table for each problem and dtype, then what did not run and why, then the coverage."""
    for (problem, dtype), group in _by_problem(records).items():
        measured = [record for record in group if record.outcome == Outcome.OK]
        if measured:
            console.print(_table(f"{problem}, {dtype}", measured))
    show_outcomes(console, records)


def show_outcomes(console: Console, records: Sequence[Record]) -> None:
    """Print what did not run and why, what is wrong or disturbed, and the coverage."""
    reasons: dict[str, list[str]] = {}
    for record in records:
        if record.outcome != Outcome.OK:
            expected = " (expected)" if record.expected else ""
            reasons.setdefault(f"{record.outcome}{expected}: {record.reason}", []).append(record.cell.title)
    for reason, titles in reasons.items():
        shown = "; ".join(titles[:3]) + (f"; and {len(titles) - 3} more" if len(titles) > 3 else "")
        console.print(f"[bold]{escape(reason)}[/]\n  {escape(shown)}", highlight=False)
    disturbed = sum(1 for record in records if record.timing is not None and record.timing.disturbed)
    if disturbed:
        console.print(
            f"{disturbed} cells were disturbed: the machine gave them less than {DISTURBED_BELOW:.0%} of its processor "
            f"(marked {DISTURBED})",
            highlight=False,
        )
    measured = sum(1 for record in records if record.outcome == Outcome.OK)
    console.print(f"{measured} of {len(records)} cells measured", highlight=False)


def _by_problem(records: Iterable[Record]) -> dict[tuple[str, str], list[Record]]:
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.cell.problem.label, record.cell.dtype), []).append(record)
    return groups


def _table(title: str, records: Sequence[Record]) -> Table:
    parameters = records[0].facts.get("num_parameters")
    table = Table(
        title=f"{title}, P = {parameters:,}",
        title_justify="left",
        title_style="bold",
        header_style="bold",
        pad_edge=False,
    )
    ordered = sorted(records, key=lambda r: (_median(r), r.cell.estimator.label))
    rows = [_row(record) for record in ordered]
    shown = [heading for heading in rows[0] if any(row[heading] for row in rows)]
    for heading in shown:
        left = heading in ("estimator", "backend", "verdict")
        table.add_column(heading, justify="left" if left else "right", no_wrap=not left)
    for row in rows:
        table.add_row(*(row[heading] for heading in shown))
    return table


def _median(record: Record) -> float:
    timing = record.timing
    return timing.median_seconds if timing is not None and timing.median_seconds is not None else float("inf")


def _row(record: Record) -> dict[str, str]:
    cell, accuracy = record.cell, record.accuracy
    single, scatter = accuracy.get("single", {}), accuracy.get("replicates", {})
    predicted = (accuracy.get("predicted") or {}).get("relative_mse")
    found, reason = verdict(record)
    return {
        "estimator": escape(cell.estimator.label),
        "backend": cell.worker if cell.kernel == "portable" else f"{cell.worker} {cell.kernel}",
        "rel. error": f"{number(single['relative_error']):.1e}" if single else "",
        "cosine": f"{number(single['cosine']):.4f}" if single else "",
        **_times(record.timing),
        "MSE": f"{number(scatter['relative_mse']):.3g}" if scatter else "",
        "theory": "" if predicted is None else f"{number(predicted):.3g}",
        "peak": bytes_text(record.memory.peak_extra_bytes) if record.memory else "",
        "verdict": f"[bold red]{found}[/]: {escape(reason)}" if found == WRONG else found,
    }


def _times(timing: Timing | None) -> dict[str, str]:
    if timing is None or timing.median_seconds is None:
        return {"time": "", "± IQR": "", "x loss": "", "first call": ""}
    return {
        "time": seconds(timing.median_seconds) + (DISTURBED if timing.disturbed else ""),
        "± IQR": "" if timing.iqr_seconds is None else seconds(timing.iqr_seconds),
        "x loss": "" if timing.loss_units is None else f"{timing.loss_units:,.2f}",
        "first call": seconds(timing.first_call_seconds),
    }
