"""How noisy a loss is: its rounding measured from its values along a short line, rather than assumed.

A loss that sums a million terms, or runs in float32 inside, is rounded more than the spacing of its dtype tells, and a
step chosen from the spacing is then too short. Repeated differences of a smooth function vanish on a line short enough;
what is left is noise. This module knows no scheme.
"""

import math
from collections.abc import Sequence

import numpy as np

from gradest.directions.keys import Rng
from gradest.dtypes import epsilon
from gradest.errors import NoiseWarning, NonFiniteWarning
from gradest.objective import Objective
from gradest.operations import NumpyArray
from gradest.user_warnings import warn_user

Floats = NumpyArray

EVALUATIONS = 9
"""How many losses one measurement takes: m + 1 points of a line, m = 8 as its authors recommend."""

_AGREEMENT = 4.0  # Moré & Wild: levels that agree within this factor tell the noise

_ABOVE_ROUNDING = 32.0  # units of the dtype's rounding: what a loss of some terms is off by

_LEAST_SPACING = 4.0  # in eps: every entry of size one takes another value at each point of the line


def noise_level(values: Floats) -> float | None:
    """Return the noise in equally spaced values of a smooth function: its standard deviation, or None if none shows.

    `sigma_k^2 = (k!)^2 / (2k)! * mean_i (Delta^k f_i)^2`; the first order k counts from which three levels agree within
    a factor of four and whose differences change sign. None says that no such order was found.

    Source: Moré & Wild 2011, doi:10.1137/100786125 (ECnoise).
    """
    table = np.asarray(values, dtype=np.result_type(np.float64, values.dtype))
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
            return levels[k]
    return None


def highest_level(values: Floats) -> float:
    """Return the noise that would account for the last difference of values: no less than there is."""
    order = values.size - 1
    last = float(np.abs(np.diff(np.asarray(values, dtype=np.result_type(np.float64, values.dtype)), order)).max())
    return math.factorial(order) / math.sqrt(math.factorial(2 * order)) * last


def measure_noise(objective: Objective, points: Sequence[Floats], units: Sequence[Floats], rng: Rng = None) -> float:
    """Measure the noise of the loss near a point, and return its standard deviation; takes `EVALUATIONS` values.

    The line runs along random signs, each entry spaced by `eps^(2/3) / sqrt(P)` times its unit, and by 4 eps at least:
    wide enough to change the rounding of every entry, so short that second differences of the smooth part lie
    below the noise. The result is never less than the rounding of the loss itself, `spacing / sqrt(12)`.

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
    losses = _along_a_line(objective, points, units, rng)
    assumed = objective.value_epsilon * float(np.abs(losses).max(initial=0.0, where=np.isfinite(losses)))
    if not np.isfinite(losses).all():
        warn_user(
            f"step='noise' was asked for; {int((~np.isfinite(losses)).sum())} of {EVALUATIONS} values that would tell "
            "it are NaN or infinite; the rounding of the dtype is taken for it; try a point further inside the region "
            "where the loss is defined",
            NonFiniteWarning,
        )
        return assumed or objective.value_epsilon
    # Where all values agree no noise shows, yet each is rounded to the spacing there: a uniform error, whose standard
    # deviation is its width over sqrt(12).
    own_rounding = float(np.spacing(np.abs(losses).max())) / math.sqrt(12.0)
    if losses.min() == losses.max():
        return own_rounding
    level = noise_level(losses)
    if level is None and highest_level(losses) <= _ABOVE_ROUNDING * assumed:
        return max(assumed, own_rounding)  # what is left of the function in its last difference leaves no room for more
    if level is None:
        warn_user(
            f"step='noise' was asked for; {EVALUATIONS} values of the loss do not tell noise from function "
            f"(they spread over {float(np.ptp(losses)):.3g}); the rounding of the dtype is taken for it; give step "
            "as a number",
            NoiseWarning,
        )
        return max(assumed, own_rounding)
    return max(level, own_rounding)


def _along_a_line(objective: Objective, points: Sequence[Floats], units: Sequence[Floats], rng: Rng) -> Floats:
    """Return the losses at equally spaced points of a line that `rng` draws, `(EVALUATIONS,)`."""
    generator = np.random.default_rng(rng)
    lines = []
    for x, unit, dtype in zip(points, units, objective.dtypes, strict=True):
        # Random signs move every entry and favour none; along an axis most of a loss would not be rounded anew.
        eps = epsilon(dtype)
        spacing = eps ** (2 / 3) / math.sqrt(objective.layout.num_parameters)
        lengths = np.maximum(spacing * unit.reshape(x.shape), _LEAST_SPACING * eps * np.maximum(1, np.abs(x)))
        signs = generator.integers(0, 2, x.shape) * 2 - 1
        lines.append((signs * lengths).astype(x.dtype))
    value_of, backend = objective.prepare_value(), objective.backend
    values = []
    for place in range(EVALUATIONS):
        moved = (x + np.asarray(place, dtype=x.dtype) * line for x, line in zip(points, lines, strict=True))
        at = tuple(
            backend.array(np.asarray(x), dtype=dtype, device=objective.device)
            for x, dtype in zip(moved, objective.dtypes, strict=True)
        )
        values.append(backend.numpy(value_of(at)).reshape(()))
    return np.stack(values)
