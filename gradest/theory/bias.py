"""Leading bias of smoothing: what E g_hat of a central estimator differs from the gradient by, in order sigma^2.

Exact for cubic f. The laws differ in the fourth moments of v, so that the bias tells which law was drawn.
This module must not know about variance.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradest.directions.laws import law_of
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.real_numbers import real_number
from gradest.theory.moments import marginal, underived
from gradest.whole_numbers import whole_number

Array = NDArray[np.float64]


def _third_derivative(third_derivative: ArrayLike) -> Array:
    tensor = np.asarray(third_derivative, dtype=np.float64)
    if tensor.ndim != 3 or len(set(tensor.shape)) != 1:
        raise InvalidInputError(f"the third derivative must have shape (P, P, P); found {tensor.shape}")
    return tensor


def smoothing_bias(distribution: str, third_derivative: ArrayLike, *, sigma: float) -> Array:
    """Return the bias E g_hat - g of central differences along random directions, shape (P,), to order sigma^2.

    `third_derivative` is the symmetric tensor T = D^3 f, shape (P, P, P); `sigma` is the radius.

    Formula: sigma^2/6 (3 sum_k T_jkk + (kurtosis - 3) T_jjj) for independent components; sigma^2/2 P/(P+2)
    sum_k T_jkk on the sphere of radius sqrt(P); sigma^2 P/6 T_jjj along coordinates. Exact for cubic f; also of
    one-sided estimators with a law symmetric under v -> -v. Source: derived from E v_i v_j v_k v_l.

    Raises
    ------
    InvalidInputError
        The tensor is not of shape (P, P, P), or sigma is not positive.
    UnsupportedError
        The distribution is "low-rank", whose bias needs the matrix's shape (`low_rank_bias`), or none is derived.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest import theory
    >>> third = np.zeros((2, 2, 2))
    >>> third[0, 0, 0] = 6.0  # f = x^3 in the first of two parameters
    >>> theory.smoothing_bias("normal", third, sigma=0.1).round(6).tolist()
    [0.03, 0.0]
    """
    tensor = _third_derivative(third_derivative)
    sigma = real_number("sigma", sigma, "(0, inf)", example=0.1)
    law, num_parameters = marginal(distribution), tensor.shape[0]
    # A central difference is g.v + sigma^2/6 T[v, v, v] + O(sigma^4); times v, its mean holds fourth moments of v only:
    # E v_i v_j v_k v_l is 1 where indices make two pairs, in three ways, and the kurtosis where all four agree.
    laplacian = np.einsum("jkk->j", tensor)
    pure = np.einsum("jjj->j", tensor)
    components = law_of(law).components
    if components is not None:
        sixfold = 3 * laplacian + (components.kurtosis - 3) * pure
    elif law == "sphere":
        sixfold = 3 * num_parameters / (num_parameters + 2) * laplacian
    elif law == "coordinates":
        sixfold = num_parameters * pure
    elif not law_of(law).factored:
        raise underived(law, "the bias")
    else:
        raise UnsupportedError(f"distribution {law!r} needs the matrix shape; use low_rank_bias")
    # Once for each factor: the square of sigma may leave float64's range where the bias does not.
    return np.asarray(sigma / 6 * (sigma * sixfold), dtype=np.float64)


def gaussian_bias(third_derivative: ArrayLike, sigma: float) -> Array:
    """Return the bias of Gaussian smoothing to order sigma^2, shape (P,): sigma^2/2 sum_k T_jkk, exact for cubic f.

    Source: heat semigroup f_sigma = exp(sigma^2 Laplacian / 2) f.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest import theory
    >>> theory.gaussian_bias(np.full((1, 1, 1), 6.0), sigma=0.1).round(6).tolist()  # f = x^3
    [0.03]
    """
    return smoothing_bias("normal", third_derivative, sigma=sigma)


def spsa_bias(third_derivative: ArrayLike, c: float) -> Array:
    """Return the bias of SPSA to order c^2, shape (P,): c^2/6 (3 sum_k T_jkk - 2 T_jjj), exact for cubic f.

    Source: derived; Spall 1992, doi:10.1109/9.119632, defines the estimator.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest import theory
    >>> theory.spsa_bias(np.full((1, 1, 1), 6.0), c=0.1).round(6).tolist()  # f = x^3
    [0.01]
    """
    return smoothing_bias("rademacher", third_derivative, sigma=c)


def low_rank_bias(third_derivative: ArrayLike, *, sigma: float, shape: tuple[int, int], rank: int) -> Array:
    """Return the bias of low-rank directions to order sigma^2, shape (m n,), row-major.

    The directions of an (m, n) matrix are v = vec(A B^T) / sqrt(r) with normal A and B.

    Formula: sigma^2/2 sum_k T_jkk + (sigma^2/r) sum_{p,q} T_{(i q),(p j),(p q)} at entry (i, j). Exact for
    cubic f. Source: derived, Wick pairings of A and of B.

    Raises
    ------
    InvalidInputError
        The shape does not have as many entries as the third derivative, or a number is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest import theory
    >>> third = np.full((1, 1, 1), 6.0)  # f = x^3 of a 1 x 1 matrix
    >>> theory.low_rank_bias(third, sigma=0.1, shape=(1, 1), rank=2).round(6).tolist()
    [0.06]
    """
    tensor = _third_derivative(third_derivative)
    whole_number("rank", rank)
    rows, columns = shape
    if rows * columns != tensor.shape[0]:
        raise InvalidInputError(
            f"shape {shape} has {rows * columns} entries; found a third derivative of {tensor.shape[0]}"
        )
    indexed = tensor.reshape(rows, columns, rows, columns, rows, columns)
    crossed = np.einsum("iqpjpq->ij", indexed).ravel()
    full_rank = smoothing_bias("normal", tensor, sigma=sigma)
    return np.asarray(full_rank + sigma / rank * (sigma * crossed), dtype=np.float64)
