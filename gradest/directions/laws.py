"""The laws of directions by name, and a block of directions in the shapes of the parameters."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.directions.components import (
    fill_coordinates,
    fill_normal,
    fill_rademacher,
    fill_sphere,
    fill_uniform,
)
from gradest.directions.frames import Frames, Permutations
from gradest.directions.keys import Key
from gradest.directions.streams import Streams
from gradest.errors import InvalidInputError, unknown_name
from gradest.layout import Layout
from gradest.tangents import Dense, LowRank, Tangent

Fill = Callable[[Streams, int, NDArray[Any]], None]
Noise = tuple[Any, ...]
"""For each parameter an array `(K, *shape)`, or `(left (K, m, r), right (K, n, r))` of a low-rank product."""

COMPONENTS: dict[str, Fill] = {
    "normal": fill_normal,
    "rademacher": fill_rademacher,
    "uniform": fill_uniform,
    "sphere": fill_sphere,
    "coordinates": fill_coordinates,
    "low-rank": fill_normal,
}
PERMUTED, ORTHOGONAL, ORTHOGONAL_CHI = "coordinates-without-replacement", "orthogonal", "orthogonal-chi"
DISTRIBUTIONS = (*COMPONENTS, PERMUTED, ORTHOGONAL, ORTHOGONAL_CHI)
_MATRIX_AXES = 2


class Directions:
    """The directions of one estimate: E v v^T = I over the whole vector of P entries, for every law.

    "normal"; "rademacher" (+1, -1); "uniform" on [-sqrt 3, sqrt 3); "sphere" (sqrt(P) u); "coordinates" (sqrt(P) e_j,
    with or "-without-replacement"); "orthogonal" (Haar frames of P, length sqrt(P) each); "orthogonal-chi"
    (lengths chi_P: each direction alone is normal); "low-rank" (`A B^T / sqrt(r)` for each matrix, A and B
    normal; other shapes are normal).

    Parameters
    ----------
    key
        See `root_key`.
    num_samples
        How many directions there are; orthogonal ones come in blocks of `min(num_samples, P)`.
    dtype
        "float32" or "float64": in which precision they are drawn (two streams that differ). Anything else is
        drawn in float64.
    """

    def __init__(
        self,
        key: Key,
        layout: Layout,
        distribution: str = "normal",
        *,
        num_samples: int,
        dtype: str = "float64",
        rank: int = 1,
        memory_budget_bytes: int,
    ) -> None:
        require_distribution(distribution, rank)
        self._key = key
        self._layout = layout
        self._rank = rank if distribution == "low-rank" else None
        self._dtype = np.dtype(np.float32 if dtype == "float32" else np.float64)
        size = layout.num_parameters
        if distribution in COMPONENTS:
            self._fill = COMPONENTS[distribution]
        elif distribution == PERMUTED:
            self._fill = Permutations(size).fill
        else:
            chi = distribution == ORTHOGONAL_CHI
            self._fill = Frames(num_samples, size, chi=chi, memory_budget_bytes=memory_budget_bytes).fill

    def block(self, start: int, stop: int) -> Noise:
        """Return the directions start, ..., stop - 1 as new arrays, one entry for each parameter."""
        streams = Streams(self._key)
        if self._rank is not None:
            return self._low_rank_block(streams, start, stop, self._rank)
        flat = np.empty((stop - start, self._layout.num_parameters), dtype=self._dtype)
        self._fill(streams, start, flat)
        return self._layout.unflatten(flat)

    def _low_rank_block(self, streams: Streams, start: int, stop: int, rank: int) -> Noise:
        flat: NDArray[Any] = np.empty(
            (stop - start, direction_entries(self._layout, "low-rank", rank)), dtype=self._dtype
        )
        self._fill(streams, start, flat)
        blocks: list[Any] = []
        used = 0
        for shape in self._layout.shapes:
            if len(shape) != _MATRIX_AXES:
                size = math.prod(shape)
                blocks.append(flat[:, used : used + size].reshape(-1, *shape))
                used += size
                continue
            (height, width), middle = shape, used + shape[0] * rank
            left = flat[:, used:middle] / math.sqrt(rank)
            used = middle + width * rank
            blocks.append((left.reshape(-1, height, rank), flat[:, middle:used].reshape(-1, width, rank)))
        return tuple(blocks)


def require_distribution(distribution: str, rank: int) -> None:
    """Refuse a law that does not exist, and a rank that is not a positive integer."""
    if distribution not in DISTRIBUTIONS:
        raise unknown_name("distribution of directions", distribution, DISTRIBUTIONS)
    if isinstance(rank, bool) or not isinstance(rank, int | np.integer) or rank < 1:
        raise InvalidInputError(f"rank must be a positive integer; found {rank!r}; try rank=1")


def direction_entries(layout: Layout, distribution: str, rank: int) -> int:
    """Return how many numbers one direction is drawn from: P, or fewer for low rank."""
    if distribution != "low-rank":
        return layout.num_parameters
    return sum(rank * sum(shape) if len(shape) == _MATRIX_AXES else math.prod(shape) for shape in layout.shapes)


def as_tangents(noise: Sequence[Any]) -> tuple[Tangent, ...]:
    """Return a block of directions, on any framework's arrays, as tangents with the structure they have."""
    return tuple(LowRank(*entry) if isinstance(entry, tuple | list) else Dense(entry) for entry in noise)
