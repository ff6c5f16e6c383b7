"""What is not classification data is refused; what is comes out canonical, and the input is left alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradest import datasets
from gradest.errors import InvalidInputError, InvalidTypeError, NonFiniteError

GOOD_FEATURES = np.arange(12.0).reshape(4, 3)
GOOD_LABELS = np.array([0, 1, 2, 1])


@pytest.mark.parametrize(
    ("features", "labels", "num_classes", "error", "words"),
    [
        (GOOD_FEATURES, [0.0, 1.0, 2.0, 1.0], None, InvalidTypeError, "labels must be integers"),
        (GOOD_FEATURES, [0, 1.5, 2, 1], 3, InvalidTypeError, "float64"),
        (GOOD_FEATURES, [True, False, True, True], None, InvalidTypeError, "bool"),
        (GOOD_FEATURES, ["a", "b", "c", "b"], None, InvalidTypeError, "labels"),
        (GOOD_FEATURES, GOOD_LABELS.astype(object), None, InvalidTypeError, "object"),
        (GOOD_FEATURES, GOOD_LABELS[:, None], None, InvalidInputError, r"\(4, 1\).*labels\.ravel\(\)$"),
        (GOOD_FEATURES, GOOD_LABELS[:, None] * 1.0, None, InvalidInputError, r"labels\.ravel\(\)\.astype\(int\)$"),
        (GOOD_FEATURES, np.array(1), None, InvalidInputError, r"found \(\)"),
        (GOOD_FEATURES, [0, 1, 3, 1], 3, InvalidInputError, "found 3 in row 2"),
        (GOOD_FEATURES, [0, -1, 2, 1], 3, InvalidInputError, "found -1 in row 1"),
        (GOOD_FEATURES, [0, -1, 2, 1], None, InvalidInputError, "found -1 in row 1"),
        (GOOD_FEATURES, [-1, -1, -1, -1], None, InvalidInputError, "found -1 in row 0"),
        (GOOD_FEATURES, [0, 1, 2, -100], 3, InvalidInputError, "found -100 in row 3"),
        (GOOD_FEATURES, [0, 1, 2, 10**6], 3, InvalidInputError, "found 1000000 in row 3 "),
        (GOOD_FEATURES, np.array([0, 1, 2, 255], np.uint8), 3, InvalidInputError, "found 255 in row 3"),
        (GOOD_FEATURES, np.array([0, 1, 2, 2**64 - 1], np.uint64), None, InvalidInputError, "in row 3"),
        (GOOD_FEATURES, GOOD_LABELS, 0, InvalidInputError, "num_classes"),
        (GOOD_FEATURES, GOOD_LABELS, 3.0, InvalidTypeError, "num_classes"),
        (GOOD_FEATURES, GOOD_LABELS, True, InvalidTypeError, "num_classes"),
        (GOOD_FEATURES, GOOD_LABELS[:3], None, InvalidInputError, "4 rows of features and 3 labels"),
        (np.empty((0, 3)), np.empty(0, int), None, InvalidInputError, r"\(0, 3\)"),
        (np.empty((0, 3)), [], 3, InvalidInputError, r"\(0, 3\)"),
        (GOOD_FEATURES, [], 3, InvalidInputError, "labels must not be empty"),
        (np.empty((4, 0)), GOOD_LABELS, None, InvalidInputError, "one column"),
        (GOOD_FEATURES[:, 0], GOOD_LABELS, None, InvalidInputError, r"\(N, D\)"),
        (GOOD_FEATURES.reshape(4, 3, 1), GOOD_LABELS, None, InvalidInputError, "flatten"),
        (GOOD_FEATURES + 0j, GOOD_LABELS, None, InvalidTypeError, "complex"),
        (GOOD_FEATURES.astype(object), GOOD_LABELS, None, InvalidTypeError, "object"),
        (GOOD_FEATURES.astype(str), GOOD_LABELS, None, InvalidTypeError, "real numbers"),
        ([[1.0, 2.0], [3.0]], [0, 1], None, InvalidInputError, "equally long"),
        (np.ma.masked_equal(GOOD_FEATURES, 3.0), GOOD_LABELS, None, InvalidTypeError, "mask"),
    ],
)
def test_what_is_not_classification_data_is_refused(
    features: Any, labels: Any, num_classes: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        datasets.validate_classification(features, labels, num_classes)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_feature_that_is_not_finite_is_named_by_row_and_column(bad: float) -> None:
    features = GOOD_FEATURES.copy()
    features[2, 1] = bad
    with pytest.raises(NonFiniteError, match="in row 2, column 1"):
        datasets.validate_classification(features, GOOD_LABELS)


@pytest.mark.skipif(np.finfo(np.longdouble).max == np.finfo(float).max, reason="longdouble is float64 here")
def test_a_longdouble_beyond_float64_is_refused() -> None:
    features = GOOD_FEATURES.astype(np.longdouble)
    features[1, 2] = np.longdouble(np.finfo(float).max) * 2
    with pytest.raises(NonFiniteError, match="row 1, column 2"):
        datasets.validate_classification(features, GOOD_LABELS)


@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i4", "<u4", ">i8", "<u8", "i8"])
def test_every_integer_label_dtype_gives_the_same_int64(dtype: str) -> None:
    labels = GOOD_LABELS.astype(dtype)
    _, clean, num_classes = datasets.validate_classification(GOOD_FEATURES, labels)
    assert clean.dtype == np.int64
    assert clean.dtype.isnative
    assert clean.tobytes() == np.array([0, 1, 2, 1], dtype=np.int64).tobytes()
    assert num_classes == 3


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", ">i4", "<i8", "f2", ">f4", "<f8", ">f8", "g"])
def test_every_real_feature_dtype_becomes_native_float64(dtype: str) -> None:
    features = np.array([[0, 1], [1, 1], [1, 0]]).astype(dtype)
    clean, _, _ = datasets.validate_classification(features, [0, 1, 0])
    assert clean.dtype == np.float64
    assert clean.dtype.isnative
    assert clean.tolist() == [[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.setflags(write=False)
    return array


MEMORY_LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "Fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "read-only": read_only,
    "big-endian": lambda a: a.astype(">f8"),
    "nested lists": lambda a: a.tolist(),
}


@pytest.mark.parametrize("layout", MEMORY_LAYOUTS)
def test_the_memory_layout_leaves_no_trace(layout: str) -> None:
    original = np.random.default_rng(3).standard_normal((5, 4))
    features = MEMORY_LAYOUTS[layout](original)
    labels = np.array([0, 9, 1, 9, 2, 9, 1, 9, 0, 9])[::2]
    before = np.array(features).tobytes()
    clean, clean_labels, _ = datasets.validate_classification(features, labels)
    assert clean.tobytes() == original.tobytes()
    assert clean_labels.tolist() == [0, 1, 2, 1, 0]
    assert clean.flags.c_contiguous
    assert clean.flags.owndata
    assert not np.shares_memory(clean, features)
    assert not np.shares_memory(clean_labels, labels)
    clean[:] = 0.0
    clean_labels[:] = 0
    assert np.array(features).tobytes() == before
    assert labels.tolist() == [0, 1, 2, 1, 0]


def test_a_broadcast_view_becomes_ordinary_memory() -> None:
    view = np.broadcast_to(np.array([1.0, 2.0]), (3, 2))
    clean, labels, _ = datasets.validate_classification(view, np.broadcast_to(np.int8(1), (3,)))
    clean[0, 0] = 7.0
    assert clean.tolist() == [[7.0, 2.0], [1.0, 2.0], [1.0, 2.0]]
    assert labels.tolist() == [1, 1, 1]


def test_canonical_input_is_copied_and_stays_writable() -> None:
    features, labels = GOOD_FEATURES.copy(), GOOD_LABELS.copy()
    data = datasets.from_arrays(features, labels)
    features[:] = -1.0
    labels[:] = 0
    assert features.flags.writeable
    assert data.features.tobytes() == GOOD_FEATURES.tobytes()
    assert data.labels.tolist() == GOOD_LABELS.tolist()
