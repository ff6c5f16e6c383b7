"""Reads an estimator with its hyper-parameters from one word of a command line: `es(sigma=0.1, num_samples=50)`.

Values are Python literals, or words without quotes, as a shell eats those: `es(distribution=rademacher)`. Nothing is
evaluated. This module knows no class: whether the names exist is asked by `resolving`.
"""

import ast
import re
from typing import Any

from gradest.errors import InvalidInputError
from gradest_bench.suite.cells import Spec

_LONGEST = 2000
"""Characters; nested deeper than Python's parser goes, a longer text would end it."""
_WORD = re.compile(r"[A-Za-z][\w-]*")
_EXAMPLE = "es(sigma=0.1, num_samples=50)"
_PLAIN = (bool, int, float, str, type(None))


def split_names(text: str) -> tuple[str, ...]:
    """Return the parts between commas, those that stand inside brackets or quotes aside; empty parts are left out.

    Examples
    --------
    >>> from gradest_bench.suite.spec_text import split_names
    >>> split_names("reverse, es(sigma=0.1, num_samples=5)")
    ('reverse', 'es(sigma=0.1, num_samples=5)')
    """
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        else:
            depth += (letter in "([{") - (letter in ")]}")
        # a bracket too many closes nothing here: who reads the part says what is wrong with it
        if letter == "," and depth <= 0 and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return tuple(part.strip() for part in parts if part.strip())


def literal(text: str) -> Any:
    """Return a Python literal, with tuples for lists, as fields must be hashable; the text itself where it is none.

    Examples
    --------
    >>> from gradest_bench.suite.spec_text import literal
    >>> literal("[128, 64]"), literal("0.1"), literal("centered-rank")
    ((128, 64), 0.1, 'centered-rank')
    """
    try:
        return _hashable(ast.literal_eval(text))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return text


def has_fields(text: str) -> bool:
    """Whether a name comes with brackets, empty ones included."""
    return "(" in text


def parse_spec(text: str) -> Spec:
    """Return the name and the fields of `NAME`, `NAME(FIELD=VALUE, ...)`, also of `file.py:Class(...)`.

    The label is the text, so that tables say which hyper-parameters a row has.

    Raises
    ------
    InvalidInputError
        It is not of this form; the message says where.

    Examples
    --------
    >>> from gradest_bench.suite.spec_text import parse_spec
    >>> found = parse_spec("es(sigma=0.1, shaping=centered-rank)")
    >>> found.name, found.fields, found.label
    ('es', {'sigma': 0.1, 'shaping': 'centered-rank'}, 'es(sigma=0.1, shaping=centered-rank)')
    """
    name, bracket, rest = text.strip().partition("(")
    name = name.strip()
    if not bracket:
        return Spec(name=name, label=name)
    if not name or not rest.endswith(")") or len(text) > _LONGEST:
        raise InvalidInputError(f"NAME(FIELD=VALUE, ...) was asked for; found {_shown(text)}; write {_EXAMPLE!r}")
    fields: dict[str, Any] = {}
    for pair in split_names(rest[:-1]):
        field, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not field.isidentifier():
            raise InvalidInputError(
                f"FIELD=VALUE was asked for between the brackets of {name!r}; found {_shown(pair)}; write {_EXAMPLE!r}"
            )
        if field in fields:
            # a dict would keep the last, and nobody would know which was meant
            raise InvalidInputError(f"{_shown(text)} gives {field!r} twice; keep one")
        fields[field] = _value(value, name=name, field=field)
    return Spec(name=name, fields=fields, label=" ".join(text.split()))


def _value(text: str, *, name: str, field: str) -> Any:
    # these three are words as well, and mean what they mean to Python
    if _WORD.fullmatch(text) and text not in ("True", "False", "None"):
        return text
    try:
        found = _hashable(ast.literal_eval(text))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        # None is a value; this is what no literal gives
        found = NotImplemented
    if not _is_plain(found):  # what a suite can hold: numbers, words, truth values, and lists of them
        raise InvalidInputError(
            f"{field} of {name!r} was to be a number, a word, True, False, None, or a list of them; "
            f"found {_shown(text)}; put a text with other letters in quotes"
        )
    return found


def _is_plain(value: Any) -> bool:
    return all(map(_is_plain, value)) if isinstance(value, tuple) else isinstance(value, _PLAIN)


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
