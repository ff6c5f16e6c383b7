"""Lets docstrings be plain text: `code` in single backticks, |g| for a length, a trailing underscore for what it is."""

import re
from typing import Any

from sphinx.application import Sphinx

_CODE = re.compile(r"(?<![`:\w])`([^`]+)`(?!`)")
_MARKS = re.compile(r"([|*])|(?<=\w)(_)(?=\W|$)")
_PROMPTS = (">>> ", "... ")


def _plain(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turn a docstring into reStructuredText, but for its examples; a code may go on in the next line."""
    in_example = False
    for index, line in enumerate(lines):
        in_example = bool(line.strip()) and (in_example or line.lstrip().startswith(_PROMPTS))
        if not in_example:
            lines[index] = "``".join(
                part if inside else _MARKS.sub(lambda mark: "\\" + mark[0], part) for inside, part in _parts(line)
            )


def _parts(line: str) -> list[tuple[bool, str]]:
    """Return the pieces of a line in turn outside and inside of single backticks."""
    return [(bool(index % 2), part) for index, part in enumerate(_CODE.split(line))]


def setup(app: Sphinx) -> dict[str, bool]:
    """Read docstrings before numpydoc's sections are."""
    app.connect("autodoc-process-docstring", _plain, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
