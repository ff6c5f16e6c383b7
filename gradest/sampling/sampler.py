"""Base classes of estimators that draw random directions, and what they do with a block of them.

Sums over blocks run in index order, so that an estimate does not depend on the number of workers. This module knows
no particular estimator.
"""

import operator
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gradest.autodiff import Shared
from gradest.backend import Leaves
from gradest.chunking import DEFAULT_MEMORY_BUDGET_BYTES, choose_chunk_size, chunks, require_positive
from gradest.directions import Directions, Key, Noise
from gradest.directions.directions import direction_entries, require_distribution
from gradest.errors import InvalidInputError
from gradest.estimate import Cost
from gradest.estimator import Estimator
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import Array, Data, NumpyArray, Operations
from gradest.tangents import Tangent

_ENTRY_BYTES = 8
_ACTIVATION_SHARE = 4  # both evaluations of a pair are taken to hold at least P / 4 numbers beside its direction


class Draws(Protocol):
    """The directions of one estimate: `Directions`, or what is made from them."""

    def block(self, start: int, stop: int) -> Noise:
        """Return the directions start, ..., stop - 1."""


@dataclass(frozen=True, kw_only=True)
class Sampler(Estimator):
    """Base of estimators that average over N random directions, walked through in blocks.

    Attributes
    ----------
    num_samples
        N, the number of directions.
    chunk_size
        How many directions are held at once; by default as many as fit the cache. It changes an estimate by
        rounding alone.
    memory_budget_bytes
        What directions may take at once; `MemoryBudgetError` where it is not enough.
    """

    stochastic = True

    num_samples: int = 100
    chunk_size: int | None = None
    memory_budget_bytes: int = DEFAULT_MEMORY_BUDGET_BYTES

    def __post_init__(self) -> None:
        """Refuse counts that are not positive integers."""
        require_positive("num_samples", self.num_samples)
        require_positive("memory_budget_bytes", self.memory_budget_bytes)
        if self.chunk_size is not None:
            require_positive("chunk_size", self.chunk_size)

    @abstractmethod
    def cost(self, layout: Layout) -> Cost:
        """Return what one estimate costs."""

    def blocks_of(self, layout: Layout, distribution: str, rank: int) -> tuple[tuple[int, int], ...]:
        """Return `(start, stop)` of the blocks of directions of a law that are evaluated together.

        They depend on the layout and the hyper-parameters alone, so that sums over blocks, and with them estimates, do
        not depend on the number of workers.
        """
        entries = direction_entries(layout, distribution, rank)
        size = choose_chunk_size(
            self.num_samples,
            bytes_per_item=_ENTRY_BYTES * (entries + layout.num_parameters // _ACTIVATION_SHARE),
            chunk_size=self.chunk_size,
            memory_budget_bytes=self.memory_budget_bytes,
        )
        return chunks(self.num_samples, size)

    def draw(self, key: Key, layout: Layout, distribution: str, rank: int, *, dtype: str) -> Directions:
        """Return the directions of one estimate, of a law, in the precision of a dtype.

        Raises
        ------
        MemoryBudgetError
            The law draws directions together, and they do not fit the budget.
        """
        return Directions(
            key,
            layout,
            distribution,
            num_samples=self.num_samples,
            dtype=dtype,
            rank=rank,
            memory_budget_bytes=self.memory_budget_bytes,
        )


@dataclass(frozen=True, kw_only=True)
class DirectionSampler(Sampler):
    """Base of estimators along random directions of the parameters, of a law that can be chosen.

    Attributes
    ----------
    num_samples, chunk_size, memory_budget_bytes
        As in `Sampler`.
    distribution
        The law of the directions, one of `gradest.directions.DISTRIBUTIONS`; see `Directions`.
    rank
        Of "low-rank" directions.
    """

    distribution: str = "normal"
    rank: int = 1

    def __post_init__(self) -> None:
        """Refuse counts that are not positive integers and laws that do not exist."""
        super().__post_init__()
        require_distribution(self.distribution, self.rank)

    def blocks(self, layout: Layout) -> tuple[tuple[int, int], ...]:
        """Return `(start, stop)` of the blocks of directions that are evaluated together."""
        return self.blocks_of(layout, self.distribution, self.rank)

    def directions(self, key: Key, objective: Objective) -> Directions:
        """Return the directions of one estimate, in the precision of the objective."""
        return self.draw(key, objective.layout, self.distribution, self.rank, dtype=objective.dtype)


def gradient_shares(layout: Layout, gradient: NumpyArray) -> list[float]:
    """Return the share `|G_l|^2 / |g|^2` of each parameter in a gradient `(P,)`."""
    blocks = layout.unflatten(np.asarray(gradient, dtype=np.float64))
    squares = [float(np.sum(np.square(block, dtype=np.float64))) for block in blocks]
    return [square / sum(squares) for square in squares]


def require_sigma(sigma: float) -> None:
    """Refuse a smoothing radius that is not a positive, finite number."""
    if isinstance(sigma, bool) or not 0.0 < float(sigma) < float("inf"):
        raise InvalidInputError(f"sigma must be a positive, finite number; found {sigma!r}; try sigma=0.01")


def place(objective: Objective, noise: Noise, *, dtype: str | None = None) -> Noise:
    """Return a block of directions as arrays of the objective's framework and device, in the parameters' dtypes.

    Directions of something else than parameters name their one dtype.
    """
    dtypes = objective.dtypes if dtype is None else (dtype,) * len(noise)

    def convert(values: Any, dtype: str) -> Any:
        if isinstance(values, tuple):
            return tuple(convert(part, dtype) for part in values)
        return objective.backend.array(values, dtype=dtype, device=objective.device, copy=False)

    return tuple(convert(entry, each) for entry, each in zip(noise, dtypes, strict=True))


def bound_step(objective: Objective, step: Callable[..., Any]) -> Callable[..., Any]:
    """Return `step(*arrays, data)` with the data bound, compiled unless the population is evaluated in a loop."""
    if objective.population_path != "loop":
        return objective.compile(step)
    # A loop over directions reads values one by one, which no framework can trace.
    return objective.scoped(lambda *arrays: step(*arrays, objective.data))


def evaluate_at(
    objective: Objective, leaves: Leaves, tangents: Sequence[Tangent], data: Data, *, shared: Shared | None = None
) -> Array:
    """Return the losses `(K,)` at `leaves + tangents`, structured where the loss is written in operations.

    `shared` keeps what calls with the same leaves and data have in common.
    """
    if objective.text is not None:
        return objective.evaluate_perturbed(leaves, tangents, data, shared=shared)
    ops = objective.ops
    population = tuple(
        ops.expand_dims(leaf, axis=0) + tangent.dense(ops) for leaf, tangent in zip(leaves, tangents, strict=True)
    )
    return objective.evaluate_population(population, data)


def evaluation_path(objective: Objective) -> str:
    """Return how `evaluate_at` works here: "structured", "vmap" or "loop"."""
    return "structured" if objective.text is not None else objective.population_path


def add_leaves(total: Leaves | None, part: Leaves, ops: Operations | None = None) -> Leaves:
    """Return the sum of two sets of leaves; the first, which may be None, may be overwritten where `ops` are given."""
    if total is None:
        return part
    add = operator.add if ops is None else ops.accumulate
    return tuple(add(a, b) for a, b in zip(total, part, strict=True))
