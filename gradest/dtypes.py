"""What floating-point dtypes can tell apart, by name: bfloat16 is none of NumPy's, and each framework has its own."""

from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BFLOAT16_EPSILON, _BFLOAT16_DIGITS = 2.0**-7, 8

HALF = frozenset({"float16", "bfloat16"})
"""Dtypes with too few digits for losses and sums, which are float32 then."""


def epsilon(name: str) -> float:
    """Return the distance from 1 to the next number of a dtype.

    Examples
    --------
    >>> from gradest.dtypes import epsilon
    >>> epsilon("bfloat16"), epsilon("float64") == 2.0**-52
    (0.0078125, True)
    """
    return _BFLOAT16_EPSILON if name == "bfloat16" else float(np.finfo(np.dtype(name)).eps)


def dtype_of(spacing: float) -> str:
    """Return the name of the dtype with an epsilon, "float64" for one that is finer still.

    Examples
    --------
    >>> from gradest.dtypes import dtype_of, epsilon
    >>> dtype_of(epsilon("float32"))
    'float32'
    """
    return next((name for name in ("bfloat16", "float16", "float32") if spacing >= epsilon(name)), "float64")


def as_floats(values: NDArray[Any], name: str) -> NDArray[Any]:
    """Return values of a dtype as NumPy can compute with: those of bfloat16, whatever holds them, in float32."""
    return np.asarray(values, dtype=np.float32) if name == "bfloat16" else values


def spacing(values: NDArray[Any], name: str) -> NDArray[Any]:
    """Return the distance from each value to the next number of its dtype; those of bfloat16 are held in float32.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest.dtypes import spacing
    >>> spacing(np.ones(1, np.float32), "bfloat16").tolist(), spacing(np.ones(1), "float64").tolist()
    ([0.0078125], [2.220446049250313e-16])
    """
    apart = np.spacing(np.abs(values))
    return np.asarray(apart * np.float32(2.0**16) if name == "bfloat16" else apart)


def rounded(values: NDArray[Any], name: str) -> NDArray[Any]:
    """Return values, rounded to the nearest numbers of bfloat16 where that is the dtype; ties go to even.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest.dtypes import rounded
    >>> rounded(np.array([1.001, 1.005], dtype=np.float32), "bfloat16").tolist()
    [1.0, 1.0078125]
    """
    if name != "bfloat16":
        return values
    # bfloat16 is the upper half of a float32: adding just under half of the lower one carries into it where it should.
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    kept = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    found = (kept & np.uint32(0xFFFF0000)).view(np.float32).reshape(np.shape(values))
    return np.where(np.isfinite(values), found, values)


_MOST_DECIMALS = 11


def shortest_epsilon(value: float) -> float:
    """Return the epsilon of the coarsest dtype that holds a number exactly; 0 for one that tells nothing.

    A number computed in double precision fills its 53 bits but by chance, one in 2^29; one computed in single precision
    and converted fills 24. Zero, NaN and infinity are numbers of every dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest.dtypes import shortest_epsilon
    >>> shortest_epsilon(float(np.float32(1 / 3))) == 2.0**-23, shortest_epsilon(1 / 3) == 2.0**-52
    (True, True)
    """
    if value == 0.0 or not np.isfinite(value):
        return 0.0
    mantissa = int(abs(np.frexp(value)[0]) * 2.0**53)
    digits = 53 - ((mantissa & -mantissa).bit_length() - 1)
    found = float(2.0 ** (1 - next(known for known in (_BFLOAT16_DIGITS, 11, 24, 53) if digits <= known)))
    # Decimal places show rounding by `round`, or a number read from text: a sum in double precision has 15 digits or
    # more but by chance, one in 10^4.
    _, decimals, exponent = Decimal(repr(float(value))).normalize().as_tuple()
    if not isinstance(exponent, int) or exponent >= 0 or len(decimals) > _MOST_DECIMALS:
        return found
    return float(max(found, 10.0**exponent / abs(value)))


def count_non_finite(values: NDArray[Any]) -> int:
    """Return how many entries of an array of floating-point numbers are NaN or infinite."""
    known = values if values.dtype.kind == "f" else values.astype(np.float64)  # bfloat16, of no kind of NumPy's
    return known.size - int(np.count_nonzero(np.isfinite(known)))


def same_values(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Return whether two arrays have the same values, NaN where the other has it."""
    # NumPy copies both to leave NaN out, which most arrays have none of.
    return np.array_equal(one, other) or np.array_equal(one, other, equal_nan=True)
