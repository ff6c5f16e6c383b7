"""How noisy a loss is: its rounding measured from its values along a short line, rather than assumed.

A loss that sums a million terms, or runs in float32 inside, is rounded more than the spacing of its dtype tells, and a
step chosen from the spacing is then too short. Repeated differences of a smooth function vanish on a line short enough;
what is left is noise. This module knows no scheme.
"""

import math
from collections.abc import Sequence

import numpy as np

from gradest.backend import Leaves
from gradest.directions.keys import Rng
from gradest.dtypes import epsilon
from gradest.errors import InvalidInputError
from gradest.objective import Objective
from gradest.operations import NumpyArray

Floats = NumpyArray

EVALUATIONS = 9
"""How many losses one measurement takes: m + 1 points of a line, m = 8 as its authors recommend."""

_AGREEMENT = 4.0  # Moré & Wild: levels that agree within this factor tell the noise

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


def measure_noise(objective: Objective, leaves: Leaves, points: Sequence[Floats], rng: Rng = None) -> float:
    """Measure the noise of the loss near `leaves`, and return its standard deviation; takes `EVALUATIONS` values.

    The line runs along random signs, each entry spaced by `eps^(2/3) / sqrt(P)` (4 eps at least) times max(1, |x|):
    wide enough to change the rounding of every entry, so short that second differences of the smooth part lie
    below the noise. The result is never less than the rounding of the loss itself, `spacing / sqrt(12)`.

    Raises
    ------
    InvalidInputError
        The differences do not tell noise from function.
    """
    generator = np.random.default_rng(rng)
    lines = []
    for x, dtype in zip(points, objective.dtypes, strict=True):
        # Random signs move every entry and favour none; along an axis most of a loss would not be rounded anew.
        eps = epsilon(dtype)
        spacing = max(eps ** (2 / 3) / math.sqrt(objective.layout.num_parameters), _LEAST_SPACING * eps)
        signs = generator.integers(0, 2, x.shape) * 2 - 1
        lines.append((signs * spacing * np.maximum(1, np.abs(x))).astype(x.dtype))
    value_of, backend = objective.prepare_value(), objective.backend
    values = []
    for place in range(EVALUATIONS):
        moved = (x + np.asarray(place, dtype=x.dtype) * line for x, line in zip(points, lines, strict=True))
        at = tuple(
            backend.array(np.asarray(x), dtype=dtype, device=objective.device)
            for x, dtype in zip(moved, objective.dtypes, strict=True)
        )
        values.append(backend.numpy(value_of(at)).reshape(()))
    losses = np.stack(values)
    # Where all values agree no noise shows, yet each is rounded to the spacing there: a uniform error, whose standard
    # deviation is its width over sqrt(12).
    own_rounding = float(np.spacing(np.abs(losses).max())) / math.sqrt(12.0)
    if losses.min() == losses.max():
        return own_rounding
    level = noise_level(losses)
    if level is None:
        raise InvalidInputError(
            f"step='noise' was asked for; {EVALUATIONS} values of the loss do not tell noise from function "
            f"(they spread over {float(np.ptp(losses)):.3g}); give step as a number, or use step='auto'"
        )
    return max(level, own_rounding)
