"""Numbers of an interval that a user gives: a radius, a share, a probability."""

import sys

import numpy as np

from gradest.errors import InvalidInputError

_LARGEST = sys.float_info.max


def real_number(name: str, number: object, interval: str, *, example: float) -> float:
    """Return a finite number of an interval as a float of Python's; truth values are none.

    Parameters
    ----------
    interval
        As a message writes it: "(0, inf)", "[0, 1)"; a square bracket where the end is one of its numbers.
    example
        A number of it, which the message tells to try.

    Raises
    ------
    InvalidInputError
        It is no real number, infinite, NaN, or outside the interval.

    Examples
    --------
    >>> import gradest
    >>> from gradest.real_numbers import real_number
    >>> real_number("alpha", 1, "(0, 1]", example=0.5)
    1.0
    >>> try:
    ...     real_number("alpha", 1.5, "(0, 1]", example=0.5)
    ... except gradest.InvalidInputError as error:
    ...     print(error)
    alpha must be a number in (0, 1]; found 1.5; try alpha=0.5
    """
    low, high = map(float, interval[1:-1].split(","))
    # NumPy 2 compares its own scalars in their own dtype, in which the largest float64 is infinite.
    plain = number.item() if isinstance(number, np.generic) else number
    if isinstance(plain, int | float | np.floating) and not isinstance(plain, bool):
        above = plain >= low if interval[0] == "[" else plain > low
        below = plain <= high if interval[-1] == "]" else plain < high
        # Compared before it is converted: a whole number of Python's may be larger than any float.
        if above and below and -_LARGEST <= plain <= _LARGEST:
            return float(plain)
    raise InvalidInputError(f"{name} must be a number in {interval}; found {number!r}; try {name}={example}")
