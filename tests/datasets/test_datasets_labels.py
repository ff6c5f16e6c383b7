"""Labels that are no classes are called what they are; names are numbered; identifiers are refused."""

from typing import Any

import numpy as np
import pytest

from gradest import datasets
from gradest.errors import GradestError, InvalidInputError, InvalidTypeError

FEATURES = np.arange(12.0).reshape(4, 3)
CLASSES = np.array([0, 1, 2, 1])


@pytest.mark.parametrize("dtype", ["u1", "i1", "<i4", ">i8", "f2", "<f4", ">f8", "g", "?"])
@pytest.mark.parametrize("width", [2, 3, 300])
def test_one_hot_rows_are_called_so_and_the_advice_works(dtype: str, width: int) -> None:
    rows = np.zeros((4, width), dtype=dtype)
    rows[np.arange(4), CLASSES % width] = 1
    with pytest.raises(InvalidInputError, match=r"one-hot.*labels\.argmax\(axis=1\)$") as caught:
        datasets.validate_classification(FEATURES, rows)
    assert "ravel" not in str(caught.value)
    _, labels, _ = datasets.validate_classification(FEATURES, rows.argmax(axis=1))
    assert labels.tolist() == (CLASSES % width).tolist()


@pytest.mark.parametrize(
    "labels",
    [
        [[0, 1], [1, 1], [1, 0], [0, 1]],
        [[0, 1], [0, 0], [1, 0], [0, 1]],
        [[0.5, 0.5]] * 4,
        [[0.0, 1.0], [np.nan, 1.0], [1.0, 0.0], [0.0, 1.0]],
        [[-1, 1], [1, -1], [1, -1], [-1, 1]],
        [[3, 1], [2, 0], [0, 5], [1, 1]],
        [[0, 2], [2, 0], [2, 0], [0, 2]],
        [[0, 1, 2, 1]],
        [["a", "b"]] * 4,
    ],
)
def test_several_values_a_row_are_multi_label(labels: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"multi-label.*labels\[:, 0\]") as caught:
        datasets.validate_classification(FEATURES, labels)
    assert not {"ravel", "astype", "argmax"} & set(str(caught.value).replace("(", " ").replace(".", " ").split())


@pytest.mark.parametrize("labels", [CLASSES[:, None], CLASSES[:, None] * 1.0, (CLASSES > 0)[:, None]])
def test_a_single_column_is_to_be_ravelled_and_the_advice_works(labels: np.ndarray) -> None:
    with pytest.raises(InvalidInputError, match=r"\(4, 1\), a single column: use labels\.ravel\(\)") as caught:
        datasets.validate_classification(FEATURES, labels)
    advice = str(caught.value).partition(": use ")[2]
    clean = eval(advice, {"labels": labels, "int": int})
    assert datasets.validate_classification(FEATURES, clean)[1].tolist() == labels.ravel().tolist()


def test_more_axes_are_no_labels() -> None:
    with pytest.raises(InvalidInputError, match="one class a row") as caught:
        datasets.validate_classification(FEATURES, CLASSES.reshape(2, 2, 1))
    assert "ravel" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "advised"),
    [
        ([0.0, 1.0, 2.0, 1.0], True),
        ([True, False, True, True], True),
        (np.array([0, 1, 2, 1], dtype=object), True),
        (["0", "1", "2", "1"], True),
        ([0.0, 1.5, 2.0, 1.0], False),
        ([0.0, np.nan, 2.0, 1.0], False),
        ([0.0, np.inf, 2.0, 1.0], False),
        ([0, None, 2, 1], False),
        (["a", "b", "c", "b"], False),
        (np.array([0, "a", 2, 1], dtype=object), False),
        (CLASSES + 0j, False),
        (CLASSES.astype("M8[D]"), False),
        (np.array([(1, 2)] * 4, dtype="i4,i4"), False),
    ],
)
def test_conversion_to_int_is_advised_where_it_changes_nothing(labels: Any, advised: bool) -> None:
    with pytest.raises(InvalidTypeError, match="labels must be integers") as caught:
        datasets.validate_classification(FEATURES, labels)
    assert ("astype(int)" in str(caught.value)) is advised
    if advised:
        datasets.validate_classification(FEATURES, np.asarray(labels).astype(int))


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [list, np.array, lambda names: np.array(names, dtype=object), lambda n: np.array(n, "S9")]
)
def test_names_are_numbered_in_alphabetical_order_or_as_stated(kind: Any) -> None:
    names = kind(["dog", "cat", "emu", "cat"])
    data = datasets.from_arrays(FEATURES, names)
    assert (data.labels.tolist(), data.class_names, data.num_classes) == ([1, 0, 2, 0], ("cat", "dog", "emu"), 3)
    expected, numbers = np.unique(["dog", "cat", "emu", "cat"], return_inverse=True)
    assert (data.labels.tolist(), list(data.class_names or ())) == (numbers.tolist(), expected.tolist())
    stated = datasets.from_arrays(FEATURES, names, class_names=["fox", "emu", "dog", "cat"])
    assert (stated.labels.tolist(), stated.num_classes) == ([2, 3, 1, 3], 4)


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="NumPy 1 has no StringDType")
def test_names_of_numpy_2_are_numbered_too() -> None:
    dtype = np.dtypes.StringDType()  # type: ignore[attr-defined,unused-ignore]  # NumPy 2
    data = datasets.from_arrays(FEATURES, np.array(["dog", "cat", "emu", "cat"], dtype=dtype))
    assert (data.labels.tolist(), data.class_names) == ([1, 0, 2, 0], ("cat", "dog", "emu"))


