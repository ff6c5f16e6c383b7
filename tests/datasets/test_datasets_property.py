"""Any table that Python's csv module writes is read back exactly, to the last bit of each number."""

import csv
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradest import datasets
from gradest.datasets.labels import MISSING_MARKS

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9).map(float)


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def name_of(text: str) -> str:
    return text.strip()


NAMES = (
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
    .map(name_of)
    .filter(lambda text: text not in MISSING_MARKS and not is_number(text) and not text.startswith("\ufeff"))
)


@st.composite
def tables(draw: Any, labels: Any) -> tuple[list[list[float]], list[Any]]:
    width, height = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    rows = draw(st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=height, max_size=height))
    return rows, draw(st.lists(labels, min_size=height, max_size=height))


def written(rows: list[list[Any]], dialect: dict[str, Any]) -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream, **dialect).writerows(rows)
    return stream.getvalue()


def bits(rows: list[list[float]]) -> bytes:
    return b"".join(struct.pack(f"={len(row)}d", *row) for row in rows)


DIALECTS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", ";", "\t", "|", ":", " "]),
        "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    }
)
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@many
@given(table=tables(NAMES), dialect=DIALECTS, column=st.integers(0, 4), heading=st.booleans())
def test_numbers_and_names_come_back(
    tmp_path: Path, table: tuple[list[list[float]], list[str]], dialect: dict[str, Any], column: int, heading: bool
) -> None:
    rows, labels = table
    column = min(column, len(rows[0]))
    lines: list[list[Any]] = [[*row[:column], label, *row[column:]] for row, label in zip(rows, labels, strict=True)]
    if heading:
        lines.insert(0, [f"h{k}" for k in range(len(rows[0]) + 1)])
    path = tmp_path / "table.csv"
    path.write_bytes(written(lines, dialect).encode())
    names = tuple(dict.fromkeys(labels))
    data = datasets.load_csv(
        path,
        delimiter=dialect["delimiter"],
        skip_rows=int(heading),
        label_column=f"h{column}" if heading else column,
        class_names=names,
    )
    assert data.features.tobytes() == bits(rows)
    assert [names[k] for k in data.labels] == labels


@many
@given(table=tables(st.integers(0, 5)), dialect=DIALECTS, encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_numbers_and_integer_labels_come_back(
    tmp_path: Path, table: tuple[list[list[float]], list[int]], dialect: dict[str, Any], encoding: str
) -> None:
    rows, labels = table
    text = written([[*row, label] for row, label in zip(rows, labels, strict=True)], dialect)
    (tmp_path / "table.csv").write_bytes(text.encode(encoding))
    for delimiter in [dialect["delimiter"], *([None] if dialect["delimiter"] in " \t" else [])]:
        options = {"encoding": "utf-16"} if encoding == "utf-16" else {}
        data = datasets.load_csv(tmp_path / "table.csv", delimiter=delimiter, **options)  # type: ignore[arg-type]
        assert data.features.tobytes() == bits(rows)
        assert data.labels.tolist() == labels


@many
@given(table=tables(st.integers(0, 5)), gaps=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=4))
def test_rows_with_gaps_are_dropped_and_no_others(
    tmp_path: Path, table: tuple[list[list[float]], list[int]], gaps: list[tuple[int, int]]
) -> None:
    lines: list[list[Any]] = [[*row, label] for row, label in zip(*table, strict=True)]
    whole = [line.copy() for line in lines]
    holed = {row % len(lines) for row, _ in gaps}
    for row, column in gaps:
        lines[row % len(lines)][column % len(lines[0])] = "?"
    (tmp_path / "table.csv").write_text(written(lines, {}), encoding="utf-8", newline="")
    kept = [line for row, line in enumerate(whole) if row not in holed]
    if not kept:
        with pytest.raises(ValueError, match="no row is left"):
            datasets.load_csv(tmp_path / "table.csv", missing="drop")
        return
    data = datasets.load_csv(tmp_path / "table.csv", missing="drop")
    assert data.features.tobytes() == bits([line[:-1] for line in kept])
    assert data.labels.tolist() == [line[-1] for line in kept]


@many
@given(table=tables(NAMES))
def test_an_archive_of_names_comes_back(tmp_path: Path, table: tuple[list[list[float]], list[str]]) -> None:
    rows, labels = table
    names = tuple(dict.fromkeys(label.rstrip("\0").strip() for label in labels))  # NumPy keeps no zeros at the end
    if not all(names):
        return
    np.savez(tmp_path / "set.npz", x=np.array(rows), y=np.array(labels))
    data = datasets.load_npz(tmp_path / "set.npz", class_names=names)
    assert data.features.tobytes() == bits(rows)
    assert [names[k] for k in data.labels] == [label.rstrip("\0").strip() for label in labels]
