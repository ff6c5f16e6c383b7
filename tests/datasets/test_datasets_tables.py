"""Tables of text are read without guessing; what is refused says where, by line and column, and names the way."""

import bz2
import csv
import gzip
import lzma
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradest import datasets
from gradest.errors import DatasetError, InvalidInputError, InvalidTypeError, NonFiniteError


def load(folder: Path, content: str | bytes, **options: Any) -> datasets.Dataset:
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return datasets.load_csv(path, **options)


def test_csv_columns_headers_and_spellings(tmp_path: Path) -> None:
    data = load(tmp_path, b'\xef\xbb\xbfa,b,class\r\n1.5,2,0\r\n"-3e-1",4,1\r\n\r\n', skip_rows=1)
    assert data.features.tolist() == [[1.5, 2.0], [-0.3, 4.0]]
    assert (data.labels.tolist(), data.name, data.normalization) == ([0, 1], "table.csv", "as given")
    for content, options in SAME.items():
        assert load(tmp_path, content, **options).checksum == data.checksum, content


SAME: dict[str | bytes, dict[str, Any]] = {
    b"\xef\xbb\xbf1.5,2,0\n-0.3,4,1\n": {},  # a byte-order mark before the first number
    "1.5,2,0\r-0.3,4,1": {},
    "  1.5 ,\t2, 0 \n\n   \n-.3,4e0,+1\n": {},
    '1.5,"2",0\n"-0.3",4,"1"\n': {},
    "1.5,2,0.0\n-0.3,4,1.0\n": {},
    "0;1.5;2\n1;-0.3;4\n": {"label_column": 0, "delimiter": ";"},
    "1.5\t2\t0\n-0.3\t4\t1\n": {"delimiter": "\t"},
    "1.5|2|0\n-0.3|4|1\n": {"delimiter": "|", "label_column": -1},
    "1.5 2 0\n-0.3 4 1\n": {"delimiter": " "},
    "  1.5   2 \t0\n\t-0.3 4 1  \n": {"delimiter": None},
    " 1.5   2  0\n-0.3 4 1\n": {"delimiter": "whitespace"},
    "1,5;2;0\n-0,3;4;1,0\n": {"delimiter": ";", "decimal": ","},
    '"1,5",2,0\n"-0,3",4,1\n': {"decimal": ","},
    "# made by hand\n1.5,2,0  # good\n# \n-0.3,4,1\n": {"comments": "#"},
    "% made by hand\n1.5 2 0%good\n\n-0.3 4 1\n": {"comments": "%", "delimiter": None},
    "x,n,class,y\n1.5,oak,0,2\n-0.3,,1,4\n": {"skip_rows": 1, "label_column": "class", "usecols": ["x", "y"]},
    "1.5,oak,0,2\n-0.3,,1,4\n": {"label_column": 2, "usecols": [0, -1]},
    "1.5,oak,0,2\n-0.3,,1,4\n ": {"label_column": -2, "usecols": (0, 2, 3)},  # the labels are no feature
    "# x y class\n1.5 2 0\n-0.3 4 1\n": {"skip_rows": 1, "label_column": "class", "delimiter": None},
    'made "\nby" hand\n1.5,2,0\n-0.3,4,1\n': {"skip_rows": 2},
    '"made\n"by\n1.5,2,0\n-0.3,4,1\n': {"skip_rows": 2},
    "1.5,2,0\n1,?,1\n,2,0\n1,2,NA\n-0.3,4,1\n1,nan,1": {"missing": "drop"},
    "3,4,0\n-0.6,8,1": {"scale": 2},
    "Größe,b,class\n1.5,2,0\n-0.3,4,1\n".encode("latin-1"): {"skip_rows": 1},  # nobody reads the header
    "Größe,b,class\n1.5,2,0\n-0.3,4,1\n ".encode("latin-1"): {"skip_rows": 1, "encoding": "latin-1"},
    "1.5,2,0\n-0.3,4,1\n".encode("utf-16"): {"encoding": "utf-16"},
    "1.5,2,0\n-0.3,4,1\n".encode("utf-16-le"): {"encoding": "UTF_16LE"},
}


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gzip", "bzip2", "xz"])
def test_packed_tables(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    assert load(tmp_path, pack(b"1,2,0\n3,4,1\n")).features.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    with pytest.raises(DatasetError, match="cannot be read"):
        load(tmp_path, pack(b"1,2,0\n" * 500)[:-12])
    with pytest.raises(DatasetError, match="is empty"):
        load(tmp_path, pack(b""))


def test_names_as_labels(tmp_path: Path) -> None:
    content = "5.1,Iris-setosa\n6.3,Iris-virginica\n7.0,Iris-versicolor\n4.9, Iris-setosa \n"
    data = load(tmp_path, content)
    assert data.class_names == ("Iris-setosa", "Iris-versicolor", "Iris-virginica")
    assert (data.labels.tolist(), data.num_classes) == ([0, 2, 1, 0], 3)
    assert [part.class_names for part in (data.take(2), *data.split(0.5))] == [data.class_names] * 3
    # A second file that lacks a class is numbered alike by the names of the first.
    other = load(tmp_path, "6.0,Iris-virginica\n", class_names=data.class_names)
    assert (other.labels.tolist(), other.num_classes, other.class_names) == ([2], 3, data.class_names)
    assert load(tmp_path, "6.0,Iris-virginica\n").labels.tolist() == [0]
    with pytest.raises(InvalidInputError, match=r"'oak' in line 2, column 2 is none of the class_names"):
        load(tmp_path, "6.0,Iris-virginica\n1,oak\n", class_names=data.class_names)
    assert load(tmp_path, "1,NA\n2,EU\n", class_names=["EU", "NA"]).labels.tolist() == [1, 0]
    assert load(tmp_path, "1,0-9\n2,10-19\n", class_names=["0-9", "10-19"]).labels.tolist() == [0, 1]
    # Few rows, of which the first counts up from 0, are no header.
    assert load(tmp_path, "0.0,1.0,cat\n1.0,0.0,dog\n").class_names == ("cat", "dog")
    assert load(tmp_path, "0,1,cat\n").class_names == ("cat",)
    assert load(tmp_path, "0,cat\n1,dog\n2,dog\n", class_names=("cat", "dog")).labels.tolist() == [0, 1, 1]
    assert load(tmp_path, "1,True\n2,False\n").labels.tolist() == [1, 0]
    assert load(tmp_path, "1,0\n2,1\n", class_names=["no", "yes"]).class_names == ("no", "yes")


def test_a_comment_does_not_begin_within_quotes(tmp_path: Path) -> None:
    content = '1,"C#"\n2,"F\n# or ""F#"""  # two lines\n"3",C  # a "comment"\n#\n4,"C#"#\n'
    data = load(tmp_path, content, comments="#")
    assert data.features.tolist() == [[1.0], [2.0], [3.0], [4.0]]
    assert data.class_names == ("C", "C#", 'F\n# or "F#"')
    assert data.labels.tolist() == [1, 2, 0, 1]
    with pytest.raises(DatasetError, match="line 7, column 1"):
        load(tmp_path, f"{content}oak,C", comments="#")


def test_dropped_rows_are_told(tmp_path: Path) -> None:
    data = load(tmp_path, "1,?,0\n2,3,1\n4,5,\n", missing="drop", scale=2)
    assert (len(data), data.normalization) == (1, "feature / 2; rows with missing cells dropped: 2")


REFUSED: list[tuple[str | bytes, dict[str, Any], type[Exception], str]] = [
    # content, options, error, words of the message, of which line and column come first
    ("", {}, DatasetError, "is empty"),
    ("\n \n", {}, DatasetError, "is empty"),
    ("1,2,0\n", {"skip_rows": 1}, DatasetError, "is empty.*after the 1 skipped"),
    ("# 1,2,0\n", {"comments": "#"}, DatasetError, "is empty"),
    ("1,2,0\n\n3,1\n", {}, DatasetError, "line 3 has 2 columns where line 1 has 3"),
    ("h\n1,2,0\n3,1,2,1\n", {"skip_rows": 1}, DatasetError, "line 3 has 4 columns where line 2 has 3"),
    (
        "1,2,0\n3,oak,1\n",
        {},
        DatasetError,
        "line 2, column 2, is not a number: found 'oak'; leave its column.* usecols",
    ),
    ("a,b,class\n1,2,0\n", {}, DatasetError, "line 1, column 1, .*skip_rows=1"),
    ("0,1,class\n5.1,3.5,a\n4.9,3.0,a\n", {}, DatasetError, "line 1 looks like a header.*skip_rows=1"),
    ("0,1,class\n5.1,3.5,0\n4.9,3.0,1\n", {}, DatasetError, "line 1 looks like a header.*skip_rows=1"),
    ("# by hand\na,b,class\n1,2,0\n", {"skip_rows": 1}, DatasetError, "line 2, column 1, .*skip_rows=2"),
    ("1,5,2,0\n", {"decimal": ","}, DatasetError, "both ','"),
    ('a,"b, or\nc",d\n1,2,0\n3,x,0\n', {"skip_rows": 2}, DatasetError, "line 4, column 2, .*'x'"),
    ('1,"2\n",0\n3,x,0\n', {}, DatasetError, "line 3, column 2, .*'x'"),
    ("0\n1\n", {}, DatasetError, "line 1 has one column, '0'.* is the delimiter right"),
    ("1;2;0\n", {}, DatasetError, "line 1 has one column.*delimiter=';'"),
    ("1\t2\ta\n", {}, DatasetError, r"line 1 has one column.*delimiter='\\t'"),
    ("1 2   0\n", {}, DatasetError, "line 1 has one column.*delimiter=None"),
    ("# made by hand\n1,2,0\n", {}, DatasetError, "line 1 has one column.*comments='#'"),
    ("# made, by, hand\n1,2,0\n", {}, DatasetError, "line 1, column 1, .*comments='#'"),
    ("1,2,0 # good\n1,2,1 # bad\n", {}, DatasetError, "line 1, column 3, is not a label.*comments='#'"),
    ("1;2,0\n", {}, DatasetError, "line 1, column 1, .*'1;2'.*delimiter=';'"),
    ("1  2  0\n", {"delimiter": " "}, DatasetError, "line 1, column 2, is missing.*delimiter=None"),
    ("1,5;2;0\n", {"delimiter": ";"}, DatasetError, "line 1, column 1, .*decimal=','"),
    ("1.234,5;2;0\n", {"delimiter": ";", "decimal": ","}, DatasetError, "line 1, column 1, .*thousands"),
    ("1_000,2,0\n", {}, DatasetError, "line 1, column 1, .*'1_000'"),
    ("Größe,b\n1,0\n".encode("latin-1"), {}, DatasetError, "line 1, column 1, .*not utf-8.*encoding"),
    ("1,größer\n2,b\n".encode("latin-1"), {}, DatasetError, "line 1, column 2, .*not utf-8.*encoding"),
    (b"\xff\xfe1\x00,\x002\x00", {}, DatasetError, "encoding='utf-16'"),
    (b"\xff\xfe\x00\x001\x00\x00\x00", {}, DatasetError, "encoding='utf-32'"),
    (b"1,2,0\n3", {"encoding": "utf-16"}, DatasetError, "not utf-16"),
    (b"PK\x03\x04", {}, DatasetError, "unpack it first"),
    ('1,"2,0\n3,4,1\n', {}, DatasetError, "line 1 on cannot be parted.*quotes"),
    ('1,2,0\n1,"2"2,0\n', {}, DatasetError, "line 2 on cannot be parted.*quotes"),
    ("1,nan,0\n", {}, NonFiniteError, "line 1, column 2: missing='drop'"),
    ("1,2,0\n1,inf,0\n", {}, NonFiniteError, "found inf in line 2, column 2"),
    ("a,b,class\n1,2,0\n1,1e999,0\n", {"skip_rows": 1}, NonFiniteError, r"line 3, column 2 \('b'\)"),
    ("1,2,0\n1,2,0.5\n", {}, InvalidTypeError, "found 0.5 in line 2, column 3"),
    ("1,2,1e300\n", {}, InvalidTypeError, "labels must be integers"),
    ("1,2,9007199254740993.0\n", {}, InvalidTypeError, "labels must be integers"),
    ("1,2,inf\n", {}, InvalidTypeError, "found inf in line 1, column 3"),
    ("1,2,99999999999999999999\n", {}, InvalidInputError, "found 99999999999999999999 in line 1, column 3"),
    ("1,2,9" + "9" * 5000, {}, InvalidInputError, "in line 1, column 3"),
    ("1,2,0\n1,2,-1\n", {}, InvalidInputError, "found -1 in line 2, column 3"),
    ("0,1,2\n\n-1,1,2\n", {"label_column": 0}, InvalidInputError, "found -1 in line 3, column 1"),
    ("1,2,0\n1,2,3\n", {"num_classes": 3}, InvalidInputError, "found 3 in line 2, column 3"),
    (
        "1,0\n1,oak\n",
        {},
        InvalidTypeError,
        "all integers or all names; found 'oak' in line 2, column 2 and '0' in line 1",
    ),
    ("1,5;2\n1,6;2\n", {}, InvalidInputError, "the label '5;2' in line 1, column 2 looks like several cells"),
    ("1,2024-01-31\n1,2024-02-28\n", {}, InvalidInputError, "'2024-01-31' in line 1, column 2 looks like"),
    ("1,0\n1,100000000\n", {}, InvalidInputError, "100000000, in line 2, column 2, make 100000001 classes of 2 rows"),
    ("".join(f"1,{k}\n" for k in range(1, 151)), {}, InvalidInputError, "num_classes=151"),
    ("".join(f"1,id{k}\n" for k in range(150)), {}, InvalidInputError, "num_classes=150"),
    ("1,?,0\n,3,1\n", {"missing": "drop"}, DatasetError, "each of 2 has a missing cell$"),
    ("1,?,0\n2,,1\n", {"missing": "drop"}, DatasetError, "all of them in column 2, which usecols can leave out"),
    ("1,2,\n2,3,\n", {"missing": "drop"}, DatasetError, "each of 2 has a missing cell$"),
    ("1,oak,0\n2,3,1\n", {"missing": "drop"}, DatasetError, "line 1, column 2, is not a number"),
]


@pytest.mark.parametrize(("content", "options", "error", "words"), REFUSED)
def test_what_is_refused_says_where_and_what_to_try(
    tmp_path: Path, content: str | bytes, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        load(tmp_path, content, **options)
    assert str(caught.value).startswith(f"{tmp_path / 'table.csv'}: ")


@pytest.mark.parametrize(
    "mark", ["", " ", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None"]
)
@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_missing_cell_is_refused_with_its_place_or_dropped(tmp_path: Path, mark: str, column: int) -> None:
    cells = ["1", "2", "0"]
    cells[column] = mark
    content = f"a,b,class\n5,6,1\n{','.join(cells)}\n7,8,0\n"
    title = ["'a'", "'b'", "'class'"][column]
    with pytest.raises(InvalidInputError, match=rf"line 3, column {column + 1} \({title}\).*missing='drop'"):
        load(tmp_path, content, skip_rows=1)
    data = load(tmp_path, content, skip_rows=1, missing="drop")
    assert (data.features.tolist(), data.labels.tolist()) == ([[5.0, 6.0], [7.0, 8.0]], [1, 0])


def test_messages_after_dropped_rows_count_the_lines_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="found 7 in line 4, column 2"):
        load(tmp_path, "?,0\n2,1\n\n3,7\n", missing="drop", num_classes=2)
    with pytest.raises(NonFiniteError, match="found inf in line 3, column 1"):
        load(tmp_path, "1,NA\n?,1\ninf,1\n", missing="drop")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"label_column": 3}, InvalidInputError, "label_column asks for column 3, counted from 0.* 0 to 2"),
        ({"label_column": -4}, InvalidInputError, "label_column must be at least -3"),
        ({"label_column": 1.0}, InvalidTypeError, "label_column"),
        ({"label_column": "d"}, InvalidInputError, "the header has none of that name: a, b, b"),
        ({"label_column": "b"}, InvalidInputError, "the header has 2 of that name"),
        ({"label_column": "b", "skip_rows": 0}, InvalidInputError, "no header of 3 cells was skipped: give skip_rows"),
        ({"usecols": [3]}, InvalidInputError, "usecols asks for column 3"),
        ({"usecols": [2]}, InvalidInputError, "at least one feature"),
        ({"usecols": [0, -3]}, InvalidInputError, "none twice"),
        ({"usecols": "a"}, InvalidTypeError, "several columns"),
        ({"usecols": 1}, InvalidTypeError, "several columns"),
        ({"delimiter": ", "}, InvalidInputError, "delimiter must be one character"),
        ({"delimiter": '"'}, InvalidInputError, "delimiter"),
        ({"delimiter": ""}, InvalidInputError, "delimiter"),
        ({"delimiter": 1}, InvalidInputError, "delimiter"),
        ({"decimal": ";"}, InvalidInputError, "decimal"),
        ({"comments": ""}, InvalidInputError, "comments"),
        ({"comments": ","}, InvalidInputError, "must differ"),
        ({"encoding": "klingon"}, InvalidInputError, "encoding"),
        ({"encoding": "hex"}, InvalidInputError, "encoding"),
        ({"encoding": None}, InvalidInputError, "encoding"),
        ({"missing": "fill"}, InvalidInputError, "'refuse', 'drop'"),
        ({"scale": 0}, InvalidInputError, "scale"),
        ({"skip_rows": -1}, InvalidInputError, "skip_rows"),
        ({"num_classes": 0}, InvalidInputError, "num_classes"),
        ({"class_names": "ab"}, InvalidTypeError, "class_names"),
        ({"class_names": 5}, InvalidTypeError, "class_names"),
        ({"class_names": ["a", "a"]}, InvalidInputError, "class_names"),
        ({"class_names": ["a", "b"], "num_classes": 3}, InvalidInputError, "3 classes, and 2 names"),
    ],
)
def test_csv_arguments_that_do_not_fit(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        load(tmp_path, "a,b,b\n1,2,0\n", **{"skip_rows": 1, **options})


def test_a_file_that_is_absent_or_no_path(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        datasets.load_csv(tmp_path / "absent.csv")
    with pytest.raises(DatasetError, match="cannot be read"):
        datasets.load_csv(tmp_path)
    with pytest.raises(InvalidTypeError, match="by its path"):
        datasets.load_csv([[1, 2, 0]])  # type: ignore[arg-type]  # what is refused


def test_every_option_that_a_message_names_exists(tmp_path: Path) -> None:
    known = datasets.load_csv.__kwdefaults__ or {}
    named: set[str] = set()
    for content, options, error, _ in REFUSED:
        with pytest.raises(error) as caught:
            load(tmp_path, content, **options)
        named |= set(re.findall(r"\b([a-z_]+)=", str(caught.value)))
    assert named >= {"skip_rows", "delimiter", "decimal", "comments", "encoding", "missing", "num_classes"}
    assert named <= set(known)
    assert "usecols" in known


def test_the_iris_of_scikit_learn_comes_back_with_its_names(tmp_path: Path) -> None:
    source = pytest.importorskip("sklearn.datasets", reason="iris comes with scikit-learn")
    iris = source.load_iris()
    path = tmp_path / "iris.data"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*iris.feature_names, "species"])
        writer.writerows([*row, f"Iris-{iris.target_names[k]}"] for row, k in zip(iris.data, iris.target, strict=True))
    data = datasets.load_csv(path, skip_rows=1, label_column="species")
    assert np.array_equal(data.features, iris.data)
    assert np.array_equal(data.labels, iris.target)
    assert data.class_names == ("Iris-setosa", "Iris-versicolor", "Iris-virginica")


def test_the_digits_of_scikit_learn_come_back_scaled(tmp_path: Path) -> None:
    source = pytest.importorskip("sklearn.datasets", reason="digits come with scikit-learn")
    pixels, labels = source.load_digits(return_X_y=True)
    np.savetxt(tmp_path / "digits.txt", np.column_stack([labels, pixels]), fmt="%d", header="label then pixels")
    data = datasets.load_csv(tmp_path / "digits.txt", label_column=0, delimiter=None, comments="#", scale=16)
    assert data.checksum == datasets.load("digits").checksum
