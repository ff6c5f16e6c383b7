"""Finds out whether the complex step can be trusted: its slope along one line beside that of real differences.

A loss that conjugates, takes a magnitude or a real part, or writes into a real buffer on its way loses a part of its
derivative, and the complex step is wrong without a sign of it. So is a framework that loses small imaginary parts, as
XLA's products of complex matrices do on a GPU, at some shapes: it is the gradient itself that is held against them.
"""

from collections.abc import Callable, Sequence

import numpy as np

from gradest.backend import Leaves
from gradest.dtypes import HALF, as_floats, epsilon
from gradest.errors import InvalidInputError, KinkWarning
from gradest.finite_differences.complex_losses import loss_at_imaginary, single_data
from gradest.objective import Objective
from gradest.operations import NumpyArray
from gradest.user_warnings import warn_user

EVALUATIONS = 5
"""What one line takes: the loss at the point, and at two real distances on either side."""

_LINES = 6
"""How many lines are tried at most, until real differences have been clear along `_ENOUGH` of them."""

_ENOUGH = 3
"""Along one line a wrong gradient may have the right slope by chance: one in ten, where a small part of it is wrong."""

_RATIO = 8.0
"""The longer of the two real distances over the shorter: if both agree, neither is too long nor lost in rounding."""

_TELLING = 0.1
"""How certain real differences must be, beside their size, to be held against the complex step."""

_CLEAR = 0.01
"""How certain they are along a clear line."""

_TOLERANCE = 10.0
"""How many times the uncertainty of real differences the complex step may be off."""


_TIE = 0.01
"""How far conjugate values may be apart, beside themselves: noise that multiplies a loss has been warned of by then."""


def require_analytic(objective: Objective, leaves: Leaves, gradient: Leaves, step: float) -> int:
    """Refuse a gradient by complex steps whose slope along a line is another than that of real differences.

    The lines run along random signs, each entry by its own size. Where the real differences do not agree with each
    other or from side to side (a kink, a loss that turns within the distance, noise) nothing is said. Return how many
    evaluations were made.

    Raises
    ------
    InvalidInputError
        The two differ by far more than the real differences are uncertain.

    Warns
    -----
    KinkWarning
        As `warn_of_ties` says, of complex steps of length `step` along one more line, there and back.
    """
    points = _points(objective, leaves)
    # A generator of their own: what is found out here must not move the user's random numbers.
    generator = np.random.default_rng(0)
    blocks = [as_floats(objective.backend.numpy(g), d) for g, d in zip(gradient, objective.dtypes, strict=True)]
    clear = count = 0
    while clear < _ENOUGH and count < _LINES:
        moves = _random_moves(points, generator)
        with np.errstate(all="ignore"):
            found = float(sum(np.sum(np.float64(1.0) * g * move) for g, move in zip(blocks, moves, strict=True)))
        clear += _require_slope(objective, points, moves, found) < _CLEAR
        count += 1
    signs = [generator.integers(0, 2, x.shape) * 2.0 - 1.0 for x in points]
    warn_of_ties(*(complex(loss_at_imaginary(objective, leaves, [v * h for v in signs])) for h in (step, -step)))
    return count * EVALUATIONS + 2


def warn_of_ties(there: complex, back: complex) -> None:
    """Warn where the loss at `x + i v` is not the conjugate of that at `x - i v`: a kink lies at x itself.

    Complex numbers are ordered by their imaginary parts where the real parts are equal, so that `maximum(x, 0)` has the
    slope of one side at 0, and of the other one step back. An analytic function that is real for real x has
    conjugate values to the last digit, as rounding does not know of signs.

    Warns
    -----
    KinkWarning
        It is not.
    """
    if abs(there.imag + back.imag) > _TIE * max(abs(there.imag), abs(back.imag)):
        warn_user(
            "the loss has a kink at this very point (a maximum, a clip or a condition with two equal sides): there the "
            "complex step takes the slope of one side, by the order of imaginary parts, where reverse and forward mode "
            "have conventions of their own, such as 0 for relu at 0; move the parameters off the kink, or use one of "
            "those",
            KinkWarning,
        )


def require_analytic_along(objective: Objective, leaves: Leaves, moves: Sequence[NumpyArray], slope: float) -> None:
    """Refuse a slope by a complex step that is another than that of real differences, likewise.

    `moves` is the direction, an array for each block, as long as the parameters are.

    Raises
    ------
    InvalidInputError
        The two differ by far more than the real differences are uncertain.
    """
    _require_slope(objective, _points(objective, leaves), moves, slope)


