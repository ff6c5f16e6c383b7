"""The terminal's view of a comparison: a progress bar and one table for each dtype."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from gradest.measurement.compare import CellResult
from gradest.measurement.compare import Progress as Report
from gradest.measurement.outcome import Outcome
from gradest.problem import Problem
from gradest_bench.report.units import seconds

_UNBOUNDED = 10_000
"""More columns than any table has."""


def make_progress(console: Console, *, disable: bool = False) -> Progress:
    """Return a bar with counts, the time spent, the time left and what is being done; it leaves no trace."""
    columns = (
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    return Progress(*columns, console=console, transient=True, disable=disable)


@contextmanager
def progress_bar(console: Console) -> Iterator[Report]:
    """Give a function that shows `(what, done, total)` as a progress bar with the time left."""
    with make_progress(console) as bar:
        task = bar.add_task("starting", total=None)

        def report(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield report


def show_comparison(console: Console, problem: Problem, results: Sequence[CellResult]) -> None:
    """Print one table for each dtype, and below it what did not run and why."""
    layout = problem.layout
    tables = {
        dtype: _table(dtype, [r for r in results if r.cell.dtype == dtype and r.accuracy is not None])
        for dtype in dict.fromkeys(result.cell.dtype for result in results)
    }
    console = _wide_enough(console, tables.values())
    title = f"\n[bold]{problem.name}[/]: {layout.num_parameters:,} parameters   "
    console.print(title + escape(repr(problem)), highlight=False)
    for dtype, table in tables.items():
        console.print(table)
        reasons: dict[str, list[str]] = {}
        for result in results:
            if result.cell.dtype == dtype and result.outcome is not Outcome.OK:
                cell = f"{result.cell.estimator} on {result.cell.backend}"
                reasons.setdefault(f"{result.outcome}: {result.reason}", []).append(cell)
        for reason, cells in reasons.items():
            console.print(f"  {', '.join(cells)}\n    {reason}", highlight=False)
    uncertainty = max((r.reference_uncertainty for r in results if r.accuracy is not None), default=math.nan)
    console.print(
        f"Errors are relative L2, against a reference whose own uncertainty is {uncertainty:.0e}; x loss is time in "
        "units of one loss evaluation;\nMSE is relative, of a stochastic estimate about the gradient: measured ± "
        "standard error, beside what theory predicts.",
        highlight=False,
        style="dim",
    )


def _wide_enough(console: Console, tables: Iterable[Table]) -> Console:
    """Return a console as wide as the tables: a narrow screen folds their lines, and no figure loses its digits."""
    unbounded = console.options.update(width=_UNBOUNDED, max_width=_UNBOUNDED)
    widest = max((Measurement.get(console, unbounded, table).maximum for table in tables), default=0)
    return Console(file=console.file, width=max(console.width, widest))


def _table(dtype: str, results: Sequence[CellResult]) -> Table:
    table = Table(title=dtype, title_justify="left", title_style="bold", header_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("estimator", no_wrap=True)
    table.add_column("backend", no_wrap=True)
    for heading in ("rel. error", "cosine", "evaluations", "time", "x loss", "prepare", "MSE measured", "theory"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("path", no_wrap=True)
    previous = ""
    for result in results:
        if previous and result.cell.estimator != previous:
            table.add_section()
        table.add_row("" if result.cell.estimator == previous else result.cell.estimator, *_row(result))
        previous = result.cell.estimator
    return table


def _row(result: CellResult) -> tuple[str, ...]:
    accuracy, scatter, predicted = result.accuracy, result.replicates, result.predicted
    error = accuracy.relative_error if accuracy else math.nan
    mse = f"{scatter.relative_mse:.4g} ± {scatter.relative_mse_error:.2g}" if scatter else ""
    theory = f"{predicted.relative_mse:.4g}" if predicted and predicted.relative_mse is not None else ""
    return (
        result.cell.backend,
        f"{error:.1e}" if result.outcome is Outcome.OK else str(result.outcome),
        f"{accuracy.cosine:.4f}" if accuracy else "",
        str(result.cost),
        seconds(result.timing.median_seconds) if result.timing else "",
        f"{result.loss_units:,.1f}" if result.timing else "",
        seconds(result.preparation_seconds + max(0.0, result.first_call_seconds - _steady(result))),
        mse,
        theory,
        result.path,
    )


def _steady(result: CellResult) -> float:
    return result.timing.median_seconds if result.timing else 0.0
