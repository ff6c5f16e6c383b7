"""How far a difference quotient may be off, from step lengths that disagree and from the rounding of the losses.

The truncation error of a rule is told by the rule two orders lower on the same losses, or by a quotient over a longer
step. Both are only as good as the series that they suppose: where the slopes of the two sides of a point do not close
as the step shrinks, the loss has a kink or bends within the steps, and all that the quotients span is stated. This
module evaluates nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Leaves
from gradest.coordinates import Chunk, Gathering
from gradest.finite_differences.rules import QuotientRule
from gradest.finite_differences.statuses import Status, warn_of
from gradest.objective import Objective
from gradest.operations import NumpyArray

Floats = NumpyArray

_ROUNDINGS = 5.0  # units of a loss's spacing that each evaluation is allowed: what sums of some terms are off by

_SERIES = 40.0  # how many times the ratio of neighbouring terms of the series may exceed that of the two before

_DOUBTFUL = 0.5  # the share of an entry from which on its error makes it doubtful

_REGULAR = 0.1  # how far the slopes of the two sides may differ from a gap in proportion to the step


@dataclass(frozen=True, eq=False)
class Quotients:
    """The quotients of a chunk, `(K,)` each, and the gaps between the slopes of the two sides, where there are two.

    Attributes
    ----------
    values
        One array for each multiple of the rule.
    gaps
        `|f(x + m h) - 2 f(x) + f(x - m h)| / m h`, likewise; empty for one-sided rules.
    noise
        How far one loss may be off.
    steps
        h, `(K,)`.
    """

    values: Sequence[Floats]
    gaps: Sequence[Floats]
    noise: float
    steps: Floats


def rounding_error(rule: QuotientRule, noise: float, steps: Floats) -> Floats:
    """Return a bound on what the rounding, or noise, of the losses makes of a rule's estimates, `(K,)`."""
    found: Floats = _ROUNDINGS * rule.amplification * noise / steps
    return found


def estimated_error(
    rule: QuotientRule, slopes: Floats, lower: Floats, of: Quotients
) -> tuple[Floats, NDArray[np.int8]]:
    """Return the error of each entry and its status by itself, `(K,)` each.

    Where the slopes are regular, the truncation error is the distance to the lower rule, times what the series makes
    of the next order: `e (e / |slope|)^(2 / q)` for a lower rule of order q. Elsewhere it is what the quotients span.
    """
    rounding = rounding_error(rule, of.noise, of.steps)
    apart = np.abs(slopes - lower)
    with np.errstate(all="ignore"):
        if rule.share is not None:  # of a longer step: the error grows by a known power of it
            truncation = rule.share * apart
        else:
            ratio = (apart / np.abs(slopes)) ** (2.0 / max(rule.order - 2, 1))
            truncation = np.where(np.abs(slopes) > 0, np.fmin(apart, _SERIES * ratio * apart), apart)
    span = np.max([np.abs(slopes - value) for value in of.values], axis=0)
    status = np.zeros(slopes.shape, np.int8)
    if of.gaps:
        regular, kink = _regular(rule, of, slopes)
        # The slope at a kink lies between those of the two sides, as it does where the loss curves one way.
        sides = sum(abs(float(w)) * g / 2 for w, g in zip(rule.weights, of.gaps, strict=True))
        truncation = np.where(regular, truncation, np.fmax(span + apart, sides))
        status[kink] = Status.KINK
    error = truncation + rounding
    status[~np.isfinite(error)] = Status.NOT_FINITE
    return error, status


def _regular(rule: QuotientRule, of: Quotients, slopes: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where gaps fall in proportion to the step, and where they do not fall at all."""
    short = int(np.argmin(rule.multiples))
    near = rule.multiples[short]
    gap = of.gaps[short]
    # Three losses over a step: four units of noise, the centre's twice.
    lost = 4 * _ROUNDINGS * of.noise / (near * of.steps)
    regular = np.ones(gap.shape, dtype=bool)
    for multiple, other in zip(rule.multiples, of.gaps, strict=True):
        fallen = other * (near / multiple)
        regular &= np.abs(fallen - gap) <= _REGULAR * np.maximum(gap, fallen) + lost
    least, most = np.min(of.gaps, axis=0), np.max(of.gaps, axis=0)
    kink = (least > 0.75 * most) & (gap > 4 * lost) & (gap > 0.1 * np.abs(slopes))
    return regular, kink


def judged(
    status: NDArray[np.int8], error: NDArray[np.float64], rounding: NDArray[np.float64], gradient: NDArray[np.float64]
) -> NDArray[np.int8]:
    """Return statuses with those entries marked whose error is a good part of them: by rounding, or by their steps.

    An entry is measured beside itself or a hundredth of the largest, so that a zero among others is not doubtful.
    """
    size = np.maximum(np.abs(gradient), 0.01 * np.abs(gradient).max(initial=0.0, where=np.isfinite(gradient)))
    # An exact zero is no rounding of anything: nothing changed.
    doubtful = (error > _DOUBTFUL * size) & (status == Status.RELIABLE) & (gradient != 0)
    found = status.copy()
    found[doubtful] = np.where(rounding[doubtful] > 0.5 * error[doubtful], Status.ROUNDING, Status.TOO_LONG)
    return found


class Doubts:
    """The error estimates of one sweep, and what is doubtful, as its chunks come; all times `scale`."""

    def __init__(self, objective: Objective, *, scale: float) -> None:
        size = objective.layout.num_parameters
        self._offsets, self._scale = objective.layout.offsets, scale
        self._error = Gathering(objective, scale=scale)
        self._status = np.zeros(size, np.int8)
        self._errors, self._roundings, self._slopes = (np.zeros(size) for _ in range(3))

    def add(self, chunk: Chunk, rule: QuotientRule, slopes: Floats, lower: Floats, of: Quotients) -> None:
        """Take the slopes of a chunk by a rule and by its lower one, with the quotients that they are made of."""
        places = self._offsets[chunk.block] + chunk.positions
        errors, self._status[places] = estimated_error(rule, slopes, lower, of)
        self._error.add(chunk, errors)
        self._errors[places], self._slopes[places] = errors, slopes
        self._roundings[places] = rounding_error(rule, of.noise, of.steps)

    def leaves(self) -> Leaves:
        """Return the error estimate of each entry."""
        return self._error.leaves()

    def status(self) -> NDArray[np.int8]:
        """Return what is to be said of each entry, `(P,)`, and warn of what matters beside the whole gradient."""
        found = judged(self._status, self._errors, self._roundings, self._slopes)
        warn_of(found, self._errors, self._slopes)
        return found
