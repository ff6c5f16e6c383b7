"""How noisy a loss is: its rounding measured from its values along a short line, rather than assumed.

A loss that sums a million terms, or runs in float32 inside, is rounded more than the spacing of its dtype tells, and a
step chosen from the spacing is then too short. Repeated differences of a smooth function vanish on a line short enough;
what is left is noise. A few values further away tell what it has to be held against. This module knows no scheme.
"""

import math
import sys
from collections.abc import Callable, Sequence

import numpy as np

from gradest.backend import Leaves
from gradest.directions.keys import Rng, generator_of
from gradest.dtypes import epsilon
from gradest.errors import GradestError, NoiseWarning, NonFiniteWarning
from gradest.lengths import unit_of
from gradest.objective import Objective
from gradest.operations import Array, NumpyArray
from gradest.user_warnings import warn_user

Floats = NumpyArray

NEAR = 9
"""How many losses tell the noise: m + 1 points of a line, m = 8 as its authors recommend."""

EVALUATIONS = NEAR + 4
"""How many losses one measurement takes: two on either side of the point tell by how much the loss varies."""

_AGREEMENT = 4.0  # Moré & Wild: levels that agree within this factor tell the noise

_ABOVE_ROUNDING = 32.0  # units of the dtype's rounding: what a loss of some terms is off by

_CERTAIN = 10.0  # deviations of noise beside which a change of the loss is seen

_LEAST_NOISE = 2.0**-64  # of a loss's size: of a loss without any noise all changes are seen

_SHORTER, _LONGER = 0.25, 8.0  # the second distance beside the first

_LEAST_SPACING = 4.0  # in eps: every entry of size one takes another value at each point of the line


def noise_level(values: Floats) -> float | None:
    """Return the noise in equally spaced values of a smooth function: its standard deviation, or None if none shows.

    `sigma_k^2 = (k!)^2 / (2k)! * mean_i (Delta^k f_i)^2`; the first order k counts from which three levels agree within
    a factor of four and whose differences change sign. None says that no such order was found.

    Source: Moré & Wild 2011, doi:10.1137/100786125 (ECnoise).
    """
    unit = unit_of(values)  # squares of losses near 1e200 are out of range
    table = np.asarray(values, dtype=np.result_type(np.float64, values.dtype)) / unit
    levels, changes_sign = [], []
    for order in range(1, values.size):
        # Independent noise of deviation s gives k-th differences of variance s^2 (2k)! / (k!)^2: the weight undoes it.
        table = np.diff(table)
        weight = math.factorial(order) ** 2 / math.factorial(2 * order)
        levels.append(math.sqrt(weight * float(np.mean(table * table))))
        changes_sign.append(bool(table.min() < 0 < table.max()))
    # A smooth part still in the differences makes levels fall with the order, and gives all of them one sign.
    for k in range(len(levels) - 2):
        three = levels[k : k + 3]
        if changes_sign[k] and 0 < max(three) <= _AGREEMENT * min(three):
            return levels[k] * unit
    return None


def highest_level(values: Floats) -> float:
    """Return the noise that would account for the last difference of values: no less than there is."""
    order = values.size - 1
    last = float(np.abs(np.diff(np.asarray(values, dtype=np.result_type(np.float64, values.dtype)), order)).max())
    return math.factorial(order) / math.sqrt(math.factorial(2 * order)) * last


def deviation_of(values: Floats) -> float:
    """Return the standard deviation of what is not smooth in equally spaced values, or what it may be at most."""
    level = noise_level(values)
    return highest_level(values) if level is None else level


def value_or_nan(objective: Objective, value_of: Callable[[Leaves], Array], at: Leaves) -> Floats:
    """Return a loss on the host, `()`, NaN where the user's function raises an error.

    For looking about a point before differences are taken, which may stay inside of where the loss is defined: of one
    side, or by a shorter step. `math.log` raises outside of it, where NumPy's is NaN. What is raised where differences
    are taken is the user's to see, and what gradest refuses, here.
    """
    try:
        found: Floats = objective.backend.numpy(value_of(at)).reshape(())
    except GradestError:
        raise
    except Exception:  # noqa: BLE001  # whatever a user's function raises
        return np.array(math.nan)
    return found


