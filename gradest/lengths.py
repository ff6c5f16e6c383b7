"""Lengths of vectors whose squares may be out of a dtype's range: of losses near 1e200, or near 1e-200."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]

_FAR = 2.0**300
"""Beyond it, or below its inverse, squares of numbers and their products are near the ends of float64."""


def unit_of(*vectors: Values) -> float:
    """Return the power of two in units of which the largest entry of all is about 1; 1 where no square is in danger.

    To divide by it rounds nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest.lengths import unit_of
    >>> unit_of(np.array([3.0, -5.0])), unit_of(np.array([2.0**600])) == 2.0**600
    (1.0, True)
    """
    largest = max((_largest(vector) for vector in vectors), default=0.0)
    # NaN and infinity pass through as they are, to be told where they show.
    if largest == 0.0 or not math.isfinite(largest) or 1.0 / _FAR < largest < _FAR:
        return 1.0
    # By frexp, as a logarithm may round to the next power; 1.0 is returned above, lest ordinary numbers change a bit.
    return 2.0 ** (math.frexp(largest)[1] - 1)


def _largest(vector: Values) -> float:
    if vector.dtype.kind == "f":  # without a copy of a vector that may be as long as a model is large
        return max(float(np.max(vector, initial=0.0)), -float(np.min(vector, initial=0.0)))
    return float(np.max(np.abs(vector), initial=0.0))


def norm_of(values: Values) -> float:
    """Return the Euclidean norm of an array of any shape, whose squares may be out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest.lengths import norm_of
    >>> norm_of(np.array([3 * 2.0**600, 4 * 2.0**600])) == 5 * 2.0**600
    True
    """
    unit = unit_of(values)
    return unit * float(np.linalg.norm(values if unit == 1.0 else values / unit))


def root_mean_square(values: Values) -> float:
    """Return the root of the mean of the squares, 0 of no values."""
    return norm_of(values) / math.sqrt(values.size) if values.size else 0.0
