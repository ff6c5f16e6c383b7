"""Reads a user's own data set from a table of text: CSV and its relatives.

Nothing is guessed in silence: a header is skipped, a row with missing cells dropped and a comment passed over only when
that is asked for.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gradest.datasets.arguments import blamed_on, checked_path, scaling_words
from gradest.datasets.dataset import Dataset, scaled_dataset
from gradest.datasets.files import READ_ERRORS, opened, refuse_archive
from gradest.datasets.labels import checked_class_names
from gradest.datasets.text_format import TextFormat, is_number, open_text
from gradest.datasets.text_table import Choice, Column, Table, read_table
from gradest.errors import DatasetError, InvalidInputError

_MISSING = ("refuse", "drop")


def load_csv(
    path: str | Path,
    *,
    label_column: Column = -1,
    usecols: Sequence[Column] | None = None,
    delimiter: str | None = ",",
    decimal: str = ".",
    comments: str | None = None,
    encoding: str = "utf-8",
    skip_rows: int = 0,
    missing: str = "refuse",
    scale: float = 1.0,
    class_names: Sequence[str] | None = None,
    num_classes: int | None = None,
    name: str | None = None,
) -> Dataset:
    """Return the data set in a table of text: numbers, and a column of labels, one sample a line.

    The file may be raw, or compressed by gzip, bzip2 or xz. Blank lines are passed over; blanks around a cell count for
    nothing; a cell in double quotes may hold delimiters and line ends. Messages count lines and columns from 1, as
    editors do, and give a column's name where a header was skipped; `label_column` and `usecols` count from 0, as
    Python does. What this cannot express, `pandas.read_csv` can: give its columns to `from_arrays`.

    Parameters
    ----------
    path
        The file.
    label_column
        The column of the labels: its number from 0, negative from the right, or its name in the header, the last
        skipped line. Labels are integers, which may be written "3.0", or names, such as "Iris-setosa".
    usecols
        The columns of the features, by number or by name; by default all but the labels.
    delimiter
        The one character between columns; None (or "whitespace") for any number of blanks and tabs.
    decimal
        The decimal mark, "." or ",".
    comments
        What begins a comment, such as "#"; the rest of its line is passed over. None: there are none.
    encoding
        By any name that Python knows, such as "latin-1". A byte-order mark is no part of the first cell.
    skip_rows
        How many lines to leave out at the top; 1 for a header.
    missing
        What to do with rows in which a feature or the label is missing: "refuse" them, or "drop" them, which
        `Dataset.normalization` then says. Missing is an empty cell, or one of ?, NA, N/A, n/a, #N/A, <NA>, NaN, nan,
        NULL, null, None; a label among `class_names` is not.
    scale
        The number that features are divided by, such as 255.
    class_names
        Names of the classes in the order of their numbers; by default the names found, in alphabetical order. Give the
        second of two files (test data) those of the first, as it may lack a class.
    num_classes
        By default the number of names, or the largest label plus one; see `from_arrays`.
    name
        Name of the result; by default that of the file.

    Raises
    ------
    DatasetError
        The file cannot be read, is empty, or has rows of different lengths, missing cells or cells that are no numbers.
    InvalidTypeError
        A label is a number but no integer, or some are names and others numbers.
    InvalidInputError, NonFiniteError
        An option does not fit, or the contents are refused by `from_arrays`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from gradest import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plain, named = pathlib.Path(folder, "plain.csv"), pathlib.Path(folder, "named.txt")
    ...     _ = plain.write_text("0.0,1.0,0\\n1.0,0.0,1\\n")
    ...     tiny = datasets.load_csv(plain)
    ...     _ = named.write_text("id kind size  width\\n1 cat  2,5  1\\n2 dog  5,0  2  # big\\n3 cat  ?    1\\n")
    ...     pets = datasets.load_csv(
    ...         named, skip_rows=1, label_column="kind", usecols=["size", "width"], delimiter=None, decimal=",",
    ...         comments="#", missing="drop",
    ...     )
    >>> tiny.name, tiny.features.shape, tiny.labels.tolist()
    ('plain.csv', (2, 2), [0, 1])
    >>> pets.features.tolist(), pets.labels.tolist(), pets.class_names, pets.normalization
    ([[2.5, 1.0], [5.0, 2.0]], [0, 1], ('cat', 'dog'), 'as given; rows with missing cells dropped: 1')
    """
    source = checked_path(path)
    if missing not in _MISSING:
        raise InvalidInputError(f"missing must be one of: {', '.join(map(repr, _MISSING))}; found {missing!r}")
    names = checked_class_names(class_names)
    form = TextFormat(delimiter, decimal, comments, encoding, skip_rows)
    with blamed_on(source):
        table = _read(source, form, Choice(label_column, usecols, missing == "drop", names or ()))
        if names is None:
            _refuse_header(table)
        dropped = f"; rows with missing cells dropped: {table.num_dropped}" if table.num_dropped else ""
        return scaled_dataset(
            table.features,
            # As objects: an array of texts would be as wide as the longest label in each row.
            np.array(table.labels, dtype=object),
            scale,
            name=source.name if name is None else name,
            num_classes=num_classes,
            class_names=names,
            normalization=scaling_words(scale) + dropped,
            place=table.place,
        )


def _read(source: Path, form: TextFormat, choice: Choice) -> Table:
    try:
        with opened(source) as stream:
            refuse_archive(stream)
            with open_text(stream, form) as text:
                return read_table(text, form, choice)
    except READ_ERRORS as error:
        raise DatasetError(f"the file cannot be read ({error}); check the path and the file") from error
    except UnicodeError as error:
        raise DatasetError(f"the text is not {form.encoding} ({error}); give its encoding") from error


def _refuse_header(table: Table) -> None:
    """Refuse a first row of which only the label tells that it is a header: pandas writes 0, 1, 2 above the others."""
    label, others = table.labels[0], Counter(table.labels[1:])
    if is_number(label) or not others:
        return
    # A header of numbers alone passes for a row: the feature names 0, 1, 2 are features 0, 1, 2.
    numbered = np.array_equal(table.features[0], np.arange(table.features.shape[1]))
    # Its "label" is in no other row, while each of the others is in several.
    alone = label not in others and min(others.values()) > 1
    if all(map(is_number, others)) or (numbered and alone):
        raise DatasetError(
            f"line {table.lines[0]} looks like a header, by its label {label!r}: if it is one, skip it with "
            f"skip_rows={table.lines[0]}; if {label!r} is a class, list all of them in class_names"
        )
