"""Runs an evolution strategy: evaluates the loss along blocks of directions and sums them by weight, in index order.

One pass where the weight of a direction depends on its own values alone: each block gives its part of the sum and is
forgotten. Two passes where it depends on all values (shaping, batch-mean baselines): the first gathers values, the
second draws the same directions again. They are functions of (key, index), hence the same to the bit, and N directions
of P numbers never have to be kept.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gradest.autodiff import Shared
from gradest.backend import Leaves
from gradest.directions import Directions, Key, Noise, as_tangents, root_key
from gradest.directions.keys import Rng
from gradest.directions.laws import law_of
from gradest.estimate import KernelResult
from gradest.objective import Objective
from gradest.operations import Array, Data
from gradest.sampling.points import HostPoint
from gradest.sampling.sampler import (
    Draws,
    add_leaves,
    caster,
    evaluate_at,
    narrowed,
    place,
    summed_in,
    weighted_sum,
    widened,
)
from gradest.sampling.weighing import (
    Strategy,
    Watched,
    joint_weights,
    needs_all_values,
    needs_value,
    plain_weights,
    warn_if_overflowed,
    warn_of_values,
)
from gradest.sampling.workers import Block, Crew, Group, task_groups
from gradest.tangents import Tangent, mirrored

Evaluate = Callable[[Leaves, Sequence[Tangent], Any], Array]


class ParameterStrategy(Strategy, Protocol):
    """A strategy whose directions are of the parameters, such as `EvolutionStrategy`."""

    @property
    def distribution(self) -> str:
        """The law of the directions."""

    def drawing(self, objective: Objective) -> Callable[[Key], Directions]:
        """Return what gives the directions of one estimate, from its key."""


class EvolutionKernel:
    """An evolution strategy on one objective, cut into parts that workers carry out, each on a group of blocks.

    Parameters
    ----------
    draw
        From a key to the directions of one estimate.
    evaluate
        `(leaves, tangents, data) -> (K,)`: the losses at perturbed points, where directions are not of parameters.
    combine
        `(tangent, weights) -> sum_k weights[k] direction_k`, where `evaluate` gives more than one number for each
        direction and each weighs a part of it.
    packed
        Whether directions are signs, drawn as bits and unpacked by the steps.
    """

    def __init__(
        self,
        strategy: Strategy,
        objective: Objective,
        draw: Callable[[Key], Draws],
        evaluate: Evaluate | None = None,
        *,
        combine: Callable[[Tangent, Array], Array] | None = None,
        packed: bool = False,
    ) -> None:
        self.strategy = strategy
        self.objective = objective
        self._draw = draw
        self._packed = packed
        self._exact = strategy.differences == "exact"
        # Both sides of a pair go through a loss in operations together: linear operations on a direction and its
        # opposite cost half of what two directions cost.
        self._pairs = evaluate is None and objective.text is not None
        self.needs_value = needs_value(strategy)
        # Steps are compiled where the framework compiles: their branches may depend on fields, never on a value.
        self._values = objective.stepped(self._values_step)
        self._slopes = objective.stepped(self._slopes_step)
        self._combine = objective.stepped(lambda noise, weights, data: self._sum(self._tangents(noise), weights))
        self._local = threading.local()  # threads of one executor run parts of one kernel at once
        self._evaluate_given = evaluate is not None
        self._combine_given = combine
        self._evaluate = evaluate or self._evaluate_at
        self._dtype = None if evaluate is None else objective.dtype
        self._source: tuple[Key, Draws] | None = None
        self._kept: tuple[Key, Block, Noise] | None = None

    # -- parts, each for one group of blocks -----------------------------------------------------------------
    def slopes(self, leaves: Leaves, group: Group, key: Key, value: Array | None) -> tuple[Any, ...]:
        """Return `sum_k slope_k v_k`, f(x) where differences give it, and values and differences to be watched."""
        total: Leaves | None = None
        watched: list[Watched] = []
        centre = None
        self._share(key)
        for block in group:
            noise, given = self._noise(key, block), () if value is None else value
            part, values, differences, centre = self._slopes(leaves, noise, given)
            total = add_leaves(total, part, self.objective.ops)
            watched.append((values, differences))  # not read here: that would wait for the device in every block
        return total, centre, tuple(watched)

    def values(self, leaves: Leaves, group: Group, key: Key) -> tuple[Any, ...]:
        """Return values as NumPy `(1 or 2 sides, n)` in float64, and f(x) where differences give it."""
        rows: list[NDArray[np.float64]] = []
        centre = None
        self._share(key)
        for block in group:
            sides, centre = self._values(leaves, self._noise(key, block))
            rows.append(np.stack([np.asarray(self.objective.backend.numpy(f), dtype=np.float64) for f in sides]))
        # In float64 on the host: ranks and means over all N must not depend on the dtype or the blocks.
        return np.concatenate(rows, axis=1), centre

    def combined(self, leaves: Leaves, group: Group, key: Key, weights: NDArray[np.float64]) -> Leaves:
        """Return `sum_k w_k v_k` for the weights of the group's directions."""
        total: Leaves | None = None
        objective, first = self.objective, group[0][0]
        with np.errstate(invalid="ignore", over="ignore"):  # of weights that are not finite: their values are warned of
            for start, stop in group:
                placed = objective.backend.array(
                    weights[start - first : stop - first], dtype=summed_in(objective.dtype), device=objective.device
                )
                part = self._combine(self._noise(key, (start, stop)), placed)
                total = add_leaves(total, part, objective.ops)
        self._kept = None  # the second pass is over: the next estimate has another key
        return total or ()

    def _share(self, key: Key) -> None:
        """Keep what blocks have in common within one call, which has a key of its own, in each thread.

        In another process that is one group. A compiled step has only its own arguments.
        """
        if "compile" not in self.objective.backend.native and getattr(self._local, "key", None) is not key:
            self._local.key, self._local.shared = key, Shared()

    def _evaluate_at(self, leaves: Leaves, tangents: Sequence[Tangent], data: Data) -> Array:
        return evaluate_at(self.objective, leaves, tangents, data, shared=self._shared)

    @property
    def _shared(self) -> Shared | None:
        return getattr(self._local, "shared", None)

    def _noise(self, key: Key, block: Block) -> Noise:
        if self._kept is not None and self._kept[:2] == (key, block):
            return self._kept[2]
        if self._source is None or self._source[0] != key:
            self._source = (key, self._draw(key))
        draws = self._source[1]
        if self._packed and isinstance(draws, Directions):
            noise = place(self.objective, draws.packed_block(*block), dtype="uint32")
        else:
            noise = place(self.objective, draws.block(*block), dtype=self._dtype)
        if block == (0, self.strategy.num_samples):  # the only block: a second pass need not draw it again
            self._kept = (key, block, noise)
        return noise

    # -- steps, traced by frameworks that compile ----------------------------------------------------------
    def _values_step(self, leaves: Leaves, noise: Noise, data: Data) -> tuple[tuple[Array, ...], Any]:
        """Return the values `(K,)` of each side (differences from f(x) where exact), and f(x) where exact."""
        objective, ops, radius = self.objective, self.objective.ops, self.strategy.sigma
        tangents, antithetic = self._tangents(noise), self.strategy.antithetic
        if antithetic and not self._pairs:
            # An opaque loss is evaluated at whole points: one side at a time takes half the memory.
            return tuple(self._evaluate(leaves, [t.scaled(r) for t in tangents], data) for r in (radius, -radius)), ()
        # 2 K points from K directions: first all x + r v, then all x - r v; "sides" takes them apart below.
        moved = [mirrored(t, radius) if antithetic else t.scaled(radius) for t in tangents]
        centre: Any = ()
        if self._exact:
            centre, values = objective.evaluate_differences(leaves, moved, data, shared=self._shared)
        else:
            values = self._evaluate(leaves, moved, data)
        if not antithetic:
            return (values,), centre
        sides = ops.reshape(values, (2, -1))
        return (sides[0, ...], sides[1, ...]), centre  # the standard of arrays has no index of fewer axes without it

    def _slopes_step(
        self, leaves: Leaves, noise: Noise, value: Any, data: Data
    ) -> tuple[Leaves, tuple[Array, ...], Array, Any]:
        """Return `sum_k slope_k v_k`, the sides' values, differences, f(x) where exact; slope = difference / sigma."""
        sides, centre = self._values_step(leaves, noise, data)
        with np.errstate(invalid="ignore", over="ignore"):  # values that are not finite are warned of once, by number
            return self._slopes_of(sides, centre, noise, value)

    def _slopes_of(
        self, sides: tuple[Array, ...], centre: Any, noise: Noise, value: Any
    ) -> tuple[Leaves, tuple[Array, ...], Array, Any]:
        # Halved before it is divided by sigma: (f+ - f-) / 2 is about sigma |g|, as one-sided differences are, so that
        # one threshold of rounding watches both.
        if self.strategy.antithetic:
            differences = (sides[0] - sides[1]) * 0.5
        else:
            differences = sides[0] - value if self.needs_value else sides[0]
        # The tangents again, not kept from above: they wrap the same arrays, or unpack the bits once more, which is one
        # computation to a compiler, so that K P numbers need not live while the loss is evaluated.
        cast = caster(self.objective)
        slopes = cast(differences, summed_in(self.objective.backend.dtype(differences))) * (1.0 / self.strategy.sigma)
        return self._sum(self._tangents(noise), slopes), tuple(sides), differences, centre

    def _tangents(self, noise: Noise) -> tuple[Tangent, ...]:
        if not self._packed:
            return as_tangents(noise)
        layout = self.objective.layout
        flat: Any = self.objective.ops.unpack_signs(noise[0], layout.num_parameters, like=self.objective.start[0])
        return as_tangents(layout.unflatten(flat))

    def _sum(self, tangents: Sequence[Tangent], weights: Array) -> Leaves:
        if not self._evaluate_given:
            return weighted_sum(self.objective, tangents, weights)
        # Directions of something else than parameters, all in the objective's dtype.
        cast, dtype = caster(self.objective), self.objective.dtype
        combine = self._combine_given or (lambda tangent, w: tangent.combine(self.objective.ops, w))
        placed = cast(weights, summed_in(dtype))
        return tuple(combine(widened(tangent, dtype, cast), placed) for tangent in tangents)

    def finished(self, total: Leaves | None, scale: float = 1.0) -> Leaves:
        """Return the sum over all blocks times `scale`, in the dtypes of what the directions are of."""
        own = (self.objective.dtype,) * len(total or ()) if self._evaluate_given else ()
        return narrowed(self.objective, total, scale, own)


