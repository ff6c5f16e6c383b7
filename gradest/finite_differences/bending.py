"""What a few losses tell of a loss before differences are taken: on what length it bends, and how far it is rounded.

A step is chosen beside the size of a parameter, on the presumption that the loss bends on that length. log-sum-exp at
1000 bends on a length of 1, and sin at 1e5 too. A quotient over the longest step of a rule beside one over a far
shorter step shows it. This is asked once, when differences are prepared, at the start point, along one line that moves
many entries; only where something shows are entries looked at one by one. It knows no rule.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gradest.dtypes import spacing as spacing_of
from gradest.finite_differences.noise_level import highest_level, noise_level
from gradest.objective import Objective
from gradest.operations import NumpyArray

Floats = NumpyArray

EVALUATIONS = 9
"""How many losses the line takes: seven near the start point, and two as far from it as a rule goes."""

MOST_COORDINATES = 32
"""How many entries are looked at where the line shows something: the largest of each block, as far as they go."""

_EACH = 8  # entries of a block, all of which are looked at in a small one

_MOVED = 64  # entries of the line at most: each moves by less the more there are

_FEW = 8  # entries that move together as far as each would alone

_SHORTER = 4.236  # no whole number: multiples of a period would look alike at every length

_SHARPER = 8.0  # how many times shorter than presumed the length must be for steps to follow it

_SUSPECT = 2.0  # likewise, for the entries of the line to be looked at: what one of them does is diluted there

_RUNGS = 24

_VISIBLE = 64  # spacings of a parameter between the near points of the line: three digits of a slope are left

_LEAST_VISIBLE = 4

_LEAST_DISTINCT = 4  # values among the seven near points, for a slope through them to be one

_DEVIATIONS = 1.5  # of noise, for what is a bound elsewhere: of rounding to the nearest number it is the half spacing


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What was found about the start point.

    Attributes
    ----------
    lengths
        For each block the lengths on which the loss bends, flat, infinite where it bends as presumed; None if all are.
    deviation
        The standard deviation of the rounding of a loss, as its values along a line show it; 0 where they do not.
    size
        The largest of those values.
    """

    lengths: list[Floats] | None
    deviation: float
    size: float

    def noise(self, size: float) -> float:
        """Return how far losses of a size may be off: less where they are smaller than those which showed it."""
        return _DEVIATIONS * self.deviation * min(1.0, size / self.size) if self.size > 0 else 0.0


def look_around(
    objective: Objective, points: Sequence[Floats], units: Sequence[Floats], *, reach: float, share: float
) -> Surroundings:
    """Return on what lengths the loss bends about a point, and how far its values are rounded there.

    Parameters
    ----------
    points
        The start point, an array for each block.
    units
        The length on which the loss is presumed to bend along each entry, flat.
    reach
        The longest distance that a rule moves an entry, in units.
    share
        How much of the presumed length a step is.

    Notes
    -----
    `EVALUATIONS` losses are taken, and where the line shows that the loss bends on a shorter length, some more for
    each of up to `MOST_COORDINATES` entries. They are made apart from the objective's own, and counted as its
    preparation. The line is the same each time.
    """
    apart, backend = objective.separate(), objective.backend
    value_of = apart.plain_value if apart.is_users_own else apart.prepare_value()

    def loss(moves: Sequence[Floats]) -> float:
        at = tuple(
            backend.array(np.asarray(x + move), dtype=dtype, device=objective.device)
            for x, move, dtype in zip(points, moves, objective.dtypes, strict=True)
        )
        return float(np.real(backend.numpy(value_of(at))))

    entry = backend.random_state() if backend.reads_random_state else None
    with objective.one_estimate(), np.errstate(all="ignore"):
        found, suspect = _along_a_line(loss, objective, points, units, reach)
        if suspect:
            lengths = _along_entries(loss, objective, points, units, reach, share)
            found = Surroundings(lengths, found.deviation, found.size)
    if entry is not None:  # preparation draws nothing that the user would have drawn
        backend.set_random_state(entry)
    objective.preparation_cost = objective.preparation_cost + apart.counts
    return found


def _along_a_line(
    loss: Callable[[Sequence[Floats]], float],
    objective: Objective,
    points: Sequence[Floats],
    units: Sequence[Floats],
    reach: float,
) -> tuple[Surroundings, bool]:
    """Return the rounding that values along a line show, and whether the loss bends there sooner than presumed."""
    line = _line(objective, points, units, reach)
    if line is None:  # of so few digits that a line which is short shows nothing else than rounding
        return Surroundings(None, 0.0, 0.0), True
    moves, many = line
    near = np.array([loss([k * move for move in moves]) for k in range(-3, 4)])
    ahead, behind, here = *(loss([sign * many * move for move in moves]) for sign in (1.0, -1.0)), near[3]
    if not np.isfinite([ahead, behind, *near]).all():
        return Surroundings(None, 0.0, 0.0), False  # what is not finite is told of by whoever evaluates it again
    size = float(np.abs(near).max())
    if np.unique(near).size < _LEAST_DISTINCT:
        # Rounding inside the loss is coarser than these points are apart: no slope is known here, and a flat one would
        # make a bend of what the far points show.
        return Surroundings(None, 0.0, size), False
    rounded = objective.value_epsilon * size
    level = noise_level(near)
    deviation = level if level is not None else min(highest_level(near), rounded)
    noisy = 0.0 if objective.first_look is None else objective.first_look.noise
    noise = max(deviation, rounded / math.sqrt(12)) + 2 * noisy
    # The slope by least squares through seven points, times the distance to the far ones.
    slope, far = many * float(np.arange(-3, 4) @ near) / 28, (ahead - behind) / 2
    bent, lost = abs(far - slope), noise * (1 + many / math.sqrt(28))
    beside = max(abs(slope), abs(far), abs(ahead - 2 * here + behind), noise)
    length = reach * math.sqrt(beside / (6 * bent)) if bent > 4 * lost else math.inf
    return Surroundings(None, 0.0 if noisy else deviation, size), _SUSPECT * length < 1


