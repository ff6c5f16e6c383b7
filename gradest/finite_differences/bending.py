"""What a few losses tell of a loss before differences are taken: on what length it bends, and how far it is rounded.

A step is chosen beside the size of a parameter, on the presumption that the loss bends on that length. log-sum-exp at
1000 bends on a length of 1, and sin at 1e5 too. A quotient over the longest step of a rule beside one over a far
shorter step shows it. This is asked once, when differences are prepared, at the start point, along one line that moves
many entries; only where something shows are entries looked at one by one. It knows no rule.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradest.dtypes import spacing as spacing_of
from gradest.finite_differences.coarseness import Line, coarseness_of, nearest_zero
from gradest.finite_differences.displaced_losses import Evaluation, Unperturbed
from gradest.finite_differences.lengths_of_bending import Extent, confirmed_bending, length_of_bending
from gradest.finite_differences.noise_level import deviation_of, value_or_nan
from gradest.finite_differences.stairs import nearest_jump
from gradest.objective import Objective
from gradest.operations import NumpyArray

Floats = NumpyArray

EVALUATIONS = 15
"""How many losses the line takes where nothing shows: seven near the start point, six further away, two far away."""

MOST_COORDINATES = 32
"""How many entries are looked at where the line shows something: the largest of each block, as far as they go.

Each takes some ten losses, and 50 at most: its dtype resolves no more lengths below the longest.
"""

_EACH = 8  # entries of a block too large for all to be looked at: each may have a scale of its own

_MOVED = 64  # entries of the line at most: each moves by less the more there are

_FEW = 8  # entries that move together as far as each would alone

_SUSPECT = 2.0  # likewise, for the entries of the line to be looked at: what one of them does is diluted there

_SUSPECT_ALONE = 4.0  # likewise for one side, on which nearly every loss bends: a step's error grows as 1 / L alone

_VISIBLE = 8.0  # spacings of a parameter between near points, or more of a finer dtype: the shorter, the less of the
# loss is taken for noise, but rounding inside the loss may be alike from point to point, where it steps with them

_WIDER = 16  # times further apart they are where the loss does not change over that

_LEAST_VISIBLE = 4

_LEAST_DISTINCT = 4  # values among the seven near points, for what is between them to be noise

_DEVIATIONS = 1.5  # of noise, for what is a bound elsewhere: of rounding to the nearest number it is the half spacing

_NOWHERE: tuple[Sequence[Floats], Sequence[Floats], Sequence[Floats]] = ((), (), ())


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What was found about the start point.

    Attributes
    ----------
    bends
        For each block the lengths on which the loss bends, flat, infinite where it bends as presumed, how far it is off
        beside what it varies by over such a length, and the largest part that slopes over two lengths, of those that
        were looked at, differ by; empty if it bends everywhere as presumed.
    deviation
        The standard deviation of the rounding of a loss, as its values along a line show it; 0 where they do not.
    size
        The largest of those values.
    stairs
        How high the stairs are by which the loss goes, beside its size; 0 where it goes by none.
    """

    bends: tuple[Sequence[Floats], Sequence[Floats], Sequence[Floats]]
    deviation: float
    size: float
    stairs: float = 0.0

    def noise(self, size: float) -> float:
        """Return how far losses of a size may be off: less where they are smaller than those which showed it."""
        return _DEVIATIONS * self.deviation * min(1.0, size / self.size) if self.size > 0 else 0.0


_NOTHING = Surroundings(_NOWHERE, 0.0, 0.0)


