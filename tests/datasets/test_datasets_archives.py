"""NPZ archives are read without guessing, and refused by name when damaged; nothing in them is unpickled."""

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradest import datasets
from gradest.errors import DatasetError, InvalidInputError, InvalidTypeError, NonFiniteError

GOOD_FEATURES = np.arange(12.0).reshape(4, 3)
GOOD_LABELS = np.array([0, 1, 2, 1])
IMAGES = np.arange(4 * 6, dtype=np.uint8).reshape(4, 2, 3) * 10


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


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(4, 2, 3), (4, 1, 2, 3), (4, 6)], ids=str)
def test_images_are_flattened_and_scaled_on_request(tmp_path: Path, shape: tuple[int, ...], order: Any) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, x_train=np.array(IMAGES.reshape(shape), order=order), y_train=GOOD_LABELS.astype(np.uint8))
    keys: dict[str, Any] = {"features": "x_train", "labels": "y_train"}
    data = datasets.load_npz(path, **keys, flatten=True, scale=255)
    assert data.features.tolist() == [[10 * pixel / 255 for pixel in range(k, k + 6)] for k in (0, 6, 12, 18)]
    assert data.normalization == "feature / 255"
    assert datasets.load_npz(path, **keys, flatten=True).features.tolist() == (data.features * 255).tolist()
    if len(shape) > 2:
        with pytest.raises(InvalidInputError, match=r"flatten=True.*scale=255"):
            datasets.load_npz(path, **keys)


def test_a_vector_is_one_feature_when_flattened(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", x=np.array([1.0, 2.0]), y=[0, 1])
    assert datasets.load_npz(tmp_path / "set.npz", flatten=True).features.tolist() == [[1.0], [2.0]]
    with pytest.raises(InvalidInputError, match=r"\(2,\): features\[:, None\]"):
        datasets.load_npz(tmp_path / "set.npz")


@pytest.mark.parametrize(
    ("scale", "error"),
    [
        (0, InvalidInputError),
        (-1.0, InvalidInputError),
        (float("nan"), InvalidInputError),
        (float("inf"), InvalidInputError),
        (1 / 255, InvalidInputError),
        (True, InvalidTypeError),
        ("255", InvalidTypeError),
    ],
)
def test_a_scale_that_is_none(tmp_path: Path, scale: Any, error: type[Exception]) -> None:
    np.savez(tmp_path / "set.npz", x=IMAGES, y=GOOD_LABELS)
    with pytest.raises(error, match="divided by"):
        datasets.load_npz(tmp_path / "set.npz", flatten=True, scale=scale)


def test_small_floats_may_be_scaled_up_but_not_beyond_float64(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", x=GOOD_FEATURES * 0.25, y=GOOD_LABELS)
    assert datasets.load_npz(tmp_path / "set.npz", scale=0.25).features.tolist() == GOOD_FEATURES.tolist()
    with pytest.raises(NonFiniteError, match="inf"), np.errstate(over="ignore"):
        datasets.load_npz(tmp_path / "set.npz", scale=1e-308)


@pytest.mark.parametrize("dtype", ["U9", "S9", ">U9"])
def test_names_as_labels_are_numbered_and_kept(tmp_path: Path, dtype: str) -> None:
    names = np.array(["setosa", "virginica", "setosa", "versicolor"], dtype=dtype)
    np.savez(tmp_path / "set.npz", x=GOOD_FEATURES, y=names)
    data = datasets.load_npz(tmp_path / "set.npz")
    assert data.class_names == ("setosa", "versicolo", "virginica")
    assert data.labels.tolist() == [0, 2, 0, 1]


@pytest.mark.parametrize(
    ("labels", "advice"),
    [
        (GOOD_LABELS[:, None], r"labels\.ravel\(\)"),
        (np.eye(3)[GOOD_LABELS], r"argmax\(axis=1\)"),
        (GOOD_LABELS.astype(float), r"astype\(int\)"),
        (GOOD_LABELS == 1, r"astype\(int\)"),
    ],
)
def test_what_must_be_converted_says_how_it_is_opened(tmp_path: Path, labels: np.ndarray, advice: str) -> None:
    np.savez(tmp_path / "set.npz", x=GOOD_FEATURES, y=labels)
    with pytest.raises((InvalidInputError, InvalidTypeError), match=rf"{advice}.*numpy\.load opens the archive"):
        datasets.load_npz(tmp_path / "set.npz")


def test_what_is_pickled_is_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    np.savez(tmp_path / "set.npz", x=GOOD_FEATURES, y=np.array([Trap()] * 4, dtype=object))
    with pytest.raises(DatasetError, match=r"plain arrays.*labels\.astype\(str\)"):
        datasets.load_npz(tmp_path / "set.npz")
    assert not (tmp_path / "sprung").exists()


def archive_of(tmp_path: Path, members: list[tuple[str, bytes]]) -> Path:
    path = tmp_path / "made.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")  # which zipfile says when it writes what is refused here
def test_archives_of_other_makers(tmp_path: Path) -> None:
    good = [("x.npy", npy(GOOD_FEATURES)), ("y.npy", npy(GOOD_LABELS))]
    path = archive_of(tmp_path, good)
    checksum = datasets.load_npz(path).checksum
    assert checksum == datasets.from_arrays(GOOD_FEATURES, GOOD_LABELS).checksum
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert datasets.load_npz(path).checksum == checksum
    with pytest.raises(DatasetError, match="two arrays of one name"):
        datasets.load_npz(archive_of(tmp_path, [good[0], *good]))
    with pytest.raises(DatasetError, match="'x', which is no array"):
        datasets.load_npz(archive_of(tmp_path, [("x.npy", b"1,2"), good[1]]))
    with pytest.raises(DatasetError, match="cannot be read"):
        datasets.load_npz(archive_of(tmp_path, [("x.npy", npy(GOOD_FEATURES)[:-1]), good[1]]))


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: a.astype(">f8"), lambda a: a.astype("<f4")])
def test_orders_of_memory_and_bytes_leave_no_trace(tmp_path: Path, layout: Callable[[np.ndarray], np.ndarray]) -> None:
    np.savez(tmp_path / "set.npz", x=layout(GOOD_FEATURES), y=GOOD_LABELS.astype(">i2"))
    data = datasets.load_npz(tmp_path / "set.npz")
    assert data.checksum == datasets.from_arrays(GOOD_FEATURES, GOOD_LABELS).checksum
