"""What every view in a terminal shares: the console, a progress bar, and tables that no narrow screen folds."""

from collections.abc import Iterable

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

_UNBOUNDED = 10_000
"""More columns than any table has."""
_PLAIN_WIDTH = 150

DISTURBED = "~"
"""Stands behind a time during which the machine was doing something else."""


def open_console() -> Console:
    """Return a console as wide as the terminal, or wide enough for tables where the output goes to a file."""
    console = Console()
    return console if console.is_terminal else Console(width=_PLAIN_WIDTH)


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


def wide_enough(console: Console, tables: Iterable[Table]) -> Console:
    """Return a console as wide as the tables: a narrow screen folds their lines, and no figure loses its digits."""
    unbounded = console.options.update(width=_UNBOUNDED, max_width=_UNBOUNDED)
    widest = max((Measurement.get(console, unbounded, table).maximum for table in tables), default=0)
    return Console(file=console.file, width=max(console.width, widest))
