"""One difference quotient for each entry of a chunk: the losses that it is made of, and what follows from them.

Losses come in the framework's arrays; quotients are computed on the host, in float64 or wider.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from gradest.backend import Leaves
from gradest.coordinates import Chunk
from gradest.finite_differences.displaced_losses import Displaced, DisplacedLosses, Displacement
from gradest.objective import Objective
from gradest.operations import Array, NumpyArray

Floats = NumpyArray


@dataclass(frozen=True, eq=False)
class Quotient:
    """What one quotient is made of, on the host: the losses (or exact differences) after each displacement.

    Attributes
    ----------
    losses
        `(K,)` each, in float64 or wider: one for a side that is looked at.
    distance
        How far those of the two sides lie apart, or the one from the point, `(K,)`.
    """

    losses: tuple[Floats, ...]
    distance: Floats

    def divide(self, before: Floats | float) -> Floats:
        """Return the quotients `(K,)`; `before` is what a one-sided one subtracts."""
        after = self.losses[0]
        if len(self.losses) == 2:
            before = self.losses[1]
        quotient: Floats = (after - before) / self.distance.astype(after.dtype)
        return quotient

    def gap(self, before: Floats | float) -> Floats:
        """Return by how much the slope ahead of the point is larger than the one behind, `(K,)`."""
        ahead, behind = self.losses
        found: Floats = (ahead - 2 * before + behind) / (self.distance.astype(ahead.dtype) / 2)
        return found

    @property
    def size(self) -> float:
        """The largest of the losses, without its sign."""
        return max(float(np.abs(losses).max(initial=0.0)) for losses in self.losses)


@dataclass(frozen=True, eq=False)
class Begun:
    """A quotient whose losses are being computed in the framework, `sides` of the point, at a distance `(K,)`."""

    sides: tuple[Displaced, ...]
    distance: Floats

    @property
    def value(self) -> Array | None:
        """The loss at the point itself where exact differences come with it, else None."""
        return self.sides[0].value

    def awaited(self, objective: Objective) -> Quotient:
        """Return the quotient once its losses are there; they cross to the host here, each of them once."""
        return Quotient(tuple(_awaited(objective, side) for side in self.sides), self.distance)


def _awaited(objective: Objective, side: Displaced) -> Floats:
    losses = wide(objective, side.losses)
    if side.again is None or not np.isnan(losses).any():
        return losses
    return wide(objective, side.again())


def begin(evaluate: DisplacedLosses, leaves: Leaves, chunk: Chunk, sides: tuple[Displacement, ...]) -> Begun:
    """Return the evaluations of one quotient for each entry of a chunk, not awaited."""
    moves = [move.of(chunk) for move in sides]
    distance = moves[0] - moves[1] if len(moves) == 2 else moves[0]
    return Begun(tuple(evaluate(leaves, chunk, move) for move in sides), distance)


def wide(objective: Objective, array: Array) -> Floats:
    """Return an array on the host in float64, or wider where it is."""
    values = objective.backend.host(array)  # read once, here: each way out of a framework takes it some microseconds
    return values.astype(np.result_type(np.float64, values.dtype) if values.dtype.kind == "f" else np.float64)


def weighted(weights: Sequence[Fraction], values: Sequence[Floats]) -> Floats:
    """Return the sum of values `(K,)`, each by its weight."""
    if len(values) == 1:  # the weights add up to 1
        return values[0]
    return sum((float(w) * v for w, v in zip(weights, values, strict=True)), np.zeros_like(values[0]))
