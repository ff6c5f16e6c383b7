"""What every reader of data asks of its arguments, and how a message says where in the data something is.

This module knows nothing of what makes good data, nor of any kind of file.
"""

import math
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from gradest.errors import GradestError, InvalidInputError, InvalidTypeError

Place = Callable[[int, int | None], str]
"""Says where a row is, or a column of it (None: its label), as "in row 2": arrays count otherwise than files do."""


def in_array(row: int, column: int | None) -> str:
    """Return where an element of an array is: by its index, as NumPy counts."""
    return f"in row {row}" + ("" if column is None else f", column {column}") + " (counted from 0)"


def checked_integer(number: Any, name: str, *, minimum: int) -> int:
    """Return an argument as a Python integer that is at least `minimum`.

    Raises
    ------
    InvalidTypeError
        It is not an integer (booleans and floats are not).
    InvalidInputError
        It is less than `minimum`.
    """
    # A boolean is an integer to Python, and a seed or a count of True is a mistake.
    if isinstance(number, bool | np.bool_):
        raise InvalidTypeError(f"{name} must be an integer; found the boolean {number}")
    try:
        # By __index__, which NumPy's integers have and floats have not: int() would cut 2.7 down.
        integer = operator.index(number)
    except TypeError as error:
        raise InvalidTypeError(
            f"{name} must be an integer; found {number!r} of type {type(number).__name__}"
        ) from error
    if integer < minimum:
        raise InvalidInputError(f"{name} must be at least {minimum}; found {integer}")
    return integer


def checked_scale(scale: Any) -> float:
    """Return the number that features are divided by.

    Raises
    ------
    InvalidTypeError
        It is not a number.
    InvalidInputError
        It is not positive and finite.
    """
    if isinstance(scale, bool | np.bool_) or not isinstance(scale, Real):
        raise InvalidTypeError(f"scale must be the number that features are divided by, such as 255; found {scale!r}")
    divisor = float(scale)
    if not 0.0 < divisor < math.inf:
        raise InvalidInputError(f"scale must be positive and finite; found {scale!r}: features are divided by it")
    return divisor


def checked_path(path: str | Path) -> Path:
    """Return the path of a file.

    Raises
    ------
    InvalidTypeError
        It is neither text nor a path.
    """
    try:
        return Path(path)
    except TypeError as error:
        raise InvalidTypeError(f"a file is given by its path; found {path!r} of type {type(path).__name__}") from error


def scaling_words(scale: Any, what: str = "feature") -> str:
    """Return what is done to features, or pixels, that are divided by a number, in words.

    Raises
    ------
    InvalidInputError, InvalidTypeError
        As `checked_scale` does.
    """
    divisor = checked_scale(scale)
    return "as given" if divisor == 1.0 else f"{what} / {divisor:g}"


@contextmanager
def blamed_on(source: Path | str, way: str = "") -> Iterator[None]:
    """Put the path of a file in front of the message of what is refused inside the block, and a way out behind it."""
    try:
        yield
    except GradestError as error:
        # Of the same class: who catches a kind of error gets it whether the data came from a file or from memory.
        raise type(error)(f"{source}: {error}{f' ({way})' if way else ''}") from error
