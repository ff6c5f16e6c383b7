"""Warns where rounding of the function values spoils the difference that a sampled slope is made from."""

from collections.abc import Sequence

import numpy as np

from gradest.dtypes import dtype_of
from gradest.errors import NoiseWarning
from gradest.lengths import root_mean_square
from gradest.operations import NumpyArray
from gradest.user_warnings import warn_user

LARGEST_ROUNDING = 0.05
"""Rounding of a slope, relative to its size, above which `NoiseWarning` is given."""

_HARMLESS = 1e-9  # eps / sigma below which only a loss 10^7 times its gradient could be harmed


def rounding_matters(epsilon: float, sigma: float) -> bool:
    """Return whether differences at radius sigma, of values with that relative spacing, need to be looked at."""
    return epsilon / sigma > _HARMLESS


def warn_if_cancelled(
    values: Sequence[NumpyArray], differences: Sequence[NumpyArray], epsilon: float, sigma: float
) -> None:
    """Warn where the rounding of function values is more than `LARGEST_ROUNDING` of their differences.

    Parameters
    ----------
    values
        Function values, in any number of arrays.
    differences
        Central or one-sided differences of them, about `sigma |g|` in size.
    epsilon
        The relative spacing of the numbers that the values are computed in.

    Formula: relative error of a slope = eps max|f| / rms(difference). It is the rounding of the values themselves, the
    least there is: a loss that sums larger terms than its value rounds more. Source: derived.
    """
    rounding = epsilon * max(float(np.max(np.abs(v))) for v in values)
    # Root mean square, not the smallest: some directions are nearly level by chance, and their slopes matter least.
    size = root_mean_square(np.concatenate([np.asarray(d, dtype=np.float64).reshape(-1) for d in differences]))
    if rounding > LARGEST_ROUNDING * size:
        share = f"{rounding / size:.2g} of it" if size else "all there is: the difference is zero"
        warn_user(
            f"at sigma={sigma:g} function values differ by {size:.3g}, and rounding in {dtype_of(epsilon)} "
            f"is {share}; try a larger sigma, float64, or differences='exact' where the loss is a gradest Problem",
            NoiseWarning,
        )
