"""Functions of MXNet's own whose backward pass is wrong, replaced while a loss is recorded or traced."""

import threading
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

Change = tuple[ModuleType, str, Any]
"""The module where a function stands, its name there, and what takes its place."""

Refusal = Callable[[Sequence[Any]], None]
"""Given the inputs of a compiled graph, raises `UnsupportedError` where it would go backward wrongly."""

_patching = threading.RLock()


class Replaced:
    """A context in which other functions are in place of MXNet's; each finds its own again at the end.

    One thread at a time is in such a context.
    """

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes
        self.before: list[Change] = []

    def __enter__(self) -> None:
        _patching.acquire()
        self.before = [(module, name, getattr(module, name)) for module, name, _ in self.changes]
        for module, name, new in self.changes:
            setattr(module, name, new)

    def __exit__(self, *exception: object) -> None:
        for module, name, old in self.before:
            setattr(module, name, old)
        _patching.release()
