"""How far a difference quotient may be off, from step lengths that disagree and from the rounding of the losses.

The losses on both sides of a point, at some multiples of a step, are the first terms of a Taylor series, odd and even.
What they make of the first term that a rule leaves is its truncation error. That is only as good as the series: where
its terms do not fall, the loss has a kink or bends within the steps, and all that the quotients span is stated. This
module evaluates nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Leaves
from gradest.coordinates import Chunk, Gathering
from gradest.finite_differences.quotients import weighted
from gradest.finite_differences.rules import QuotientRule
from gradest.finite_differences.statuses import Status, warn_of, warn_of_long_steps
from gradest.objective import Objective
from gradest.operations import NumpyArray

Floats = NumpyArray

_ROUNDINGS = 5.0  # units of a loss's spacing that each evaluation is allowed: what sums of some terms are off by

_CAUTION = 4.0  # times what the terms of the series that are known make of the next one

_ROUNDED = 0.25  # the share of rounding in an error from which on it accounts for the error

_DOUBTFUL = 0.5  # the share of an entry from which on its error makes it doubtful

_MATERIAL = 0.1  # of the slope: less than that, terms that grow leave a rule's estimate what it is

_HARDLY_FALLS = 0.9  # of how the last term falls where the loss is level but for a peak or a stair at the point

_TOLD_APART = 0.35  # what part of the others the last term of a peak is, to be none of a series' own

_LIKE_A_KINK = 0.25  # of neighbouring terms: less than a kink at nearly any distance makes of them


@dataclass(frozen=True, eq=False)
class Quotients:
    """The quotients of a chunk, `(K,)` each, and the gaps between the slopes of the two sides, where there are two.

    Attributes
    ----------
    values
        One array for each multiple of the rule.
    gaps
        `(f(x + m h) - 2 f(x) + f(x - m h)) / m h`, likewise; empty for one-sided rules.
    noise
        How far one loss may be off.
    steps
        h, `(K,)`.
    hidden
        The part of each slope, `(K,)`, that is left out of distances far longer than the length on which the loss was
        seen to bend: steps near a period agree with each other. None where steps are not given.
    """

    values: Sequence[Floats]
    gaps: Sequence[Floats]
    noise: float
    steps: Floats
    hidden: Floats | None = None


def rounding_error(rule: QuotientRule, noise: float, steps: Floats) -> Floats:
    """Return a bound on what the rounding, or noise, of the losses makes of a rule's estimates, `(K,)`."""
    found: Floats = _ROUNDINGS * rule.amplification * noise / steps
    return found


def estimated_error(
    rule: QuotientRule, slopes: Floats, lower: Floats, of: Quotients
) -> tuple[Floats, NDArray[np.int8]]:
    """Return the error of each entry and its status by itself, `(K,)` each.

    Where the terms of the Taylor series along the entry fall, the truncation error is that of the terms which the rule
    leaves, known or made of the known ones. Elsewhere it is all that the quotients of the two sides span.
    """
    rounding = rounding_error(rule, of.noise, of.steps)
    apart = np.abs(slopes - lower)
    status = np.zeros(slopes.shape, np.int8)
    with np.errstate(all="ignore"):
        if not of.gaps:  # one side alone, over a longer step too: the error grows by a known power of it
            truncation = apart if rule.share is None else rule.share * apart
        else:
            truncation, grows = _left_out(rule, of)
            span = np.max([np.abs(slopes - value) for value in of.values], axis=0)
            # The slope at a kink lies between those of the two sides, as it does where the loss curves one way.
            sides = sum(abs(float(w)) * np.abs(g) / 2 for w, g in zip(rule.weights, of.gaps, strict=True))
            truncation = np.where(grows, np.fmax(truncation, np.fmax(span + apart, sides)), truncation)
            # Noise makes terms that grow too; where it may be what they are made of, it is judged by its share.
            status[grows & (truncation > rounding / _ROUNDED)] = Status.TOO_LONG
            status[_kinked(rule, of, slopes)] = Status.KINK
    if of.hidden is not None:
        truncation = np.fmax(truncation, of.hidden * np.abs(slopes))
        status[(of.hidden > 0) & (status == Status.RELIABLE)] = Status.TOO_LONG
    error = truncation + rounding
    status[~np.isfinite(error)] = Status.NOT_FINITE
    return error, status


