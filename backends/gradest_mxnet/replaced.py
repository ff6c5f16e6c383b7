"""Functions of MXNet's own whose backward pass is wrong, replaced while a loss is recorded or traced."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

Change = tuple[Any, str, Any]
"""Where a function stands, its name there, and what takes its place."""

Refusal = Callable[[Sequence[Any]], None]
"""Given the inputs of a compiled graph, raises `UnsupportedError` where it would go backward wrongly."""

_patching = threading.RLock()


class Replaced:
    """A context in which other functions are in place of MXNet's; each finds its own again at the end.

    One thread at a time is in such a context. (Every gradient enters two: a class takes half the time of a generator.)
    """

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes
        self.before: list[Change] = []

    def __enter__(self) -> None:
        _patching.acquire()
        self.before = [(place, name, getattr(place, name)) for place, name, _ in self.changes]
        for place, name, new in self.changes:
            setattr(place, name, new)

    def __exit__(self, *exception: object) -> None:
        for place, name, old in self.before:
            setattr(place, name, old)
        _patching.release()
