"""Spells out halves of surrogate pairs, which JSON can name and no file in UTF-8, no table and no font can hold.

Python makes them of bytes that are no text, such as the name of a file in another encoding; they come into results by
the words of an error, or by what was typed. This module knows no record.
"""

import re
from typing import Any

_HALF = re.compile("[\ud800-\udfff]")


def whole_text(value: Any) -> Any:
    """Return what JSON can hold, with every half of a pair in its texts spelled out as JSON names it.

    Examples
    --------
    >>> from gradest_bench.results.whole_text import whole_text
    >>> whole_text({"reason": ["no file caf\\udce9"]})
    {'reason': ['no file caf\\\\udce9']}
    """
    if isinstance(value, str):
        return _HALF.sub(lambda found: found[0].encode("unicode_escape").decode(), value)
    if isinstance(value, dict):
        return {whole_text(key): whole_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole_text(item) for item in value]
    return value


def may_have_halves(line: bytes) -> bool:
    """Whether a line of JSON may name half of a pair: most have none, and need not be gone through."""
    return b"\\ud" in line or b"\\uD" in line
