"""Arrays that a problem is given in place of its own: copied, read-only, float64. Knows no problem."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradest.datasets.validation import plain_array
from gradest.errors import InvalidInputError, InvalidTypeError, NonFiniteError


def given_array(name: str, values: ArrayLike, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    """Return a copy of given values as float64 that nobody can write to; None in `shape` is any length from 1 on.

    Raises
    ------
    InvalidTypeError
        They are no real numbers, or masked.
    InvalidInputError
        Their shape is another, or they have none.
    NonFiniteError
        They hold NaN or infinity, also when only as float64.

    Examples
    --------
    >>> from gradest.problems.given import given_array
    >>> given_array("start", [1, 2], (None,))
    array([1., 2.])
    """
    found = plain_array(values, name)
    if found.dtype.kind not in "fiu":
        raise InvalidTypeError(f"{name} must be real numbers; found an array of {found.dtype}")
    if len(found.shape) != len(shape) or any(
        n < 1 or m not in (None, n) for n, m in zip(found.shape, shape, strict=True)
    ):
        asked = ", ".join("any" if n is None else str(n) for n in shape)
        raise InvalidInputError(f"{name} must have the shape ({asked}); found {found.shape}")
    with np.errstate(over="ignore"):  # a longdouble beyond float64 becomes infinite, and is told just below
        copy = np.array(found, dtype=np.float64)
    if not np.isfinite(copy).all():
        raise NonFiniteError(
            f"{name} must be finite in float64; {int((~np.isfinite(copy)).sum())} of {copy.size} entries are not"
        )
    copy.setflags(write=False)
    return copy
