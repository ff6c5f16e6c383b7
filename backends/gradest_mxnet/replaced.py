"""Functions of MXNet's own whose backward pass is wrong, replaced while a loss is recorded or traced."""

import threading
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

Change = tuple[ModuleType, str, Any]
"""The module where a function stands, its name there, and what takes its place."""

Refusal = Callable[[Sequence[Any]], None]
"""Given the inputs of a compiled graph, raises `UnsupportedError` where it would go backward wrongly."""

Changes = tuple[tuple[dict[str, Any], dict[str, Any]], ...]
"""By module, its names and what takes the place of some."""

_patching = threading.RLock()


def by_module(changes: Iterable[Change]) -> Changes:
    """Return changes as `Replaced` takes them, which makes them at each gradient: one by one takes thrice as long."""
    found: dict[ModuleType, dict[str, Any]] = {}
    for module, name, new in changes:
        found.setdefault(module, {})[name] = new
    return tuple((vars(module), new) for module, new in found.items())


class Replaced:
    """A context in which other functions are in place of MXNet's; each finds its own again at the end.

    One thread at a time is in such a context.
    """

    def __init__(self, changes: Changes) -> None:
        self.changes = changes
        self.before: list[dict[str, Any]] = []

    def __enter__(self) -> None:
        _patching.acquire()
        self.before = [{name: names[name] for name in new} for names, new in self.changes]
        for names, new in self.changes:
            names.update(new)

    def __exit__(self, *exception: object) -> None:
        for (names, _), before in zip(self.changes, self.before, strict=True):
            names.update(before)
        _patching.release()