def _line(
    objective: Objective, points: Sequence[Floats], units: Sequence[Floats], reach: float
) -> tuple[list[Floats], float] | None:
    """Return the moves between near points, an array for each block, and how many of them the far points are away.

    All of them are distances between numbers of the dtype, so that the points lie on a line without rounding; else
    the noise that shows would be that of the parameters. Entries move by random parts, as many up as down, lest a
    symmetry hides how the loss bends: log-sum-exp is straight where all move alike.
    """
    generator, each = np.random.default_rng(0), max(1, _MOVED // len(points))
    moved, spacings = [], []
    for x, unit, dtype in zip(points, units, objective.dtypes, strict=True):
        flat, line = np.abs(x.reshape(-1)), np.zeros(x.size)
        places = np.argsort(-flat, kind="stable")[:each] if x.size > each else np.arange(x.size)
        signs = generator.permutation(1 - 2 * (np.arange(places.size) % 2))
        line[places] = signs * generator.uniform(0.5, 1.0, places.size) * unit[places]
        moved.append(reach * line)
        spacings.append(spacing_of((flat + 2 * reach * unit).astype(x.dtype), dtype).astype(np.float64))
    count = sum(int(np.count_nonzero(line)) for line in moved)
    moved = [line / math.sqrt(max(1.0, count / _FEW)) for line in moved]
    visible = min(
        float(np.min(np.abs(line[line != 0]) / apart[line != 0], initial=np.inf))
        for line, apart in zip(moved, spacings, strict=True)
    )
    many = max(16.0, 2.0 ** math.floor(math.log2(min(visible, reach / objective.value_epsilon) / _VISIBLE)))
    if visible < _LEAST_VISIBLE * many:
        return None
    even = [np.rint(line / many / apart) * apart for line, apart in zip(moved, spacings, strict=True)]
    return [move.astype(x.dtype).reshape(x.shape) for move, x in zip(even, points, strict=True)], many


def _along_entries(
    loss: Callable[[Sequence[Floats]], float],
    objective: Objective,
    points: Sequence[Floats],
    units: Sequence[Floats],
    reach: float,
    share: float,
) -> list[Floats] | None:
    """Return for each block the lengths on which the loss bends, infinite where it bends as presumed; None if all are.

    With `D(t)` a central quotient, `D(t) - D(0) ~ t^2 f''' / 6`, and `L = t sqrt(|f'| / (6 |D(t) - D(0)|))` is the
    length of bending. The shorter quotient is as short as rounding allows.
    """
    lengths, found = [np.full(x.size, np.inf) for x in points], False
    probes = max(1, MOST_COORDINATES // len(points))

    def along(block: int, place: int, distance: float) -> float:
        moves = [np.zeros_like(x) for x in points]
        moves[block].reshape(-1)[place] = distance
        return loss(moves)

    for block, x in enumerate(points[:MOST_COORDINATES]):
        flat, furthest = x.reshape(-1), reach * units[block]
        places = np.argsort(-np.abs(flat), kind="stable")[: min(_EACH, probes)]
        for place in places:
            spacing, far = float(spacing_of(flat[place], objective.dtypes[block])), float(furthest[place])
            length = _length(lambda t, b=block, p=int(place): along(b, p, t), far, spacing, objective)  # type: ignore[misc]
            if length * _SHARPER * share < far:
                lengths[block][place], found = length, True
        seen = lengths[block][places]
        if places.size < flat.size:  # the others are taken to bend as most of those that were looked at
            rest = np.ones(flat.size, dtype=bool)
            rest[places] = False
            lengths[block][rest] = float(np.median(seen)) if places.size else np.inf
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
    known = _reference(quotient, reach, spacing, noise * reach / size)
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
    quotient: Callable[[float], tuple[float, float, float]], reach: float, spacing: float, lost_at: float
) -> tuple[float, float, float, float] | None:
    """Return a distance as short as leaves three digits, or two, if the dtype has such a one, and the quotient over it.

    `lost_at` is the distance at which noise is as large as the quotient.

    Over a step far too long the slope is far too small, and each shorter one shows that a still shorter one serves.
    """
    digits = 1e3 if 1e3 * lost_at < reach / _SHORTER else 1e2
    short = max(min(reach / _SHORTER, digits * lost_at), 32 * spacing)
    while short < reach:
        slope, other, lost = quotient(short)
        if not math.isfinite(slope):
            return None
        size = max(abs(slope), other, lost)
        if size == 0:  # level: nothing bends
            return None
        shorter = max(digits * lost * short / size, 32 * spacing)
        if shorter > 0.5 * short:
            return short, slope, other, lost
        short = shorter
    return None
