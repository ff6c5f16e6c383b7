"""What a tape keeps of the plain arrays that a function computes with, until it is pulled back.

By then the function may have written other values into them: into a buffer at each turn of a loop, or into a mask
that it clears. A derivative by what stands there then is that of another function, without a word.
"""

from collections.abc import Iterable
from typing import Any
from weakref import ref

import numpy as np

from gradest_numpy.differentiation.trace import owner
from gradest_numpy.differentiation.traced import TracedArray

SMALL = 4096
"""Bytes that are copied in less time than a call takes to be recorded."""

TINY = 512
"""Bytes that are copied in less time than it takes to find out whether they have to be."""

LOOKED_AT = 64
"""Entries of a large array by which it is seen to have been filled with other values, where it is not copied."""


class Keeper:
    """Keeps arrays as they are when they are used.

    Parameters
    ----------
    lent
        The arrays that the function is given: it cannot write into those.
    whole
        Whether every array is copied, or small ones alone. Copies of large ones cost a pass over them: only an
        evaluation that shows nothing written lets them go. Of those some entries are kept: another evaluation may take
        another way, on which a buffer is filled again.
    """

    __slots__ = ("_copies", "_lent", "_looked", "_missed", "_whole", "_written")

    def __init__(self, lent: Iterable[Any] = (), *, whole: bool = True) -> None:
        self._lent = {id(root): root for x in lent if (root := owner(x)) is not None}
        self._whole = whole
        # By identity: a loop that uses an array many times has one copy of it as long as it stays as it is.
        self._copies: dict[int, tuple[Any, Any]] = {}
        self._written = False
        self._looked: dict[int, tuple[Any, Any]] = {}
        self._missed = False

    def kept(self, x: Any) -> Any:
        """Return an argument of a call with the values that it has now."""
        kind = type(x)
        if kind is not np.ndarray:
            if kind is list or kind is tuple:
                return kind(map(self.kept, x))
            if kind is TracedArray or not isinstance(x, np.ndarray):
                return x
        size = x.nbytes
        if x.dtype.kind not in "biuf":
            return x
        if size <= TINY:
            return x.copy(order="K")
        root = owner(x)
        if id(root) in self._lent or not (x.flags.writeable or root.flags.writeable):
            return x
        if self._whole or size <= SMALL:
            return self._copied(x)
        self._look_at(x)
        return x

    def _look_at(self, x: Any) -> None:
        known = self._looked.get(id(x))
        if known is None:  # held, so that no other array takes its identity until it is looked at again
            self._looked[id(x)] = (x, _some_of(x))
        elif not _same(_some_of(x), known[1]):
            self._missed = True

    def _copied(self, x: Any) -> Any:
        known = self._copies.get(id(x))
        if known is not None and _array_of(known[0]) is x:
            if _same(x, known[1]):
                return known[1]
            self._written = True
        copy = x.copy(order="K")  # in its own order: products of matrices round by it
        # A view that is to be looked at again is held; what owns its memory may go where nothing else needs it.
        self._copies[id(x)] = (x if self._whole and x.base is not None else ref(x), copy)
        return copy

    def wrote(self) -> bool:
        """Return whether the function was seen to write into an array after it had used it, and let go of all."""
        kept = [(_array_of(held), copy) for held, copy in self._copies.values()] if self._whole else []
        self._copies.clear()
        return self._written or not all(x is None or _same(x, copy) for x, copy in kept)

    def missed(self) -> bool:
        """Return whether it has written into one that was not copied: the evaluation has to be made again."""
        looked = self._looked.values()
        found = self._missed or not all(_same(_some_of(x), entries) for x, entries in looked)
        self._looked.clear()
        return found


def _some_of(x: Any) -> Any:
    """Return a copy of some entries, spread over an array; the stride is odd, and meets all columns of most shapes."""
    return x.flat[:: x.size // LOOKED_AT | 1]


def _array_of(held: Any) -> Any:
    return held() if type(held) is ref else held


def _same(x: Any, y: Any) -> bool:
    if x.nbytes <= SMALL:
        return bool(x.tobytes() == y.tobytes())
    equal = x == y
    return bool(equal.all() or (x.dtype.kind == "f" and (equal | ((x != x) & (y != y))).all()))
