"""Counts that a user gives: whole numbers, of Python's or NumPy's, of at least some."""

from numbers import Integral

from gradest.errors import InvalidInputError


def whole_number(name: str, number: object, *, least: int = 1, most: int | None = None) -> int:
    """Return a count as an int of Python's; truth values are none.

    Raises
    ------
    InvalidInputError
        It is no whole number, less than `least`, or more than `most`.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest.whole_numbers import whole_number
    >>> whole_number("num_samples", np.int64(3))
    3
    """
    if isinstance(number, bool) or not isinstance(number, Integral) or number < least:
        asked = "a positive integer" if least == 1 else f"an integer of at least {least}"
        raise InvalidInputError(f"{name} must be {asked}; found {number!r}; try {name}={least} or more")
    count = int(number)
    if most is not None and count > most:
        raise InvalidInputError(f"{name} must be at most {most}; found {count}; try {name}={most} or less")
    return count