def look_around(
    objective: Objective,
    evaluation: Evaluation,
    points: Sequence[Floats],
    units: Sequence[Floats],
    extent: Extent,
) -> Surroundings:
    """Return on what lengths the loss bends about a point, and how far its values are rounded there.

    Parameters
    ----------
    evaluation
        How differences are to be evaluated, which may know of a quicker way to the loss itself.
    points
        The start point, an array for each block.
    units
        The length on which the loss is presumed to bend along each entry, flat.
    extent
        How far a rule goes, beside those lengths.

    Notes
    -----
    `EVALUATIONS` losses are taken, more where the first slopes differ or the loss is level, and where the line shows
    that the loss bends on a shorter length, some for each of up to `MOST_COORDINATES` entries. They are made apart from
    the objective's own, and counted as its preparation. The line is the same each time.
    """
    apart, backend = objective.separate(), objective.backend
    value_of = evaluation.value_for(apart)

    def loss(moves: Sequence[Floats]) -> float:
        at = tuple(
            backend.array(np.asarray(x + move), dtype=dtype, device=objective.device)
            for x, move, dtype in zip(points, moves, objective.dtypes, strict=True)
        )
        return float(np.real(value_or_nan(objective, lambda leaves: value_of(leaves, Unperturbed()), at)))

    entry = backend.random_state() if backend.reads_random_state else None
    with objective.one_estimate(), np.errstate(all="ignore"):
        found, suspect = _along_a_line(loss, objective, points, units, extent)
        if suspect:
            found = _along_entries(loss, objective, points, units, extent, found)
    if entry is not None:  # preparation draws nothing that the user would have drawn
        backend.set_random_state(entry)
    objective.preparation_cost = objective.preparation_cost + apart.counts
    return found


def _along_a_line(
    loss: Callable[[Sequence[Floats]], float],
    objective: Objective,
    points: Sequence[Floats],
    units: Sequence[Floats],
    extent: Extent,
) -> tuple[Surroundings, bool]:
    """Return the rounding that values along a line show, and whether the loss bends there sooner than presumed."""
    reach, _, side, presumed = extent
    line = _near_points(loss, objective, points, units, reach)
    if line is None:  # of so few digits that a line which is short shows nothing else than rounding
        return _NOTHING, True
    moves, many, known = line
    near = np.array(list(known.values()))
    if not np.isfinite(near).all():
        return _NOTHING, False  # what is not finite is told of by whoever evaluates it again
    resolved = np.unique(near).size >= _LEAST_DISTINCT
    size, deviation, noisy = float(np.abs(near).max()), deviation_of(near), _noise_of(objective)
    rounded = objective.value_epsilon * size / math.sqrt(12)
    along = _asked_once(loss, moves, known)

    def is_suspect(deviation: float) -> bool:
        length, *_ = length_of_bending(along, many / reach, 1.0, 1.0, max(deviation, rounded) + noisy, extent)
        return (_SUSPECT_ALONE if side else _SUSPECT) * length * reach / many < presumed

    # Where rounding inside the loss is coarser than near points are apart no slope is known there, and a flat one would
    # make a bend of what far points show; stairs may be that rounding.
    suspect = resolved and is_suspect(deviation)
    if suspect and (wider := _beside_a_stair(along, many, max(deviation, rounded))) > deviation:
        deviation, suspect = wider, is_suspect(wider)
    if noisy:
        return Surroundings(_NOWHERE, 0.0, size), suspect
    far, spacing = Line(along, many, many / reach, nearest_zero(points, moves)), objective.value_epsilon
    most = max(deviation, rounded)
    found = coarseness_of(far, near, deviation=most, spacing=spacing, resolved=resolved, suspect=suspect)
    if not found.deviation:
        return Surroundings(_NOWHERE, deviation if resolved else 0.0, size), suspect
    deviation = max(deviation, found.deviation)
    return Surroundings(_NOWHERE, deviation, size, found.error), resolved and is_suspect(deviation)


def _near_points(
    loss: Callable[[Sequence[Floats]], float],
    objective: Objective,
    points: Sequence[Floats],
    units: Sequence[Floats],
    reach: float,
) -> tuple[list[Floats], float, dict[float, float]] | None:
    """Return a line as `_line` does, and its losses nearby: further apart where most are alike, or None."""
    close = max(_VISIBLE, max(objective.value_epsilon, objective.parameter_epsilon) ** (-1 / 6))
    for visible in (close, _WIDER * close):
        line = _line(objective, points, units, reach, visible)
        if line is None:
            return None
        moves, many = line
        known: dict[float, float] = {k: loss([k * move for move in moves]) for k in range(-3, 4)}
        near = np.array(list(known.values()))
        if not np.isfinite(near).all() or np.unique(near).size >= _LEAST_DISTINCT:
            break
    return moves, many, known


