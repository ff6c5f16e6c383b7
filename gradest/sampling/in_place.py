"""Runs an evolution strategy on a large model in the memory of one copy of it, whatever the number of directions.

The copy is written as x + sigma v from the untouched parameters, evaluated, mirrored to x - sigma v, evaluated; only
the values are kept. When the weights are known, the copy's own memory takes the weighted sum of the directions, drawn
again from their seeds, and becomes the gradient (Malladi et al. 2023, arXiv:2305.17333, draw again to save memory, and
undo each change by its opposite, which drifts). Of a direction there is never more than a block of it.

Where a direction fits the cache it is kept while its two points are evaluated and added to a sum at once: one pass.
Both ways add the same numbers in the same order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Leaves
from gradest.chunking import CACHE_BYTES
from gradest.directions import Directions, Key, root_key
from gradest.directions.independent import PART_ENTRIES
from gradest.directions.keys import Rng
from gradest.directions.laws import law_of
from gradest.estimate import KernelResult
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import NumpyArray
from gradest.sampling.points import HOST_DTYPES, Entry, HostPoint, add_weighted
from gradest.sampling.sampler import bytes_of_direction
from gradest.sampling.weighing import (
    Strategy,
    joint_weights,
    needs_all_values,
    needs_value,
    plain_weights,
    warn_of_values,
)
from gradest.sampling.workers import Crew, Group, task_groups

PATH = "in place"
"""What estimates made here say of their path."""

_WORTH_BATCHING = 8
"""How many points must fit the cache for a framework without a compiler to be quicker with them all at once."""


class ParameterStrategy(Strategy, Protocol):
    """A strategy whose directions are of the parameters, such as `EvolutionStrategy`."""

    @property
    def distribution(self) -> str:
        """The law of the directions."""

    @property
    def rank(self) -> int:
        """The rank of low-rank directions."""

    @property
    def chunk_size(self) -> int | None:
        """How many directions are asked to be held at once."""

    @property
    def memory_budget_bytes(self) -> int:
        """What they may take."""

    def directions(self, key: Key, objective: Objective) -> Directions:
        """Return the directions of one estimate."""


class InPlaceKernel:
    """An evolution strategy on one objective, evaluated at one point at a time, in parts for workers."""

    def __init__(self, strategy: ParameterStrategy, objective: Objective) -> None:
        self.objective = objective
        self.strategy = strategy
        self.value = objective.prepare_single()
        self._point: HostPoint | None = None

    def values(self, leaves: Leaves, group: Group, key: Key) -> NDArray[np.float64]:
        """Return the values `(1 or 2 sides, n)` along the directions of a group."""
        directions = self.strategy.directions(key, self.objective)
        scratch, point = directions.scratch(), self.point()
        return np.stack(
            [self.evaluate(point, leaves, directions.read(k, scratch)) for k in range(group[0][0], group[-1][1])],
            axis=1,
        )

    def evaluate(self, point: HostPoint, leaves: Leaves, direction: Iterator[Entry]) -> NDArray[np.float64]:
        """Return the values `(1 or 2,)` at `leaves + sigma v`, and at `leaves - sigma v` for pairs."""
        point.move(leaves, direction, self.strategy.sigma)
        found = [self._read(point)]
        if self.strategy.antithetic:
            point.mirror(leaves)
            found.append(self._read(point))
        return np.array(found)

    def point(self) -> HostPoint:
        """Return the memory of the one copy, made when it is first needed."""
        if self._point is None:
            self._point = HostPoint(self.objective)
        return self._point

    def give_away(self) -> HostPoint:
        """Return the same, and keep no hold of it: it becomes a gradient."""
        point, self._point = self.point(), None
        return point

    def _read(self, point: HostPoint) -> float:
        # Read at once: this waits for the device, and the point's memory is written again next.
        return float(np.asarray(self.objective.backend.numpy(self.value(point.leaves)), dtype=np.float64))


@dataclass(frozen=True)
class InPlace:
    """Makes the kernel of a strategy that evaluates in place, here or on a worker."""

    strategy: ParameterStrategy

    def parts(self, objective: Objective) -> InPlaceKernel:
        """Return the kernel for an objective."""
        return InPlaceKernel(self.strategy, objective)


@dataclass(frozen=True)
class InPlaceRun:
    """A strategy bound to a crew that evaluates in place, callable with leaves and rng.

    Attributes
    ----------
    keeps
        Whether a direction is kept while it is evaluated, and added up at once.
    """

    crew: Crew[InPlaceKernel]
    keeps: bool

    def __call__(self, leaves: Leaves, rng: Rng) -> KernelResult:
        kernel, key = self.crew.kernel, root_key(rng)
        value = kernel.value(leaves) if needs_value(kernel.strategy) else None
        known = None if value is None else float(kernel.objective.backend.numpy(value))
        run = self._one_pass if self.keeps else self._two_passes
        with np.errstate(invalid="ignore", over="ignore"):  # of values that are not finite, which are warned of
            return KernelResult(value, run(kernel, leaves, key, known).leaves)

    def _two_passes(self, kernel: InPlaceKernel, leaves: Leaves, key: Key, value: float | None) -> HostPoint:
        strategy, objective = kernel.strategy, kernel.objective
        groups = task_groups([(k, k + 1) for k in range(strategy.num_samples)], objective)
        rows = list(self.crew.run(InPlaceKernel.values, leaves, groups, [(key,)] * len(groups)))
        fitness = np.concatenate(rows, axis=1)
        weigh = joint_weights if needs_all_values(strategy) else plain_weights
        weights, differences = weigh(strategy, fitness, value)
        warn_of_values(objective, strategy, [(tuple(fitness), differences)])
        directions, point = strategy.directions(key, objective), kernel.give_away()
        # The sum is made here, not on workers: each would need a sum, as large as the model, of its own.
        point.weigh(directions, weights)
        return point

    def _one_pass(self, kernel: InPlaceKernel, leaves: Leaves, key: Key, value: float | None) -> HostPoint:
        strategy, objective = kernel.strategy, kernel.objective
        directions = strategy.directions(key, objective)
        scratch, point = directions.scratch(), kernel.give_away()
        direction = np.empty(objective.layout.num_parameters, scratch.dtype)
        total, rows = np.zeros_like(direction), []
        for k in range(strategy.num_samples):
            for part, here in zip(directions.parts(k, scratch), _blocks(direction.size), strict=True):
                direction[here] = part
            values = kernel.evaluate(point, leaves, _entries(direction, objective))[:, None]
            weight = plain_weights(strategy, values, value)[0][0]
            for here in _blocks(direction.size):
                add_weighted(total[here], direction[here], weight)
            rows.append(values)
        fitness = np.concatenate(rows, axis=1)
        warn_of_values(objective, strategy, [(tuple(fitness), plain_weights(strategy, fitness, value)[1])])
        point.scatter(0, total)
        return point


def _blocks(size: int) -> Iterator[slice]:
    """Yield what covers `size` places, a block at a time."""
    for start in range(0, size, PART_ENTRIES):
        yield slice(start, min(start + PART_ENTRIES, size))


def _entries(direction: NumpyArray, objective: Objective) -> Iterator[Entry]:
    """Yield what a kept direction `(P,)` is for each parameter, as `Directions.read` does."""
    for part in objective.layout.unflatten(direction):
        flat = part.reshape(-1)
        yield (flat[here] for here in _blocks(flat.size))


class Way(Enum):
    """How an evolution strategy is run on an objective."""

    BLOCKS = "blocks of directions, evaluated together"
    KEPT = "one direction after another, each kept until it is added up"
    DRAWN_AGAIN = "one direction after another, drawn again to be added up"


def choose_way(strategy: ParameterStrategy, objective: Objective) -> Way:
    """Return how a strategy is run: in place where blocks would be slower, or take memory that grows with P.

    It depends on sizes, on what was asked and on what the objective is, never on speed or on workers.
    """
    if strategy.differences == "exact" or not computes_on_host(objective) or (strategy.chunk_size or 1) > 1:
        return Way.BLOCKS
    held, factored = fitting_directions(strategy, objective.layout), law_of(strategy.distribution).factored
    # Structured evaluation shares products between directions, and compiled batches cost no Python: both are left for
    # memory alone. Factors of low rank are never large.
    if objective.text is not None and (held or factored):
        return Way.BLOCKS
    if objective.text is not None or "compile" in objective.backend.native:
        return Way.BLOCKS if held else Way.DRAWN_AGAIN
    if held >= _WORTH_BATCHING and strategy.chunk_size is None:
        return Way.BLOCKS
    return Way.KEPT if held and not factored and not needs_all_values(strategy) else Way.DRAWN_AGAIN


def adds_up_factors(strategy: ParameterStrategy, objective: Objective) -> bool:
    """Return whether directions evaluated in blocks are added up in place: those of large matrices."""
    large = law_of(strategy.distribution).factored and not fitting_directions(strategy, objective.layout)
    return large and computes_on_host(objective)


def fitting_directions(strategy: ParameterStrategy, layout: Layout) -> int:
    """Return how many dense directions fit the cache and the budget, beside what their evaluations hold."""
    each = bytes_of_direction(layout, entries=layout.num_parameters)
    return min(CACHE_BYTES, strategy.memory_budget_bytes) // max(1, each)


def computes_on_host(objective: Objective) -> bool:
    """Return whether the parameters are in memory that NumPy can write, in numbers that it computes with."""
    return objective.device == "cpu" and set(objective.dtypes) <= HOST_DTYPES