def _require_slope(
    objective: Objective, points: Sequence[NumpyArray], moves: Sequence[NumpyArray], found: float
) -> float:
    """Refuse a slope, likewise; return how uncertain the real differences were, beside their size."""
    with np.errstate(all="ignore"):  # what is not finite is not compared
        slope, uncertain = _real_slope(objective, _line(objective, points, moves))
    if uncertain < _TELLING * abs(slope) and not abs(found - slope) <= _TOLERANCE * uncertain:
        raise InvalidInputError(
            f"the complex step asks for an analytic loss; along one line through the point it gives a slope of "
            f"{found:.6g}, real differences {slope:.6g} +- {uncertain:.1g} (a conjugate, a magnitude, a real part, "
            "a conversion to float or a real buffer on its way, a tie of equal numbers, a GPU's product of complex "
            "matrices, or a step whose square does not vanish beside 1?); use forward mode or finite differences"
        )
    return uncertain / abs(slope) if abs(slope) > 0 else float("inf")


def _real_slope(objective: Objective, line: Callable[[float], Leaves]) -> tuple[float, float]:
    """Return the slope along a line by central differences over two distances, and how uncertain it is."""
    if HALF & {*objective.dtypes}:
        objective = objective.separate()
        objective.data = single_data(objective, objective.data)
    evaluate, backend = objective.plain_value, objective.backend
    middle = evaluate(line(0.0))
    # Half precision is left for single, here and by the complex step, and then so are its coarse values as a rule.
    seen = 0.0 if objective.first_look is None or HALF & {*objective.dtypes} else objective.first_look.epsilon
    spacing = max(*map(epsilon, (*_computed_in(objective), backend.dtype(middle))), seen)
    short = spacing ** (1 / 3)

    def real(distance: float) -> float:
        return float(np.real(backend.numpy(evaluate(line(distance)))))

    centre = float(np.real(backend.numpy(middle)))
    near, far = (real(short), real(-short)), (real(_RATIO * short), real(-_RATIO * short))
    slope = (near[0] - near[1]) / (2 * short)
    # Slopes of the two sides that differ tell a kink; those of a bend differ by as much more as the distance is longer,
    # and that much is no fault of the slope's. What rounding does to the shorter quotient is added.
    shorter, longer = ((a - 2 * centre + b) / h for (a, b), h in ((near, short), (far, _RATIO * short)))
    sides = abs(shorter - longer / _RATIO)
    rounding = 4 * spacing * max(map(abs, (centre, *near))) / short
    return slope, abs(slope - (far[0] - far[1]) / (2 * _RATIO * short)) + sides + rounding


def _computed_in(objective: Objective) -> list[str]:
    return ["float32" if dtype in HALF else dtype for dtype in objective.dtypes]


def _points(objective: Objective, leaves: Leaves) -> list[NumpyArray]:
    """Return leaves on the host; those in half precision, which the complex step takes as complex64, in float32.

    Real differences of half precision would tell nothing.
    """
    numpy = objective.backend.numpy
    return [
        np.asarray(numpy(x), dtype=np.float32) if old in HALF else numpy(x)
        for x, old in zip(leaves, objective.dtypes, strict=True)
    ]


def _random_moves(points: Sequence[NumpyArray], generator: np.random.Generator) -> list[NumpyArray]:
    """Return random signs, each times the size of its entry, or a hundredth of its block's."""
    moves = []
    for x in points:
        size = float(np.abs(x).max(initial=0.0)) or 1.0
        moves.append((generator.integers(0, 2, x.shape) * 2.0 - 1.0) * np.maximum(np.abs(x), 0.01 * size))
    return moves


def _line(objective: Objective, points: Sequence[NumpyArray], moves: Sequence[NumpyArray]) -> Callable[[float], Leaves]:
    """Return `distance -> leaves` along a line."""
    make, dtypes = objective.backend.array, _computed_in(objective)

    def point(distance: float) -> Leaves:
        return tuple(
            make(np.asarray(x + distance * move, dtype=x.dtype), dtype=dtype, device=objective.device)
            for x, move, dtype in zip(points, moves, dtypes, strict=True)
        )

    return point
