"""Base classes of estimators that average over random directions: fields, blocks of directions, sums over blocks.

Blocks depend on the layout and the hyper-parameters alone, and sums run in index order, so that an estimate does
not depend on the number of workers. This module knows no particular estimator.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from gradest.autodiff import Shared
from gradest.backend import Leaves
from gradest.chunking import DEFAULT_MEMORY_BUDGET_BYTES, choose_chunk_size, chunks
from gradest.directions import Directions, Key, Noise
from gradest.directions.directions import direction_entries, require_distribution
from gradest.directions.laws import law_of
from gradest.dtypes import HALF
from gradest.estimator import Estimator
from gradest.fields import make_plain
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import Array, Data, Operations
from gradest.real_numbers import real_number
from gradest.tangents import Dense, LowRank, Tangent
from gradest.whole_numbers import whole_number

_ENTRY_BYTES = 8
_ACTIVATION_SHARE = 4  # both evaluations of a pair are taken to hold at least P / 4 numbers beside its direction


class Draws(Protocol):
    """The directions of one estimate: `Directions`, or what is made from them."""

    def block(self, start: int, stop: int) -> Noise:
        """Return the directions start, ..., stop - 1."""


@dataclass(frozen=True, kw_only=True)
class Sampler(Estimator):
    """Base class of estimators that average over N random directions, whatever their law.

    Attributes
    ----------
    num_samples
        N, the number of directions.
    chunk_size
        How many directions are held at once; by default as many as fit the cache. It changes an estimate by
        rounding alone.
    memory_budget_bytes
        What directions that are held at once may take. It bounds what grows with `chunk_size`: one direction is always
        taken, and the gradient is not counted. `MemoryBudgetError` where a larger `chunk_size` was asked for than
        fits, or directions that can only be drawn together (orthogonal ones).
    """

    stochastic = True

    num_samples: int = 100
    chunk_size: int | None = None
    memory_budget_bytes: int = DEFAULT_MEMORY_BUDGET_BYTES

    def __post_init__(self) -> None:
        """Refuse counts that are not positive integers."""
        make_plain(self)
        whole_number("num_samples", self.num_samples)
        whole_number("memory_budget_bytes", self.memory_budget_bytes)
        if self.chunk_size is not None:
            whole_number("chunk_size", self.chunk_size)

    def _blocks(self, layout: Layout, *, entries: int) -> tuple[tuple[int, int], ...]:
        """Return `(start, stop)` of the blocks of directions, drawn from so many numbers each, evaluated together."""
        # Nothing here may depend on the backend, the dtype or the number of workers: sums over blocks run in order, and
        # other blocks would be another rounding.
        size = choose_chunk_size(
            self.num_samples,
            bytes_per_item=bytes_of_direction(layout, entries=entries),
            chunk_size=self.chunk_size,
            memory_budget_bytes=self.memory_budget_bytes,
        )
        return chunks(self.num_samples, size)

    @property
    def single_entry(self) -> bool:
        """Whether a direction moves one entry alone."""
        return False


@dataclass(frozen=True, kw_only=True)
class DirectionSampler(Sampler):
    """Base class of estimators whose directions follow one of the named laws.

    Attributes
    ----------
    distribution
        The law of the directions, one of `gradest.directions.DISTRIBUTIONS`; see `Directions`.
    rank
        The rank of "low-rank" directions.
    num_samples, chunk_size, memory_budget_bytes
        As in `Sampler`.
    """

    distribution: str = "normal"
    rank: int = 1

    def __post_init__(self) -> None:
        """Refuse laws that do not exist."""
        super().__post_init__()
        require_distribution(self.distribution, self.rank)

    @property
    def single_entry(self) -> bool:
        """Whether a direction moves one entry alone: a few of them do not show that a loss is flat."""
        return law_of(self.distribution).single_entry

    def blocks(self, layout: Layout, *, dense: bool = False) -> tuple[tuple[int, int], ...]:
        """Return `(start, stop)` of the blocks of directions that are evaluated together.

        `dense` says whether low-rank directions are made whole, as an opaque loss needs them.
        """
        drawn = direction_entries(layout, self.distribution, self.rank)
        return self._blocks(layout, entries=layout.num_parameters if dense else drawn)

    def directions(self, key: Key, objective: Objective, *, layout: Layout | None = None) -> Directions:
        """Return the directions of one estimate, in the precision of the objective.

        Parameters
        ----------
        layout
            What the directions move: the objective's parameters by default.
        """
        return Directions(
            key,
            objective.layout if layout is None else layout,
            self.distribution,
            num_samples=self.num_samples,
            dtype=objective.dtype,
            rank=self.rank,
            memory_budget_bytes=self.memory_budget_bytes,
        )

    def drawing(self, objective: Objective) -> Callable[[Key], Directions]:
        """Return what gives the directions of one estimate of an objective, from its key."""
        return partial(self.directions, objective=objective)


def bytes_of_direction(layout: Layout, *, entries: int) -> int:
    """Return about what one direction of so many numbers takes, with what evaluations along it hold beside it."""
    return _ENTRY_BYTES * (entries + layout.num_parameters // _ACTIVATION_SHARE)


def require_sigma(sigma: float) -> None:
    """Refuse a smoothing radius that is not a positive, finite number."""
    real_number("sigma", sigma, "(0, inf)", example=0.01)


def place(objective: Objective, noise: Noise, *, dtype: str | None = None) -> Noise:
    """Return a block of directions as arrays of the objective's framework and device, in the parameters' dtypes.

    Directions of something else than parameters name their one dtype.
    """
    # They were drawn in one dtype, the objective's; parameters may each have one of their own.
    dtypes = objective.dtypes if dtype is None else (dtype,) * len(noise)

    def convert(values: Any, dtype: str) -> Any:
        if isinstance(values, tuple):
            return tuple(convert(part, dtype) for part in values)
        return objective.backend.array(values, dtype=dtype, device=objective.device, copy=False)

    return tuple(convert(entry, each) for entry, each in zip(noise, dtypes, strict=True))


def evaluate_at(
    objective: Objective, leaves: Leaves, tangents: Sequence[Tangent], data: Data, *, shared: Shared | None = None
) -> Array:
    """Return the losses `(K,)` at `leaves + tangents`, structured where the loss is written in operations.

    `shared` keeps what calls with the same leaves and data have in common.
    """
    if objective.text is not None:
        return objective.evaluate_perturbed(leaves, tangents, data, shared=shared)
    # An opaque loss sees whole points: K copies of the parameters, each displaced.
    ops = objective.ops
    population = tuple(
        ops.expand_dims(leaf, axis=0) + tangent.dense(ops) for leaf, tangent in zip(leaves, tangents, strict=True)
    )
    return objective.evaluate_population(population, data)


def weighted_sum(objective: Objective, tangents: Sequence[Tangent], weights: Array) -> Leaves:
    """Return `sum_k weights_k tangent_k` for each parameter, in its dtype; of half precision in float32.

    Weights come from values of the loss, in its own dtype: float64 ones must not make float64 of float32 directions, as
    NumPy would, and PyTorch multiplies no matrices of two dtypes.
    """
    cast = caster(objective)
    return tuple(
        widened(tangent, dtype, cast).combine(objective.ops, cast(weights, summed_in(dtype)))
        for tangent, dtype in zip(tangents, objective.dtypes, strict=True)
    )


def caster(objective: Objective) -> Callable[[Array, str], Array]:
    """Return what gives an array in a dtype: itself, where that is its own."""
    dtype_of, cast = objective.backend.dtype, objective.backend.cast
    return lambda array, dtype: array if dtype_of(array) == dtype else cast(array, dtype)


def summed_in(dtype: str) -> str:
    """Return the dtype of sums over directions of a dtype.

    In bfloat16 a sum stands still at 256 equal terms, in float16 it is infinite where the mean is a moderate number.
    """
    return "float32" if dtype in HALF else dtype


def widened(tangent: Tangent, dtype: str, cast: Callable[[Array, str], Array]) -> Tangent:
    """Return directions drawn in a dtype in that of their sums."""
    to = summed_in(dtype)
    if isinstance(tangent, LowRank):
        return LowRank(cast(tangent.left, to), cast(tangent.right, to))
    return Dense(cast(tangent.values, to)) if isinstance(tangent, Dense) else tangent


def narrowed(objective: Objective, total: Leaves | None, scale: float = 1.0, dtypes: Sequence[str] = ()) -> Leaves:
    """Return sums over directions times `scale`, in the dtypes of the parameters or others that are given."""
    cast = caster(objective)
    each = zip(total or (), dtypes or objective.dtypes, strict=total is not None)
    return tuple(cast(leaf if scale == 1.0 else leaf * scale, dtype) for leaf, dtype in each)


def evaluation_path(objective: Objective) -> str:
    """Return how `evaluate_at` works here: "structured", "vmap" or "loop"."""
    return "structured" if objective.text is not None else objective.population_path


def add_leaves(total: Leaves | None, part: Leaves, ops: Operations | None = None) -> Leaves:
    """Return the sum of two sets of leaves; the first, which may be None, may be overwritten where `ops` are given."""
    if total is None:
        return part
    # `accumulate` may write into the first, which is a block's own sum and nobody else's.
    add = operator.add if ops is None else ops.accumulate
    return tuple(add(a, b) for a, b in zip(total, part, strict=True))
