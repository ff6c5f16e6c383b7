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

_SPOILT_INSIDE = 1e-2  # of a loss: differences above it are spoilt by nothing that a loss rounds inside

_HARMLESS = 1e-9  # eps / sigma below which only a loss 10^7 times its gradient could be harmed; likewise eps sigma


def rounding_matters(epsilon: float, sigma: float) -> bool:
    """Return whether differences at radius sigma, of values with that relative spacing, need to be looked at."""
    # Far from the point a loss grows as sigma^2 or faster, and its differences as sigma.
    return epsilon * max(sigma, 1.0 / sigma) > _HARMLESS


def could_be_half_precision(values: Sequence[NumpyArray], differences: Sequence[NumpyArray]) -> bool:
    """Return whether rounding to half precision somewhere inside a loss could spoil its differences.

    That of the sum of an example's terms is less than that of each, and of a mean over examples less again.
    """
    return 0 < _size_of(differences) < _SPOILT_INSIDE * _largest(values)


def _largest(values: Sequence[NumpyArray]) -> float:
    return max(float(np.max(np.abs(v))) for v in values)


def _size_of(differences: Sequence[NumpyArray]) -> float:
    # Root mean square, not the smallest: some directions are nearly level by chance, and their slopes matter least.
    return root_mean_square(np.concatenate([np.asarray(d, dtype=np.float64).reshape(-1) for d in differences]))


def warn_if_cancelled(
    values: Sequence[NumpyArray],
    differences: Sequence[NumpyArray],
    epsilon: float,
    sigma: float,
    inner: float = 0.0,
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
    inner
        By how much values are seen to be rounded on their way, of which that spacing tells nothing.

    Formula: relative error of a slope = eps max|f| / rms(difference). It is the rounding of the values themselves, the
    least there is: a loss that sums larger terms than its value rounds more. Source: derived.
    """
    own = epsilon * _largest(values)
    rounding = max(own, inner)
    size = _size_of(differences)
    if rounding > LARGEST_ROUNDING * size:
        share = f"{rounding / size:.2g} of it" if size else "all there is: the difference is zero"
        where = "inside the loss, as in half precision or a long sum," if inner > own else f"in {dtype_of(epsilon)}"
        warn_user(
            f"at sigma={sigma:g} function values differ by {size:.3g}, and rounding {where} "
            f"is {share}; try a larger sigma, float64, or differences='exact' where the loss is a gradest Problem",
            NoiseWarning,
        )
