"""On what length a loss bends along some of its coordinates, so that automatic steps suit it and not the parameters.

A step is chosen beside the size of a parameter, on the presumption that the loss bends on that length. log-sum-exp at
1000 bends on a length of 1, and sin at 1e5 too. A quotient over the longest step of a rule beside one over a far
shorter step shows it. This is asked once, when differences are prepared, at the start point. It knows no rule.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from gradest.dtypes import spacing as spacing_of
from gradest.objective import Objective
from gradest.operations import NumpyArray

Floats = NumpyArray

MOST_COORDINATES = 32
"""How many coordinates are looked at: the first and largest entries of each block, as far as they go."""

_EACH = 8  # entries of a block, all of which are looked at in a small one

_SHORTER = 4.236  # no whole number: multiples of a period would look alike at every length

_SHARPER = 8.0  # how many times shorter than presumed the length must be for steps to follow it

_RUNGS = 24


def bending_lengths(objective: Objective, points: Sequence[Floats], reaches: Sequence[Floats]) -> list[Floats] | None:
    """Return for each block the lengths on which the loss bends, infinite where it bends as presumed; None if all are.

    Parameters
    ----------
    points
        The start point, an array for each block.
    reaches
        The longest distance that a rule moves each entry, flat, and how much of the presumed length that is: `(2, n)`.

    Notes
    -----
    With `D(t)` a central quotient, `D(t) - D(0) ~ t^2 f''' / 6`, and `L = t sqrt(|f'| / (6 |D(t) - D(0)|))` is the
    length of bending. The shorter quotient is as short as rounding allows. Evaluations are made apart from the
    objective's own, and counted as its preparation.
    """
    apart = objective.separate()
    value_of, lengths, found = apart.prepare_value(), [np.full(x.size, np.inf) for x in points], False
    backend, probes = objective.backend, max(1, MOST_COORDINATES // max(1, len(points)))

    def loss(block: int, place: int, distance: float) -> float:
        moved = [np.array(x) for x in points]
        moved[block].reshape(-1)[place] += distance
        at = tuple(
            backend.array(x, dtype=dtype, device=objective.device)
            for x, dtype in zip(moved, objective.dtypes, strict=True)
        )
        return float(np.real(backend.numpy(value_of(at))))

    entry = backend.random_state() if backend.reads_random_state else None
    with objective.one_estimate(), np.errstate(all="ignore"):
        for block, x in enumerate(points[:MOST_COORDINATES]):
            flat, (reach, share) = x.reshape(-1), reaches[block]
            places = np.argsort(-np.abs(flat), kind="stable")[: min(_EACH, probes)]
            for place in places:
                spacing = float(spacing_of(flat[place], objective.dtypes[block]))
                along = _length(lambda t, b=block, p=int(place): loss(b, p, t), float(reach[place]), spacing, objective)  # type: ignore[misc]
                if along * _SHARPER * float(share[place]) < float(reach[place]):
                    lengths[block][place], found = along, True
            seen = lengths[block][places]
            if places.size < flat.size:  # the others are taken to bend as most of those that were looked at
                rest = np.ones(flat.size, dtype=bool)
                rest[places] = False
                lengths[block][rest] = float(np.median(seen)) if places.size else np.inf
    if entry is not None:  # preparation draws nothing that the user would have drawn
        backend.set_random_state(entry)
    objective.preparation_cost = objective.preparation_cost + apart.counts
    return lengths if found else None


def _length(loss: Callable[[float], float], reach: float, spacing: float, objective: Objective) -> float:
    """Return the length on which a loss of one distance bends; infinite where none shows within the reach."""
    here = loss(0.0)
    noisy = 0.0 if objective.first_look is None else objective.first_look.noise

    def quotient(t: float) -> tuple[float, float, float]:
        up, down = loss(t), loss(-t)
        noise = 2 * objective.value_epsilon * max(abs(up), abs(down), abs(here)) + 2 * noisy
        return (up - down) / (2 * t), abs(up - 2 * here + down) / t, 2 * noise / t

    longest, gap, noise = quotient(reach)
    size = max(abs(longest), gap, noise)
    if not (math.isfinite(size) and size > 0):
        return math.inf
    known = _reference(quotient, reach, spacing, 1e3 * noise * reach / size)
    if known is None:
        return math.inf
    short, slope, other, lost = known
    t, found = reach, longest
    if abs(found - slope) <= 4 * (lost + noise):
        # Nothing shows in three digits; a step that is little shorter is rounded as little, and may show more.
        near, nearby, blurred = quotient(reach / _SHORTER)
        bent, size = abs(found - near), max(abs(near), nearby, gap)
        return reach * math.sqrt(size / (6 * bent)) if bent > 4 * (noise + blurred) else math.inf
    for _ in range(_RUNGS):
        size, bent = max(abs(slope), other, gap), abs(found - slope)
        if bent <= 4 * (lost + noise):
            return t
        if bent <= 0.02 * size or t / _SHORTER <= short:
            return t * math.sqrt(size / (6 * bent))
        t /= _SHORTER
        found, gap, noise = quotient(t)
    return t


def _reference(
    quotient: Callable[[float], tuple[float, float, float]], reach: float, spacing: float, short: float
) -> tuple[float, float, float, float] | None:
    """Return a distance as short as leaves three digits, if the dtype has such a one, and the quotient over it.

    Over a step far too long the slope is far too small, and each shorter one shows that a still shorter one serves.
    """
    short = max(min(reach / _SHORTER, short), 32 * spacing)
    while short < reach:
        slope, other, lost = quotient(short)
        if not math.isfinite(slope):
            return None
        size = max(abs(slope), other, lost)
        if size == 0:  # level: nothing bends
            return None
        shorter = max(1e3 * lost * short / size, 32 * spacing)
        if shorter > 0.5 * short:
            return short, slope, other, lost
        short = shorter
    return None
