"""Functions of MXNet's own whose backward pass is wrong, replaced while a loss is recorded or traced."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Change = tuple[Any, str, Any]
"""Where a function stands, its name there, and what takes its place."""


@contextmanager
def replaced(changes: Sequence[Change]) -> Iterator[None]:
    """Have other functions in place of MXNet's; each finds its own again at the end."""
    before = [(place, name, getattr(place, name)) for place, name, _ in changes]
    for place, name, new in changes:
        setattr(place, name, new)
    try:
        yield
    finally:
        for place, name, old in before:
            setattr(place, name, old)
