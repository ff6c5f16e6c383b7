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
    if isinstance(number, int | float | np.integer | np.floating) and not isinstance(number, bool):
        above = number >= low if interval[0] == "[" else number > low
        below = number <= high if interval[-1] == "]" else number < high
        # Compared before it is converted: a whole number of Python's may be larger than any float.
        if above and below and -_LARGEST <= number <= _LARGEST:
            return float(number)
    raise InvalidInputError(f"{name} must be a number in {interval}; found {number!r}; try {name}={example}")
