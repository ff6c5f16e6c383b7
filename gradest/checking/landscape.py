"""The loss as a function of one flat vector in float64, evaluated where the parameters' dtypes round it to."""

import math
import sys
from collections.abc import Callable

import numpy as np

from gradest.backend import Leaves, as_float64
from gradest.lengths import root_mean_square
from gradest.objective import Objective
from gradest.operations import NumpyArray


class Landscape:
    """Evaluates the loss of an objective at flat points `(P,)`, and says how finely it can be told apart there.

    Parameters
    ----------
    value
        Another scalar of the parameter leaves in the loss's place: the slope of the loss along a fixed direction, where
        a second derivative is checked.

    Attributes
    ----------
    start
        Where the gradient is asked.
    scales
        The typical size of each entry, by blocks: directions are drawn in units of it.
    steps
        The step lengths of a sweep in those units, the longest first.
    unit
        What values are told in: 1, but where squares of them, or of gradients, would be out of range.
    """

    def __init__(self, objective: Objective, value: Callable[[Leaves], float] | None = None) -> None:
        self.objective = objective
        layout = objective.layout
        _ = objective.population_path  # the first look at a function of the user's: is it noisy, does it draw?
        self._value = self._loss_value if value is None else value
        self.unit = 1.0
        self._prepared = objective.prepare_value()
        self._blocks = [as_float64(objective.backend, leaf) for leaf in objective.start]
        self.start = np.asarray(layout.flatten(self._blocks), dtype=np.float64)
        self.epsilon = objective.parameter_epsilon
        overall = root_mean_square(self.start) or 1.0
        # A block of zeros has no size of its own; one far smaller than the rest moves at least a little.
        sizes = [max(root_mean_square(b), 1e-3 * overall) for b in self._blocks]
        self.scales = np.asarray(
            layout.flatten([np.full(b.shape, s) for b, s in zip(self._blocks, sizes, strict=True)]), dtype=np.float64
        )
        # 27 steps of ratio 4 in float64, 24 of ratio 2 in float32: of its fewer decades a plateau needs as many steps.
        ratio = 4.0 if self.epsilon < 1e-10 else 2.0
        # In units of the scales: of small parameters too the first step is about 1, where most losses bend.
        longest = 1.0 / max(overall, sys.float_info.min) if overall < 1.0 else 1.0
        # Logarithms apart: beside parameters near 1e-300 the quotient is beyond the range of a float.
        count = int((math.log(longest) - math.log(self.epsilon)) / math.log(ratio)) + 1
        self.steps = tuple(longest * ratio**-k for k in range(count))
        self._make = objective.scoped(
            lambda values, dtype: objective.backend.array(values, dtype=dtype, device=objective.device)
        )

    @property
    def value_epsilon(self) -> float:
        """The relative spacing of the numbers that values are computed in."""
        return self.objective.value_epsilon

    def loss(self, point: NumpyArray) -> tuple[float, NumpyArray]:
        """Return the loss at a flat point in its unit, NaN where it overflows, and that point as the dtypes hold it."""
        objective, backend = self.objective, self.objective.backend
        leaves, blocks = [], []
        parts = zip(objective.layout.unflatten(point), self._blocks, objective.start, objective.dtypes, strict=True)
        for part, start, leaf, dtype in parts:
            if not np.array_equal(part, start):
                leaf = self._make(part, dtype)
                start = as_float64(backend, leaf)
            leaves.append(leaf)
            blocks.append(start)
        value = self._value(tuple(leaves)) / self.unit
        return value, np.asarray(objective.layout.flatten(blocks), dtype=np.float64)

    def _loss_value(self, leaves: Leaves) -> float:
        backend, value = self.objective.backend, self._prepared(leaves)
        return float(as_float64(backend, value) if backend.owns(value) else np.asarray(value, dtype=np.float64))

    def beside(self, generator: np.random.Generator) -> NumpyArray:
        """Return a point that differs from the start by rounding alone."""
        signs = generator.integers(0, 2, self.start.size) * 2 - 1
        return np.asarray(self.start * (1.0 + 2.0 * self.epsilon * signs), dtype=np.float64)

    def leaves_at(self, point: NumpyArray) -> Leaves:
        """Return a flat point as the objective's leaves."""
        objective = self.objective
        parts = zip(objective.layout.unflatten(point), objective.dtypes, strict=True)
        return tuple(self._make(p, d) for p, d in parts)