def measure_noise(
    objective: Objective, points: Sequence[Floats], units: Sequence[Floats], rng: Rng = None
) -> tuple[float, float]:
    """Measure the noise of the loss near a point, its standard deviation, and by how much the loss varies over a unit.

    It takes `EVALUATIONS` values along one line, whose direction has random signs, each entry by its unit, over the
    square root of their number. Those that tell the noise are spaced by `eps^(2/3)`, and by 4 eps of each entry
    at least: wide enough to change the rounding of every entry, so short that second differences of the smooth part lie
    below the noise. The noise is never less than the rounding of the loss itself, `spacing / sqrt(12)`.

    The variation is the larger of slope and curvature on that line, over two distances: a step balances noise against
    it, so that a loss a million times as large has the same steps.

    Parameters
    ----------
    points
        Where, on the host, an array for each block.
    units
        The length on which the loss is presumed to bend along each entry, flat.

    Warns
    -----
    NoiseWarning
        The differences do not tell noise from function; the rounding of the dtype is returned.
    NonFiniteWarning
        Some of the values are NaN or infinite, so that nothing is measured, likewise.
    """
    near, far = _line(objective, points, units, rng)
    losses = np.stack([near(place) for place in range(NEAR)])
    level, size = _noise_in(objective, losses), float(np.abs(losses).max(initial=0.0, where=np.isfinite(losses)))
    with np.errstate(all="ignore"):  # a domain may end within these distances: then the size of the loss is taken
        return level, variation_over(far, float(losses[0]), level, size or 1.0)


def _noise_in(objective: Objective, losses: Floats) -> float:
    """Return the noise that losses at equally spaced points show, or else the rounding of their dtype."""
    assumed = objective.value_epsilon * float(np.abs(losses).max(initial=0.0, where=np.isfinite(losses)))
    if not np.isfinite(losses).all():
        warn_user(
            f"step='noise' was asked for; {int((~np.isfinite(losses)).sum())} of {NEAR} values that would tell "
            "it are NaN or infinite; the rounding of the dtype is taken for it; try a point further inside the region "
            "where the loss is defined",
            NonFiniteWarning,
        )
        return assumed or objective.value_epsilon
    # Where all values agree no noise shows, yet each is rounded to the spacing there: a uniform error, whose standard
    # deviation is its width over sqrt(12).
    # Of a loss of zero it is no number that float64 has, and a step made of it would be zero too.
    own_rounding = max(float(np.spacing(np.abs(losses).max())) / math.sqrt(12.0), sys.float_info.min)
    if losses.min() == losses.max():
        return own_rounding
    level = noise_level(losses)
    if level is None and highest_level(losses) <= _ABOVE_ROUNDING * assumed:
        return max(assumed, own_rounding)  # what is left of the function in its last difference leaves no room for more
    if level is None:
        warn_user(
            f"step='noise' was asked for; {NEAR} values of the loss do not tell noise from function "
            f"(they spread over {float(np.ptp(losses)):.3g}); the rounding of the dtype is taken for it; give step "
            "as a number",
            NoiseWarning,
        )
        return max(assumed, own_rounding)
    return max(level, own_rounding)


def variation_over(loss: Callable[[float], float], here: float, level: float, size: float) -> float:
    """Return by how much a loss of one distance varies over a distance of one: its slope or curvature there.

    Over `(level / size)^(1/4)` a curvature of the loss's size stands out of the noise by as much as its own next term.
    Where nothing does, as beside a large constant, the second distance is longer, else shorter. What noise leaves open
    is presumed: the variation is no less than what noise would hide.
    """
    t, found = min(1.0, max(level / size, _LEAST_NOISE) ** 0.25), 0.0
    for _ in range(2):
        up, down = loss(t), loss(-t)
        slope, curvature = abs(up - down) / 2, abs(up - 2 * here + down)
        seen = max(slope / t, curvature / t**2) if max(slope, curvature) > _CERTAIN * level else 0.0
        if math.isfinite(seen):
            found = max(found, seen, level / t)
            t *= _SHORTER if seen else _LONGER
        else:
            t *= _SHORTER
    return found if found > 0 else size


def _line(
    objective: Objective, points: Sequence[Floats], units: Sequence[Floats], rng: Rng
) -> tuple[Callable[[int], Floats], Callable[[float], float]]:
    """Return the loss on a line that `rng` draws, at equally spaced points by their number, and at other distances."""
    generator, root = generator_of(rng), math.sqrt(objective.layout.num_parameters)
    even, lines = [], []
    for x, unit, dtype in zip(points, units, objective.dtypes, strict=True):
        # Random signs move every entry and favour none; along an axis most of a loss would not be rounded anew.
        eps = epsilon(dtype)
        signs, own = generator.integers(0, 2, x.shape) * 2 - 1, unit.reshape(x.shape)
        lengths = np.maximum(eps ** (2 / 3) / root * own, _LEAST_SPACING * eps * np.maximum(1, np.abs(x)))
        even.append((signs * lengths).astype(x.dtype))
        lines.append((signs * own / root).astype(x.dtype))
    value_of, backend = objective.prepare_value(), objective.backend

    def loss(distance: float, line: Sequence[Floats]) -> Floats:
        with np.errstate(over="ignore"):  # next to the largest number: the loss there shows what is wrong
            moved = [x + np.asarray(distance, dtype=x.dtype) * each for x, each in zip(points, line, strict=True)]
        at = tuple(
            backend.array(np.asarray(x), dtype=dtype, device=objective.device)
            for x, dtype in zip(moved, objective.dtypes, strict=True)
        )
        return value_or_nan(objective, value_of, at)

    return lambda place: loss(place, even), lambda distance: float(loss(distance, lines))
