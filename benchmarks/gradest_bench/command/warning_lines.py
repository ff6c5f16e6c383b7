"""How the command line says a warning of gradest's: in one line, and at no line of the library that reads arguments.

A warning names the first frame outside of gradest. At the command line that is click's, whose file tells the reader
nothing; where a user's own file called gradest, it is that file, and stays.
"""

import re
import warnings
from pathlib import Path

import click

_CLICK = Path(click.__file__).parent
_AS_EVER = warnings.formatwarning
_MEASURED = re.compile(r"(?<![=\w.])[-+]?\d[\d.]*(?:e[-+]?\d+)?")
"""A number that stands by itself; that of a setting stands behind its name and `=`."""


def say_warnings_plainly() -> None:
    """Have the warnings of this process said so; what starts the process asks for it, never an import."""
    warnings.formatwarning = PlainLines()


class PlainLines:
    """Makes the text of a warning: without a place where the place is click's, and then once of each kind.

    Each estimate of hundreds measures another noise. Python says one text once; told by its numbers, each is another.
    """

    def __init__(self) -> None:
        self._said: set[tuple[type[Warning], str]] = set()

    def __call__(
        self, message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        """Return the text; nothing for one that differs from an earlier one in numbers alone."""
        if not Path(filename).is_relative_to(_CLICK):
            return _AS_EVER(message, category, filename, lineno, line)
        kind = category, _MEASURED.sub("", str(message))
        if kind in self._said:
            return ""
        self._said.add(kind)
        return f"gradest: {category.__name__}: {message}\n"
