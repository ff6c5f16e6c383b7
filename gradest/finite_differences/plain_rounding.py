"""Whether differences that state no error are mostly rounding: those of a rule beside which there is no second one.

Rounding makes an error of `sqrt(2) s / d` of a quotient over the distance d, s being the standard deviation of a loss's
rounding. This module evaluates nothing.
"""

import math

import numpy as np

from gradest.errors import NoiseWarning
from gradest.evaluation import ValuesSeen
from gradest.finite_differences.bending import Surroundings
from gradest.finite_differences.statuses import MATERIAL
from gradest.lengths import norm_of
from gradest.operations import NumpyArray
from gradest.user_warnings import warn_user


class PlainRounding:
    """Adds up how far rounding moves the quotients of one estimate, beside their length.

    Attributes
    ----------
    spacing
        The relative distance of the numbers that losses are computed in.
    around
        What was seen of the loss about the start point, if it was looked at: it may be coarser than its dtype.
    """

    def __init__(self, spacing: float, around: Surroundings | None) -> None:
        self.spacing = spacing
        self.around = around
        self._reciprocal = self._length = 0.0

    def add(self, slopes: NumpyArray, distance: NumpyArray) -> None:
        """Take note of quotients `(K,)`, and the distances that they are over."""
        with np.errstate(all="ignore"):  # what is not finite is warned of elsewhere
            self._reciprocal = math.hypot(self._reciprocal, norm_of(1.0 / distance.astype(np.float64)))
            self._length = math.hypot(self._length, norm_of(slopes.astype(np.float64)))

    def warn(self, seen: ValuesSeen) -> None:
        """Warn where rounding is a tenth of the gradient's length or more.

        Warns
        -----
        NoiseWarning
            The message has the share.
        """
        # Rounding to the nearest number has this deviation; a loss at zero has no digits to lose.
        deviation = self.spacing * seen.size / math.sqrt(12)
        if self.around is not None and self.around.size > 0:  # smaller losses, as beside a minimum, are rounded less
            deviation = max(deviation, self.around.deviation * min(1.0, seen.size / self.around.size))
        error = deviation * math.sqrt(2) * self._reciprocal
        length = self._length
        if math.isfinite(length) and error >= MATERIAL * length > 0:
            warn_user(
                f"a gradient by finite differences was asked for; rounding or noise of the loss, of about "
                f"{deviation:.2g}, makes {min(1.0, error / length):.0%} of its length; take a longer step, "
                "step='noise', 'fd-five-point' or 'fd-richardson', which state their errors, or a finer dtype",
                NoiseWarning,
            )