def _left_out(rule: QuotientRule, of: Quotients) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the truncation error of a central rule, and where the terms of the series grow, `(K,)` each.

    With `c_i = f^(i) (M h)^(i - 1) / i!`, M the longest multiple, the k quotients give the odd terms up to `2k - 1`,
    the k gaps the even ones up to `2k`. The ratio r of neighbouring terms is the largest that the last four show, and
    the next odd term is presumed to be `max(c_(2k-1) r^2, c_2k r)`. Even terms are looked at because odd ones alone
    may vanish by symmetry, and because a kink within the steps makes even ones as large as odd ones: where they
    are, the error is no less than that of the kink, at any distance, which the last terms may come from.
    """
    series = _series_of(rule)
    odd = np.abs(np.tensordot(series.terms, np.stack(of.values), 1))
    evens = np.stack([gap * part / 2 for gap, part in zip(of.gaps, 1 / series.reach, strict=True)])
    even = np.abs(np.tensordot(series.terms, evens, 1))
    last, before = np.maximum(odd[-1], even[-1]), np.maximum(odd[-2], even[-2])
    ratio = np.fmin(np.fmax(np.sqrt(last / before), np.fmin(even[-1] / odd[-1], 1.0)), 1.0)
    following = np.fmax(odd[-1] * ratio**2, even[-1] * ratio)
    found = _CAUTION * (np.tensordot(series.left, odd, 1) + series.following_left * following)
    like_a_kink = (even[-1] > _LIKE_A_KINK * odd[-1]) | (last > _LIKE_A_KINK * before)
    noise = of.noise / of.steps * series.noise
    like_a_kink &= last > noise  # else they may be noise, which is stated by itself
    # Where the steps are far longer than a peak or a stair, and the loss level all over them, terms fall but a little.
    falls = np.where(even[-1] < odd[-1], series.stair, series.peak) * np.max([odd[:-1], even[:-1]], axis=(0, 1))
    grows = (last > np.minimum(before, falls)) & (last > _MATERIAL * np.maximum(odd[0], even[0]))
    grows &= last > _ROUNDINGS * noise
    return np.where(like_a_kink, np.fmax(found, series.kink_left * last), found), grows


@dataclass(frozen=True, eq=False)
class _Series:
    """How the terms of a Taylor series follow from a rule's quotients, and what the rule leaves of them.

    Attributes
    ----------
    terms
        `(k, k)`, quotients to odd terms.
    reach
        The part that each multiple is of the longest one.
    noise
        By how many units of noise over a step the last terms may be off.
    left, following_left
        What the rule leaves in its estimate of the known odd terms, `(k,)`, and of the next one.
    kink_left
        The largest error that a kink makes beside the larger one of the last terms, over all its distances: at a
        distance d it adds `(1 - d / m h)+ / 2` to quotients and half gaps alike.
    peak, stair
        What part of the largest of the others the last term is at least, where the steps are far longer than a peak at
        the point (even terms: gaps fall as `1 / m`), or a stair (odd ones: quotients do), and the loss is level beyond;
        infinite for rules that cannot tell.
    """

    terms: Floats
    reach: Floats
    noise: float
    left: Floats
    following_left: float
    kink_left: float
    peak: float
    stair: float


_DISTANCES = 400  # at which a kink is looked at


@lru_cache
def _series_of(rule: QuotientRule) -> _Series:
    """Return the series of a rule: Vandermonde's system in the squares of its multiples.

    All of it in fractions: of ten halved steps, or twenty equal ones, an inverse in floating point has no digit right,
    and what is left of a term is too little beside what cancels in it.
    """
    longest = Fraction(max(rule.multiples))
    squares = [(Fraction(m) / longest) ** 2 for m in rule.multiples]
    rows = _coefficients(squares)
    terms = np.array([[float(entry) for entry in row] for row in rows])
    left = [sum(w * y**i for w, y in zip(rule.weights, squares, strict=True)) for i in range(len(squares) + 1)]
    steps, weights = np.array(rule.multiples), np.array([float(w) for w in rule.weights])
    reach = steps / steps.max()
    odd = np.sum(np.abs(terms[-1]) / steps)
    even = np.sum(np.abs(terms[-1]) * 2 / (steps * reach))
    kinks = np.maximum(0.0, 1 - np.linspace(0, 1, _DISTANCES, endpoint=False)[:, None] / reach)
    last = np.maximum(np.abs(kinks @ terms[-1]), np.abs((kinks / reach) @ terms[-1]))

    def falls(power: int) -> float:
        values = [(longest / Fraction(m)) ** power for m in rule.multiples]
        found = [abs(sum((t * v for t, v in zip(row, values, strict=True)), Fraction())) for row in rows]
        part = float(found[-1] / max(found[:-1]))
        # By rules of order 16 and more the terms of a peak fall as those of a good series do.
        return _HARDLY_FALLS * part if part > _TOLD_APART else math.inf

    return _Series(
        terms=terms,
        reach=reach,
        noise=float(max(odd, even)),
        left=np.array([0.0, *(abs(float(part)) for part in left[1:-1])]),  # the first term is the derivative itself
        following_left=abs(float(left[-1])),
        kink_left=float(np.max(np.abs(kinks @ weights) / last)),
        peak=falls(2),
        stair=falls(1),
    )


def _coefficients(points: Sequence[Fraction]) -> list[list[Fraction]]:
    """Return the inverse of Vandermonde's matrix: column j has the coefficients of Lagrange's polynomial of point j."""
    whole = [Fraction(1)]  # the product of all y - y_j, from the highest power down
    for point in points:
        whole = [a - point * b for a, b in zip([*whole, Fraction(0)], [Fraction(0), *whole], strict=True)]
    columns = []
    for point in points:
        quotient = [whole[0]]
        for coefficient in whole[1:-1]:  # Horner: divided by y - y_j
            quotient.append(coefficient + point * quotient[-1])
        size = math.prod((point - other for other in points if other != point), start=Fraction(1))
        columns.append([coefficient / size for coefficient in reversed(quotient)])
    return [list(row) for row in zip(*columns, strict=True)]


def _kinked(rule: QuotientRule, of: Quotients, slopes: Floats) -> NDArray[np.bool_]:
    """Return where the slopes of the two sides do not close at all as the step shrinks."""
    gaps = np.abs(of.gaps)
    lost = 4 * _ROUNDINGS * of.noise / (min(rule.multiples) * of.steps)  # three losses over a step, the centre's twice
    least, most, gap = gaps.min(axis=0), gaps.max(axis=0), gaps[int(np.argmin(rule.multiples))]
    found: NDArray[np.bool_] = (least > 0.75 * most) & (gap > 4 * lost) & (gap > 0.1 * np.abs(slopes))
    return found


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
    found[doubtful] = np.where(rounding[doubtful] > _ROUNDED * error[doubtful], Status.ROUNDING, Status.TOO_LONG)
    return found


class Doubts:
    """The error estimates of one sweep, and what is doubtful, as its chunks come; all times `scale`."""

    def __init__(self, objective: Objective, *, scale: float, chosen: bool) -> None:
        """Begin a sweep; `chosen` says that the steps are of gradest's choice, which then answers for them."""
        size = objective.layout.num_parameters
        coarsest = max(objective.parameter_epsilon, objective.value_epsilon)
        self._promise = coarsest ** (1 / 4) if chosen else np.inf
        self._offsets, self._scale = objective.layout.offsets, scale
        self._error = Gathering(objective, scale=scale)
        self._status = np.zeros(size, np.int8)
        self._errors, self._roundings, self._slopes = (np.zeros(size) for _ in range(3))

    def add(self, chunk: Chunk, rule: QuotientRule, slopes: Floats, lower: Sequence[Fraction], of: Quotients) -> None:
        """Take the slopes of a chunk by a rule, the weights of its lower one, and the quotients of both."""
        places = self._offsets[chunk.block] + chunk.positions
        with np.errstate(all="ignore"):  # what is not finite is doubtful, and is counted elsewhere
            errors, self._status[places] = estimated_error(rule, slopes, weighted(lower, of.values), of)
            self._roundings[places] = rounding_error(rule, of.noise, of.steps)
        self._error.add(chunk, errors)
        self._errors[places], self._slopes[places] = errors, slopes

    def leaves(self) -> Leaves:
        """Return the error estimate of each entry."""
        return self._error.leaves()

    def status(self) -> NDArray[np.int8]:
        """Return what is to be said of each entry, `(P,)`, and warn of what matters beside the whole gradient."""
        found = judged(self._status, self._errors, self._roundings, self._slopes)
        if not warn_of(found, self._errors, self._slopes):
            long = np.isin(found, (Status.RELIABLE, Status.TOO_LONG)) & (
                self._errors > self._roundings * (1 + 1 / _ROUNDED)
            )
            warn_of_long_steps(long, self._errors, self._slopes, promise=self._promise)
        return found
