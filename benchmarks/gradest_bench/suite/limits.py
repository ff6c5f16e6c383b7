"""The limits of a suite: what a file may ask for before anything of it is carried out.

A suite may be another's. A few lines of TOML can ask for more cells, deeper nesting or longer numbers than any machine
has memory for; each limit is far above what an honest suite needs, and refusing says so. This module knows no suite and
no file.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from gradest.errors import InvalidInputError

MOST_CHARACTERS = 1_000_000
MOST_LEVELS = 32
MOST_CELLS = 100_000
MOST_SEEDS = 10_000
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
"""What names a suite: it names a folder as well, so that it may neither hide there nor lead out of it."""
# possessive quantifiers: a text that makes this search backtrack would cost what it is there to prevent
_KEY_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?<![\w-])(?:{_KEY_PART}[ \t]*+\.[ \t]*+){{{MOST_LEVELS}}}")


def require_short(text: str, *, origin: str) -> None:
    """Refuse a text that is too long to be read, or has keys of many parts.

    Raises
    ------
    InvalidInputError
        The message has the limit.
    """
    if len(text) > MOST_CHARACTERS:
        raise InvalidInputError(
            f"{origin}: a suite of at most {MOST_CHARACTERS:,} characters was asked for; found {len(text):,}"
        )
    # tomllib takes minutes for one key of 60,000 parts
    if _LONG_KEY.search(text):
        raise InvalidInputError(f"{origin}: keys of at most {MOST_LEVELS} parts were asked for; found a longer one")


def require_plain(found: Any, *, origin: str) -> None:
    """Refuse nesting beyond `MOST_LEVELS`, numbers beyond those of a float, and dates, which no record could keep.

    Raises
    ------
    InvalidInputError
        The message has the path of the field.
    """
    # a stack of its own, and no recursion: too deep a nesting is what is looked for
    waiting = [("", found, 0)]
    while waiting:
        path, value, level = waiting.pop()
        if level > MOST_LEVELS:
            raise InvalidInputError(f"{origin}: at most {MOST_LEVELS} levels of nesting were asked for; found more")
        if isinstance(value, float | int) and not abs(value) <= sys.float_info.max:  # integers of TOML have no end
            raise InvalidInputError(f"{origin}: {path}: a finite number was asked for; found {_shown(value)}")
        if not isinstance(value, str | int | float | list | tuple | dict | None):  # TOML has dates and times as well
            raise InvalidInputError(
                f"{origin}: {path}: a number, a text, true, false, or a list or table of them was asked for; found "
                f"{value}, a {type(value).__name__}; put it in quotes"
            )
        waiting += ((where, inner, level + 1) for where, inner in _inner(path, value))


def _shown(value: float) -> str:
    return str(value) if isinstance(value, float) else f"one of {value.bit_length()} bits"


def _inner(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f"{path}.{name}" if path else name, inner) for name, inner in value.items())
    elif isinstance(value, list | tuple):
        yield from ((f"{path}[{number}]", inner) for number, inner in enumerate(value))


def require_name(name: str, *, origin: str) -> None:
    """Refuse a name that the folder of a run cannot have.

    Raises
    ------
    InvalidInputError
        The message has what was found.
    """
    if NAME.fullmatch(name) is None:
        raise InvalidInputError(
            f"{origin}: name: 1 to 64 of the characters A-Z a-z 0-9 . _ - were asked for, no dot in front, as results "
            f"are kept in a folder of that name; found {name[:80]!r}; `title` takes any text"
        )


def require_distinct(seeds: Sequence[int], *, path: str, origin: str) -> None:
    """Refuse a seed that is given twice: its estimates are one, and would be judged as independent ones.

    Raises
    ------
    InvalidInputError
        The message has the path of the field and the first such seed.
    """
    twice = next((seed for seed, count in Counter(seeds).items() if count > 1), None)
    if twice is not None:
        raise InvalidInputError(
            f"{origin}: {path}: seeds that all differ were asked for, as what is told of scatter takes them for "
            f"independent; found {twice} more than once"
        )


def require_few(*, cells: float, seeds: float, origin: str) -> None:
    """Refuse more cells than `MOST_CELLS`, or more seeds of one cell than `MOST_SEEDS`.

    Raises
    ------
    InvalidInputError
        The message has what was found.
    """
    if cells > MOST_CELLS:
        raise InvalidInputError(
            f"{origin}: it states {cells:,} cells; at most {MOST_CELLS:,} can be run as one suite; vary fewer fields, "
            "or make several suites of it"
        )
    if seeds > MOST_SEEDS:
        raise InvalidInputError(f"{origin}: at most {MOST_SEEDS:,} seeds of a cell were asked for; found {seeds:,}")
