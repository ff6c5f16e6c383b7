"""What is a class label: integers in [0, K), or names that are numbered; everything else is told what it is.

This module knows nothing of features nor of files.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gradest.datasets.arguments import Place, checked_integer
from gradest.errors import InvalidInputError, InvalidTypeError
from gradest.operations import NumpyArray

Labels = npt.NDArray[np.int64]

MISSING_MARKS = frozenset({"", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None"})
"""What stands for a missing cell in text: the marks that pandas writes or reads, and the "?" of the UCI repository."""

_LARGEST_LABEL = np.iinfo(np.int64).max
_FEW_CLASSES = 100  # what may be all distinct in a small sample; more classes than rows above it are identifiers
_EXACT_INTEGERS = 2.0**53  # float64 no longer tells it from the next integer
_LONGEST_INTEGER = 1000
_SHOWN_NAMES = 8


def check_label_array(labels: NumpyArray, place: Place) -> None:
    """Refuse labels that are no integers, or not one a row.

    Raises
    ------
    InvalidTypeError
        They are not integers; the message says what they are and what makes integers of them.
    InvalidInputError
        They are not of shape (N,).
    """
    if labels.size == 0:
        raise InvalidInputError(f"labels must not be empty; found shape {labels.shape}")
    if labels.ndim != 1:
        raise InvalidInputError(f"labels must have shape (N,); found {labels.shape}{_advice_on_shape(labels)}")
    if labels.dtype.kind not in "iu":
        raise InvalidTypeError(
            f"labels must be integers in [0, K); found dtype {labels.dtype}{_advice_on_type(labels, place)}"
        )


def checked_num_classes(labels: NumpyArray, num_classes: int | None, place: Place) -> int:
    """Return the number of classes of integer labels, which lie in [0, num_classes).

    Raises
    ------
    InvalidTypeError
        `num_classes` is not an integer.
    InvalidInputError
        A label is out of range, or there would be so many classes that labels must be identifiers.
    """
    # Compared as Python integers first: an unsigned label above the int64 range would wrap to a negative one.
    smallest, largest = int(labels.min()), int(labels.max())
    known_classes = largest + 1 if num_classes is None else checked_integer(num_classes, "num_classes", minimum=1)
    bound = max(min(known_classes, _LARGEST_LABEL), 1)
    if smallest < 0 or largest >= bound:
        outside = (labels < 0) | (labels.astype(np.uint64) >= np.uint64(bound))
        row, count = int(np.argmax(outside)), int(np.count_nonzero(outside))
        raise InvalidInputError(
            f"labels must be in [0, {bound}); found {int(labels[row])} {place(row, None)}, {count} such in all: "
            "number the classes from 0"
        )
    if num_classes is None and known_classes > max(_FEW_CLASSES, len(labels) - 1):
        row = int(np.argmax(labels))
        raise InvalidInputError(
            f"labels up to {largest}, {place(row, None)}, make {known_classes} classes of {len(labels)} rows: are they "
            f"identifiers, or the numbers of a regression? If they are classes, say num_classes={known_classes}"
        )
    return known_classes


def is_one_hot(labels: NumpyArray) -> bool:
    """Return whether labels of shape (N, K), K at least 2, have a single 1 in each row and zeros beside it."""
    if labels.dtype.kind not in "biuf" or labels.ndim != 2 or labels.shape[1] < 2:
        return False
    ones = np.count_nonzero(labels == 1, axis=1)
    zeros = np.count_nonzero(labels == 0, axis=1)
    return bool(np.all(ones == 1) and np.all(zeros == labels.shape[1] - 1))


def checked_class_names(names: Any) -> tuple[str, ...] | None:
    """Return the names of the classes, in the order of their numbers; None is none.

    Raises
    ------
    InvalidTypeError
        They are not texts.
    InvalidInputError
        There are none, or two are the same.
    """
    if names is None:
        return None
    found = tuple(names) if isinstance(names, Iterable) and not isinstance(names, str) else (None,)
    if not all(isinstance(name, str) for name in found):
        raise InvalidTypeError(f"class_names must be texts, such as ('cat', 'dog'); found {names!r}")
    if not found or len(set(found)) < len(found):
        raise InvalidInputError(f"class_names must be one name a class, each another; found {names!r}")
    return tuple(str(name) for name in found)


def label_texts(labels: NumpyArray) -> list[str] | None:
    """Return labels of shape (N,) that are text, as Python strings without blanks around them; None: they are not."""
    if labels.ndim != 1 or not labels.size or labels.dtype.kind not in "OSTU":
        return None
    if labels.dtype.kind == "S":
        # Bytes that are no UTF-8 stay to be seen in a message, where they would raise before one could be made.
        labels = np.char.decode(labels, "utf-8", "backslashreplace")
    values = labels.tolist()
    return [value.strip() for value in values] if all(isinstance(value, str) for value in values) else None


def number_classes(
    texts: Sequence[str], class_names: tuple[str, ...] | None, place: Place
) -> tuple[Labels, tuple[str, ...] | None]:
    """Return the numbers of classes that are given as text, (N,), and the names of the classes.

    Texts that are all integers ("3", "3.0") are those integers. Names are numbered by `class_names`, or in the order
    of their characters' code points if that is None.

    Raises
    ------
    InvalidTypeError
        A label is a number but no integer, or some are numbers and others names.
    InvalidInputError
        A label is missing, is not among `class_names`, or looks like several cells.
    """
    distinct = dict.fromkeys(texts)
    if class_names is not None and distinct.keys() <= set(class_names):
        return _codes(texts, class_names), class_names
    wholes = {text: _whole_number(text) for text in distinct}
    if all(whole is not None for whole in wholes.values()):
        # Python integers of any size: what does not fit into int64 is out of range, and is said to be.
        large = next((text for text, whole in wholes.items() if abs(whole or 0) > _LARGEST_LABEL), None)
        if large is not None:
            where = place(texts.index(large), None)
            raise InvalidInputError(f"labels must be in [0, K); found {large} {where}: number the classes from 0")
        return np.array([wholes[text] for text in texts], dtype=np.int64), class_names
    _refuse_texts(texts, class_names, place)
    # By code points, not in the order of rows or of a locale: the same data are numbered alike everywhere.
    names = tuple(sorted(distinct))
    return _codes(texts, names), names


def _codes(texts: Sequence[str], names: tuple[str, ...]) -> Labels:
    code = {name: number for number, name in enumerate(names)}
    return np.array([code[text] for text in texts], dtype=np.int64)


def _refuse_texts(texts: Sequence[str], class_names: tuple[str, ...] | None, place: Place) -> None:
    """Refuse texts that are not all names of classes; they are known not to be all integers."""

    def where(text: str) -> str:
        return place(texts.index(text), None)

    distinct = dict.fromkeys(texts)
    for text in distinct:
        if text in MISSING_MARKS:
            raise InvalidInputError(f"the label {where(text)} is missing: found {text!r}; leave such rows out")
        if _is_number(text) and _whole_number(text) is None:
            raise InvalidTypeError(
                f"labels must be integers or names; found {text} {where(text)}: is this the column of the labels?"
            )
    names = [text for text in distinct if not _is_number(text)]
    if class_names is not None:
        shown = ", ".join(class_names[:_SHOWN_NAMES]) + (", ..." if len(class_names) > _SHOWN_NAMES else "")
        new = next(text for text in distinct if text not in class_names)
        raise InvalidInputError(f"{new!r} {where(new)} is none of the class_names ({shown}): add it to them")
    if len(names) < len(distinct):
        number = next(text for text in distinct if _is_number(text))
        raise InvalidTypeError(
            f"labels must be all integers or all names; found {names[0]!r} {where(names[0])} and {number!r} "
            f"{where(number)}: is one of the two a heading or a mistake?"
        )
    for name in names:
        # 1,5 or 12/03: digits and marks without a letter are rather a number or a date in another spelling.
        numeric = any(map(str.isdigit, name)) and not any(map(str.isalpha, name))
        if numeric or any(mark in name for mark in ";|\t"):
            raise InvalidInputError(
                f"the label {name!r} {where(name)} looks like several cells, or like a number in another spelling: is "
                "this the column of the labels, and the delimiter right? If it is a name, list all in class_names"
            )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python's own spelling of 1_000; elsewhere it is a name


def _whole_number(text: str) -> int | None:
    """Return the integer that a text states, exactly; None: it states none."""
    if not _is_number(text):
        return None
    digits = text.lstrip("+-")
    if digits.isdecimal():
        # Python reads no integer of more than some 4,000 digits; any this long is out of range all the same.
        return int(text) if len(digits) < _LONGEST_INTEGER else _LARGEST_LABEL + 1
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < _EXACT_INTEGERS else None


def _advice_on_shape(labels: NumpyArray) -> str:
    if labels.ndim != 2:
        return ": give one class a row"
    if labels.shape[1] == 1:
        return f", a single column: use labels.ravel(){'' if labels.dtype.kind in 'iuUSO' else '.astype(int)'}"
    if is_one_hot(labels):
        return ", one-hot rows with a column a class: use labels.argmax(axis=1)"
    return (
        ", several values a row (multi-label, or soft labels), and each row has one class here: choose one column, "
        "such as labels[:, 0]"
    )


def _advice_on_type(labels: NumpyArray, place: Place) -> str:
    kind = labels.dtype.kind
    if kind == "b":
        return ": convert them with labels.astype(int)"
    if kind == "f":
        odd = np.flatnonzero((np.floor(labels) != labels) | ~np.isfinite(labels))
        if not odd.size:
            return ": convert them with labels.astype(int)"
        row = int(odd[0])
        return f", and {labels[row]} {place(row, None)} is no class: are they the numbers of a regression, or missing?"
    texts = label_texts(labels)
    if texts is None:
        values = labels.tolist()
        if all(isinstance(value, int | np.integer) for value in values):
            return ": convert them with labels.astype(int)"
        row = next((k for k, value in enumerate(values) if not isinstance(value, int | str | np.integer)), 0)
        return f", such as {values[row]!r} {place(row, None)}: drop rows without a label, and number the classes from 0"
    if all(_whole_number(text) is not None for text in texts):
        return f", integers as text such as {texts[0]!r}: convert them with labels.astype(int)"
    return (
        f", names such as {texts[0]!r}: from_arrays numbers them and keeps the names, or use "
        "names, labels = numpy.unique(labels, return_inverse=True)"
    )
