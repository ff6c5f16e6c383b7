"""Whether a loss goes by stairs: a part of it is computed more coarsely than the rest, such as in float32.

Over distances shorter than one stair that part does not change, and slopes are those of the rest alone: they agree with
each other, as those of a smooth function do that bends on a longer length. What tells is where they part: a smooth
function leaves a straight line gradually, a kink without a jump, one jump alone but once. This module knows no rule.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from gradest.operations import NumpyArray

_SETTLED = 10.0  # deviations of a loss that slopes may make of rounding: values of one level may be off alike

_ABRUPT = 600.0  # likewise, by which a longer length has to be off to be looked at

_ABRUPT_ON_A_STAIR = 100.0  # likewise, where near points are known to lie on one stair

_SEEN = 0.2  # of what a jump is off by at least: a kink and a bend pass this before they reach the whole

_JUMPS = 0.05  # of what a longer length is off by, which a jump is off by where lengths are too few to see a bend

_LOWER = 6.0  # how much lower than what is abrupt one jump may be, if several on the way add up to it

_FINE = 64.0  # of the least lengths: from there on no bend multiplies in one more of them what it is off by

_BEYOND = 3.0  # steps further than a jump, where a kink is off by four times as much at least

_EACH_SIDE = 8  # equal distances on either side at which stairs are told from a single jump

_SPREAD = 8.7  # of those to the furthest length: stairs in binary are in step with points a power of two apart

_ORDER = 4  # of the differences of those: one jump is in five of thirteen, which leaves their median to the rest

_MANY = 0.1  # of a jump: what the losses there are off by, at least, if there are others like it

_DEEPER, _INTERVALS = 18, 3  # halvings towards the highest jump, each from so many places

_PARTS = 2.0  # jumps that the losses are off by, from which on several parts go by stairs of their own

_MOST_PARTS = 50.0  # likewise, beyond which it is no stairs that they are off by


def height_of_stairs(
    loss: Callable[[float], float],
    furthest: float,
    least: float,
    deviation: float,
    *,
    shorter: float,
    epsilon: float = 0.0,
) -> float:
    """Return how high the stairs of a loss of one distance are, the highest of several, 0 where it goes by none.

    Parameters
    ----------
    furthest, least
        Between which distances the loss is looked at, each `shorter` times shorter than the last.
    deviation
        The standard deviation of a loss near the point where it goes by no stairs.
    epsilon
        The relative distance of the numbers that it is computed in: a larger loss, further away, is rounded more.

    Notes
    -----
    A first jump is found from near: where slopes have settled, and a longer length is off abruptly. What other stairs
    there are is found from afar, because slopes do not settle among stairs: those of two parts may be nearly as high.
    Where many parts have stairs of their own, as where each entry is rounded, what they add up to is the height.
    """
    lengths = [furthest]
    while lengths[-1] / shorter >= least:
        lengths.append(float(round(lengths[-1] / shorter / least)) * least)
    # From the shortest: where stairs are crossed two slopes may agree by chance, of lengths in a ratio of two or four.
    for shortest, length, longer in zip(lengths[::-1], lengths[-2::-1], lengths[-3::-1], strict=False):
        slope, settled = ((loss(t) - loss(-t)) / (2 * t) for t in (shortest, length))
        if not abs(slope - settled) * shortest <= _SETTLED * deviation:
            continue
        off = partial(_off, loss, slope)
        rounded = max(deviation, epsilon * max(abs(loss(longer)), abs(loss(-longer))) / math.sqrt(12))
        first = _jump(loss, off, longer, least, _ABRUPT * rounded)
        if first > 0 and (height := _highest(loss, furthest, least, shorter, first, slope)) > 0:
            return height
    return 0.0


def _highest(
    loss: Callable[[float], float], furthest: float, least: float, shorter: float, first: float, slope: float
) -> float:
    """Return the height of the highest stairs of a loss that jumps near the point, 0 if there it jumps alone."""
    apart = [least * max(1.0, round(furthest / _SPREAD / least / part)) for part in (1.0, shorter)]
    rows = [np.array([loss(k * each) for k in range(-_EACH_SIDE, _EACH_SIDE + 1)]) for each in apart]
    # Regular stairs may be in step with equally spaced points, which then show none: hence two distances.
    widths = [math.sqrt(12) * _irregularity(row) for row in rows]
    if not max(widths) > _MANY * first:
        return 0.0
    jump = max(first, _highest_jump(loss, rows[0], apart[0], least, slope))
    several = min(widths)
    return several if _PARTS * jump < several < _MOST_PARTS * jump else jump


def _irregularity(values: NumpyArray) -> float:
    """Return the standard deviation of noise in equally spaced values, as most of them show it: not of one jump."""
    differences = np.abs(np.diff(values, _ORDER))
    # 0.6745 deviations are the median of a normal law; independent values make a variance of binomial(2k, k).
    return float(np.median(differences)) / 0.6745 / math.sqrt(math.comb(2 * _ORDER, _ORDER))


def _highest_jump(
    loss: Callable[[float], float], values: NumpyArray, apart: float, least: float, slope: float
) -> float:
    """Return the highest jump that is found between equally spaced values by halving, towards where most is off.

    `slope` is that of a stair, not of all the stairs: beside theirs a half without a jump is off, too.
    """

    def off(a: float, b: float) -> float:
        return abs(loss(b) - loss(a) - slope * (b - a))

    found = 0.0
    for place in np.argsort(-np.abs(np.diff(values) - slope * apart))[:_INTERVALS]:
        a, b = (place - _EACH_SIDE) * apart, (place + 1 - _EACH_SIDE) * apart
        for _ in range(_DEEPER):
            middle = float(round((a + b) / (2 * least))) * least
            a, b = (a, middle) if off(a, middle) > off(middle, b) else (middle, b)
        # Far from the point the rest has another slope, which shows beside the jump.
        found = max(found, abs(loss(b) - 2 * loss(a) + loss(2 * a - b)))
    return found


def nearest_jump(loss: Callable[[float], float], shortest: float, furthest: float, deviation: float) -> float:
    """Return how far a loss jumps where it leaves its slope over the shortest length, 0 where it leaves gradually.

    It jumps within the furthest length, if at all: on one of its stairs, and not where it bends on such a length.
    Lengths are whole numbers.
    """
    off = partial(_off, loss, (loss(shortest) - loss(-shortest)) / (2 * shortest))
    return _jump(loss, off, furthest, 1.0, _ABRUPT_ON_A_STAIR * deviation)


def _off(loss: Callable[[float], float], slope: float, t: float) -> float:
    """Return how far a loss is off a line, without what is alike on both sides: a smooth loss leaves it as `t^3`."""
    return abs((loss(t) - loss(-t)) / 2 - slope * t)


def _jump(
    loss: Callable[[float], float], off: Callable[[float], float], longer: float, least: float, abrupt: float
) -> float:
    """Return how far a loss jumps at the nearest place where it is off, 0 where it gets there without a jump.

    What counts as off is a matter of its rounding alone: beside higher stairs further away the nearest may be low.
    """
    whole = off(longer)
    if not whole > abrupt:
        return 0.0
    for jump, least_near in ((abrupt, _FINE * least), (max(abrupt / _LOWER, _JUMPS * whole), 0.0)):
        near, far = 0.0, longer
        while off(far) > jump:
            middle = float(round((near + far) / (2 * least))) * least
            if not near < middle < far:
                break
            near, far = (near, middle) if off(middle) > _SEEN * jump else (middle, far)
        # A kink is as abrupt where lengths are coarse: beyond it what is off goes on to grow, beyond a jump it stays.
        if off(far) > jump and near >= least_near and off(far + _BEYOND * (far - near)) < _BEYOND * off(far):
            return max(abs(loss(far) - loss(near)), abs(loss(-far) - loss(-near)))
    return 0.0
