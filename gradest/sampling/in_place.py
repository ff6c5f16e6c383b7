"""Runs an evolution strategy on a large model in the memory of one copy of it, whatever the number of directions.

The copy is written as x + sigma v from the untouched parameters, evaluated, mirrored to x - sigma v, evaluated; only
the values are kept. When the weights are known, the copy's own memory takes the weighted sum of the directions, drawn
again from their seeds, and becomes the gradient (Malladi et al. 2023, arXiv:2305.17333, draw again to save memory, and
undo each change by its opposite, which drifts). Of a direction there is never more than a block of it.

Where a direction fits the cache it is kept while its two points are evaluated and added to a sum at once: one pass.
Both ways add the same numbers in the same order.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Leaves
from gradest.chunking import CACHE_BYTES
from gradest.directions import root_key
from gradest.directions.independent import PART_ENTRIES
from gradest.directions.keys import Rng
from gradest.directions.laws import law_of
from gradest.directions.reading import Readable
from gradest.estimate import KernelResult
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import NumpyArray
from gradest.sampling.device_points import DevicePoint
from gradest.sampling.native_points import NativePoint
from gradest.sampling.points import HOST_DTYPES, HostPoint, add_weighted
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
NATIVE_PATH = "in place, native noise"
"""The same, where the framework draws the directions."""

_WORTH_BATCHING = 8
"""How many points must fit the cache for a framework without a compiler to be quicker with them all at once."""


class ParameterStrategy(Strategy, Protocol):
    """A strategy whose directions are of the parameters, such as `EvolutionStrategy`."""

    @property
    def distribution(self) -> str:
        """The law of the directions."""

    @property
    def noise(self) -> str:
        """Who draws them: "portable" or "native"."""

    @property
    def chunk_size(self) -> int | None:
        """How many directions are asked to be held at once."""

    @property
    def memory_budget_bytes(self) -> int:
        """What they may take."""

    def drawing(self, objective: Objective) -> Callable[[Any], Readable]:
        """Return what gives the directions of one estimate, from its key."""


class InPlaceKernel:
    """An evolution strategy on one objective, evaluated at one point at a time, in parts for workers.

    Parameters
    ----------
    keeps
        Whether there is memory for one displacement sigma v beside the point.
    """

    def __init__(self, strategy: ParameterStrategy, objective: Objective, *, keeps: bool) -> None:
        self.objective = objective
        self.strategy = strategy
        self.keeps = keeps
        self.draw = strategy.drawing(objective)
        self.value = objective.prepare_single()
        self._local = threading.local()  # each thread has a point of its own

    def values(self, leaves: Leaves, group: Group, key: Any) -> NDArray[np.float64]:
        """Return the values `(1 or 2 sides, n)` along the directions of a group."""
        directions = self.draw(key)
        scratch = directions.scratch(whole=self.keeps)
        point = self.take()
        found = [self.evaluate(point, leaves, directions, k, scratch) for k in range(group[0][0], group[-1][1])]
        self._local.point = point
        return np.stack(found, axis=1)

    def evaluate(
        self,
        point: HostPoint | DevicePoint,
        leaves: Leaves,
        directions: Readable,
        k: int,
        scratch: NumpyArray,
    ) -> NDArray[np.float64]:
        """Return the values `(1 or 2,)` at `leaves + sigma v_k`, and at `leaves - sigma v_k` for pairs.

        The scratch, where it holds a whole direction, holds sigma v_k afterwards.
        """
        point.move(leaves, directions, k, radius=self.strategy.sigma, scratch=scratch)
        found = [self._read(point)]
        if self.strategy.antithetic:
            if self.keeps and isinstance(point, HostPoint):
                point.oppose(leaves, scratch)
            else:
                point.mirror(leaves)
            found.append(self._read(point))
        return np.array(found)

    def take(self) -> HostPoint | DevicePoint:
        """Return the memory of this thread's copy, new where there is none, and keep no hold of it.

        Whoever takes it puts it back or makes a gradient of it: a loss that asks for another estimate of the same
        kernel meanwhile gets memory of its own.
        """
        found: HostPoint | DevicePoint | None = getattr(self._local, "point", None)
        self._local.point = None
        return self._new_point() if found is None else found

    def _new_point(self) -> HostPoint | DevicePoint:
        if self.strategy.noise == "native":
            return NativePoint(self.objective)
        return (HostPoint if computes_on_host(self.objective) else DevicePoint)(self.objective)

    def _read(self, point: HostPoint | DevicePoint) -> float:
        # Read at once: this waits for the device, and the point's memory is written again next.
        return float(np.asarray(self.objective.backend.numpy(self.value(point.leaves)), dtype=np.float64))


@dataclass(frozen=True)
class InPlace:
    """Makes the kernel of a strategy that evaluates in place, here or on a worker."""

    strategy: ParameterStrategy

    def parts(self, objective: Objective) -> InPlaceKernel:
        """Return the kernel for an objective."""
        return InPlaceKernel(self.strategy, objective, keeps=choose_way(self.strategy, objective) is Way.KEPT)


@dataclass(frozen=True)
class InPlaceRun:
    """A strategy bound to a crew that evaluates in place, callable with leaves and rng.

    Attributes
    ----------
    at_once
        Whether a direction that is kept is added up as soon as its values are known: in one pass.
    scale
        What multiplies the estimate.
    """

    crew: Crew[InPlaceKernel]
    at_once: bool = False
    scale: float = 1.0

    def __call__(self, leaves: Leaves, rng: Rng) -> KernelResult:
        return self.along(leaves, root_key(rng))

    def along(self, leaves: Leaves, key: Any) -> KernelResult:
        """Return the estimate along the directions of a key, of whatever kind the strategy draws from."""
        kernel = self.crew.kernel
        value = kernel.value(leaves) if needs_value(kernel.strategy) else None
        known = None if value is None else float(kernel.objective.backend.numpy(value))
        run = self._one_pass if self.at_once else self._two_passes
        with np.errstate(invalid="ignore", over="ignore"):  # of values that are not finite, which are warned of
            return KernelResult(value, run(kernel, leaves, key, known))

    def values(self, leaves: Leaves, key: Any) -> tuple[NDArray[np.float64], None]:
        """Return the values `(1 or 2 sides, N)` along all directions of a key, and None, as `EvolutionRun` does."""
        kernel = self.crew.kernel
        groups = task_groups([(k, k + 1) for k in range(kernel.strategy.num_samples)], kernel.objective)
        rows = list(self.crew.run(InPlaceKernel.values, leaves, groups, [(key,)] * len(groups)))
        return np.concatenate(rows, axis=1), None

    def weighed(self, leaves: Leaves, key: Any, weights: NDArray[np.float64]) -> Leaves:
        """Return `sum_k weights[k] * direction_k`, in the memory that the points were in."""
        kernel, strategy = self.crew.kernel, self.crew.kernel.strategy
        directions, point = kernel.draw(key), kernel.take()
        with np.errstate(invalid="ignore", over="ignore"):  # of weights that are not finite: values were warned of
            # The sum is made here, not on workers: each would need a sum, as large as the model, of its own.
            if kernel.keeps and isinstance(point, HostPoint):  # as in one pass, which multiplies by sigma first
                point.weigh(directions, weights / strategy.sigma, radius=strategy.sigma)
            else:
                point.weigh(directions, weights)
        return point.leaves

    def _two_passes(self, kernel: InPlaceKernel, leaves: Leaves, key: Any, value: float | None) -> Leaves:
        strategy, (fitness, _) = kernel.strategy, self.values(leaves, key)
        weigh = joint_weights if needs_all_values(strategy) else plain_weights
        weights, differences = weigh(strategy, fitness, value)
        warn_of_values(kernel.objective, strategy, [(tuple(fitness), differences)], leaves)
        return self.weighed(leaves, key, self.scale * weights)

    def _one_pass(self, kernel: InPlaceKernel, leaves: Leaves, key: Any, value: float | None) -> Leaves:
        strategy, objective = kernel.strategy, kernel.objective
        directions = kernel.draw(key)
        step = directions.scratch(whole=True)
        total, rows, point = np.zeros_like(step), [], kernel.take()
        for k in range(strategy.num_samples):
            values = kernel.evaluate(point, leaves, directions, k, step)[:, None]
            weight = plain_weights(strategy, values, value)[0][0] / strategy.sigma
            for start in range(0, step.size, PART_ENTRIES):
                here = slice(start, start + PART_ENTRIES)
                add_weighted(total[here], step[here], weight)
            rows.append(values)
        fitness = np.concatenate(rows, axis=1)
        warn_of_values(objective, strategy, [(tuple(fitness), plain_weights(strategy, fitness, value)[1])], leaves)
        assert isinstance(point, HostPoint)  # displacements are kept on the host alone
        point.scatter(total)
        return point.leaves


class Way(Enum):
    """How an evolution strategy is run on an objective."""

    BLOCKS = "blocks of directions, evaluated together"
    KEPT = "one direction after another, each kept until it is added up"
    DRAWN_AGAIN = "one direction after another, drawn again to be added up"


def choose_way(strategy: ParameterStrategy, objective: Objective) -> Way:
    """Return how a strategy is run: in place where blocks would be slower, or take memory that grows with P.

    It depends on sizes, on what was asked and on what the objective is, never on speed or on workers.
    """
    if strategy.noise == "native":
        return Way.DRAWN_AGAIN
    if strategy.differences == "exact" or (strategy.chunk_size or 1) > 1:
        return Way.BLOCKS
    held, factored = fitting_directions(strategy, objective.layout), law_of(strategy.distribution).factored
    # Structured evaluation shares products between directions, compiled batches cost no Python, and a device is not
    # filled by one point: all are left for memory alone. Factors of low rank are never large.
    if objective.text is not None and (held or factored):
        return Way.BLOCKS
    batches = objective.text is not None or "compile" in objective.backend.native or not computes_on_host(objective)
    if batches:
        return Way.BLOCKS if held else Way.DRAWN_AGAIN
    if held >= _WORTH_BATCHING and strategy.chunk_size is None:
        return Way.BLOCKS
    # Kept in the dtype it is drawn in: not where that is another than a parameter's.
    keeps = held and not factored and set(objective.dtypes) in ({"float32"}, {"float64"})
    return Way.KEPT if keeps else Way.DRAWN_AGAIN


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
