"""Says what the function values of one estimate show: that some are not finite, or that none differs."""

import math

import numpy as np

from gradest.errors import FlatLossWarning, NonFiniteWarning
from gradest.evaluation.verification import Verification
from gradest.operations import NumpyArray
from gradest.user_warnings import warn_user


class ValuesSeen:
    """The values of one estimate, as they come.

    Attributes
    ----------
    count, bad
        How many values there were, and how many of them NaN or infinite.
    """

    def __init__(self) -> None:
        self.count = 0
        self.bad = 0
        self._low, self._high = np.inf, -np.inf

    def see(self, values: NumpyArray) -> None:
        """Take note of some values."""
        low, high = float(np.min(values)), float(np.max(values))  # NaN where there is one
        self.count += values.size
        if not (math.isfinite(low) and math.isfinite(high)):
            self.bad += values.size - int(np.isfinite(values).sum())
        self._low, self._high = min(self._low, low), max(self._high, high)

    @property
    def size(self) -> float:
        """The largest of the values, without its sign, 0 of none; those that came with NaN are left out."""
        return max(self._high, -self._low, 0.0)

    @property
    def level(self) -> bool:
        """Whether there are several values and all are the same."""
        return self.count > 1 and self.bad == 0 and self._low == self._high

    def warn(self, first_look: Verification | None, *, remedy: str) -> bool:
        """Warn of what is wrong with the values, and return whether anything was.

        `remedy` says what to try where some are not finite.

        Warns
        -----
        NonFiniteWarning
            Some are NaN or infinite.
        FlatLossWarning
            All are the same, and were the same when the function was first looked at: a loss may have one value at
            points that lie alike about a symmetric one, and is not flat for that.
        """
        if self.bad:
            warn_user(
                f"{self.bad} of {self.count} function values are NaN or infinite, and so is what is made of them; "
                f"{remedy}",
                NonFiniteWarning,
            )
        flat = self.level and first_look is not None and first_look.level
        if flat:
            self._warn_flat()
        return flat or self.bad > 0

    def warn_if_level_at(self, value: float) -> None:
        """Warn if another value of the loss is the one that all have, likewise."""
        if self.level and value == self._low:
            self._warn_flat()

    def _warn_flat(self) -> None:
        warn_user(
            f"the loss is {self._low:.6g} at all {self.count} points where it was evaluated: it does not depend on "
            "these parameters (is the model closed over, instead of taken from the argument?), or changes in steps "
            "(accuracy, rounding, argmax), or by less than its rounding",
            FlatLossWarning,
        )


def warn_if_whole(first_look: Verification | None) -> None:
    """Warn where a loss takes whole numbers alone: a difference quotient of them is zero, or a jump over the step."""
    if first_look is not None and first_look.whole:
        warn_user(
            "the loss takes whole numbers: a quotient of their differences is zero, or a jump divided by the step, and "
            "no slope; use an estimator that smooths ('es' or 'spsa' with a sigma that crosses several jumps), or "
            "return the number before it is rounded",
            FlatLossWarning,
        )
