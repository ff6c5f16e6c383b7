"""Reads one direction from its beginning, a part at a time, for those who have no memory for all of it.

A direction is one stream of numbers; parameters take theirs from it in their order. What a reader gives lies in memory
that the next part overwrites. This module knows no law.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from gradest.layout import Layout, Shape
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


class Readable(Protocol):
    """Directions that can be read a part at a time, as `Directions` documents it."""

    @property
    def factored(self) -> bool:
        """Whether a direction of a matrix is drawn as two factors."""

    @property
    def read_in_parts(self) -> bool:
        """Whether the beginning of a direction can be drawn without the rest."""

    @property
    def factor_entries(self) -> int:
        """How many numbers the factors of one direction hold."""

    def scratch(self, *, whole: bool = False) -> NumpyArray:
        """Return memory for `parts`."""

    def parts(self, index: int, scratch: NumpyArray, *, radius: float = 1.0) -> Iterator[NumpyArray]:
        """Yield radius times the numbers of direction `index`, as many at a time as scratch holds."""

    def read(self, index: int, scratch: NumpyArray, *, radius: float = 1.0) -> Iterator[Any]:
        """Yield for each parameter radius times the direction: its two factors, or its numbers in pieces."""


class ReadInParts(ABC):
    """Directions that are made, a part at a time, from those of a law and from vectors that were given."""

    factored = False
    read_in_parts = True
    factor_entries = 0

    def __init__(self, drawn: Readable, layout: Layout) -> None:
        self._drawn = drawn
        self._layout = layout

    def scratch(self, *, whole: bool = False) -> NumpyArray:
        """Return memory for `parts`."""
        return self._drawn.scratch(whole=whole)

    @abstractmethod
    def made(self, index: int, scratch: NumpyArray) -> Iterator[NumpyArray]:
        """Yield the numbers of direction `index` in parts, each in the scratch, over the last one."""

    def parts(self, index: int, scratch: NumpyArray, *, radius: float = 1.0) -> Iterator[NumpyArray]:
        """Yield radius times these numbers."""
        for part in self.made(index, scratch):
            if radius != 1.0:
                part *= radius
            yield part

    def read(self, index: int, scratch: NumpyArray, *, radius: float = 1.0) -> Iterator[Iterator[NumpyArray]]:
        """Yield for each parameter in turn its numbers of direction `index` in pieces `(n,)`."""
        reader = Reader(self.parts(index, scratch, radius=radius))
        for size in self._layout.sizes:
            yield reader.take(size)
