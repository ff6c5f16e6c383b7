"""Shows a comparison of estimators in a terminal: one table for each dtype."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gradest.measurement.comparison import CellResult, Comparison
from gradest_bench.command.terminal import titled_table, wide_enough
from gradest_bench.report.comparison import FIGURES, NAMES, legend, reasons, row, tables


def show_comparison(console: Console, comparison: Comparison) -> None:
    """Print one table for each dtype, below it what did not run and why, and what the columns mean."""
    shown = {dtype: _table(dtype, results) for dtype, results in tables(comparison).items()}
    console = wide_enough(console, shown.values())
    loss = comparison.loss
    title = f"\n[bold]{escape(loss.name)}[/]: {loss.num_parameters:,} parameters   "
    console.print(title + escape(loss.description), highlight=False)
    for dtype, table in shown.items():
        console.print(table)
        _show_reasons(console, [result for result in comparison if result.cell.dtype == dtype])
    for line in legend(comparison):
        console.print(escape(line), highlight=False, style="dim")


def _show_reasons(console: Console, results: Sequence[CellResult]) -> None:
    for named, outcome, reason in reasons(results):
        console.print(f"  {escape(named)}\n    {outcome}: {escape(reason)}", highlight=False)
        if outcome.failed:
            console.print(f"    ({outcome.wording})", highlight=False, style="dim")


def _table(dtype: str, results: Sequence[CellResult]) -> Table:
    table = titled_table(dtype, box=box.SIMPLE_HEAD)
    for heading in NAMES:
        table.add_column(heading, no_wrap=True)
    for heading in FIGURES:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("path", no_wrap=True)
    several = len({result.cell.backend for result in results}) > 1
    previous = ""
    for result in results:
        name, *figures = row(result)
        if previous and name != previous and several:  # one line of each estimator needs no rule between them
            table.add_section()
        table.add_row(*map(escape, ("" if name == previous else name, *figures)))
        previous = name
    return table
