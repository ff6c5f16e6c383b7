"""Whether a loss goes by stairs: a part of it is computed more coarsely than the rest, such as in float32.

Over distances shorter than one stair that part does not change, and slopes are those of the rest alone: they agree with
each other, as those of a smooth function do that bends on a longer length. What tells is where they part: a smooth
function leaves a straight line gradually, a kink without a jump, one jump alone but once. This module knows no rule.
"""

import math
from collections.abc import Callable

_CERTAIN = 3.0  # deviations of a loss beside which what two of them differ by is seen

_ABRUPT = 200.0  # times as far off over one length, where a shorter one shows nothing: a cube falls by 76

_HALVINGS = 12

_SEEN, _JUMPS = 0.01, 0.05  # of what a longer length is off by: a kink passes the one without reaching the other

_MANY = 8.0  # stairs on the way to the longest length, by which one jump is told from them


def height_of_stairs(
    loss: Callable[[float], float], furthest: float, least: float, deviation: float, *, shorter: float
) -> float:
    """Return how high the stairs of a loss of one distance are, 0 where it goes by none.

    Parameters
    ----------
    furthest, least
        Between which distances the loss is looked at, each `shorter` times shorter than the last.
    deviation
        The standard deviation of a loss where it goes by no stairs.
    """
    lengths, here = [furthest], loss(0.0)
    while lengths[-1] / shorter >= least:
        lengths.append(float(round(lengths[-1] / shorter / least)) * least)
    slope = math.nan  # over the shortest lengths, where the stairs do not show

    def off(t: float) -> float:
        return abs(loss(t) - here - slope * t)

    for longer, length, shortest in zip(lengths, lengths[1:], lengths[2:], strict=False):
        slope, settled = ((loss(t) - loss(-t)) / (2 * t) for t in (shortest, length))
        if not abs(slope - settled) * shortest <= _CERTAIN * deviation:
            continue
        side = longer if off(longer) > off(-longer) else -longer
        if off(side) <= _ABRUPT * _CERTAIN * deviation:
            return 0.0
        height = _jump(off, side, _SEEN * off(side), least)
        whole = abs(loss(furthest) - loss(-furthest) - 2 * slope * furthest)
        return height if height > _JUMPS * off(side) and whole > _MANY * height else 0.0
    return 0.0


def _jump(off: Callable[[float], float], far: float, seen: float, least: float) -> float:
    """Return how far a loss is off at the nearest place where that is seen, of those between here and a far one."""
    near = 0.0
    for _ in range(_HALVINGS):
        middle = round((near + far) / (2 * least)) * least
        near, far = (near, middle) if off(middle) > seen else (middle, far)
    return off(far)
