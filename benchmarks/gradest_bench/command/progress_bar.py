"""Shows how far work has come where it is watched: a bar in a notebook or a terminal, a few lines elsewhere."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from rich.console import Console

from gradest.measurement.compare import Progress as Report
from gradest_bench.command.progress import ProgressLines
from gradest_bench.command.terminal import make_progress, open_console


@contextmanager
def progress_bar(console: Console | None = None) -> Iterator[Report]:
    """Give a function that shows `(what, done, total)`.

    In a notebook it is told to the page by its own protocol: what moves the cursor of a terminal would be printed there
    as it stands, a line for each step.
    """
    console = console or open_console()
    shell = notebook_shell()
    if shell is not None:
        with _in_notebook() as report:
            yield report
    elif console.is_terminal:
        with make_progress(console) as bar:
            task = bar.add_task("starting", total=None)
            yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)
    else:
        # on the other stream: a table that goes to a file has nothing between its lines
        with ProgressLines(Console(stderr=True, soft_wrap=True), unit="steps") as lines:

            def say(what: str, done: int, total: int) -> None:
                lines.doing(what)
                lines.advance(done, total)

            yield say


def notebook_shell() -> Any:
    """Return IPython's shell where this process is the kernel of a notebook, else None; imports nothing."""
    ipython = sys.modules.get("IPython")
    # a terminal of IPython has a shell too, and no kernel
    shell = None if ipython is None else ipython.get_ipython()
    return shell if hasattr(shell, "kernel") else None


@contextmanager
def _in_notebook() -> Iterator[Report]:
    display = importlib.import_module("IPython.display").display  # in a notebook it is there
    handle = display(_Bar("starting", 0, 0), display_id=True)

    def report(what: str, done: int, total: int) -> None:
        handle.update(_Bar(what, done, total))

    try:
        yield report
    finally:
        handle.update(_Gone())


class _Bar:
    """A bar as a notebook shows it, and as text where it shows no HTML."""

    def __init__(self, what: str, done: int, total: int) -> None:
        self._what, self._done, self._total = what, done, total

    def __repr__(self) -> str:
        return f"{self._done} of {self._total or '?'} steps; now: {self._what}"

    def _repr_html_(self) -> str:
        length = f' value="{self._done}" max="{self._total}"' if self._total else ""
        return f"<progress{length}></progress> <small>{escape(repr(self))}</small>"


class _Gone:
    """What stands in the place of a bar when the work is done: nothing."""

    def __repr__(self) -> str:
        return ""

    def _repr_html_(self) -> str:
        return ""
