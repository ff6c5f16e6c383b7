"""Common random numbers: all evaluations of one estimate begin at one state of the framework's generator."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gradest.backend import Backend

_present = threading.local()
"""Where the evaluation that this thread makes began (`state`)."""


def start_of_evaluation() -> Any:
    """Return the random state at which the evaluation under way began; None outside one estimate.

    For a backend that evaluates a loss twice for one answer, and has to draw the same numbers both times.
    """
    return getattr(_present, "state", None)


def has_drawn(backend: Backend, before: Any, after: Any) -> bool:
    """Return whether the framework's generator moved between two of its states; False where it has none."""
    if isinstance(before, tuple | list):  # the processor's, and those of devices, of which one may have come into use
        return len(before) != len(after) or any(
            has_drawn(backend, one, other) for one, other in zip(before, after, strict=True)
        )
    return not backend.same(before, after) if backend.owns(before) else bool(before != after)


class Draws:
    """The framework's random state within one estimate: where each evaluation begins, and where the first one ended.

    A generator is one for the whole process, so evaluations of a function that draws take turns: two threads would
    otherwise draw from each other's place.
    """

    _turn = threading.RLock()

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._start: Any = None
        self._end: Any = None
        self._evaluations = 0

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        with self._turn:
            if self._evaluations == 0:
                self._start = self._backend.random_state()
            elif self._start is not None:
                self._backend.set_random_state(self._start)
            outer, _present.state = start_of_evaluation(), self._start
            try:
                yield
            finally:
                _present.state = outer
            if self._evaluations == 0 and self._start is not None:
                self._end = self._backend.random_state()
            self._evaluations += 1

    def leave(self) -> None:
        """Leave the generator as if one evaluation had been made."""
        if self._evaluations > 1 and self._end is not None:
            self._backend.set_random_state(self._end)
