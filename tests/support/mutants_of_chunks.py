"""Estimators whose chunks are wrong and cannot be set from outside: each is right for few directions."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gradest.estimators.forward_gradient import ForwardGradient
from gradest.operations import NumpyArray as Array
from gradest.testing.plain_estimators import PlainEvolution, Shape

HIDDEN = 16
"""Directions in a chunk, which no field says."""

Parts = list[tuple[Array, Array]]


def whole(parts: Parts) -> tuple[Array, Array]:
    """Return the slopes and the directions of all chunks that `chunk_size` made, together."""
    return np.concatenate([slopes for slopes, _ in parts]), np.concatenate([v for _, v in parts])


@dataclass(frozen=True)
class SeedOfEveryChunk(PlainEvolution):
    """Each chunk of 16 begins the same stream anew."""

    num_samples: int = 100

    def draw(self, key: Any, shape: Shape) -> Array:
        again = [min(HIDDEN, shape[0] - start) for start in range(0, shape[0], HIDDEN)]
        return np.concatenate([super(SeedOfEveryChunk, self).draw(key, (count, shape[1])) for count in again])


@dataclass(frozen=True)
class MeanOfHiddenChunks(PlainEvolution):
    """Averages the means of chunks of 16, of which the last is smaller."""

    num_samples: int = 100

    def combine(self, parts: Parts) -> Array:
        slopes, v = whole(parts)
        starts = range(0, len(v), HIDDEN)
        means = [np.mean(slopes[i : i + HIDDEN, None] * v[i : i + HIDDEN], axis=0) for i in starts]
        return np.asarray(np.mean(means, axis=0))


@dataclass(frozen=True)
class DroppedHiddenRemainder(PlainEvolution):
    """Drops what is beyond the last full chunk of 16, and divides by what is left."""

    num_samples: int = 64  # which has no remainder

    def combine(self, parts: Parts) -> Array:
        slopes, v = whole(parts)
        kept = len(v) // HIDDEN * HIDDEN or len(v)
        return np.asarray(slopes[:kept] @ v[:kept] / kept)


@dataclass(frozen=True)
class SeedOfEveryChunkUnpredicted(SeedOfEveryChunk):
    """The same, of an estimator that predicts nothing."""

    def predict(self, at: Any) -> Any:
        return None


@dataclass(frozen=True)
class MeanOfHiddenChunksUnpredicted(MeanOfHiddenChunks):
    """The same, of an estimator that predicts nothing, at a number that the chunk divides."""

    num_samples: int = 32

    def predict(self, at: Any) -> Any:
        return None


class _Again:
    """Directions of which each chunk of 16 is the first one."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def block(self, start: int, stop: int) -> tuple[Any, ...]:
        first = self._source.block(0, HIDDEN)
        return tuple(np.take(part, np.arange(start, stop) % HIDDEN, axis=0) for part in first)


@dataclass(frozen=True, kw_only=True)
class SeedOfEveryChunkForward(ForwardGradient):
    """The same, of an estimator that evaluates no plain values: only its estimates can tell."""

    def directions(self, key: Any, objective: Any, **layout: Any) -> Any:
        return _Again(super().directions(key, objective, **layout))