def test_integers_as_text_are_integers() -> None:
    # scikit-learn's fetch_openml gives the digits so; in alphabetical order "10" would come before "2".
    data = datasets.from_arrays(FEATURES, ["2", "10", "0", "1"])
    assert (data.labels.tolist(), data.num_classes, data.class_names) == ([2, 10, 0, 1], 11, None)
    named = datasets.from_arrays(FEATURES, ["2", "10", "0", "10"], class_names=["10", "2", "0"])
    assert named.labels.tolist() == [1, 0, 2, 0]


def test_names_of_integer_classes_are_kept() -> None:
    data = datasets.from_arrays(FEATURES, CLASSES, class_names=("a", "b", "c", "d"))
    assert (data.labels.tolist(), data.num_classes, data.class_names) == ([0, 1, 2, 1], 4, ("a", "b", "c", "d"))


@pytest.mark.parametrize(
    ("labels", "options", "error", "words"),
    [
        (["a", "", "b", "a"], {}, InvalidInputError, r"row 1 \(counted from 0\) is missing"),
        (["a", "NA", "b", "a"], {}, InvalidInputError, "row 1 .* is missing: found 'NA'"),
        (["a", "1", "b", "a"], {}, InvalidTypeError, "'a' in row 0 .* '1' in row 1"),
        (["0", "1", "0.5", "1"], {}, InvalidTypeError, "0.5 in row 2"),
        (["a", None, "b", "a"], {}, InvalidTypeError, "None in row 1"),
        (["a", "c", "b", "a"], {"class_names": ["a", "b"]}, InvalidInputError, "'c' in row 1"),
        (["a", "c", "b", "a"], {"num_classes": 4}, InvalidInputError, "4 classes, and 3 names"),
        (["a", "c", "b", "a"], {"num_classes": 2}, InvalidInputError, r"\[0, 2\); found 2 in row 1"),
        (CLASSES, {"class_names": ["a", "b"]}, InvalidInputError, r"\[0, 2\); found 2 in row 2"),
        (CLASSES, {"class_names": []}, InvalidInputError, "class_names"),
        (CLASSES, {"class_names": [1, 2, 3]}, InvalidTypeError, "class_names"),
    ],
)
def test_names_that_do_not_fit(labels: Any, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        datasets.from_arrays(FEATURES, labels, **options)


# -- identifiers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "refused"),
    [
        ([0, 10**8], True),
        ([0, 100], True),
        ([0, 99], False),  # 100 classes, of which a small sample may hold two
        (range(101), True),
        (range(100), False),
        (range(1000, 1150), True),
        ([*range(150), 0], False),  # fewer classes than rows
        ([f"id{k}" for k in range(101)], True),
        ([f"id{k}" for k in range(100)], False),
        ([2**62, 0], True),
    ],
)
def test_more_classes_than_rows_are_identifiers_unless_stated(labels: Any, refused: bool) -> None:
    labels = list(labels)
    features = np.ones((len(labels), 1))
    largest = len(labels) - 1 if isinstance(labels[0], str) else max(labels)
    stated = datasets.from_arrays(features, labels, num_classes=largest + 1)
    assert stated.num_classes == largest + 1
    if not refused:
        assert datasets.from_arrays(features, labels).num_classes == largest + 1
        return
    with pytest.raises(InvalidInputError, match=rf"identifiers.*num_classes={largest + 1}$"):
        datasets.from_arrays(features, labels)


