"""Gives every view in a terminal the same console, progress bar and tables, which no narrow screen folds."""

from collections.abc import Iterable
from typing import Any

from rich.box import HEAVY_HEAD, Box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from gradest_bench.report.printable import shown

_UNBOUNDED = 10_000
"""More columns than any table has."""
_PLAIN_WIDTH = 150


class PlainConsole(Console):
    """A console that spells out control characters in all that it prints; its own colours are none of them."""

    def render_str(self, text: str, **how: Any) -> Text:
        """Return the text as rich would, of characters that can be seen."""
        return super().render_str(shown(text), **how)


def open_console(*, stderr: bool = False) -> Console:
    """Return a console as wide as the terminal, or wide enough for tables where the output goes to a file."""
    console = PlainConsole(stderr=stderr)
    # a file has no width: by default rich would fold its tables at 80 columns
    return console if console.is_terminal else PlainConsole(width=_PLAIN_WIDTH, stderr=stderr)


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


def titled_table(title: str, *headings: str, box: Box = HEAVY_HEAD) -> Table:
    """Return a table with its title above its left edge; columns can still be added.

    The title may hold labels of problems, so it is taken as it stands, as no cell of a row is: escape those.
    """
    table = Table(title=escape(title), title_justify="left", title_style="bold", header_style="bold", box=box)
    for heading in headings:
        table.add_column(heading)
    return table


def wide_enough(console: Console, tables: Iterable[Table]) -> Console:
    """Return a console as wide as the tables: a narrow screen folds their lines, and no figure loses its digits."""
    unbounded = console.options.update(width=_UNBOUNDED, max_width=_UNBOUNDED)
    widest = max((Measurement.get(console, unbounded, table).maximum for table in tables), default=0)
    # without a height too, a terminal that calls itself dumb has 80 columns, whatever width is asked for
    return PlainConsole(file=console.file, width=max(console.width, widest), height=console.height)
