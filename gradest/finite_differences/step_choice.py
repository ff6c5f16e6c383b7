"""Which steps a sweep of differences takes: given, or chosen by a word from what is seen of the loss.

This module takes no difference; it evaluates the loss to look about it, and to measure its noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradest.backend import Leaves
from gradest.coordinates import Chunk
from gradest.directions.keys import Rng
from gradest.dtypes import as_floats
from gradest.finite_differences.bending import Surroundings, look_around
from gradest.finite_differences.displaced_losses import Evaluation
from gradest.finite_differences.lengths_of_bending import Extent
from gradest.finite_differences.noise_level import measure_noise
from gradest.finite_differences.rules import QuotientRule
from gradest.finite_differences.steps import (
    Scale,
    automatic_step,
    shortened,
    steps_of,
    typical_sizes,
    whole_multiples,
)
from gradest.objective import Objective
from gradest.operations import NumpyArray

Floats = NumpyArray

_SHARPER = 8.0  # how many times shorter than presumed a length must be for steps to follow it

_FAR_LONGER = (1.0, 4.0)  # beside the length on which the loss bends, of one side and of both: distances that tell no
# slope by any rule; what is found is about half of that length

_NOISY_REACH = 1e-3  # of the size of a parameter

_REACH = 0.5  # of the length on which the loss is presumed to bend, that of log(1 + x): how far the points may lie


@dataclass(frozen=True)
class StepChoice:
    """A rule and the step that is asked for it, a number or a word; see `FiniteDifference` for the fields.

    Attributes
    ----------
    exact
        Whether differences are free of cancellation: any step is long enough for them.
    """

    rule: QuotientRule
    step: str | float
    mode: str
    scale: Scale
    exact: bool

    def look_around(self, objective: Objective, evaluation: Evaluation) -> Surroundings | None:
        """Return what is seen of the loss about the start point, where steps or errors ask and it may be evaluated."""
        unasked = not isinstance(self.step, str) and self.rule.lower is None
        if unasked or self.exact or not objective.verifies:
            return None
        points = points_of(objective, objective.start)
        step = self._automatic(max(objective.parameter_epsilon, objective.value_epsilon))
        shortest, longest = min(self.rule.multiples), max(self.rule.multiples)
        sizes, look = typical_sizes(self.scale, objective.layout), objective.scoped(look_around)
        units = steps_of(points, 1.0, self.mode, sizes)
        side, reach = self.rule.side, longest * (step if isinstance(self.step, str) else self.step)
        if self.step == "noise":
            reach = max(reach, _NOISY_REACH)  # the loss may be noisier than its dtype rounds, and the step longer
        extent = Extent(reach, reach / (_SHARPER * step), side)
        if not isinstance(self.step, str):
            far = shortest * self.step / _FAR_LONGER[side == 0]
            extent = Extent(reach, far, side, 4 * far)  # several are moved on the line, and what one does is diluted
        found: Surroundings = look(objective, evaluation, points, units, extent)
        if found.stairs and self.step == "auto":  # steps are longer then, and the loss may bend on their way
            step = self._automatic(found.stairs)
            reach = max(reach, longest * step)
            further: Surroundings = look(
                objective, evaluation, points, units, Extent(reach, reach / (_SHARPER * step), side)
            )
            found = replace(further, stairs=max(found.stairs, further.stairs))
        return found

    def steps(
        self, objective: Objective, points: Sequence[Floats], rng: Rng, around: Surroundings | None
    ) -> tuple[tuple[Floats, ...], float]:
        """Return the steps, a flat array for each block, and the noise where it was measured."""
        dtypes, sizes = objective.dtypes, typical_sizes(self.scale, objective.layout)
        units = steps_of(points, 1.0, self.mode, sizes)
        bends, rounded, _ = ((), (), ()) if around is None or not isinstance(self.step, str) else around.bends
        if bends:
            units = tuple(
                np.minimum(unit, length).astype(unit.dtype) for unit, length in zip(units, bends, strict=True)
            )
        stairs = 0.0 if around is None else around.stairs
        step, error, noise = self._step(objective, points, units, rng, stairs)
        steps = steps_of(points, step, self.mode, sizes)
        if bends:
            power, longest = 1 / (self.rule.order + 1), self._longest
            shares = [np.minimum(self._balanced(1.0) * np.maximum(error, r) ** power, longest) for r in rounded]
            steps = shortened(points, steps, shares, bends, dtypes)
        if not self.exact and len(self.rule.multiples) > 1:
            steps = whole_multiples(points, steps, self.rule.multiples, dtypes)
        return steps, noise

    def hidden(self, around: Surroundings | None, chunk: Chunk, step: Floats) -> Floats | None:
        """Return what part of its slope each entry of a chunk may hide from a given step, far too long; None if none.

        `step` has the steps of the entries, `(K,)`.
        """
        if around is None or not around.bends[0] or isinstance(self.step, str):
            return None
        lengths, _, parts = (each[chunk.block][chunk.place] for each in around.bends)
        found: Floats = np.where(
            min(self.rule.multiples) * step > _FAR_LONGER[not self.rule.side] * lengths, parts, 0.0
        )
        return found

    # -- internals ----------------------------------------------------------------------------------------
    def _automatic(self, error: float) -> float:
        return min(self._balanced(error), self._longest)

    def _balanced(self, error: float) -> float:
        rule = self.rule
        return automatic_step(error, order=rule.order, remainder=rule.remainder, amplification=rule.amplification)

    @property
    def _longest(self) -> float:
        """The longest step by words: beyond the radius of a loss's series its first term is no measure of an error."""
        return _REACH / max(self.rule.multiples) if self.rule.order > 2 else math.inf

    def _step(
        self, objective: Objective, points: Sequence[Floats], units: Sequence[Floats], rng: Rng, stairs: float
    ) -> tuple[float, float, float]:
        """Return the step for parameters of size one, by how much of its size a loss is off, and what was measured."""
        if not isinstance(self.step, str):
            return self.step, 0.0, 0.0
        # The coarsest of the blocks' dtypes decides, whose entries must feel the step too, and of the loss's own.
        spacing = objective.parameter_epsilon
        if self.exact:
            return spacing, 0.0, 0.0  # nothing cancels: truncation may be made as small as rounding
        if self.step == "noise":
            level, variation = measure_noise(objective, points, units, rng)
            return self._automatic(level / variation), level / variation, level
        error = max(spacing, objective.value_epsilon, stairs)
        return self._automatic(error), error, 0.0


def points_of(objective: Objective, leaves: Leaves) -> tuple[Floats, ...]:
    """Return leaves on the host, in dtypes that NumPy computes in."""
    each = zip(leaves, objective.dtypes, strict=True)
    return tuple(as_floats(objective.backend.numpy(leaf), dtype) for leaf, dtype in each)
