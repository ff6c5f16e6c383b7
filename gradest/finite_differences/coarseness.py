"""How coarsely a loss computes inside, as its values along one line show it: by stairs, or by as good as noise.

A part that is in float32 goes by stairs, which are known by the slope between them (`stairs`). Where parameters are
converted to half precision, as under mixed precision, and so is all that follows from them, each of many entries and of
many numbers in between is rounded at a place of its own: over the length of a step that is as good as noise, although
the loss itself is a number of float32. A step that suits float32 gives a gradient of little else. This module knows no
rule.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from gradest.dtypes import epsilon
from gradest.finite_differences.noise_level import deviation_of, highest_level, noise_level, variation_over
from gradest.finite_differences.stairs import height_of_stairs
from gradest.operations import NumpyArray

Floats = NumpyArray

SHORTER = 4.236
"""How much shorter each length is than the last: no whole number, as multiples of a period would look alike."""

_FURTHER = 2e-2  # of the length on which the loss is presumed to bend: how far away is looked

_STRAIGHT = 1e-3  # of a slope: what it changes by over that length, of a loss that bends on a quarter of the presumed

_CERTAIN = 3.0  # deviations of a loss beside which what two of them differ by is seen

_SIDE, _CLOSER = 3, 4  # points on either side that tell noise, and how much closer the second such points are

_FALLS = 2.5  # how much less the closer ones may show: noise of many small roundings half as much, a kink a quarter

_ABOVE_ROUNDING = 8.0  # epsilons of the loss: a sum of some hundred terms is off by no more

COARSEST = epsilon("bfloat16")
"""The largest error that is taken, beside what the loss varies by: nothing computes more coarsely."""


class Line(NamedTuple):
    """A loss along a line, of whole numbers of the shortest distance.

    Attributes
    ----------
    loss
        The loss at a place.
    many
        How far a rule goes.
    unit
        The length on which the loss is presumed to bend.
    end
        Where the first entry becomes zero, where a loss may end.
    """

    loss: Callable[[float], float]
    many: float
    unit: float
    end: float


class Coarseness(NamedTuple):
    """By how much values are off, their standard deviation, and the error of an evaluation that steps have to suit.

    The error is that of a loss of size one which varies by as much: the height of stairs beside the size of the loss,
    and noise beside what the loss varies by. Both are 0 where no more shows than what was known.
    """

    deviation: float
    error: float


def coarseness_of(
    line: Line, near: Floats, *, deviation: float, spacing: float, resolved: bool, suspect: bool
) -> Coarseness:
    """Return how coarsely a loss computes inside, beyond what the spacing of its values tells.

    Parameters
    ----------
    near
        Losses at the nearest places, the start point in the middle.
    deviation
        The standard deviation of the loss there at most.
    spacing
        The relative distance of the numbers that values are computed in.
    resolved
        Whether those values are told apart, and not the same for the most part.
    suspect
        Whether slopes over several lengths differ.
    """
    suspect = suspect or not resolved
    far, size = max(line.many, float(math.floor(min(line.unit * _FURTHER, line.end / 2)))), float(np.abs(near).max())
    if far > line.many:
        wide, slope = ((line.loss(k) - line.loss(-k)) / (2 * k) for k in (far, line.many))
        differs = abs(wide - slope) > _CERTAIN * deviation / line.many + _STRAIGHT * max(abs(wide), abs(slope))
        suspect = suspect or differs
        far = far if math.isfinite(wide) else line.many
    height = height_of_stairs(line.loss, far, 1.0, deviation, shorter=SHORTER, epsilon=spacing) if suspect else 0.0
    # Higher ones are steps of the loss itself, such as a share of examples: it has no slope, which differences say.
    if 0 < height <= COARSEST * size:
        return Coarseness(height / math.sqrt(12), height / size)
    seen = _ABOVE_ROUNDING * spacing * size
    # A quick oscillation is no noise: near places lie on a smooth curve there, and are told apart.
    if resolved and deviation <= seen:
        return Coarseness(0.0, 0.0)
    told = noise_level(near) if resolved else None
    noise = max(told or 0.0, noise_over(line.loss, min(far, line.unit * _FURTHER), spacing * size))
    # More than any dtype rounds by is no rounding: along the line an entry of a far smaller scale than others turns.
    if not seen < noise <= COARSEST * size:
        return Coarseness(0.0, 0.0)
    varies = variation_over(lambda t: line.loss(float(round(t * line.unit))), line.loss(0.0), noise, size)
    return Coarseness(noise, min(math.sqrt(12) * noise / varies, COARSEST))


def nearest_zero(points: Sequence[Floats], moves: Sequence[Floats]) -> float:
    """Return by how many moves an entry reaches zero, the first that does; infinite where none moves towards it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = [np.abs(x / move)[(x != 0) & (move != 0)] for x, move in zip(points, moves, strict=True)]
    return min(float(np.min(each, initial=math.inf)) for each in ends)


def noise_over(loss: Callable[[float], float], furthest: float, rounding: float) -> float:
    """Return the standard deviation of what is not smooth in a loss over a distance, 0 where it is no noise.

    What bends leaves differences of a high order, and those over a shorter distance are smaller by far.
    """
    found = []
    for apart in (furthest // _SIDE, furthest // _SIDE // _CLOSER):
        if apart <= 1:
            return 0.0
        values = np.array([loss(k * apart) for k in range(-_SIDE, _SIDE + 1)])
        # On each side by itself: one jump is on one of them, and no noise.
        sides = min(highest_level(values[: _SIDE + 1]), highest_level(values[_SIDE:]))
        if not np.isfinite(values).all() or sides <= rounding:
            return 0.0
        found.append(deviation_of(values))
    wide, close = found
    return wide if wide <= _FALLS * close else 0.0
