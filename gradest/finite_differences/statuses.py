"""What can be wrong with a difference quotient, entry by entry, and telling whoever asked.

This module knows no rule and evaluates nothing.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from gradest.errors import KinkWarning, NoiseWarning, StepWarning
from gradest.lengths import norm_of
from gradest.user_warnings import warn_user

MATERIAL = 0.1
"""The share of the gradient's length from which on doubtful entries are worth a warning."""


class Status(IntEnum):
    """States whether the error estimate of an entry is to be relied on, and if not, why.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> from gradest.finite_differences.statuses import Status
    >>> estimate = gradest.get_estimator("fd-five-point")(lambda x: np.cosh(x).sum(), np.array([0.5, 2.0]))
    >>> [Status(code).name for code in estimate.status]
    ['RELIABLE', 'RELIABLE']
    """

    RELIABLE = 0
    ROUNDING = 1
    TOO_LONG = 2
    KINK = 3
    NOT_FINITE = 4


_SAID: dict[Status, tuple[str, type[Warning]]] = {
    Status.ROUNDING: (
        "are mostly rounding or noise; take a longer step, step='noise', or a finer dtype",
        NoiseWarning,
    ),
    Status.TOO_LONG: (
        "are of steps within which the loss bends, as no two lengths agree; take a shorter step, say by scale= how "
        "large typical changes of the parameters are, or use forward or reverse mode",
        StepWarning,
    ),
    Status.KINK: (
        "mix the slopes of the two sides of a kink, at which there is no gradient; move the point, or take the slope "
        "of one side by scheme='forward' or scheme='backward'",
        KinkWarning,
    ),
}


def warn_of(status: NDArray[np.int8], error: NDArray[np.float64], gradient: NDArray[np.float64]) -> bool:
    """Warn of doubtful entries, each kind once, where their errors are a tenth of the gradient's length or more.

    Returns whether anything was said.

    Warns
    -----
    NoiseWarning, StepWarning, KinkWarning
        The message says what was asked, of how many entries it does not hold, and what to try. What is not finite is
        warned of elsewhere, by number.
    """
    length, warned = norm_of(gradient), False
    for kind, (what, category) in _SAID.items():
        found = status == kind
        if found.any() and norm_of(error[found]) >= MATERIAL * length:
            warn_user(
                f"a gradient by finite differences was asked for; {int(found.sum())} of {status.size} difference "
                f"quotients {what}",
                category,
            )
            warned = True
    return warned


def warn_of_long_steps(
    long: NDArray[np.bool_], error: NDArray[np.float64], gradient: NDArray[np.float64], *, promise: float
) -> None:
    """Warn of entries whose error is known, and is of steps that are too long for the loss and not of its rounding.

    `promise` is the share of the gradient's length from which on it is worth saying: far more than a rule leaves on a
    loss that is smooth within its steps, and far less than what makes an entry doubtful.

    Warns
    -----
    StepWarning
        A step reaches across a kink, or the loss bends within it. The message has the error that is stated.
    """
    length = norm_of(gradient)
    lost = norm_of(error[long])
    if lost > min(promise, MATERIAL) * length:
        # All quotients are zero of a relu whose kink the longer step alone reaches: nothing to be a share of.
        size = f"{lost / length:.1g} of its length" if length else f"{lost:.1g}, where all of them are zero"
        warn_user(
            f"a gradient by finite differences was asked for; the steps of {int(long.sum())} of {error.size} "
            f"difference quotients reach across a kink or a bend of the loss, and its error may be {size}; take a "
            "shorter step, a lower order ('fd-central'), or forward or reverse mode",
            StepWarning,
        )
