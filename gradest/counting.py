"""Counts how often a loss is evaluated, in every thread and inside compiled steps too.

A framework that compiles runs the Python of a step once, when it traces it, and never again: a counter in the loss
would stand still from the second call on. So what a step counts while it is traced is written down, and added again
each time the compiled step runs.
"""

import threading
from collections.abc import Callable
from typing import Any

from gradest.estimate import Cost

Step = Callable[..., Any]
"""A function of nested tuples of arrays, which a framework may compile."""

VALUES, JVPS, VJPS = range(3)
"""Places in the counts, in the order of `Cost`."""


class _Counts(threading.local):
    """Holds what one thread has counted, so that none is lost or seen by another that evaluates at the same time."""

    def __init__(self, threads: list[list[int]]) -> None:  # called in each thread when it counts first
        self.here = [0, 0, 0]
        threads.append(self.here)


class EvaluationCounts:
    """Counts plain values, JVPs and VJPs of one objective, in all threads."""

    def __init__(self) -> None:
        self._threads: list[list[int]] = []
        self._local = _Counts(self._threads)

    @property
    def total(self) -> Cost:
        """The evaluations made so far."""
        return Cost(*map(sum, zip(*self._threads, strict=True)))

    def add(self, kind: int, count: int) -> None:
        """Count evaluations of a kind, one of `VALUES`, `JVPS` and `VJPS`."""
        self._local.here[kind] += count

    def add_all(self, cost: Cost) -> None:
        """Count evaluations that were made elsewhere, by a worker."""
        for kind, more in enumerate((cost.values, cost.jvps, cost.vjps)):
            self.add(kind, more)

    def counted(self, compiled: Step) -> Step:
        """Return a compiled step that counts at each call what it counted while it was traced.

        Steps whose count varies with anything but the shapes of their arguments must not be compiled.
        """
        first = threading.Lock()
        recorded: dict[object, list[int]] = {}

        def run(*arrays: object) -> object:
            if recorded:
                return count(arrays)
            with first:  # a thread that came second would run what is traced here before its count is known
                return count(arrays)

        def count(arrays: tuple[object, ...]) -> object:
            counts = self._local.here
            before = counts.copy()
            result = compiled(*arrays)
            if counts != before:  # it was traced just now, and counted as it was
                recorded[_shapes(arrays)] = [now - then for now, then in zip(counts, before, strict=True)]
            else:
                for kind, more in enumerate(recorded.setdefault(_shapes(arrays), [0, 0, 0])):
                    counts[kind] += more
            return result

        return run


def _shapes(arrays: object) -> object:
    """Return the shapes of nested tuples of arrays, as a key: a framework traces anew for other shapes."""
    # A list first: a generator takes twice the time, and this is looked at in every call of every compiled step.
    return tuple([_shapes(a) for a in arrays]) if isinstance(arrays, tuple) else getattr(arrays, "shape", None)
