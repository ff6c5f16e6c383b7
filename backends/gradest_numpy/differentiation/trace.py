"""What the two modes have in common: an evaluation that is being followed, and what it has come upon."""

from abc import ABC, abstractmethod
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from gradest.errors import UnsupportedError
from gradest_numpy.differentiation.rules import Rule

_levels = count(1)


class Trace(ABC):
    """Follows derivatives through the calls of one evaluation.

    Attributes
    ----------
    level
        What began later has a larger one: a derivative taken inside another's function is followed apart from it. 0
        once the evaluation has ended.
    refusal
        The first refusal of this evaluation, which stands even where the function catches it and goes on.
    watched
        Whether its arrays have to be looked at before they are used: it has ended, or one was written into.
    """

    __slots__ = ("_overwritten", "level", "refusal", "watched")

    def __init__(self) -> None:
        self.level = next(_levels)
        self.refusal: UnsupportedError | None = None
        self.watched = False
        # By identity, and weakly: an array that is gone gives its number to another one.
        self._overwritten: WeakValueDictionary[int, Any] = WeakValueDictionary()

    @abstractmethod
    def record(self, rule: Rule, value: Any, arrays: tuple[Any, ...], values: tuple[Any, ...], options: Any) -> Any:
        """Return the traced value of a call.

        Parameters
        ----------
        arrays, values
            The arrays as they were given, some of them traced by this trace; the same with values in their place.
        """

    def refused(self, error: UnsupportedError) -> UnsupportedError:
        """Remember an error, and return it to be raised."""
        self.refusal = self.refusal or error
        return error

    def end(self) -> None:
        """Make constants of its arrays, for whoever has kept one."""
        self.level = 0
        self.watched = True
        self._overwritten.clear()

    def overwrite(self, memory: Any) -> None:
        """Note that an array was written into."""
        self._overwritten[id(memory)] = memory
        self.watched = True

    def is_overwritten(self, memory: Any) -> bool:
        """Return whether an array was written into."""
        return memory is not None and self._overwritten.get(id(memory)) is memory


def owner(x: Any) -> Any:
    """Return the array whose memory an array shows: itself, or what it is a view of. None of a number."""
    if not isinstance(x, np.ndarray):
        return None
    while (base := x.base) is not None:
        if not isinstance(base, np.ndarray):
            base = getattr(base, "base", None)  # what `as_strided` puts between an array and its windows
            if not isinstance(base, np.ndarray):
                break
        x = base
    return x
