"""Random numbers by index: stream i of a key can be read without reading those before it.

A counter-based generator (Philox) hashes (key, purpose, i) to 256 bits, and these are the state of a fast
sequential one (SFC64), from which the numbers of direction i are drawn. This module knows no distribution.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.directions.keys import Key

DIRECTION, LENGTH, PERMUTATION = range(3)
"""The purposes of streams, so that no two kinds of numbers share one."""

_STATE_WORDS = 4  # SFC64: three words of state and a counter; also what Philox gives at one counter
_PURPOSE_SHIFT = 64  # the counter's low word is the index


class Streams:
    """The streams of one key; one object serves one thread at a time.

    Source: Salmon et al. 2011, doi:10.1145/2063384.2063405 (Philox); Doty-Humphrey 2010, PractRand (SFC64).
    """

    def __init__(self, key: Key) -> None:
        self._key = np.array(key, dtype=np.uint64)
        self.bits = np.random.SFC64(0)
        self.generator = np.random.Generator(self.bits)

    def seek(self, start: int, stop: int, *, purpose: int = DIRECTION) -> Iterator[int]:
        """Yield 0, ..., stop - start - 1, with `bits` and `generator` set to the beginning of streams start, ...."""
        # To make a Philox takes 20 times as long as to read four words of it: one for the states of the whole block.
        counter = (purpose << _PURPOSE_SHIFT) + start
        hashed = np.random.Philox(key=self._key, counter=counter).random_raw(_STATE_WORDS * (stop - start))
        inner: dict[str, Any] = {}
        # A 32-bit number left over from another stream must not become the first of this one.
        state: Any = {"bit_generator": "SFC64", "state": inner, "has_uint32": 0, "uinteger": 0}
        for k, words in enumerate(hashed.reshape(-1, _STATE_WORDS)):
            inner["state"] = words
            self.bits.state = state
            yield k

    def words(self, start: int, stop: int, count: int) -> NDArray[np.uint64]:
        """Return the first `count` words of direction streams start, ..., as `(stop - start, count)`."""
        drawn = np.empty((stop - start, count), dtype=np.uint64)
        for k in self.seek(start, stop):
            drawn[k] = self.bits.random_raw(count)
        return drawn
