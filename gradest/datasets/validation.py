"""Checks of classification data, which every loader and every problem asks for before it uses any.

Frameworks disagree on wrong labels (an error, a wrapped index, a clamped one, a NaN), so the question is settled
before any of them sees the data. This module knows nothing of files, of data sets by name or of backends.
"""

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gradest.errors import GradestError, InvalidInputError, InvalidTypeError, NonFiniteError
from gradest.operations import NumpyArray

Features = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

_LARGEST_LABEL = np.iinfo(np.int64).max


def validate_classification(features: Any, labels: Any, num_classes: int | None = None) -> tuple[Features, Labels, int]:
    """Check classification data, and return copies in one canonical form: float64 features, int64 labels, classes.

    The result is the same, byte for byte, whatever the memory order, strides, byte order or writability of the
    arguments; these are neither changed nor referred to afterwards.

    Parameters
    ----------
    features
        Shape (N, D), or nested lists of it. Real numbers: floating point, integer or boolean; N >= 1 and D >= 1.
    labels
        Shape (N,). Integers in [0, K).
    num_classes
        K. By default the largest label plus one.

    Returns
    -------
    features
        Shape (N, D), float64, C-contiguous, writable, owning its memory.
    labels
        Shape (N,), int64, C-contiguous, writable, owning its memory.
    num_classes
        K.

    Raises
    ------
    InvalidTypeError
        The features are not real numbers, the labels are not integers, or `num_classes` is no integer.
    NonFiniteError
        A feature is NaN or infinite, also when only after conversion to float64; the message names the row.
    InvalidInputError
        A shape does not fit, there are no rows, or a label is outside [0, K); the message names the row.

    Examples
    --------
    >>> from gradest import datasets
    >>> features, labels, num_classes = datasets.validate_classification([[0.0, 1.0], [1.0, 0.0]], [0, 1])
    >>> features.dtype.name, labels.dtype.name, num_classes
    ('float64', 'int64', 2)
    """
    raw_features = _as_array(features, "features")
    raw_labels = _as_array(labels, "labels")
    _check_features(raw_features)
    _check_labels(raw_labels)
    if len(raw_features) != len(raw_labels):
        raise InvalidInputError(
            f"features and labels need the same number of rows; found {len(raw_features)} rows of features "
            f"and {len(raw_labels)} labels"
        )
    known_classes = _check_label_range(raw_labels, num_classes)
    with np.errstate(over="ignore"):  # a longdouble beyond float64 becomes infinite, and is reported just below
        clean_features = np.array(raw_features, dtype=np.float64, order="C", copy=True)
    _check_finite(clean_features)
    return clean_features, np.array(raw_labels, dtype=np.int64, order="C", copy=True), known_classes


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
        integer = operator.index(number)
    except TypeError as error:
        raise InvalidTypeError(
            f"{name} must be an integer; found {number!r} of type {type(number).__name__}"
        ) from error
    if integer < minimum:
        raise InvalidInputError(f"{name} must be at least {minimum}; found {integer}")
    return integer


@contextmanager
def blamed_on(source: Path) -> Iterator[None]:
    """Put the path of a file in front of the message of what is refused inside the block."""
    try:
        yield
    except GradestError as error:
        raise type(error)(f"{source}: {error}") from error


def _as_array(values: Any, name: str) -> NumpyArray:
    if isinstance(values, np.ma.MaskedArray):
        raise InvalidTypeError(
            f"{name} must be a plain array; found a masked array, whose mask would be lost: fill it or drop the rows"
        )
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInputError(f"{name} cannot be made into an array ({error}); give equally long rows") from error


def _check_features(features: NumpyArray) -> None:
    if features.dtype.kind not in "biuf":
        raise InvalidTypeError(
            f"features must be real numbers; found dtype {features.dtype}: convert them, for example to float64"
        )
    if features.ndim != 2:
        raise InvalidInputError(
            f"features must have shape (N, D); found {features.shape}: flatten each sample into one row"
        )
    if 0 in features.shape:
        raise InvalidInputError(f"features need at least one row and one column; found shape {features.shape}")


def _check_labels(labels: NumpyArray) -> None:
    if labels.size == 0:
        raise InvalidInputError(f"labels must not be empty; found shape {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise InvalidTypeError(
            f"labels must be integers in [0, K); found dtype {labels.dtype}: convert them with .astype(int)"
        )
    if labels.ndim != 1:
        raise InvalidInputError(f"labels must have shape (N,); found {labels.shape}: use labels.ravel()")


def _check_label_range(labels: NumpyArray, num_classes: int | None) -> int:
    # Compared as Python integers first: an unsigned label above the int64 range would wrap to a negative one.
    smallest, largest = int(labels.min()), int(labels.max())
    known_classes = largest + 1 if num_classes is None else checked_integer(num_classes, "num_classes", minimum=1)
    bound = min(known_classes, _LARGEST_LABEL)
    if smallest >= 0 and largest < bound:
        return known_classes
    outside = (labels < 0) | (labels.astype(np.uint64) >= np.uint64(max(bound, 1)))
    row = int(np.argmax(outside))
    raise InvalidInputError(
        f"labels must be in [0, {max(bound, 1)}); found {int(labels[row])} in row {row} "
        f"({int(np.count_nonzero(outside))} such rows): number the classes from 0"
    )


def _check_finite(features: Features) -> None:
    finite = np.isfinite(features)
    if finite.all():
        return
    row, column = (int(index) for index in np.argwhere(~finite)[0])
    raise NonFiniteError(
        f"features must be finite in float64; found {features[row, column]} in row {row}, column {column} "
        f"({int(np.count_nonzero(~finite.all(axis=1)))} such rows): drop these rows or fill them in"
    )
