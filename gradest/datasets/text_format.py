"""How a table is written as text: what parts its cells, lines and decimals; and the cells of each line.

Python's csv module does the parting. Lines and columns are counted from 1, as editors and spreadsheets count. This
module knows nothing of labels nor of numbers.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import cast

from gradest.datasets.arguments import checked_integer
from gradest.datasets.files import Stream
from gradest.errors import DatasetError, InvalidInputError

_BYTE_ORDER_MARKS = {  # the longer ones first, of which a shorter one may be the beginning
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_BLANKS = str.maketrans("\t\v\f\u00a0", "    ")
_UNDECODED = re.compile("[\udc80-\udcff]")
_DELIMITERS = {";": "';'", "\t": "'\\t'", "|": "'|'", ",": "','", " ": "None, which is any blanks"}


@dataclass(frozen=True)
class TextFormat:
    """How a table is written: see `load_csv`."""

    delimiter: str | None
    decimal: str
    comments: str | None
    encoding: str
    skip_rows: int

    def __post_init__(self) -> None:
        """Refuse what no table is written in.

        Raises
        ------
        InvalidInputError
            An option has no meaning, or two contradict one another.
        """
        delimiter = None if self.delimiter == "whitespace" else self.delimiter
        object.__setattr__(self, "delimiter", delimiter)
        object.__setattr__(self, "skip_rows", checked_integer(self.skip_rows, "skip_rows", minimum=0))
        if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n'):
            raise InvalidInputError(
                f"delimiter must be one character, such as ',' or ';', or None for any blanks; found {delimiter!r}"
            )
        if self.decimal not in (".", ","):
            raise InvalidInputError(f"decimal must be '.' or ','; found {self.decimal!r}")
        if self.comments is not None and (not isinstance(self.comments, str) or self.comments.strip(' "\r\n') == ""):
            raise InvalidInputError(
                f"comments must be what begins a comment, such as '#', or None; found {self.comments!r}"
            )
        if self.comments is not None and self.comments == delimiter:
            raise InvalidInputError(f"comments and delimiter must differ; found {delimiter!r} for both")
        try:
            "".encode(self.encoding)  # which refuses codecs of bytes, such as "hex", too
            codec = codecs.lookup(self.encoding)
        except (LookupError, TypeError) as error:
            raise InvalidInputError(
                f"encoding must be one that Python knows, such as 'utf-8' or 'latin-1'; found {self.encoding!r}"
            ) from error
        # "-sig" drops the byte-order mark that spreadsheets write; it would make the first cell not a number.
        object.__setattr__(self, "encoding", "utf-8-sig" if codec.name == "utf-8" else codec.name)


Record = tuple[int, list[str]]
"""The number of a line, and its cells."""


def open_text(stream: Stream, form: TextFormat) -> io.TextIOWrapper:
    """Return the text in a file; bytes that are not of its encoding are marked, and `undecoded` tells them.

    Raises
    ------
    DatasetError
        The text says at its beginning that its encoding is another.
    """
    start = stream.peek(4)
    named = next((name for mark, name in _BYTE_ORDER_MARKS.items() if start.startswith(mark)), None)
    if named is not None and form.encoding == "utf-8-sig":
        raise DatasetError(f"the text begins with the byte-order mark of {named}: give encoding={named!r}")
    # What cannot be decoded passes as lone surrogates: in a header or a comment it disturbs nobody, and a cell that has
    # one is no number, and is refused with the option that helps.
    return io.TextIOWrapper(cast(io.BufferedReader, stream), form.encoding, "surrogateescape", newline="")


def read_records(text: io.TextIOWrapper, form: TextFormat) -> tuple[tuple[str, ...], Iterator[Record]]:
    """Return the cells of the last line that is skipped, and those of each further line that has any.

    Raises
    ------
    DatasetError
        Quotation marks do not match, when the records are read.
    """
    skipped = list(islice(text, form.skip_rows))
    return _header(skipped[-1], form) if skipped else (), _records(text, form, len(skipped))


def _header(line: str, form: TextFormat) -> tuple[str, ...]:
    try:
        records = list(_records([line.lstrip(form.comments or "#")], form, 0))
    except DatasetError:
        return ()  # what is skipped may be anything, such as a title in quotes that end on a line before
    return tuple(map(str.strip, records[0][1])) if records else ()


def _records(text: Iterable[str], form: TextFormat, skipped: int) -> Iterator[Record]:
    lines = text if form.comments is None else _without_comments(text, form.comments)
    if form.delimiter is None:
        lines = (f"{line.translate(_BLANKS).strip()}\n" for line in lines)
    delimiter = form.delimiter or " "
    # Blanks behind a delimiter count for nothing; where blanks part the cells, this makes several of them one.
    skip_blanks = form.delimiter != " "
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=skip_blanks, strict=True)
    line = skipped + 1
    try:
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield line, cells
            line = skipped + reader.line_num + 1
    except csv.Error as error:
        raise DatasetError(
            f"the text from line {line} on cannot be parted into cells ({error}); check its quotes"
        ) from error


def _without_comments(lines: Iterable[str], mark: str) -> Iterator[str]:
    quoted = False  # whether a cell in quotes has not ended where a line does
    for line in lines:
        at = line.find(mark)
        while at >= 0 and (quoted + line.count('"', 0, at)) % 2:
            at = line.find(mark, at + 1)
        if at < 0:
            quoted ^= bool(line.count('"') % 2)
        else:
            quoted = False
        yield line if at < 0 else f"{line[:at].rstrip(' ')}\n"


def undecoded(text: str) -> bool:
    """Return whether a text has bytes that its encoding does not know."""
    return _UNDECODED.search(text) is not None


def is_number(text: str) -> bool:
    """Return whether a cell is a number, with a decimal point."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python's own spelling of 1_000


def other_delimiter(cell: str, form: TextFormat) -> str | None:
    """Return the delimiter, as an argument, that makes numbers of what was taken for one cell; None: none does."""
    for mark, option in _DELIMITERS.items():
        pieces = [piece.strip().replace(",", ".", 1) for piece in cell.split(mark) if piece.strip()]
        # One of them may be the name of a class; and two numbers with a comma between are one with a decimal comma.
        numbers, least = sum(map(is_number, pieces)), 3 if mark == "," else 2
        if mark != (form.delimiter or " ") and len(pieces) >= least and numbers >= len(pieces) - 1:
            return option
    return None


def advice_on_cell(cell: str, record: Record, form: TextFormat, *, first: bool) -> str:
    """Return what to try where a cell of a line should be a number and is not."""
    line, cells = record
    if undecoded(cell):
        return f"it has bytes that are not {form.encoding.removesuffix('-sig')}: give the encoding, such as 'latin-1'"
    mark = "#" if "#" in cell else cells[0].lstrip()[:1]
    if form.comments is None and mark in ("#", "%"):
        return f"if it begins or holds a comment, comments={mark!r} passes over that"
    delimiter = other_delimiter(cell, form)
    if delimiter is not None:
        return f"if it is several cells, give delimiter={delimiter}"
    if form.decimal == "." and is_number(cell.replace(",", ".", 1)):
        return "if it has a decimal comma, give decimal=','"
    if is_number(cell.replace(".", "").replace(",", "").replace("_", "")):
        return f"a number is read with decimal={form.decimal!r}, and without marks between thousands"
    if first and not any(is_number(each.replace(form.decimal, ".")) for each in cells):
        return f"if the line is a header, skip it with skip_rows={line}"
    return "leave its column out with usecols if it is no feature, or correct the cell"
