"""The length on which a loss of one distance bends, from slopes over several lengths. It knows no rule."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from gradest.finite_differences.coarseness import SHORTER
from gradest.finite_differences.noise_level import deviation_of

_CERTAIN = 3.0  # deviations of a loss beside which what two of them differ by is seen

_ALONE = 3.0  # times as certain as that where no shorter length can confirm it

_SHARE = 0.5  # of a length that is known from two slopes, whose next terms are unknown

_SETTLED = 2  # lengths in a row over which nothing shows: one may be a multiple of a period

_BESIDE = 3  # points on either side that tell how an entry's own values are rounded

# Times the curvature over a longer length: of a kink at most `SHORTER`, of a peak between both its square.
_TURNED = 8.0


class Extent(NamedTuple):
    """How far a rule goes, beside the lengths on which a loss is presumed to bend.

    Attributes
    ----------
    reach
        The longest distance that it moves an entry, in those lengths.
    short
        The length, beside the presumed one, below which an entry's own is told.
    side
        To which side a rule of one side goes, 1 or -1; 0 of a central rule.
    presumed
        Less than what of that length is short on the line: all of it where steps are chosen, a step where one is given.
    """

    reach: float
    short: float
    side: int
    presumed: float = 1.0


def confirmed_bending(
    loss: Callable[[float], float], unit: float, apart: float, deviation: float, extent: Extent
) -> tuple[float, float, float]:
    """Return `length_of_bending`, looked for again where values close by are rounded more than they were taken to be.

    The few values that tell how a loss is rounded may agree by chance, as those of a polynomial near its zero do. Its
    rounding is then taken for a bend on the shortest length, and a step that suits it finds nothing else.
    """
    found = length_of_bending(loss, unit, apart, 4 * apart, deviation, extent)
    if found[0] < extent.short * unit:
        own = deviation_of(np.array([loss(4 * k * apart) for k in range(-_BESIDE, _BESIDE + 1)]))
        if own > deviation:
            return length_of_bending(loss, unit, apart, 4 * apart, own, extent)
    return found


def length_of_bending(
    loss: Callable[[float], float], unit: float, apart: float, least: float, deviation: float, extent: Extent
) -> tuple[float, float, float]:
    """Return the length on which a loss of one distance bends, and two parts, of what it varies by and of its slope.

    The first is how far it is off beside what it varies by over that length, the other the largest part of it that
    slopes over two lengths differ by.

    Parameters
    ----------
    unit, least
        The length on which it is presumed to bend, of which the longest distance of quotients is the reach, and the
        shortest distance: each is several times shorter than the last, in multiples of `apart`.
    deviation
        The standard deviation of a loss.
    extent
        How far a rule goes, and to which side.

    Notes
    -----
    With `D(t)` a central quotient, `D(t) - D(0) ~ t^2 f''' / 6`, and `L = t sqrt(|f'| / (6 |D(t) - D(0)|))` is the
    length of bending, the same for each t that is short beside it; of one side `D(t) - D(0) ~ t f'' / 2`, and
    `L = t |f'| / (2 |D(t) - D(0)|)`: a quadratic loss bends for it, and for a central quotient nowhere. A small and
    quick oscillation changes the quotient at no distance by much, and by more the shorter it is, down to its own
    length: there is the least L. Where the change cannot be told from rounding, it cannot be over shorter distances:
    that of a smooth function falls with t, that of an oscillation grows as `1 / t`, as rounding does.
    """
    side, here, t, before = extent.side, loss(0.0), apart * round(extent.reach * unit / apart), None
    deviation = max(deviation, float(np.finfo(np.float64).tiny))  # of a loss that is zero throughout
    ends, rounding, pairs = math.inf, 0.0, list[_Pair]()
    # Beyond the unit a loss may be level, as a peak is far from it: that nothing shows there tells nothing of it.
    while t >= least and not (t < unit and len(pairs) >= _SETTLED and _settled(pairs[-_SETTLED:])):
        up, down = (loss(side * t), here) if side else (loss(t), loss(-t))
        if not (math.isfinite(up) and math.isfinite(down)):  # the loss ends within this distance
            ends, before = t, None
        else:
            slope, gap, lost = (up - down) / (2 * t), abs(up - 2 * here + down) / t, _CERTAIN * deviation / t
            if side:
                slope, gap = 2 * slope, 0.0
            if before is None and ends < math.inf:  # 1e-12 from its end a loss varies by less than it is rounded
                rounding = deviation / (max(abs(slope), gap, lost) * ends)
            if before is not None:
                longer, wide, sides, blurred = before
                bent, size = abs(wide - slope), max(abs(wide), abs(slope), sides, lost)
                times = math.inf if bent == 0 else size / (2 * bent) if side else math.sqrt(size / (6 * bent))
                length = _SHARE * longer * times
                turned = gap > 2 * lost and gap / t > _TURNED * sides / longer
                pairs.append(
                    _Pair(length, deviation / (size * length), bent, bent / (lost + blurred), bent / size, turned)
                )
            before = t, slope, gap, lost
        t = apart * round(t / SHORTER / apart)
    seen = [pair for k, pair in enumerate(pairs) if pair.tells(pairs[k + 1 : k + 3])]
    part = max((pair.part for pair in seen), default=0.0)
    return *min([(ends, rounding), *((pair.length, pair.rounding) for pair in seen)]), part


class _Pair(NamedTuple):
    """Two lengths over which slopes differ by `bent`, `sure` times what rounding makes, a `part` of the larger one.

    It has `turned` between them where the curvature over the shorter one is far larger: the losses on both sides agree
    over both lengths, and not with the one in the middle, which lies on a peak far narrower than they are.
    """

    length: float
    rounding: float
    bent: float
    sure: float
    part: float
    turned: bool

    def tells(self, shorter: Sequence["_Pair"]) -> bool:
        """Whether it tells of bending: over shorter lengths slopes differ less, where a coarser rounding makes more."""
        if self.sure <= 1 or not shorter:
            return self.sure > _ALONE
        return all(pair.sure <= 1 or pair.bent < self.bent for pair in shorter)


def _settled(pairs: Sequence[_Pair]) -> bool:
    """Whether nothing shows over several lengths, nor a peak: of one pair alone the curvature may be zero by chance."""
    return all(pair.sure < 1 for pair in pairs) and not all(pair.turned for pair in pairs)
