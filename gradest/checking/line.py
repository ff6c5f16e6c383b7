"""One direction of a check: how far the loss's own values along a line are from what a gradient says of them.

With `phi(t) = f(x + t v)` and a claimed slope `s = <g, v>`, the defect `(phi(t) - phi(-t)) / 2t - s` tends to the error
of the claim as t falls, until rounding takes over; the Taylor remainder `phi(t) - phi(0) - t s` falls as t^2 where the
claim is right and as t where it is wrong. A sweep over t shows both regimes, so that no step has to be chosen.
Source: Farrell, Ham, Funke, Rognes 2013, doi:10.1137/120873558 (the Taylor test of dolfin-adjoint).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gradest.finite_differences.noise_level import noise_level
from gradest.finite_differences.stairs import height_of_stairs
from gradest.lengths import norm_of
from gradest.operations import NumpyArray

Loss = Callable[[NumpyArray], tuple[float, NumpyArray]]
"""A flat point `(P,)` -> the loss there, and the point as the parameters' dtypes hold it."""

NOISE_SHARE = 4.0
"""Standard deviations of rounding that a defect must exceed on its own."""
SAFETY = 3.0
"""How many times the estimated uncertainty a defect must exceed: extrapolated errors are themselves estimates."""
NOISE_POINTS = 9
_FURTHEST = 0.1  # of a typical size: how far away stairs are looked for
CLEAR = 400.0
"""Standard deviations of rounding by which a quotient must differ to show that all longer steps are too long."""


@dataclass(frozen=True)
class Slope:
    """What a sweep along one direction found.

    Attributes
    ----------
    claimed
        The slope that the gradient states.
    defect
        The slope of the values less the claimed one.
    resolution
        The least defect that this line would have shown; infinite where its values show nothing.
    rate
        Order of the Taylor remainder: 2 for a right slope, 1 for a wrong one; NaN where it is all rounding.
    jump
        How much steeper the loss is on one side of the point than on the other: 0 but for a kink there.
    stairs
        How high the stairs are by which the loss goes, beside its size: of a part in float32 about its epsilon.
    """

    claimed: float
    defect: float
    resolution: float
    rate: float
    jump: float
    stairs: float = 0.0

    @property
    def told(self) -> bool:
        """Whether the values show the defect to be another number than zero."""
        if self.jump:  # between the slopes of the two sides any number is a subgradient; near outside none can tell
            return abs(self.defect) > 1.5 * abs(self.jump) + self.resolution
        return abs(self.defect) > self.resolution


def noise_of(loss: Loss, at: NumpyArray, line: NumpyArray, value_epsilon: float) -> float:
    """Return the standard deviation of the rounding of the loss near a point, from values on a line as short as can be.

    Where the differences do not tell rounding from function the largest of their levels is taken, which is too much
    rather than too little.
    """
    values = np.array([loss(at + k * line)[0] for k in range(NOISE_POINTS)])
    values = values[np.isfinite(values)]
    if values.size < NOISE_POINTS:
        return math.inf
    table, levels = values, []
    for order in range(1, 6):
        table = np.diff(table)
        # A difference of order k has (2k)! / (k!)^2 times the variance of the noise (Hamming); its weight undoes that.
        weight = math.factorial(order) ** 2 / math.factorial(2 * order)
        levels.append(math.sqrt(weight * float(np.mean(table * table))))
    found = noise_level(values)
    level = max(levels[2:]) if found is None else found
    return max(level, value_epsilon * float(np.abs(values).max()) / math.sqrt(12.0))


