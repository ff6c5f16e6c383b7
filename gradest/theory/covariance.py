"""Predicted covariance of (1/N) sum_i (g.v_i) v_i, entry by entry, for every law of directions.

This module must not know how a covariance is tested: see `unbiasedness`.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradest.directions.laws import law_of
from gradest.errors import InvalidInputError
from gradest.theory.moments import marginal, orthogonal_pairs, require_rank, underived
from gradest.whole_numbers import whole_number

Array = NDArray[np.float64]


def _independent(law: str, gradient: Array) -> Array:
    """Return Cov[(g.v) v], shape (P, P), of one direction whose law is not low-rank."""
    size = gradient.size
    outer, square = np.outer(gradient, gradient), float(gradient @ gradient)
    components = law_of(law).components
    if components is not None:
        matrix = square * np.eye(size) + outer + (components.kurtosis - 3) * np.diag(gradient**2)
    elif law == "sphere":
        matrix = (size * square * np.eye(size) + (size - 2) * outer) / (size + 2)
    elif law == "coordinates":
        matrix = size * np.diag(gradient**2) - outer
    else:
        raise underived(law, "the covariance")
    return np.asarray(matrix, dtype=np.float64)


def _low_rank(gradient: Array, rank: int | None) -> Array:
    """Return Cov[<G, E> vec E], shape (m n, m n), of E = A B^T / sqrt(r) on a matrix gradient (m, n)."""
    if rank is None:
        raise InvalidInputError("distribution 'low-rank' was asked for without a rank; give rank=1 or more")
    rows, columns = gradient.shape
    # Wick's theorem, over A and over B: where both pair the four factors alike, the normal law's covariance comes out;
    # where they pair them differently, all four share one of the r columns, and 1/r is left. These are the latter
    # pairings: three, each of which occurs twice.
    crossed = np.einsum("il,kj->ijkl", gradient, gradient)
    crossed += np.einsum("ik,jl->ijkl", np.eye(rows), gradient.T @ gradient)
    crossed += np.einsum("ik,jl->ijkl", gradient @ gradient.T, np.eye(columns))
    extra = 2 / rank * crossed.reshape(gradient.size, gradient.size)
    return np.asarray(_independent("normal", gradient.ravel()) + extra, dtype=np.float64)


def covariance(distribution: str, gradient: ArrayLike, num_samples: int, *, rank: int | None = None) -> Array:
    """Return the predicted covariance of a forward gradient, (1/N) sum_i (g.v_i) v_i, shape (P, P), float64.

    Formula, one direction: |g|^2 I + g g^T + (kurtosis - 3) diag(g^2) for independent components; (P |g|^2 I +
    (P-2) g g^T)/(P+2) on the sphere; P diag(g^2) - g g^T along coordinates; low rank adds to the normal one
    (2/r)(I x G^T G + G G^T x I + G_il G_kj). Orthogonal frames: C/N - q/N^2 C_0/(P-1) with q orthogonal
    ordered pairs and C_0 the covariance of one direction at fixed length. Exact for any differentiable f
    (forward gradient) and quadratic f (central differences). Source: derived, Wick pairings and symmetry.

    Parameters
    ----------
    gradient
        g, shape (P,), or (m, n) for one matrix under "low-rank"; other shapes are flattened.
    num_samples
        N, the number of directions.
    rank
        Of low-rank directions of a matrix; other laws have none, and parameters that are no matrix, such as a bias,
        have plain normal directions of whatever rank.

    Raises
    ------
    UnknownNameError
        There is no law of the name.
    InvalidInputError
        `num_samples` or `rank` is not a positive integer, or "low-rank" directions of a matrix have no rank.

    Examples
    --------
    >>> from gradest import theory
    >>> theory.covariance("normal", [3.0, 4.0], num_samples=1).round(6).tolist()
    [[34.0, 12.0], [12.0, 41.0]]
    """
    whole_number("num_samples", num_samples)
    require_rank(rank)
    array = np.asarray(gradient, dtype=np.float64)
    law = marginal(distribution)
    if law == "low-rank":
        one = _low_rank(array, rank) if array.ndim == 2 else _independent("normal", array.ravel())
        return one / num_samples
    flat = array.ravel()
    pairs = orthogonal_pairs(distribution, num_parameters=flat.size, num_samples=num_samples)
    result = _independent(law, flat) / num_samples
    if pairs:
        # A full frame of P directions gives P g without any scatter: its P variances C_0 and P (P - 1) covariances
        # cancel, so that each ordered pair contributes -C_0 / (P - 1), in frames that are not full as well.
        fixed_length = "coordinates" if law == "coordinates" else "sphere"
        result = result - pairs / num_samples**2 * _independent(fixed_length, flat) / (flat.size - 1)
    return result
