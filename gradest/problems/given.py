"""Arrays that a problem is given in place of its own: copied, read-only, float64. Knows no problem."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradest.errors import InvalidInputError, InvalidTypeError, NonFiniteError


def given_array(name: str, values: ArrayLike, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    """Return a copy of given values as float64 that nobody can write to; None in `shape` is any length from 1 on.

    Raises
    ------
    InvalidTypeError
        They are no real numbers.
    InvalidInputError
        Their shape is another.
    NonFiniteError
        They hold NaN or infinity.

    Examples
    --------
    >>> from gradest.problems.given import given_array
    >>> given_array("start", [1, 2], (None,))
    array([1., 2.])
    """
    found = np.asarray(values)
    if found.dtype.kind not in "fiu":
        raise InvalidTypeError(f"{name} must be real numbers; found an array of {found.dtype}")
    if len(found.shape) != len(shape) or any(
        n < 1 or m not in (None, n) for n, m in zip(found.shape, shape, strict=True)
    ):
        asked = ", ".join("any" if n is None else str(n) for n in shape)
        raise InvalidInputError(f"{name} must have the shape ({asked}); found {found.shape}")
    if not np.isfinite(found).all():
        raise NonFiniteError(
            f"{name} must be finite; {int((~np.isfinite(found)).sum())} of {found.size} entries are not"
        )
    copy = np.array(found, dtype=np.float64)
    copy.setflags(write=False)
    return copy
