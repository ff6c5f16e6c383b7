"""Tests whether vectors that should scatter evenly about zero do, by random signs: exact for any tails.

This module knows NumPy alone.
"""

import math

import numpy as np
from numpy.typing import NDArray

MOST_DRAWS = 200_000
"""The most sign vectors that are tried; of at most as many, every one is, and the p-value is exact."""
_EXCEEDANCES = 20
_CHUNK = 2048
_SEED = 20_260_102
"""Fixed, so that one set of estimates has one p-value."""


def sign_test(products: NDArray[np.float64]) -> float:
    """Return the p-value of vectors having mean zero, from their inner products `(n, n)`.

    Formula: T = sum over i != j of <o_i, o_j>, whose law under independent signs of the o_i is exact where each o_i is
    as likely as -o_i; p is the share of sign vectors with a T at least as large. Beyond `MOST_DRAWS` of them they are
    drawn, and drawing stops where 20 have exceeded T, as p is then known to a fifth.

    Source: Fisher 1935, The Design of Experiments, section 21; Besag & Clifford 1991, doi:10.1093/biomet/78.2.301.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest.measurement.sign_test import sign_test
    >>> sign_test(np.ones((8, 8)))  # eight vectors that point the same way: one in 2^7, as T is even in the signs
    0.0078125
    """
    count = len(products)
    crossed = products - np.diag(np.diag(products))
    if not np.isfinite(crossed).all():
        return math.nan
    observed = float(crossed.sum())
    # sums in another order differ in their last digits: what is equal must count as reached
    slack = 1e-12 * float(np.abs(crossed).sum())
    # the first sign is kept, as all signs turned round give the same T
    if 2 ** (count - 1) <= MOST_DRAWS:
        reached = sum(
            _reached(_signs(start, count), crossed, observed - slack) for start in range(0, 2 ** (count - 1), _CHUNK)
        )
        return float(reached / 2 ** (count - 1))
    generator = np.random.default_rng(_SEED)
    reached = drawn = 0
    while drawn < MOST_DRAWS and reached < _EXCEEDANCES:
        signs = generator.integers(0, 2, (_CHUNK, count)) * 2.0 - 1.0
        reached += _reached(signs, crossed, observed - slack)
        drawn += _CHUNK
    # The signs as observed are one of those drawn: without them p could be 0, which nothing drawn can show.
    return (reached + 1) / (drawn + 1)


def least_p_value(count: int) -> float:
    """Return the smallest p-value that `count` vectors can have."""
    return 1.0 / min(int(2 ** (count - 1)), MOST_DRAWS)


def _signs(start: int, count: int) -> NDArray[np.float64]:
    # The bits of whole numbers are all sign vectors, each once.
    numbers = np.arange(start, min(start + _CHUNK, 2 ** (count - 1)))
    bits = (numbers[:, None] >> np.arange(count - 1)) & 1
    return np.hstack([np.ones((len(numbers), 1)), 1.0 - 2.0 * bits])


def _reached(signs: NDArray[np.float64], crossed: NDArray[np.float64], least: float) -> int:
    return int(np.sum(np.einsum("ki,ki->k", signs @ crossed, signs) >= least))
