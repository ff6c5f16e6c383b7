"""A test of unbiasedness against the predicted covariance, not the measured one.

A wrong scale of an estimator therefore fails it, even when its spread is wrong by the same factor. This
module must not know where the estimates come from.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradest.errors import InvalidInputError, NonFiniteError
from gradest.lengths import unit_of
from gradest.theory.chi_square import chi2_sf
from gradest.theory.covariance import covariance
from gradest.whole_numbers import whole_number

Array = NDArray[np.float64]
_DEVIATIONS_ALLOWED = 10.0


@dataclass(frozen=True, kw_only=True)
class ChiSquareTest:
    """Holds the outcome of a chi-square test.

    Attributes
    ----------
    statistic
        T, dimensionless; infinite where the mean moved along a direction of predicted variance zero.
    degrees_of_freedom
        Rank of the predicted covariance.
    p_value
        P(chi-square > T); 1 where there is no degree of freedom left and nothing moved.

    Examples
    --------
    >>> from gradest import theory
    >>> test = theory.unbiasedness_statistic([[3.0, 4.0]], target=[3.0, 4.0], distribution="normal", num_samples=1)
    >>> test.statistic, test.degrees_of_freedom, test.p_value
    (0.0, 2, 1.0)
    """

    statistic: float
    degrees_of_freedom: int
    p_value: float


def _normal_quadratic_form(deviation: Array, gradient: Array, num_samples: int) -> float:
    """Return d^T C^-1 d by Sherman-Morrison: N/|g|^2 (|d|^2 - (g.d)^2 / (2|g|^2)), in O(P)."""
    square = float(gradient @ gradient)
    along = float(gradient @ deviation)
    return num_samples / square * (float(deviation @ deviation) - along**2 / (2 * square))


def _general_quadratic_form(deviation: Array, matrix: Array, norm: float, rounding: float) -> tuple[float, int]:
    """Return d^T C^+ d and the rank of C; infinity where d leaves the range of C by more than rounding."""
    # A pseudo-inverse by hand: what C does not reach is not left out, as pinv would, but must not have moved.
    eigenvalues, vectors = np.linalg.eigh(matrix)
    floor = len(matrix) * float(np.finfo(np.float64).eps) * max(float(eigenvalues[-1]), norm**2)
    kept = eigenvalues > floor
    coordinates = vectors.T @ deviation
    # A dropped eigenvalue may be as large as the floor, and the mean may then move by a few of its roots.
    allowed = max(math.sqrt(rounding) * norm, _DEVIATIONS_ALLOWED * math.sqrt(floor))
    if float(np.linalg.norm(coordinates[~kept])) > allowed:
        return math.inf, int(kept.sum())
    return float(np.sum(coordinates[kept] ** 2 / eigenvalues[kept])), int(kept.sum())


def _checked(estimates: ArrayLike, target: ArrayLike) -> tuple[Array, Array]:
    samples, gradient = np.asarray(estimates, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if samples.ndim != 2 or samples.shape[0] < 1 or samples.shape[1] != gradient.size:
        raise InvalidInputError(
            f"estimates must have shape (K, {gradient.size}) to match the target; found {samples.shape}; "
            "flatten each estimate in the order of the target"
        )
    if not (np.isfinite(samples).all() and np.isfinite(gradient).all()):
        raise NonFiniteError("the estimates or the target hold NaN or infinity; drop or repair those replicates")
    if not gradient.any():
        raise InvalidInputError("the target gradient is zero, so that the predicted covariance vanishes; move away")
    return samples, gradient


def unbiasedness_statistic(
    estimates: ArrayLike, *, target: ArrayLike, distribution: str, num_samples: int, rank: int | None = None
) -> ChiSquareTest:
    """Test that the mean of K estimates is the target, against the covariance that theory predicts.

    Formula: T = K (m - g)^T C^+ (m - g) with m the mean of the estimates, chi-square distributed for large K. C is
    `covariance` of the law, so that T is exact in its mean for any differentiable f (forward gradient)
    and for quadratic f (antithetic); its distribution is a limit for many replicates. Directions in which C
    vanishes (Rademacher at P = 1, full orthogonal frames) must not move at all, beyond rounding of the dtype.

    Parameters
    ----------
    estimates
        Shape (K, P); the dtype sets the rounding allowed where no variance is predicted.
    target
        g, shape (P,), or (m, n) under "low-rank".
    distribution
        The law of the directions.
    num_samples
        N of each replicate.
    rank
        Of low-rank directions.

    Raises
    ------
    NonFiniteError
        The estimates or the target hold NaN or infinity.
    InvalidInputError
        Shapes do not fit, or the target is zero.

    Source: derived; Sherman & Morrison 1950, doi:10.1214/aoms/1177729893, for the normal law.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest import theory
    >>> v = np.random.default_rng(0).standard_normal((1000, 2))
    >>> estimates, gradient = (v @ [3.0, 4.0])[:, None] * v, [3.0, 4.0]
    >>> test = theory.unbiasedness_statistic(estimates, target=gradient, distribution="normal", num_samples=1)
    >>> test.degrees_of_freedom, test.p_value > 1e-6
    (2, True)
    """
    samples, gradient = _checked(estimates, target)
    whole_number("num_samples", num_samples)
    unit = unit_of(gradient)  # the statistic is the same in any, and C is made of squares
    samples, gradient = samples / unit, gradient / unit
    flat = gradient.ravel()
    deviation = samples.mean(axis=0) - flat
    replicates = samples.shape[0]
    if distribution == "normal":
        # The one law whose covariance is a rank-one update of the identity: no (P, P) matrix has to be made.
        form, degrees = _normal_quadratic_form(deviation, flat, num_samples), flat.size
    else:
        dtype = np.asarray(estimates).dtype
        rounding = np.finfo(dtype if np.issubdtype(dtype, np.floating) else np.float64).eps
        matrix = covariance(distribution, gradient, num_samples, rank=rank)
        form, degrees = _general_quadratic_form(deviation, matrix, float(np.linalg.norm(flat)), float(rounding))
    statistic = replicates * form
    # No direction is left to test (Rademacher at P = 1, a full frame): any movement at all is a failure.
    if degrees == 0:
        return ChiSquareTest(statistic=statistic, degrees_of_freedom=0, p_value=0.0 if statistic else 1.0)
    p_value = chi2_sf(statistic, degrees_of_freedom=degrees)
    return ChiSquareTest(statistic=statistic, degrees_of_freedom=degrees, p_value=p_value)
