"""Whether a loss goes by stairs: a part of it is computed more coarsely than the rest, such as in float32.

Over distances shorter than one stair that part does not change, and slopes are those of the rest alone: they agree with
each other, as those of a smooth function do that bends on a longer length. What tells is where they part: a smooth
function leaves a straight line gradually, a kink without a jump, one jump alone but once. This module knows no rule.
"""

import math
from collections.abc import Callable
from functools import partial

_SETTLED = 10.0  # deviations of a loss that slopes may make of rounding: values of one level may be off alike

_ABRUPT = 600.0  # likewise, by which a longer length has to be off to be looked at

_ABRUPT_AMONG_LOWER = 100.0  # likewise, where lower stairs are the deviation, which is bounded by their height

_HALVINGS = 12

_SEEN, _JUMPS = 0.01, 0.05  # of what a longer length is off by: a kink passes the one without reaching the other

_MANY = 8.0  # stairs on the way to the longest length, by which one jump is told from them


def height_of_stairs(
    loss: Callable[[float], float], furthest: float, least: float, deviation: float, *, shorter: float
) -> float:
    """Return how high the stairs of a loss of one distance are, the highest of several, 0 where it goes by none.

    Parameters
    ----------
    furthest, least
        Between which distances the loss is looked at, each `shorter` times shorter than the last.
    deviation
        The standard deviation of a loss where it goes by no stairs.
    """
    lengths = [furthest]
    while lengths[-1] / shorter >= least:
        lengths.append(float(round(lengths[-1] / shorter / least)) * least)
    highest = 0.0
    # From the shortest: where stairs are crossed two slopes may agree by chance, of lengths in a ratio of two or four.
    for shortest, length, longer in zip(lengths[::-1], lengths[-2::-1], lengths[-3::-1], strict=False):
        slope, settled = ((loss(t) - loss(-t)) / (2 * t) for t in (shortest, length))
        if not abs(slope - settled) * shortest <= _SETTLED * deviation:
            continue
        off = partial(_off, loss, slope)
        if not off(longer) > (_ABRUPT_AMONG_LOWER if highest else _ABRUPT) * deviation:
            continue
        height = _jump(loss, off, longer, least)
        whole = 2 * off(furthest)
        if height > 0 and whole > _MANY * height:
            # Among these lower stairs there may be higher ones, of a part that is coarser still: slopes settle anew, as
            # far as the lower ones let them.
            highest, deviation = height, max(deviation, height / math.sqrt(12))
    return highest


def nearest_jump(loss: Callable[[float], float], shortest: float, furthest: float, deviation: float) -> float:
    """Return how far a loss jumps where it leaves its slope over the shortest length, 0 where it leaves gradually.

    It jumps within the furthest length, if at all: on one of its stairs, and not where it bends on such a length.
    Lengths are whole numbers.
    """
    off = partial(_off, loss, (loss(shortest) - loss(-shortest)) / (2 * shortest))
    return _jump(loss, off, furthest, 1.0) if off(furthest) > _ABRUPT_AMONG_LOWER * deviation else 0.0


def _off(loss: Callable[[float], float], slope: float, t: float) -> float:
    """Return how far a loss is off a line, without what is alike on both sides: a smooth loss leaves it as `t^3`."""
    return abs((loss(t) - loss(-t)) / 2 - slope * t)


def _jump(loss: Callable[[float], float], off: Callable[[float], float], longer: float, least: float) -> float:
    """Return how far a loss jumps at the nearest place where it is off, 0 where it gets there without a jump."""
    near, far, whole = 0.0, longer, off(longer)
    for _ in range(_HALVINGS):
        middle = round((near + far) / (2 * least)) * least
        near, far = (near, middle) if off(middle) > _SEEN * whole else (middle, far)
        if off(far) <= _JUMPS * whole:
            return 0.0
    return max(abs(loss(far) - loss(near)), abs(loss(-far) - loss(-near)))
