"""Readers of a user's own data set, from a CSV or an NPZ file.

Nothing is guessed in silence: a header is skipped only when asked for, and a column of labels must hold integers.
This module knows nothing of data sets by name.
"""

import gzip
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gradest.datasets.arguments import blamed_on, checked_integer
from gradest.datasets.dataset import Dataset, from_arrays
from gradest.errors import DatasetError, InvalidInputError, InvalidTypeError

_FEATURE_NAMES = ("x", "X", "features", "data")
_LABEL_NAMES = ("y", "Y", "labels", "target")
_GZIP_MAGIC = b"\x1f\x8b"
_EXACT_INTEGERS = 2.0**53


def load_csv(
    path: str | Path,
    *,
    label_column: int = -1,
    delimiter: str = ",",
    skip_rows: int = 0,
    num_classes: int | None = None,
    name: str | None = None,
) -> Dataset:
    """Return the data set in a CSV file: a text table of numbers (UTF-8, raw or gzipped), one sample a line.

    Parameters
    ----------
    path
        The file. Blank lines are passed over.
    label_column
        The column of the integer labels; negative ones count from the right. All others are features.
    delimiter
        The one character between columns.
    skip_rows
        How many lines to leave out at the top; 1 for a header.
    num_classes
        By default the largest label plus one.
    name
        Name of the result; by default that of the file.

    Raises
    ------
    DatasetError
        The file cannot be read, is empty, or has rows of different lengths or cells that are not numbers.
    InvalidTypeError
        A label is not an integer.
    InvalidInputError
        `label_column` or `delimiter` does not fit, or the contents are refused by `validate_classification`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from gradest import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "tiny.csv")
    ...     _ = path.write_text("0.0,1.0,0\\n1.0,0.0,1\\n")
    ...     tiny = datasets.load_csv(path)
    >>> tiny.name, tiny.features.shape, tiny.labels.tolist()
    ('tiny.csv', (2, 2), [0, 1])
    """
    source = Path(path)
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        raise InvalidInputError(f"delimiter must be one character, such as ',' or ';'; found {delimiter!r}")
    lines = _read_lines(source)[checked_integer(skip_rows, "skip_rows", minimum=0) :]
    if not any(line.strip() for line in lines):
        raise DatasetError(f"{source} is empty: it has no line of numbers after the first {skip_rows} lines")
    try:
        table = np.loadtxt(lines, delimiter=delimiter, comments=None, quotechar='"', ndmin=2, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise DatasetError(
            f"{source} is not a table of numbers ({error}; rows count from 0 after the first {skip_rows} lines); "
            "skip a header with skip_rows=1 and write classes as integers"
        ) from error
    column = _column(label_column, table.shape[1], source)
    labels = _integer_labels(table[:, column], source)
    features = np.delete(table, column, axis=1)
    return _named_after(source, features, labels, name, num_classes)


def load_npz(
    path: str | Path,
    *,
    features: str | None = None,
    labels: str | None = None,
    num_classes: int | None = None,
    name: str | None = None,
) -> Dataset:
    """Return the data set in a NumPy .npz archive of features and labels; pickled objects are never opened.

    Parameters
    ----------
    path
        The file.
    features
        Name of the (N, D) array; by default whichever one of "x", "X", "features", "data" is there.
    labels
        Name of the (N,) array; by default whichever one of "y", "Y", "labels", "target" is there.
    num_classes
        By default the largest label plus one.
    name
        Name of the result; by default that of the file.

    Raises
    ------
    DatasetError
        The file cannot be read, or an array is missing, ambiguous or holds Python objects.
    InvalidInputError, InvalidTypeError, NonFiniteError
        As `validate_classification` does.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from gradest import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "tiny.npz")
    ...     np.savez(path, x=np.eye(2), y=np.array([0, 1]))
    ...     tiny = datasets.load_npz(path, features="x", labels="y")
    >>> tiny.features.shape, tiny.labels.tolist()
    ((2, 2), [0, 1])
    """
    source = Path(path)
    try:
        feature_array, label_array = _read_archive(source, features, labels)
    except DatasetError:
        raise
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(
            f"{source} cannot be read as an .npz archive of plain arrays ({error}); save it with numpy.savez"
        ) from error
    return _named_after(source, feature_array, label_array, name, num_classes)


def _named_after(source: Path, features: Any, labels: Any, name: str | None, num_classes: int | None) -> Dataset:
    """Return the data set of a file's contents, named after the file by default; messages name the file as well."""
    with blamed_on(source):
        return from_arrays(features, labels, name=source.name if name is None else name, num_classes=num_classes)


def _read_lines(source: Path) -> list[str]:
    try:
        content = source.read_bytes()
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
        # The "-sig" drops the byte-order mark that spreadsheets write; it would make the first cell not a number.
        return content.decode("utf-8-sig").splitlines()
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{source} cannot be read ({error}); check the path and the file") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{source} is not UTF-8 text ({error}); give a CSV file") from error


def _read_archive(source: Path, features: str | None, labels: str | None) -> tuple[Any, Any]:
    # Opened here because numpy.load(path), of NumPy 1.26, leaves a damaged archive's file open.
    with source.open("rb") as stream:
        archive: Any = np.load(stream, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DatasetError(f"{source} holds a single array; save both with numpy.savez(path, x=..., y=...)")
        with archive:
            feature_key = _key(archive.files, features, _FEATURE_NAMES, "features", source)
            label_key = _key(archive.files, labels, _LABEL_NAMES, "labels", source)
            return archive[feature_key], archive[label_key]


def _column(label_column: int, width: int, source: Path) -> int:
    column = checked_integer(label_column, "label_column", minimum=-width)
    if column >= width:
        raise InvalidInputError(f"label_column={column} is asked for, but {source} has {width} columns")
    if width < 2:
        raise DatasetError(f"{source} has one column; labels and at least one feature are needed (delimiter?)")
    return column % width


def _integer_labels(column: npt.NDArray[np.float64], source: Path) -> npt.NDArray[np.int64]:
    # The table was read as float64, in which integers above 2^53 are no longer told apart.
    whole = (np.floor(column) == column) & (np.abs(column) <= _EXACT_INTEGERS)
    if not whole.all():
        row = int(np.argmin(whole))
        raise InvalidTypeError(
            f"{source}: labels must be integers; found {column[row]} in row {row}: is label_column the right one?"
        )
    return column.astype(np.int64)


def _key(present: Sequence[str], asked: str | None, usual: Sequence[str], role: str, source: Path) -> str:
    found = [key for key in ([asked] if asked is not None else usual) if key in present]
    if len(found) == 1:
        return found[0]
    # None of the usual names is as bad as two: which one was meant is not guessed.
    sought = repr(asked) if asked is not None else f"one of {', '.join(usual)}"
    raise DatasetError(
        f"{source}: {role} were sought under {sought}; the archive has: {', '.join(present) or 'nothing'}. "
        f"Name the array with {role}=..."
    )