def _beside_a_stair(along: Callable[[float], float], many: float, deviation: float) -> float:
    """Return the deviation of a loss whose near points lie on one stair of what it rounds inside, 0 elsewhere.

    So they do where cos(x) is taken from one near zero: on a stair the rest has a slope of its own.
    """
    height = nearest_jump(along, 3.0, min(3.0 * _WIDER, many), deviation)
    if not height:
        return 0.0
    return max(height / math.sqrt(12), deviation_of(np.array([along(_WIDER * k) for k in range(-3, 4)])))


def _asked_once(
    loss: Callable[[Sequence[Floats]], float], moves: Sequence[Floats], known: dict[float, float]
) -> Callable[[float], float]:
    """Return the loss of a multiple of the moves, each evaluated once."""

    def along(k: float) -> float:
        if k not in known:
            known[k] = loss([k * move for move in moves])
        return known[k]

    return along


def _noise_of(objective: Objective) -> float:
    return 0.0 if objective.first_look is None else objective.first_look.noise


def _line(
    objective: Objective, points: Sequence[Floats], units: Sequence[Floats], reach: float, steps: float
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
        last = np.nextafter(np.finfo(x.dtype).max, 0, dtype=x.dtype)  # which still has a next number
        furthest = np.minimum(flat + 2 * reach * unit, last)
        spacings.append(spacing_of(furthest.astype(x.dtype), dtype).astype(np.float64))
    count = sum(int(np.count_nonzero(line)) for line in moved)
    moved = [line / math.sqrt(max(1.0, count / _FEW)) for line in moved]
    visible = min(
        float(np.min(np.abs(line[line != 0]) / apart[line != 0], initial=np.inf))
        for line, apart in zip(moved, spacings, strict=True)
    )
    many = max(16.0, 2.0 ** math.floor(math.log2(min(visible, reach / objective.value_epsilon) / steps)))
    if visible < _LEAST_VISIBLE * many:
        return None
    even = [np.rint(line / many / apart) * apart for line, apart in zip(moved, spacings, strict=True)]
    return [move.astype(x.dtype).reshape(x.shape) for move, x in zip(even, points, strict=True)], many


def _along_entries(
    loss: Callable[[Sequence[Floats]], float],
    objective: Objective,
    points: Sequence[Floats],
    units: Sequence[Floats],
    extent: Extent,
    seen: Surroundings,
) -> Surroundings:
    """Return what is found with the lengths on which the loss bends along each entry, where some are short."""
    lengths, roundings, parts = ([np.full(x.size, value) for x in points] for value in (np.inf, 0.0, 0.0))
    probes, found = max(1, MOST_COORDINATES // len(points)), False

    def along(block: int, place: int) -> Callable[[float], float]:
        def at(distance: float) -> float:
            moves = [np.zeros_like(x, order="C") for x in points]
            moves[block].reshape(-1)[place] = distance
            return loss(moves)

        return at

    rounded = objective.value_epsilon * abs(loss([np.zeros_like(x) for x in points]))
    # A line of few digits tells no rounding: that of each value is a spacing then, to be on the safe side.
    deviation = max(seen.deviation, rounded / (math.sqrt(12) if seen.size else 1.0)) + _noise_of(objective)
    for block, x in enumerate(points[:MOST_COORDINATES]):
        flat, furthest = x.reshape(-1), extent.reach * units[block]
        places = np.argsort(-np.abs(flat), kind="stable")[: probes if x.size <= probes else min(_EACH, probes)]
        for place in places:
            # An even multiple of the spacing is felt on either side of a power of two.
            unit = float(units[block][place])
            apart = 2 * float(spacing_of(np.maximum(abs(flat[place]), furthest[place]), objective.dtypes[block]))
            bent = confirmed_bending(along(block, int(place)), unit, apart, deviation, extent)
            if bent[0] < extent.short * unit:
                lengths[block][place], roundings[block][place], parts[block][place] = bent
                found = True
        if 0 < places.size < flat.size:  # the others are taken to bend as most of those that were looked at
            rest = np.ones(flat.size, dtype=bool)
            rest[places] = False
            for known in (lengths[block], roundings[block], parts[block]):
                known[rest] = np.median(known[places])
    return replace(seen, bends=(lengths, roundings, parts)) if found else seen
