"""One classification data set in memory: features, labels, and what is needed to cite them in a result.

Every loader returns it, and it cannot be changed: a result that names its checksum can be repeated.

This module knows nothing of files, of data sets by name, of problems or of backends.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from gradest.datasets.validation import Features, Labels, checked_integer, validate_classification
from gradest.errors import InvalidInputError, InvalidTypeError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Holds one classification data set; nothing in it can be changed.

    Made by `load`, `from_arrays` and the other loaders, which validate. Two data sets hold the same data when their
    checksums agree.

    Attributes
    ----------
    name
        Says where the data come from, such as "digits" or "digits/train".
    features
        Shape (N, D), float64, C-contiguous and read-only.
    labels
        Classes in [0, num_classes), shape (N,), int64, C-contiguous and read-only.
    num_classes
        Number of classes of the whole set; a part of it need not hold all of them.
    normalization
        What was done to the features, in words, such as "pixel / 16".
    checksum
        SHA-256, in hexadecimal, of the features as little-endian float64 in C order, then of the labels as
        little-endian int64.

    Examples
    --------
    >>> from gradest import datasets
    >>> blobs = datasets.synthetic_classification(100, 3, 2, seed=0)
    >>> len(blobs), blobs.features.shape, blobs.num_classes
    (100, (100, 3), 2)
    >>> train, test = blobs.split(0.8, seed=0)
    >>> len(train), test.name
    (80, 'synthetic-100x3x2-seed0/test')
    """

    name: str
    features: Features
    labels: Labels
    num_classes: int
    normalization: str
    checksum: str

    def __post_init__(self) -> None:
        """Refuse arrays that loaders would not make: whoever is given a `Dataset` need not check it again."""
        for array, dtype in ((self.features, np.float64), (self.labels, np.int64)):
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.flags.writeable:
                raise InvalidTypeError(
                    "a Dataset holds read-only float64 features and int64 labels; build it with from_arrays"
                )

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Restore a pickled or deep-copied data set; NumPy forgets on the way that its arrays are read-only."""
        self.__dict__.update(state)
        self.features.setflags(write=False)
        self.labels.setflags(write=False)

    def __len__(self) -> int:
        """Return the number of samples N."""
        return len(self.labels)

    def take(self, count: int, *, seed: int = 0) -> "Dataset":
        """Return `count` samples drawn without replacement, by a seeded shuffle that takes no account of classes.

        Raises
        ------
        InvalidTypeError
            `count` or `seed` is not an integer.
        InvalidInputError
            `count` is less than 1 or more than N, or `seed` is negative.
        """
        size = checked_integer(count, "count", minimum=1)
        if size > len(self):
            raise InvalidInputError(f"take({size}) asks for more than the {len(self)} samples of {self.name!r}")
        return self._part(shuffled_order(len(self), seed=seed)[:size], f"take{size}-seed{seed}")

    def split(self, fraction: float = 0.8, *, seed: int = 0) -> tuple["Dataset", "Dataset"]:
        """Return a random split (train, test): after a seeded shuffle, the first round(fraction * N) are for training.

        Raises
        ------
        InvalidTypeError
            `fraction` is not a number or `seed` not an integer.
        InvalidInputError
            `fraction` is not between 0 and 1, one of the parts would be empty, or `seed` is negative.
        """
        if not isinstance(fraction, Real):
            raise InvalidTypeError(f"fraction must be a number; found {fraction!r}")
        if not 0.0 < fraction < 1.0:
            raise InvalidInputError(f"fraction must be between 0 and 1, both excluded; found {fraction!r}")
        num_train = round(fraction * len(self))
        if not 0 < num_train < len(self):
            raise InvalidInputError(
                f"split({fraction!r}) of the {len(self)} samples of {self.name!r} leaves one part empty; "
                "use another fraction or more samples"
            )
        order = shuffled_order(len(self), seed=seed)
        return self._part(order[:num_train], "train"), self._part(order[num_train:], "test")

    def _part(self, rows: npt.NDArray[np.intp], part: str) -> "Dataset":
        return _frozen(
            f"{self.name}/{part}", self.features[rows], self.labels[rows], self.num_classes, self.normalization
        )


def from_arrays(
    features: Any,
    labels: Any,
    *,
    name: str = "arrays",
    num_classes: int | None = None,
    normalization: str = "as given",
) -> Dataset:
    """Return a data set that holds validated copies of (N, D) features and (N,) integer labels.

    Raises
    ------
    InvalidInputError, InvalidTypeError, NonFiniteError
        As `validate_classification` does.

    Examples
    --------
    >>> from gradest import datasets
    >>> tiny = datasets.from_arrays([[0.0, 1.0], [1.0, 0.0]], [0, 1], name="tiny")
    >>> tiny.features.shape, tiny.num_classes
    ((2, 2), 2)
    """
    return scaled_dataset(features, labels, 1.0, name=name, num_classes=num_classes, normalization=normalization)


def scaled_dataset(
    features: Any, labels: Any, divisor: float, *, name: str, num_classes: int | None, normalization: str
) -> Dataset:
    """Return a data set of features divided by `divisor`, with one float64 copy of them in memory at a time.

    Raises
    ------
    InvalidInputError, InvalidTypeError, NonFiniteError
        As `validate_classification` does.
    """
    clean_features, clean_labels, known_classes = validate_classification(features, labels, num_classes)
    if divisor != 1.0:
        clean_features /= divisor
    return _frozen(name, clean_features, clean_labels, known_classes, normalization)


def shuffled_order(count: int, *, seed: int) -> npt.NDArray[np.intp]:
    """Return the permutation of range(count) that belongs to `seed`, the same with every release of NumPy.

    Raises
    ------
    InvalidTypeError
        `seed` is not an integer.
    InvalidInputError
        `seed` is negative.
    """
    # NumPy (NEP 19) promises the raw stream of a bit generator for ever, Generator.permutation only per release.
    # Sorting N random words of 64 bits is a uniform shuffle, but for ties (about N^2 / 2^65), which "stable" settles.
    keys = np.random.PCG64(checked_integer(seed, "seed", minimum=0)).random_raw(count)
    return np.argsort(keys, kind="stable")


def synthetic_classification(num_samples: int, num_features: int, num_classes: int, *, seed: int) -> Dataset:
    """Return Gaussian clusters: x = m_y + e, with class means m_k ~ N(0, I) and noise e ~ N(0, I).

    Classes are as equally large as can be, and in random order.

    Parameters
    ----------
    num_samples, num_features, num_classes
        N, D and K, each at least 1.
    seed
        Seed of the NumPy generator; the same seed gives the same data.

    Raises
    ------
    InvalidTypeError
        An argument is not an integer.
    InvalidInputError
        A size is less than 1, or `seed` is negative.

    Examples
    --------
    >>> from gradest import datasets
    >>> datasets.synthetic_classification(100, 3, 2, seed=0).name
    'synthetic-100x3x2-seed0'
    """
    size = checked_integer(num_samples, "num_samples", minimum=1)
    dimension = checked_integer(num_features, "num_features", minimum=1)
    classes = checked_integer(num_classes, "num_classes", minimum=1)
    generator = np.random.default_rng(checked_integer(seed, "seed", minimum=0))
    means = generator.standard_normal((classes, dimension))
    labels = generator.permutation(np.arange(size, dtype=np.int64) % classes)
    features = generator.standard_normal((size, dimension))
    features += means[labels]
    name = f"synthetic-{size}x{dimension}x{classes}-seed{seed}"
    return _frozen(name, features, labels, classes, "none: Gaussian clusters of unit variance")


def _frozen(name: str, features: Features, labels: Labels, num_classes: int, normalization: str) -> Dataset:
    features.setflags(write=False)
    labels.setflags(write=False)
    return Dataset(name, features, labels, num_classes, normalization, _checksum(features, labels))


def _checksum(features: Features, labels: Labels) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(features, dtype="<f8").data)
    digest.update(np.ascontiguousarray(labels, dtype="<i8").data)
    return digest.hexdigest()
