"""Reads one direction from its beginning, a part at a time, for those who have no memory for all of it.

A direction is one stream of numbers; parameters take theirs from it in their order. What a reader gives lies in memory
that the next part overwrites. This module knows no law.
"""

import math
from collections.abc import Iterator

import numpy as np

from gradest.layout import Shape
from gradest.operations import NumpyArray


class Reader:
    """The numbers of one direction, to be taken in order, in any portions."""

    def __init__(self, parts: Iterator[NumpyArray]) -> None:
        self._parts = parts
        self._left: NumpyArray | None = None

    def take(self, size: int) -> Iterator[NumpyArray]:
        """Yield the next `size` numbers in pieces `(n,)`, each valid, and the caller's to change, until the next one.

        All pieces must be taken before anything else is.
        """
        while size:
            part = next(self._parts) if self._left is None else self._left
            piece, rest = part[:size], part[size:]
            self._left = rest if rest.size else None
            size -= piece.size
            yield piece

    def array(self, shape: Shape, dtype: "np.dtype[np.generic]") -> NumpyArray:
        """Return the next numbers as a new array."""
        found = np.empty(math.prod(shape), dtype=dtype)
        start = 0
        for piece in self.take(found.size):
            found[start : start + piece.size] = piece
            start += piece.size
        return found.reshape(shape)
