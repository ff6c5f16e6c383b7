"""Makes numbers and labels of the cells of a text, and says by line and column where it cannot.

This module knows nothing of how cells are parted nor of what makes good data.
"""

import io
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from gradest.datasets.arguments import checked_integer
from gradest.datasets.labels import MISSING_MARKS
from gradest.datasets.text_format import (
    Record,
    TextFormat,
    advice_on_cell,
    is_number,
    other_delimiter,
    read_records,
    undecoded,
)
from gradest.errors import DatasetError, InvalidInputError, InvalidTypeError, NonFiniteError

Column = int | str

_WAY_WITH_MISSING = "missing='drop' leaves such rows out, and usecols a whole column"


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are what, counted from 0, and their names if it has a header."""

    width: int
    label: int
    features: tuple[int, ...]
    header: tuple[str, ...] | None

    def title(self, column: int) -> str:
        """Return a column as messages count it: from 1, with its name."""
        return f"column {column + 1}" + ("" if self.header is None else f" ({self.header[column]!r})")


@dataclass(frozen=True)
class Table:
    """The contents of a text: features (N, D), labels (N,) as they are written, and the line of each row."""

    features: npt.NDArray[np.float64]
    labels: list[str]
    lines: Sequence[int]
    columns: Columns
    num_dropped: int

    def place(self, row: int, column: int | None) -> str:
        """Return where a feature, or a label (None), is in the text."""
        where = self.columns.label if column is None else self.columns.features[column]
        return f"in line {self.lines[row]}, {self.columns.title(where)}"


@dataclass(frozen=True)
class Choice:
    """What is asked of a table: see `load_csv`."""

    label_column: Column
    usecols: Sequence[Column] | None
    drop_missing: bool
    class_names: tuple[str, ...]


def read_table(text: io.TextIOWrapper, form: TextFormat, choice: Choice) -> Table:
    """Return the numbers and labels of a text.

    Raises
    ------
    DatasetError
        The text is no table of numbers beside the labels, or a cell is missing; the message says where.
    NonFiniteError
        A feature is written as NaN, and rows with missing cells are not dropped.
    InvalidInputError, InvalidTypeError
        A column that is asked for is not there.
    """
    header, records = read_records(text, form)
    first = next(records, None)
    if first is None:
        skipped = f" after the {form.skip_rows} skipped" if form.skip_rows else ""
        raise DatasetError(f"the text is empty: it has no line of cells{skipped}")
    rows = _Rows(form, choice, _columns(header, first, form, choice))
    rows.add(*first, first=True)
    for line, cells in records:
        rows.add(line, cells)
    return rows.table()


class _Rows:
    """Collects the rows of a table. One at a time: the texts of all cells would take ten times the memory."""

    def __init__(self, form: TextFormat, choice: Choice, columns: Columns) -> None:
        self._form, self._choice, self._columns = form, choice, columns
        self._pick = itemgetter(*columns.features, columns.features[0])  # two or more, of which it makes a tuple
        # Eight bytes a number while they come in; a list of Python's floats takes four times that.
        self._values = array("d")
        self._labels: list[str] = []
        self._lines: list[int] = []
        self._first_line = 0
        self._num_dropped = 0
        self._decimals_seen = False

    def add(self, line: int, cells: list[str], *, first: bool = False) -> None:
        """Take one row in, or drop it."""
        columns = self._columns
        if first:
            self._first_line = line
        if len(cells) != columns.width:
            raise DatasetError(
                f"line {line} has {len(cells)} columns where line {self._first_line} has {columns.width}: "
                "every row needs as many cells; are delimiter, comments and skip_rows right?"
            )
        numbers = self._numbers(line, cells, first)
        label = cells[columns.label].strip()
        if self._form.decimal == "," and is_number(label.replace(",", ".")):
            label = label.replace(",", ".")
        if label in MISSING_MARKS and label not in self._choice.class_names:
            if not self._choice.drop_missing:
                raise DatasetError(self._missing(line, columns.label, label))
            self._num_dropped += 1
            return
        # A label such as 3# or 3 # good has a comment in it that nobody asked to pass over, and would be a class.
        comment = self._form.comments is None and "#" in label and is_number(label.partition("#")[0])
        if undecoded(label) or (comment and label not in self._choice.class_names):
            raise DatasetError(self._no_number(line, columns.label, cells, first, "a label"))
        self._values.extend(numbers)
        self._labels.append(label)
        self._lines.append(line)

    def table(self) -> Table:
        """Return what was taken in, without rows that have NaN where these are dropped."""
        if self._form.decimal == self._form.delimiter and not self._decimals_seen:
            raise DatasetError(
                f"delimiter and decimal are both {self._form.decimal!r}, and no cell in quotes has a decimal: "
                "the marks that part cells cannot be told from those in numbers; is another delimiter meant?"
            )
        shape = (len(self._labels), len(self._columns.features))
        features = np.frombuffer(self._values, dtype=np.float64).reshape(shape) if self._labels else np.empty(shape)
        whole = ~np.isnan(features).any(axis=1)
        table = Table(features, self._labels, self._lines, self._columns, self._num_dropped)
        if whole.all() and self._labels:
            return table
        if not self._choice.drop_missing:
            row, column = (int(index) for index in np.argwhere(np.isnan(features))[0])
            raise NonFiniteError(f"features must be finite; found nan {table.place(row, column)}: {_WAY_WITH_MISSING}")
        dropped = self._num_dropped + int(np.count_nonzero(~whole))
        if not whole.any():
            always = [self._columns.features[k] for k in np.flatnonzero(np.isnan(features).all(axis=0))]
            titles = ", ".join(map(self._columns.title, always)) if self._labels else ""
            raise DatasetError(
                f"no row is left: each of {dropped} has a missing cell"
                + (f", all of them in {titles}, which usecols can leave out" if titles else "")
            )
        kept = [int(row) for row in np.flatnonzero(whole)]
        labels, lines = [self._labels[row] for row in kept], [self._lines[row] for row in kept]
        return Table(features[whole], labels, lines, self._columns, dropped)

    def _numbers(self, line: int, cells: list[str], first: bool) -> list[float]:
        picked = self._pick(cells)[:-1]
        # Python's float takes 1_000 for a thousand; in a table it is a slip, and the slow way says so.
        if self._form.decimal == "." and "_" not in "".join(picked):
            try:
                return list(map(float, picked))
            except ValueError:
                # One of them is no number, or missing: the slow way says which, or what it stands for.
                return self._numbers_one_by_one(line, cells, first)
        return self._numbers_one_by_one(line, cells, first)

    def _numbers_one_by_one(self, line: int, cells: list[str], first: bool) -> list[float]:
        return [self._number(line, column, cells, first) for column in self._columns.features]

    def _number(self, line: int, column: int, cells: list[str], first: bool) -> float:
        text = cells[column].strip()
        # Before float(), which reads "nan" as a number: a mark for what is missing is no value.
        if text in MISSING_MARKS:
            if self._choice.drop_missing:
                return float("nan")
            raise DatasetError(self._missing(line, column, text))
        self._decimals_seen |= self._form.decimal in text
        plain = text if self._form.decimal == "." else text.replace(".", "_").replace(self._form.decimal, ".")
        if not is_number(plain):
            raise DatasetError(self._no_number(line, column, cells, first, "a number"))
        return float(plain)

    def _missing(self, line: int, column: int, text: str) -> str:
        found = f"found {text!r}" if text else "it is empty"
        blanks = "; if columns are parted by any number of blanks, give delimiter=None"
        way = _WAY_WITH_MISSING + (blanks if self._form.delimiter == " " else "")
        return f"the cell in line {line}, {self._columns.title(column)}, is missing ({found}): {way}"

    def _no_number(self, line: int, column: int, cells: list[str], first: bool, sought: str) -> str:
        advice = advice_on_cell(cells[column].strip(), (line, cells), self._form, first=first)
        found = f"found {cells[column]!r}"
        return f"the cell in line {line}, {self._columns.title(column)}, is not {sought}: {found}; {advice}"


def _columns(header: tuple[str, ...], first: Record, form: TextFormat, choice: Choice) -> Columns:
    line, cells = first
    width = len(cells)
    if width < 2:
        delimiter = other_delimiter(cells[0], form)
        advice = "is the delimiter right?" if delimiter is None else f"give delimiter={delimiter}"
        if form.comments is None and cells[0].lstrip().startswith(("#", "%")):
            advice = f"if it is a comment, comments={cells[0].lstrip()[0]!r} passes over that"
        raise DatasetError(
            f"line {line} has one column, {cells[0]!r:.60}; labels and at least one feature are needed: {advice}"
        )
    # The last skipped line need not be a header: where it has another number of cells it is none.
    names = header if len(header) == width else None
    label = _index(choice.label_column, "label_column", width, names)
    if choice.usecols is None:
        features = tuple(column for column in range(width) if column != label)
        return Columns(width, label, features, names)
    if isinstance(choice.usecols, str | int):
        raise InvalidTypeError(f"usecols must be several columns, such as [0, 2]; found {choice.usecols!r}")
    chosen = [_index(column, "usecols", width, names) for column in choice.usecols]
    features = tuple(column for column in chosen if column != label)
    if not features or len(set(chosen)) < len(chosen):
        raise InvalidInputError(f"usecols must name at least one feature, and none twice; found {choice.usecols!r}")
    return Columns(width, label, features, names)


def _index(column: Any, option: str, width: int, header: tuple[str, ...] | None) -> int:
    """Return the number of a column, from 0, that is given by its number or its name."""
    if isinstance(column, str):
        if header is None:
            raise InvalidInputError(
                f"{option} names the column {column!r}, and no header of {width} cells was skipped: give "
                "skip_rows, the last of which is the header, or count the columns from 0"
            )
        if header.count(column) != 1:
            count = header.count(column) or "none"
            raise InvalidInputError(
                f"{option} names the column {column!r}, and the header has {count} of that name: "
                f"{', '.join(header)}; use another, or count the columns from 0"
            )
        return header.index(column)
    number = checked_integer(column, option, minimum=-width)
    if number >= width:
        raise InvalidInputError(
            f"{option} asks for column {number}, counted from 0, and the table has {width}: 0 to {width - 1}, or "
            f"from the right -1 to -{width}"
        )
    return number % width
