"""How the command line says a warning of gradest's: in one line, and at no line of the library that reads arguments.

A warning names the first frame outside of gradest. At the command line that is click's, whose file tells the reader
nothing; where a user's own file called gradest, it is that file, and stays.
"""

import warnings
from pathlib import Path

import click

_CLICK = Path(click.__file__).parent
_AS_EVER = warnings.formatwarning


def say_warnings_plainly() -> None:
    """Have the warnings of this process said so; what starts the process asks for it, never an import."""
    warnings.formatwarning = format_warning


def format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Return the text of a warning, without a place where the place is click's."""
    if Path(filename).is_relative_to(_CLICK):
        return f"gradest: {category.__name__}: {message}\n"
    return _AS_EVER(message, category, filename, lineno, line)