def test_a_part_of_a_stated_set_is_not_asked_again() -> None:
    data = datasets.from_arrays(np.ones((3, 1)), [0, 5000, 1], num_classes=10000)
    assert data.take(1).num_classes == data.split(0.5)[0].num_classes == 10000


# -- a data set built directly ----------------------------------------------------------------------------------------


def frozen(values: Any, dtype: str) -> np.ndarray:
    array = np.array(values, dtype=dtype)
    array.setflags(write=False)
    return array


def build(features: Any = FEATURES, labels: Any = CLASSES, num_classes: Any = 3, **fields: Any) -> datasets.Dataset:
    if type(features) is np.ndarray and type(labels) is np.ndarray:
        features, labels = frozen(features, features.dtype.str), frozen(labels, labels.dtype.str)
    return datasets.Dataset("mine", features, labels, num_classes, "as given", **fields)


def test_a_data_set_built_directly_is_the_same_as_by_from_arrays() -> None:
    data = build(class_names=["a", "b", "c"])
    assert data.checksum == datasets.from_arrays(FEATURES, CLASSES).checksum
    assert build(checksum=data.checksum).checksum == data.checksum
    assert data.class_names == ("a", "b", "c")
    assert type(build(num_classes=np.int64(3)).num_classes) is int


@pytest.mark.parametrize(
    ("features", "labels", "num_classes"),
    [
        (FEATURES, CLASSES - 1, 3),
        (FEATURES, CLASSES, 2),
        (FEATURES, CLASSES, 0),
        (FEATURES, CLASSES, True),
        (FEATURES, CLASSES, 3.0),
        (FEATURES * np.nan, CLASSES, 3),
        (np.full((4, 3), np.inf), CLASSES, 3),
        (FEATURES[:3], CLASSES, 3),
        (FEATURES[:0], CLASSES[:0], 3),
        (FEATURES[:, :0], CLASSES, 3),
        (FEATURES[:, 0].copy(), CLASSES, 3),
        (FEATURES[:, :, None], CLASSES, 3),
        (FEATURES, CLASSES[:, None], 3),
        (FEATURES, np.eye(3, dtype=np.int64)[CLASSES], 3),
    ],
)
def test_a_data_set_built_directly_refuses_what_from_arrays_refuses(
    features: Any, labels: Any, num_classes: Any
) -> None:
    with pytest.raises(GradestError) as expected:
        datasets.from_arrays(features, labels, num_classes=num_classes)
    with pytest.raises(type(expected.value)) as caught:
        build(features, labels, num_classes)
    assert str(caught.value) == str(expected.value)


def writable_base() -> np.ndarray:
    view = FEATURES.copy().view()
    view.setflags(write=False)
    return view


class Special(np.ndarray):
    pass


@pytest.mark.parametrize(
    "features",
    [
        FEATURES.copy(),
        writable_base(),
        frozen(FEATURES, "f4"),
        frozen(FEATURES, ">f8"),
        frozen(FEATURES, "i8"),
        np.asfortranarray(frozen(FEATURES, "f8")),
        frozen(np.repeat(FEATURES, 2, axis=0), "f8")[::2],
        frozen(FEATURES, "f8").view(Special),
        np.ma.masked_equal(frozen(FEATURES, "f8"), 3.0),
        FEATURES.tolist(),
        None,
    ],
    ids=[
        "writable",
        "view",
        "float32",
        "big-endian",
        "int",
        "Fortran",
        "strided",
        "subclass",
        "masked",
        "lists",
        "None",
    ],
)
def test_a_data_set_built_directly_holds_plain_read_only_memory(features: Any) -> None:
    with pytest.raises(InvalidTypeError, match="from_arrays, which copies"):
        datasets.Dataset("mine", features, frozen(CLASSES, "i8"), 3, "as given")


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"checksum": "0" * 64}, InvalidInputError, "checksum"),
        ({"checksum": None}, InvalidTypeError, "checksum"),
        ({"class_names": ("a", "b")}, InvalidInputError, "3 classes, and 2 names"),
        ({"class_names": ("a", "b", "b")}, InvalidInputError, "class_names"),
        ({"class_names": "abc"}, InvalidTypeError, "class_names"),
    ],
)
def test_other_fields_of_a_data_set_are_judged(fields: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        build(**fields)
    with pytest.raises(InvalidTypeError, match="name of a Dataset"):
        datasets.Dataset(3, frozen(FEATURES, "f8"), frozen(CLASSES, "i8"), 3, "")  # type: ignore[arg-type]  # refused
