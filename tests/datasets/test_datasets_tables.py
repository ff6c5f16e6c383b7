"""CSV and NPZ files are read without guessing, and refused by name when damaged."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradest import datasets
from gradest.errors import DatasetError, InvalidInputError, InvalidTypeError, NonFiniteError

GOOD_FEATURES = np.arange(12.0).reshape(4, 3)
GOOD_LABELS = np.array([0, 1, 2, 1])


def test_csv_columns_headers_and_spellings(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b,class\r\n1.5,2,0\r\n"-3e-1",4,1\r\n\r\n')
    data = datasets.load_csv(path, skip_rows=1)
    assert data.features.tolist() == [[1.5, 2.0], [-0.3, 4.0]]
    assert (data.labels.tolist(), data.name, data.normalization) == ([0, 1], "table.csv", "as given")
    path.write_bytes(b"\xef\xbb\xbf1.5,2,0\n-0.3,4,1\n")  # a byte-order mark before the first number
    assert datasets.load_csv(path).checksum == data.checksum
    zipped = tmp_path / "first.csv.gz"
    zipped.write_bytes(gzip.compress(b"0;1.5;2\n1;-0.3;4\n", mtime=0))
    assert datasets.load_csv(zipped, label_column=0, delimiter=";").checksum == data.checksum


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", DatasetError, "is empty"),
        (b"\n \n", DatasetError, "is empty"),
        (b"1,2,0\n3,1\n", DatasetError, "columns changed"),
        (b"1,2,0\n3,oak,1\n", DatasetError, "'oak'.*row 1, column 2"),
        (b"a,b,class\n1,2,0\n", DatasetError, "skip_rows=1"),
        (b"1,,0\n", DatasetError, "not a table of numbers"),
        (b"1,2,setosa\n", DatasetError, "write classes as integers"),
        (b"0\n1\n", DatasetError, "one column"),
        (b"\xff\xfe1,2", DatasetError, "UTF-8"),
        (gzip.compress(b"1,2,0\n", mtime=0)[:-6], DatasetError, "cannot be read"),
        (b"1,nan,0\n", NonFiniteError, "row 0, column 1"),
        (b"1,2,0\n1,inf,0\n", NonFiniteError, "row 1, column 1"),
        (b"1,2,0\n1,2,0.5\n", InvalidTypeError, "found 0.5 in row 1"),
        (b"1,2,nan\n", InvalidTypeError, "found nan in row 0"),
        (b"1,2,1e300\n", InvalidTypeError, "labels must be integers"),
        (b"1,2,0\n1,2,-1\n", InvalidInputError, "found -1 in row 1"),
    ],
)
def test_damaged_csv_files_are_refused_by_name(
    tmp_path: Path, content: bytes, error: type[Exception], words: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(error, match=words) as caught:
        datasets.load_csv(path)
    assert "bad.csv" in str(caught.value)


def test_csv_arguments_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("1,2,0\n")
    for column in (3, -4):
        with pytest.raises(InvalidInputError, match="label_column"):
            datasets.load_csv(path, label_column=column)
    with pytest.raises(InvalidInputError, match="delimiter"):
        datasets.load_csv(path, delimiter=", ")
    with pytest.raises(DatasetError, match="is empty"):
        datasets.load_csv(path, skip_rows=1)
    with pytest.raises(InvalidInputError, match="num_classes"):
        datasets.load_csv(path, num_classes=0)
    with pytest.raises(DatasetError, match="cannot be read"):
        datasets.load_csv(tmp_path / "absent.csv")


@pytest.mark.parametrize(("x", "y"), [("x", "y"), ("X", "y"), ("features", "labels"), ("data", "target")])
def test_npz_arrays_are_found_under_their_usual_names(tmp_path: Path, x: str, y: str) -> None:
    np.savez_compressed(tmp_path / "set.npz", **{x: GOOD_FEATURES.astype(">f4"), y: GOOD_LABELS.astype(np.uint8)})
    data = datasets.load_npz(tmp_path / "set.npz")
    assert data.checksum == datasets.from_arrays(GOOD_FEATURES, GOOD_LABELS).checksum
    assert datasets.load_npz(tmp_path / "set.npz", features=x, labels=y).checksum == data.checksum


def test_npz_names_that_are_missing_or_ambiguous(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, x=GOOD_FEATURES, X=GOOD_FEATURES + 1, y=GOOD_LABELS)
    with pytest.raises(DatasetError, match=r"features=\.\.\."):
        datasets.load_npz(path)
    assert datasets.load_npz(path, features="X").features[0, 0] == 1.0
    with pytest.raises(DatasetError, match="'x_train'; the archive has: x, X, y"):
        datasets.load_npz(path, features="x_train")


def npz_of(tmp_path: Path, features: np.ndarray, labels: np.ndarray) -> bytes:
    np.savez(tmp_path / "made.npz", x=features, y=labels)
    return (tmp_path / "made.npz").read_bytes()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda _: b"", DatasetError, "cannot be read"),
        (lambda _: b"not an archive", DatasetError, "cannot be read"),
        (lambda t: npz_of(t, GOOD_FEATURES, GOOD_LABELS)[:200], DatasetError, "cannot be read"),
        (lambda t: npz_of(t, GOOD_FEATURES.astype(object), GOOD_LABELS), DatasetError, "plain arrays"),
        (lambda t: npz_of(t, GOOD_FEATURES * np.nan, GOOD_LABELS), NonFiniteError, "row 0"),
        (lambda t: npz_of(t, GOOD_FEATURES, GOOD_LABELS * 0.5), InvalidTypeError, "integers"),
        (lambda t: npz_of(t, GOOD_FEATURES, GOOD_LABELS - 1), InvalidInputError, "found -1 in row 0"),
        (lambda t: npz_of(t, GOOD_FEATURES[:0], GOOD_LABELS[:0]), InvalidInputError, "at least one row"),
    ],
)
def test_damaged_npz_files_are_refused_by_name(
    tmp_path: Path, make: Callable[..., Any], error: type[Exception], words: str
) -> None:
    path = tmp_path / "bad.npz"
    path.write_bytes(make(tmp_path))
    with pytest.raises(error, match=words) as caught:
        datasets.load_npz(path)
    assert "bad.npz" in str(caught.value)


def test_a_single_array_file_is_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", GOOD_FEATURES)
    with pytest.raises(DatasetError, match="single array"):
        datasets.load_npz(tmp_path / "one.npy")
    with pytest.raises(DatasetError, match="cannot be read"):
        datasets.load_npz(tmp_path / "absent.npz")