def slope_along(
    loss: Loss,
    at: NumpyArray,
    direction: NumpyArray,
    gradient: NumpyArray,
    *,
    steps: Sequence[float],
    noise: float,
    value_epsilon: float,
    claim_noise: float,
) -> Slope:
    """Return what the values of the loss on `at + t direction` say of the slope that a gradient claims there.

    Parameters
    ----------
    loss
        Evaluates a flat point; see `Loss`.
    at, direction, gradient
        Flat, `(P,)`, float64.
    steps
        The values of t, falling by one ratio.
    noise
        Standard deviation of the rounding of the loss near `at`.
    value_epsilon
        Relative spacing of the numbers that values are computed in.
    claim_noise
        How much of the claimed slope may be rounding of the gradient itself.
    """
    claimed, line = float(direction @ gradient), _Remainders(loss, at, direction, gradient)
    rows = []
    for step in steps:
        (ahead, up, right), (behind, down, left) = line.at(step), line.at(-step)
        reach = norm_of(right - left) / (2 * norm_of(direction))
        # A step that rounding swallows, or that leaves the loss's domain, says nothing; shorter and longer ones may.
        if reach == 0.0 or not (math.isfinite(ahead) and math.isfinite(behind)):
            continue
        rounding = max(noise, value_epsilon * max(abs(up), abs(down)) / math.sqrt(12.0))
        rows.append((reach, ahead, behind, rounding))
    if len(rows) < 3:
        return Slope(claimed, 0.0, math.inf, math.nan, 0.0)
    t, ahead_of, behind_of, rounding_of = (np.array(column) for column in zip(*rows, strict=True))
    defects = (ahead_of - behind_of) / (2 * t)
    # A part of the loss that is coarser than the rest does not change over the shortest steps, which then agree.
    stairs = _stairs(line, steps, noise)
    rounding_of = np.maximum(rounding_of, stairs / math.sqrt(12.0))
    # The line's own rounding: what neighbouring short steps disagree by, whatever the slope is.
    count = max(2, min(8, t.size // 3))
    tail = np.abs(np.diff(defects))[-count:] * t[-count:]
    rounding_of = np.maximum(rounding_of, math.sqrt(2.0 * float(np.mean(tail * tail))))
    deviations = rounding_of / (math.sqrt(2.0) * t)
    bends = (ahead_of + behind_of) / t
    defect, uncertainty = _plateau(defects, deviations, np.abs(bends) * np.minimum(t, 1.0), t)
    jump = _jump(bends, 2.5 * rounding_of / t, t)
    resolution = SAFETY * uncertainty + claim_noise
    # At a kink the remainder falls as t whoever is right.
    rate = math.nan if jump else _rate(np.abs(ahead_of), rounding_of, t)
    return Slope(claimed, defect, resolution, rate, jump, stairs / abs(line.middle) if line.middle else 0.0)


class _Remainders:
    """What the values of a loss on a line leave beside the slope that is claimed there, each asked for once."""

    def __init__(self, loss: Loss, at: NumpyArray, direction: NumpyArray, gradient: NumpyArray) -> None:
        self._loss, self._start, self._direction, self._gradient = loss, at, direction, gradient
        self.middle = loss(at)[0]
        self._known: dict[float, tuple[float, float, NumpyArray]] = {}

    def at(self, step: float) -> tuple[float, float, NumpyArray]:
        """Return the remainder, the value, and the point as the parameters' dtypes hold it."""
        if step not in self._known:
            value, point = self._loss(self._start + step * self._direction)
            # The point is where rounding put it, so the claim is asked of that displacement and not of the step.
            remainder = float(value - self.middle - self._gradient @ (point - self._start))
            self._known[step] = remainder, value, point
        return self._known[step]


def _stairs(line: _Remainders, steps: Sequence[float], noise: float) -> float:
    """Return how high the stairs are by which the loss goes along the line, 0 where it goes by none."""
    near = [step for step in steps if step <= _FURTHEST]
    if len(near) < 3 or not math.isfinite(noise):
        return 0.0
    return height_of_stairs(lambda t: line.at(t)[0], near[0], near[-1], noise, shorter=steps[0] / steps[1])


def _plateau(defects: NumpyArray, deviations: NumpyArray, bending: NumpyArray, t: NumpyArray) -> tuple[float, float]:
    """Return the defect at the step that shows it best, and its uncertainty.

    What a longer step adds is seen beside all steps up to four times as long; agreement by chance of steps that are all
    too long, by the shorter ones, which must agree as well as their rounding lets them. `bending` is what the loss
    would add if its third derivative were to its second as that is to its slope: few coarse values may hide it.
    """
    change = np.full(defects.size, math.inf)
    for k in range(1, defects.size):
        longer = [j for j in range(k) if t[j] < 5.0 * t[k]]
        if longer:
            change[k] = float(np.abs(defects[longer] - defects[k]).max())
    total = change + NOISE_SHARE * deviations + bending
    best = int(np.argmin(total))
    # Far beyond the length on which a bounded loss varies its quotients agree too, on 0: any number of steps that are
    # all too long. Steps so much shorter that their rounding cannot be the difference say that they are.
    while (clear := np.flatnonzero(np.abs(defects - defects[best]) > CLEAR * deviations + total[best])).size:
        if clear[-1] < best:
            break
        best += 1 + int(np.argmin(total[best + 1 :]))
    shorter = np.abs(defects[best:] - defects[best]) - NOISE_SHARE * deviations[best:]
    shorter = shorter[t[best:] > t[best] / 300.0]  # further on they are rounding alone
    return float(defects[best]), float(total[best] + max(float(shorter.max()), 0.0))


def _jump(bends: NumpyArray, deviations: NumpyArray, t: NumpyArray) -> float:
    """Return the difference of the one-sided slopes where it does not vanish with t; 0 where the loss is smooth."""
    visible = np.flatnonzero(np.abs(bends) > NOISE_SHARE * deviations)
    # What a kink bends is seen at the next longer step too, and the same way. What one step alone shows is rounding:
    # that of a sum in float32 goes by several stairs at once, some kernels' by three.
    lasting = [k for k in visible if k - 1 in visible and bends[k] * bends[k - 1] > 0.0]
    if visible.size < 4 or not lasting:
        return 0.0
    last = int(lasting[-1])
    far = [k for k in visible if t[k] >= 15.0 * t[last]]
    if not far:
        return 0.0
    # A smooth loss bends 16 times less over a step 16 times shorter, a kink as much: half-way in the logarithm is 4.
    return float(bends[last]) if abs(bends[last]) > 0.25 * abs(bends[far[-1]]) else 0.0


def _rate(remainders: NumpyArray, rounding: NumpyArray, t: NumpyArray) -> float:
    """Return the order in t of the remainder between the two shortest steps at which it is well above rounding."""
    clear = np.flatnonzero(remainders > 50.0 * rounding)
    pairs = [k for k in clear if k - 1 in clear]
    if not pairs:
        return math.nan
    k = pairs[-1]
    return float(math.log(remainders[k - 1] / remainders[k]) / math.log(t[k - 1] / t[k]))
