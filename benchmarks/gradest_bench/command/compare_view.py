"""Shows a comparison of estimators in a terminal: a progress bar and one table for each dtype."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gradest.measurement.compare import CellResult
from gradest.measurement.compare import Progress as Report
from gradest.measurement.outcome import Outcome
from gradest.problem import Problem
from gradest.theory import Prediction
from gradest_bench.command.progress import ProgressLines
from gradest_bench.command.terminal import make_progress, titled_table, wide_enough
from gradest_bench.report.units import DISTURBED, DISTURBED_MEANS, mark, seconds


@contextmanager
def progress_bar(console: Console) -> Iterator[Report]:
    """Give a function that shows `(what, done, total)` as a progress bar with the time left, or as lines in a log."""
    if not console.is_terminal:
        # on the other stream: a table that goes to a file has nothing between its lines
        with ProgressLines(Console(stderr=True, soft_wrap=True), unit="steps") as lines:

            def say(what: str, done: int, total: int) -> None:
                lines.doing(what)
                lines.advance(done, total)

            yield say
        return
    with make_progress(console) as bar:
        task = bar.add_task("starting", total=None)

        def report(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield report


def show_comparison(console: Console, problem: Problem, results: Sequence[CellResult]) -> None:
    """Print one table for each dtype, below it what did not run and why, and what the columns mean."""
    layout = problem.layout
    tables = {
        dtype: _table(dtype, [r for r in results if r.cell.dtype == dtype and r.accuracy is not None])
        for dtype in dict.fromkeys(result.cell.dtype for result in results)
    }
    console = wide_enough(console, tables.values())
    title = f"\n[bold]{escape(problem.name)}[/]: {layout.num_parameters:,} parameters   "
    console.print(title + escape(repr(problem)), highlight=False)
    for dtype, table in tables.items():
        console.print(table)
        _show_reasons(console, [result for result in results if result.cell.dtype == dtype and result.reason])
    for line in _legend(results):
        console.print(escape(line), highlight=False, style="dim")


def _show_reasons(console: Console, results: Sequence[CellResult]) -> None:
    """Print the cells that have something to say, those with the same words together."""
    cells: dict[tuple[Outcome, str], list[str]] = {}
    for result in results:
        cells.setdefault((result.outcome, result.reason), []).append(
            f"{result.cell.estimator} on {result.cell.backend}"
        )
    for (outcome, reason), named in cells.items():
        console.print(f"  {escape(', '.join(named))}\n    {outcome}: {escape(reason)}", highlight=False)
        if outcome.failed:
            console.print(f"    ({outcome.wording})", highlight=False, style="dim")


def _legend(results: Sequence[CellResult]) -> Iterator[str]:
    """Yield what the columns mean, as far as they are there."""
    uncertainty = max((r.reference_uncertainty for r in results if r.accuracy is not None), default=math.nan)
    yield (
        f"Errors are relative L2, against a reference whose own uncertainty is {uncertainty:.0e}; x loss is time in "
        "units of one loss evaluation;\nMSE is relative, of a stochastic estimate about the gradient: measured ± "
        "standard error, beside what theory predicts; cosines are means."
    )
    said: dict[str, dict[str, None]] = {}
    for result in results:
        if result.predicted is not None:
            said.setdefault(_reach(result.predicted), {})[result.cell.estimator] = None
    for reach, named in said.items():
        yield f"Theory of {', '.join(named)}: {reach}."
    if any(result.timing is not None and result.timing.disturbed for result in results):
        yield f"{DISTURBED} {DISTURBED_MEANS}."


def _reach(predicted: Prediction) -> str:
    """Return for which losses f a prediction is exact, and how far the mean estimate is from the gradient."""
    order = predicted.bias_order
    vanishing = f"of order sigma^{order}" if order else "that stays as sigma vanishes"
    return f"exact for {predicted.exact_for}; {'no bias' if order is None else f'a bias {vanishing}'}"


def _table(dtype: str, results: Sequence[CellResult]) -> Table:
    table = titled_table(dtype, box=box.SIMPLE_HEAD)
    table.add_column("estimator", no_wrap=True)
    table.add_column("backend", no_wrap=True)
    headings = ("rel. error", "cosine", "theory", "evaluations", "time", "x loss", "prepare", "MSE measured", "theory")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("path", no_wrap=True)
    previous = ""
    for result in results:
        if previous and result.cell.estimator != previous:
            table.add_section()
        label = "" if result.cell.estimator == previous else result.cell.estimator
        table.add_row(escape(label), *map(escape, _row(result)))
        previous = result.cell.estimator
    return table


def _row(result: CellResult) -> tuple[str, ...]:
    accuracy, scatter, predicted = result.accuracy, result.replicates, result.predicted
    error = accuracy.relative_error if accuracy else math.nan
    cosine = scatter.cosine if scatter else accuracy.cosine if accuracy else math.nan
    mse = f"{scatter.relative_mse:.4g} ± {scatter.relative_mse_error:.2g}" if scatter else ""
    return (
        result.cell.backend,
        f"{error:.1e}" if result.outcome is Outcome.OK else str(result.outcome),
        "" if math.isnan(cosine) else f"{cosine:.4f}",
        f"{predicted.cosine:.4f}" if predicted and predicted.cosine is not None else "",
        str(result.cost),
        *_times(result),
        mse,
        f"{predicted.relative_mse:.4g}" if predicted and predicted.relative_mse is not None else "",
        result.path,
    )


def _times(result: CellResult) -> tuple[str, str, str]:
    """Return the steady time, the same in losses, and what preparation and the first call took beyond it."""
    timing = result.timing
    if timing is None or timing.median_seconds is None:
        return "", "", ""
    once = timing.preparation_seconds + max(0.0, timing.first_call_seconds - timing.median_seconds)
    return (
        seconds(timing.median_seconds, disturbed=timing.disturbed),
        f"{result.loss_units:,.1f}{mark(disturbed=timing.disturbed)}",
        seconds(once),
    )
