"""One classification data set in memory: features, labels, and what is needed to cite them in a result.

Every loader returns it, and it cannot be changed: a result that names its checksum can be repeated.

This module knows nothing of files, of data sets by name, of problems or of backends.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from gradest.datasets.arguments import Place, checked_integer, checked_scale, in_array
from gradest.datasets.labels import Labels, checked_class_names, label_texts, number_classes
from gradest.datasets.validation import Features, check_finite, judged_data, judged_shapes, plain_array
from gradest.errors import InvalidInputError, InvalidTypeError


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Holds one classification data set; nothing in it can be changed.

    Made by `load`, `from_arrays` and the other loaders, which copy what they are given. Built directly, it is judged as
    they judge, and refuses arrays that are not in its form. Two data sets hold the same data when their checksums
    agree.

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
        little-endian int64. Computed; one that is given must agree.
    class_names
        Names of the classes in the order of their numbers, or None.

    Raises
    ------
    InvalidTypeError
        Features or labels are not plain, read-only, C-contiguous arrays of float64 and int64, or have the wrong type.
    InvalidInputError, NonFiniteError
        As `validate_classification` does; or the checksum is not that of the data, or there is not one name a class.

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
    checksum: str = ""
    class_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what loaders would not make: whoever is given a `Dataset` need not check it again."""
        for role in ("name", "normalization", "checksum"):
            if not isinstance(getattr(self, role), str):
                raise InvalidTypeError(f"{role} of a Dataset must be text; found {getattr(self, role)!r}")
        _check_form(self.features, self.labels)
        known_classes = judged_shapes(self.features, self.labels, self.num_classes, in_array)
        check_finite(self.features, in_array)
        digest = _checksum(self.features, self.labels)
        if self.checksum not in ("", digest):
            raise InvalidInputError(
                f"the checksum of these data is {digest}; found {self.checksum!r}: leave it out, and it is computed"
            )
        object.__setattr__(self, "num_classes", known_classes)
        object.__setattr__(self, "checksum", digest)
        object.__setattr__(self, "class_names", _names_of(known_classes, self.class_names))

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Restore a pickled or deep-copied data set; NumPy forgets on the way that its arrays are read-only."""
        # By __dict__, as a frozen dataclass refuses its own fields; what was judged once is not judged again.
        self.__dict__.update(state)
        self.features.setflags(write=False)
        self.labels.setflags(write=False)

    def __repr__(self) -> str:
        """Return one line, without the numbers: problems that hold a data set are printed, and labels of runs."""
        size, width = self.features.shape
        return f"Dataset({self.name!r}, {size} x {width}, {self.num_classes} classes, checksum {self.checksum[:12]})"

    def __len__(self) -> int:
        """Return the number of samples N."""
        return len(self.labels)

    def head(self, count: int) -> "Dataset":
        """Return the first `count` samples in the order in which they stand.

        Raises
        ------
        InvalidTypeError
            `count` is not an integer.
        InvalidInputError
            `count` is less than 1 or more than N.
        """
        size = self._checked_count(count, "head")
        return self._part(np.arange(size), f"head{size}")

    def _checked_count(self, count: int, asked: str) -> int:
        size = checked_integer(count, "count", minimum=1)
        if size > len(self):
            raise InvalidInputError(f"{asked}({size}) asks for more than the {len(self)} samples of {self.name!r}")
        return size

    def take(self, count: int, *, seed: int = 0) -> "Dataset":
        """Return `count` samples drawn without replacement, by a seeded shuffle that takes no account of classes.

        Raises
        ------
        InvalidTypeError
            `count` or `seed` is not an integer.
        InvalidInputError
            `count` is less than 1 or more than N, or `seed` is negative.
        """
        size = self._checked_count(count, "take")
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
        # One order cut in two, so that no sample can be in both.
        return self._part(order[:num_train], "train"), self._part(order[num_train:], "test")

    def _part(self, rows: npt.NDArray[np.intp], part: str) -> "Dataset":
        features, labels = self.features[rows], self.labels[rows]
        title = f"{self.name}/{part}"
        return _frozen(title, features, labels, self.num_classes, self.normalization, self.class_names)


def from_arrays(
    features: Any,
    labels: Any,
    *,
    name: str = "arrays",
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    normalization: str = "as given",
) -> Dataset:
    """Return a data set that holds validated copies of (N, D) features and (N,) labels.

    Parameters
    ----------
    features
        Shape (N, D); real numbers, which become float64.
    labels
        Shape (N,); integers in [0, K), or text. Text that is integers throughout is read as such; other text are names,
        which are numbered by `class_names` or, without them, in alphabetical order (of code points).
    name
        Name of the result.
    num_classes
        K. By default the number of names, or the largest label plus one; then more than 100 classes, and no fewer than
        rows, are refused, as labels of that kind are mostly identifiers.
    class_names
        Names of the classes in the order of their numbers. Data with the same names in two parts need them, as a part
        may lack a class.
    normalization
        What was done to the features, in words.

    Raises
    ------
    InvalidInputError, InvalidTypeError, NonFiniteError
        As `validate_classification` does; or a label is missing, is none of `class_names`, or is partly a number.

    Examples
    --------
    >>> from gradest import datasets
    >>> tiny = datasets.from_arrays([[0.0, 1.0], [1.0, 0.0]], [0, 1], name="tiny")
    >>> tiny.features.shape, tiny.num_classes
    ((2, 2), 2)
    >>> named = datasets.from_arrays([[0.0, 1.0], [1.0, 0.0]], ["dog", "cat"])
    >>> named.labels.tolist(), named.class_names
    ([1, 0], ('cat', 'dog'))
    """
    return scaled_dataset(
        features, labels, 1.0, name=name, num_classes=num_classes, class_names=class_names, normalization=normalization
    )


def scaled_dataset(
    features: Any,
    labels: Any,
    divisor: float,
    *,
    name: str,
    normalization: str,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    place: Place = in_array,
) -> Dataset:
    """Return a data set of features divided by `divisor`, with one float64 copy of them in memory at a time.

    Raises
    ------
    InvalidInputError, InvalidTypeError, NonFiniteError
        As `from_arrays` does; or `divisor` is no positive number, or below 1 where features are integers.
    """
    scale = checked_scale(divisor)
    raw_features, raw_labels = plain_array(features, "features"), plain_array(labels, "labels")
    if scale < 1.0 and raw_features.dtype.kind in "biu":
        raise InvalidInputError(
            f"features are divided by scale, and scale={scale:g} would make integers larger: for 8-bit pixels in "
            "[0, 1] give scale=255"
        )
    names = checked_class_names(class_names)
    classes = len(names) if names is not None and num_classes is None else num_classes
    texts = label_texts(raw_labels)
    if texts is not None:
        raw_labels, names = number_classes(texts, names, place)
    clean_features, clean_labels, known_classes = judged_data(raw_features, raw_labels, classes, place)
    if scale != 1.0:
        # In place, in the copy that was made: of a large set a quotient would be a second one.
        clean_features /= scale
    return _frozen(name, clean_features, clean_labels, known_classes, normalization, names)


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
    # Counted out and shuffled, not drawn: of a few samples a drawn class might be missing.
    labels = generator.permutation(np.arange(size, dtype=np.int64) % classes)
    features = generator.standard_normal((size, dimension))
    features += means[labels]
    name = f"synthetic-{size}x{dimension}x{classes}-seed{seed}"
    return _frozen(name, features, labels, classes, "none: Gaussian clusters of unit variance")


def _frozen(
    name: str,
    features: Features,
    labels: Labels,
    num_classes: int,
    normalization: str,
    class_names: tuple[str, ...] | None = None,
) -> Dataset:
    features.setflags(write=False)
    labels.setflags(write=False)
    return Dataset(name, features, labels, num_classes, normalization, class_names=class_names)


def _check_form(features: Any, labels: Any) -> None:
    for role, array, dtype in (("features", features, np.float64), ("labels", labels, np.int64)):
        # A subclass may hide values (a mask) or compute otherwise (a matrix), and a view changes with what it shows.
        plain = type(array) is np.ndarray and array.dtype == dtype and array.flags.c_contiguous
        if not plain or any(each.flags.writeable for each in _memory(array)):
            found = f"{type(array).__name__} of {array.dtype}" if isinstance(array, np.ndarray) else f"{array!r}"
            raise InvalidTypeError(
                f"a Dataset holds read-only, C-contiguous float64 features and int64 labels; found as {role}: {found}"
                f"{', writable or a view of what is' if plain else ''}. Build it with from_arrays, which copies"
            )


def _memory(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield an array, and the arrays whose memory it shows."""
    shown: Any = array
    # A read-only view changes with a writable array below it.
    while isinstance(shown, np.ndarray):
        yield shown
        shown = shown.base


def _names_of(num_classes: int, class_names: Any) -> tuple[str, ...] | None:
    names = checked_class_names(class_names)
    if names is not None and len(names) != num_classes:
        raise InvalidInputError(
            f"there are {num_classes} classes, and {len(names)} names of classes: give one name a class in class_names"
        )
    return names


def _checksum(features: Features, labels: Labels) -> str:
    # In one byte order and from the buffer itself: the same data have the same checksum on every machine.
    digest = hashlib.sha256(np.ascontiguousarray(features, dtype="<f8").data)
    digest.update(np.ascontiguousarray(labels, dtype="<i8").data)
    return digest.hexdigest()
