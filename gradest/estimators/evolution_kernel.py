"""How an evolution strategy runs: blocks of directions through compiled steps, then weighted sums in index order.

One pass where the weight of a direction depends on its own values alone. Two where it depends on all values
(shaping, batch-mean baselines): the first gathers values, the second draws the same directions again.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Leaves
from gradest.directions import Directions, Noise, as_tangents, root_key
from gradest.estimate import KernelResult
from gradest.estimators.cancellation import rounding_matters, warn_if_cancelled
from gradest.estimators.sampling import add_leaves, bound_step, evaluate_at, place
from gradest.estimators.shaping import centred_weights, shaped_weights
from gradest.objective import Objective
from gradest.operations import Array
from gradest.tangents import Tangent

if TYPE_CHECKING:
    from gradest.estimators.evolution import EvolutionStrategy

Block = tuple[int, int]


class EvolutionKernel:
    """An evolution strategy on one objective, callable with leaves and rng."""

    def __init__(self, estimator: "EvolutionStrategy", objective: Objective) -> None:
        self.estimator = estimator
        self.objective = objective
        self.blocks = estimator.blocks(objective.layout)
        estimator.directions((0, 0), objective)  # refuses now what would not fit the memory budget later
        self._exact = estimator.differences == "exact"
        self._two_passes = estimator.shaping is not None or estimator.baseline in ("leave-one-out", "mean")
        self._needs_value = estimator.baseline == "value" and not self._exact
        self._watch_rounding = not self._exact and rounding_matters(objective.dtype, estimator.sigma)
        self._value = objective.prepare_value()
        self._values = bound_step(objective, self._values_step)
        self._slopes = bound_step(objective, self._slopes_step)
        self._combine = bound_step(objective, lambda noise, weights, data: self._sum(as_tangents(noise), weights))

    def __call__(self, leaves: Leaves, rng: Any) -> KernelResult:
        directions = self.estimator.directions(root_key(rng), self.objective)
        value = self._value(leaves) if self._needs_value else None
        if self._two_passes:
            return self._run_two_passes(leaves, directions, value)
        return self._run_one_pass(leaves, directions, value)

    # -- passes -------------------------------------------------------------------------------------------
    def _run_one_pass(self, leaves: Leaves, directions: Directions, value: Array | None) -> KernelResult:
        total: Leaves | None = None
        watched: list[tuple[Array, Array]] = []
        for block in self.blocks:
            noise = place(self.objective, directions.block(*block))
            part, values, differences, centre = self._slopes(leaves, noise, () if value is None else value)
            value = centre if self._exact else value
            total = add_leaves(total, part)
            if self._watch_rounding:
                watched.append((values, differences))
        self._warn([values for values, _ in watched], [differences for _, differences in watched])
        scale = 1.0 / self.estimator.num_samples
        assert total is not None
        return KernelResult(value, tuple(leaf * scale for leaf in total))

    def _run_two_passes(self, leaves: Leaves, directions: Directions, value: Array | None) -> KernelResult:
        kept: dict[Block, Noise] = {}
        rows: list[NDArray[np.float64]] = []
        for block in self.blocks:
            noise = place(self.objective, directions.block(*block))
            if len(self.blocks) == 1:
                kept[block] = noise
            sides, centre = self._values(leaves, noise)
            value = centre if self._exact else value
            rows.append(np.stack([np.asarray(self.objective.backend.numpy(f), dtype=np.float64) for f in sides]))
        fitness = np.concatenate(rows, axis=1)
        if self._watch_rounding:
            self._warn([fitness], [fitness[0] - (fitness[1] if len(fitness) > 1 else fitness[0].mean())])
        weights = self._weights(fitness, value)
        total: Leaves | None = None
        for block in self.blocks:
            noise = kept[block] if block in kept else place(self.objective, directions.block(*block))
            total = add_leaves(total, self._combine(noise, self._placed(weights[slice(*block)])))
        assert total is not None
        return KernelResult(value, total)

    def _weights(self, fitness: NDArray[np.float64], value: Array | None) -> NDArray[np.float64]:
        estimator = self.estimator
        if estimator.shaping is None:
            return centred_weights(fitness, estimator.baseline, estimator.sigma)
        centre = float(fitness[0].mean())
        if estimator.baseline == "value":
            centre = 0.0 if self._exact else float(self.objective.backend.numpy(value))
        return shaped_weights(fitness, estimator.shaping, centre)

    # -- steps, traced by frameworks that compile ----------------------------------------------------------
    def _values_step(self, leaves: Leaves, noise: Noise, data: Any) -> tuple[tuple[Array, ...], Any]:
        """Return the values `(K,)` of each side (differences from f(x) where exact), and f(x) where exact."""
        sides: list[Array] = []
        centre: Any = ()
        for sign in (1.0, -1.0) if self.estimator.antithetic else (1.0,):
            moved = [tangent.scaled(sign * self.estimator.sigma) for tangent in as_tangents(noise)]
            if self._exact:
                centre, differences = self.objective.evaluate_differences(leaves, moved, data)
                sides.append(differences)
            else:
                sides.append(evaluate_at(self.objective, leaves, moved, data))
        return tuple(sides), centre

    def _slopes_step(self, leaves: Leaves, noise: Noise, value: Any, data: Any) -> tuple[Leaves, Array, Array, Any]:
        """Return `sum_k slope_k v_k`, values, differences and f(x) where exact; slope = difference / sigma."""
        sides, centre = self._values_step(leaves, noise, data)
        if self.estimator.antithetic:
            differences = (sides[0] - sides[1]) * 0.5
        else:
            differences = sides[0] - value if self._needs_value else sides[0]
        slopes = differences * (1.0 / self.estimator.sigma)
        return self._sum(as_tangents(noise), slopes), sides[0], differences, centre

    # -- small parts ----------------------------------------------------------------------------------------
    def _sum(self, tangents: Sequence[Tangent], weights: Array) -> Leaves:
        return tuple(tangent.combine(self.objective.ops, weights) for tangent in tangents)

    def _placed(self, weights: NDArray[np.float64]) -> Array:
        return self.objective.backend.array(weights, dtype=self.objective.dtype, device=self.objective.device)

    def _warn(self, values: Sequence[Array], differences: Sequence[Array]) -> None:
        if not self._watch_rounding:
            return
        to_numpy = self.objective.backend.numpy
        found = [v if isinstance(v, np.ndarray) else to_numpy(v) for v in values]
        moved = [d if isinstance(d, np.ndarray) else to_numpy(d) for d in differences]
        if not (self.estimator.antithetic or self._needs_value or self._two_passes):
            centre = np.concatenate(found).mean()  # one-sided values without a baseline differ from their mean
            moved = [d - centre for d in moved]
        warn_if_cancelled(found, moved, self.objective.dtype, self.estimator.sigma)
