"""Finds out whether the complex step can be trusted: one derivative by it beside the same one by real differences.

A loss that conjugates, takes a magnitude or a real part, or writes into a real buffer on its way loses a part of its
derivative, and the complex step is wrong without a sign of it. So is a framework that loses small imaginary parts.
"""

from collections.abc import Callable

import numpy as np

from gradest.backend import Leaves
from gradest.dtypes import as_floats
from gradest.errors import InvalidInputError
from gradest.objective import Objective

EVALUATIONS = 6
"""What it takes: the loss at the point, at two real distances on either side, and at a complex displacement."""

_RATIO = 32.0
"""The longer of the two real distances over the shorter: if both agree, neither is too long nor lost in rounding."""


ComplexLoss = Callable[[Leaves, Leaves, float], complex]
"""`(leaves, directions, step) -> f(leaves + i step directions)`."""


def require_analytic(objective: Objective, complex_loss: ComplexLoss, step: float) -> None:
    """Refuse a loss whose derivative along one line is another by the complex step than by real differences.

    The line runs along random signs, each entry by its own size. Where the real differences do not agree with each
    other or from side to side (a kink, a loss that turns within the distance, noise) nothing is said.

    Parameters
    ----------
    step
        The complex step.

    Raises
    ------
    InvalidInputError
        The two differ by far more than the real differences are uncertain.
    """
    line = _line(objective)
    with np.errstate(all="ignore"):  # what is not finite is not compared
        slope, uncertain = _real_slope(objective, line)
        found = complex_loss(objective.start, line(1.0, at=0.0), step).imag / step
    if uncertain < _TELLING * abs(slope) and not abs(found - slope) <= _TOLERANCE * uncertain:
        raise InvalidInputError(
            f"the complex step asks for an analytic loss; along one line through the start point it gives a slope of "
            f"{found:.6g}, real differences {slope:.6g} +- {uncertain:.1g} (a conjugate, a magnitude, a real part, "
            "a conversion to float or a real buffer on its way?); use forward mode or finite differences"
        )


_TELLING = 0.1
"""How certain real differences must be, beside their size, to be held against the complex step."""

_TOLERANCE = 10.0
"""How many times the uncertainty of real differences the complex step may be off."""


def _real_slope(objective: Objective, line: "_Line") -> tuple[float, float]:
    """Return the slope along a line by central differences over two distances, and how uncertain it is."""
    spacing = objective.value_epsilon
    short = spacing ** (1 / 3)

    def real(distance: float) -> float:
        return float(np.real(objective.backend.numpy(objective.plain_value(line(distance)))))

    centre, near, far = real(0.0), (real(short), real(-short)), (real(_RATIO * short), real(-_RATIO * short))
    slope = (near[0] - near[1]) / (2 * short)
    # Slopes of the two sides that differ tell a kink; what rounding does to the shorter quotient is added.
    sides = abs(near[0] - 2 * centre + near[1]) / short
    rounding = 4 * spacing * max(map(abs, (centre, *near))) / short
    return slope, abs(slope - (far[0] - far[1]) / (2 * _RATIO * short)) + sides + rounding


_Line = Callable[..., Leaves]
"""`(distance, at=1.0) -> leaves`: at times the start point, and the distance along the line from it."""


def _line(objective: Objective) -> _Line:
    """Return points of a line along random signs, each times the size of its entry, or a hundredth of its block's.

    The signs have a generator of their own: what is found out here must not move the user's random numbers.
    """
    backend, generator, dtypes = objective.backend, np.random.default_rng(0), objective.dtypes
    points = [as_floats(backend.numpy(x), dtype) for x, dtype in zip(objective.start, dtypes, strict=True)]
    moves = []
    for x in points:
        size = float(np.abs(x).max(initial=0.0)) or 1.0
        moves.append((generator.integers(0, 2, x.shape) * 2.0 - 1.0) * np.maximum(np.abs(x), 0.01 * size))

    def point(distance: float, at: float = 1.0) -> Leaves:
        return tuple(
            backend.array(np.asarray(at * x + distance * move, dtype=x.dtype), dtype=dtype, device=objective.device)
            for x, move, dtype in zip(points, moves, dtypes, strict=True)
        )

    return point
