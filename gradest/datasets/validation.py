"""Checks of classification data, which every loader and every problem asks for before it uses any.

Frameworks disagree on wrong labels (an error, a wrapped index, a clamped one, a NaN), so the question is settled
before any of them sees the data. This module knows nothing of files, of data sets by name or of backends.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from gradest.datasets.arguments import Place, in_array
from gradest.datasets.labels import Labels, check_label_array, checked_num_classes
from gradest.errors import InvalidInputError, InvalidTypeError, NonFiniteError
from gradest.operations import NumpyArray

Features = npt.NDArray[np.float64]


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
        K. By default the largest label plus one; more than 100 classes, and no fewer than rows, must be stated.

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
        A shape does not fit, there are no rows, a label is outside [0, K), or labels make more than 100 classes, as
        many as rows or more, and `num_classes` is None; the message names the row.

    Examples
    --------
    >>> from gradest import datasets
    >>> features, labels, num_classes = datasets.validate_classification([[0.0, 1.0], [1.0, 0.0]], [0, 1])
    >>> features.dtype.name, labels.dtype.name, num_classes
    ('float64', 'int64', 2)
    """
    return judged_data(features, labels, num_classes)


def judged_data(
    features: Any, labels: Any, num_classes: int | None, place: Place = in_array
) -> tuple[Features, Labels, int]:
    """Do what `validate_classification` does, with another way to say where something is.

    Raises
    ------
    InvalidInputError, InvalidTypeError, NonFiniteError
        As `validate_classification` does.
    """
    raw_features = plain_array(features, "features")
    raw_labels = plain_array(labels, "labels")
    known_classes = judged_shapes(raw_features, raw_labels, num_classes, place)
    with np.errstate(over="ignore"):  # a longdouble beyond float64 becomes infinite, and is reported just below
        clean_features = np.array(raw_features, dtype=np.float64, order="C", copy=True)
    check_finite(clean_features, place)
    return clean_features, np.array(raw_labels, dtype=np.int64, order="C", copy=True), known_classes


def judged_shapes(features: NumpyArray, labels: NumpyArray, num_classes: int | None, place: Place) -> int:
    """Check all of classification data but whether features are finite, copying none, and return the classes.

    Raises
    ------
    InvalidInputError, InvalidTypeError
        As `validate_classification` does.
    """
    _check_features(features)
    check_label_array(labels, place)
    if len(features) != len(labels):
        raise InvalidInputError(
            f"features and labels need the same number of rows; found {len(features)} rows of features "
            f"and {len(labels)} labels"
        )
    return checked_num_classes(labels, num_classes, place)


def check_finite(features: Features, place: Place) -> None:
    """Refuse features of which one is NaN or infinite.

    Raises
    ------
    NonFiniteError
        The message says where the first is, and how many rows have any.
    """
    finite = np.isfinite(features)
    if finite.all():
        return
    # Only where something is wrong: argwhere of a large set takes the memory of several.
    row, column = (int(index) for index in np.argwhere(~finite)[0])
    raise NonFiniteError(
        f"features must be finite in float64; found {features[row, column]} {place(row, column)}, "
        f"{int(np.count_nonzero(~finite.all(axis=1)))} such rows in all: drop these rows or fill them in"
    )


def plain_array(values: Any, name: str) -> NumpyArray:
    """Return an array of what may be nested lists, without a copy where it is one.

    Raises
    ------
    InvalidTypeError
        It is a masked array.
    InvalidInputError
        Its rows are not equally long.
    """
    # Before asarray, which drops the mask: what was hidden would be data again.
    if isinstance(values, np.ma.MaskedArray):
        raise InvalidTypeError(
            f"{name} must be a plain array; found a masked array, whose mask would be lost: fill it or drop the rows"
        )
    try:
        return np.asarray(values)
    # RuntimeError is PyTorch's, of a tensor that requires a gradient.
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInputError(f"{name} cannot be made into an array ({error}); give equally long rows") from error


def _check_features(features: NumpyArray) -> None:
    if features.dtype.kind not in "biuf":
        raise InvalidTypeError(
            f"features must be real numbers; found dtype {features.dtype}: convert them, for example to float64"
        )
    if features.ndim != 2:
        advice = "features[:, None] makes one column" if features.ndim == 1 else "flatten each sample into one row"
        raise InvalidInputError(f"features must have shape (N, D); found {features.shape}: {advice}")
    if 0 in features.shape:
        raise InvalidInputError(f"features need at least one row and one column; found shape {features.shape}")