def parameter_kernel(strategy: ParameterStrategy, objective: Objective) -> EvolutionKernel:
    """Return the kernel of a strategy along directions of the objective's parameters."""
    # Signs cross to the device as bits, a 32nd of the numbers, where one array of them serves all parameters. What
    # shares the host's memory has nothing to cross.
    crosses = objective.device != "cpu" or "compile" in objective.backend.native
    unpacks = crosses and objective.ops.unpacks_signs
    packed = law_of(strategy.distribution).signs and unpacks and len(set(objective.dtypes)) == 1
    return EvolutionKernel(strategy, objective, strategy.drawing(objective), packed=packed)


class EvolutionRun:
    """An evolution strategy bound to a crew, callable with leaves and rng.

    Parameters
    ----------
    scale
        What multiplies the estimate.
    directions
        From a key to directions that are added up in place, when all values are known, in the memory of the gradient.
    """

    def __init__(
        self,
        crew: Crew[EvolutionKernel],
        blocks: Sequence[Block],
        *,
        scale: float = 1.0,
        directions: Callable[[Key], Directions] | None = None,
    ) -> None:
        self._scale = scale
        self._crew = crew
        self._kernel = crew.kernel
        self._strategy = crew.kernel.strategy
        self._groups = task_groups(blocks, crew.kernel.objective)
        self._value = crew.kernel.objective.prepare_value() if crew.kernel.needs_value else None
        self._directions = directions
        self._two_passes = needs_all_values(self._strategy) or directions is not None

    def __call__(self, leaves: Leaves, rng: Rng) -> KernelResult:
        return self.along(leaves, root_key(rng))

    def along(self, leaves: Leaves, key: Any) -> KernelResult:
        """Return the estimate along the directions of a key, of whatever kind the kernel draws from."""
        value = None if self._value is None else self._value(leaves)
        run = self._run_two_passes if self._two_passes else self._run_one_pass
        return run(leaves, key, value)

    def _run_one_pass(self, leaves: Leaves, key: Key, value: Array | None) -> KernelResult:
        total: Leaves | None = None
        watched: list[Watched] = []
        for part, centre, seen in self._crew.run(
            EvolutionKernel.slopes, leaves, self._groups, [(key, value)] * len(self._groups)
        ):
            with np.errstate(invalid="ignore"):
                total = add_leaves(total, part, self._kernel.objective.ops)
            value = _first(value, centre)
            watched.extend(seen)
        warn_of_values(self._kernel.objective, self._strategy, watched, leaves)
        warn_if_overflowed(self._kernel.objective, self._strategy, watched, total or ())
        scale = self._scale / self._strategy.num_samples
        return KernelResult(value, self._kernel.finished(total, scale))

    def _run_two_passes(self, leaves: Leaves, key: Key, value: Array | None) -> KernelResult:
        fitness, at_x = self.values(leaves, key)
        value = _first(value, at_x)
        known = value is not None and self._kernel.needs_value
        centre = float(self._kernel.objective.backend.numpy(value)) if known else None  # type: ignore[arg-type]  # known
        weigh = joint_weights if needs_all_values(self._strategy) else plain_weights
        found, differences = weigh(self._strategy, fitness, centre)
        weights = self._scale * found
        warn_of_values(self._kernel.objective, self._strategy, [(tuple(fitness), differences)], leaves)
        return KernelResult(value, self.weighed(leaves, key, weights))

    def values(self, leaves: Leaves, key: Key) -> tuple[NDArray[np.float64], Any]:
        """Return the values `(1 or 2 sides, N)` along all directions of a key, and f(x) where differences give it."""
        parts = list(self._crew.run(EvolutionKernel.values, leaves, self._groups, [(key,)] * len(self._groups)))
        return np.concatenate([part for part, _ in parts], axis=1), parts[0][1]

    def weighed(self, leaves: Leaves, key: Key, weights: NDArray[np.float64]) -> Leaves:
        """Return `sum_k weights[k] * direction_k`."""
        if self._directions is not None:
            point = HostPoint(self._kernel.objective)
            with np.errstate(invalid="ignore", over="ignore"):
                point.weigh(self._directions(key), weights)
            return point.leaves
        arguments = [(key, weights[group[0][0] : group[-1][1]]) for group in self._groups]
        total: Leaves | None = None
        for part in self._crew.run(EvolutionKernel.combined, leaves, self._groups, arguments):
            with np.errstate(invalid="ignore"):
                total = add_leaves(total, part, self._kernel.objective.ops)
        return self._kernel.finished(total)


def _first(value: Array | None, centre: Any) -> Array | None:
    """Return f(x) as it was known before, or as exact differences give it, or None."""
    return value if value is not None or centre is None or isinstance(centre, tuple) else centre
