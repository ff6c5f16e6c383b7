"""Reads a user's own data set from NumPy's archives of arrays; objects that must be unpickled are never opened.

This module knows nothing of data sets by name.
"""

import zipfile
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gradest.datasets.arguments import blamed_on, checked_path, scaling_words
from gradest.datasets.dataset import Dataset, scaled_dataset
from gradest.datasets.files import READ_ERRORS, opened
from gradest.errors import DatasetError, InvalidInputError

_FEATURE_NAMES = ("x", "X", "features", "data")
_LABEL_NAMES = ("y", "Y", "labels", "target")


def load_npz(
    path: str | Path,
    *,
    features: str | None = None,
    labels: str | None = None,
    flatten: bool = False,
    scale: float = 1.0,
    class_names: Sequence[str] | None = None,
    num_classes: int | None = None,
    name: str | None = None,
) -> Dataset:
    """Return the data set in a NumPy .npz archive of features and labels; pickled objects are never opened.

    Parameters
    ----------
    path
        The file.
    features
        Name of the (N, D) array; by default whichever one of "x", "X", "features", "data" is there.
    labels
        Name of the (N,) array, of integers or of names; by default whichever one of "y", "Y", "labels", "target" is
        there.
    flatten
        Whether features of shape (N, ...), such as images, are made (N, D) in C order.
    scale
        The number that features are divided by, such as 255.
    class_names
        Names of the classes in the order of their numbers; by default the names found, in alphabetical order.
    num_classes
        By default the number of names, or the largest label plus one; see `from_arrays`.
    name
        Name of the result; by default that of the file.

    Raises
    ------
    DatasetError
        The file cannot be read, or an array is missing, ambiguous or holds Python objects.
    InvalidInputError, InvalidTypeError, NonFiniteError
        As `from_arrays` does.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from gradest import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "tiny.npz")
    ...     np.savez(path, x_train=np.full((2, 28, 28), 51, np.uint8), y_train=np.array(["dog", "cat"]))
    ...     tiny = datasets.load_npz(path, features="x_train", labels="y_train", flatten=True, scale=255)
    >>> tiny.features.shape, float(tiny.features[0, 0]), tiny.labels.tolist(), tiny.class_names
    ((2, 784), 0.2, [1, 0], ('cat', 'dog'))
    """
    source = checked_path(path)
    try:
        feature_array, label_array = _read_archive(source, features, labels)
    except DatasetError:
        raise
    except (
        *READ_ERRORS,
        ValueError,
        RuntimeError,
        zipfile.BadZipFile,
    ) as error:  # RuntimeError: encrypted, or packed oddly
        raise DatasetError(
            f"{source} cannot be read as an .npz archive of plain arrays ({error}); save it with numpy.savez, and "
            "names as labels.astype(str)"
        ) from error
    # What labels must become first, a message says; this is how, where they are in a file.
    plain = label_array.ndim == 1 and label_array.dtype.kind in "iuSTU"
    with blamed_on(source, "" if plain else "numpy.load opens the archive, from_arrays takes its arrays"):
        return scaled_dataset(
            _flat(feature_array, flatten),
            label_array,
            scale,
            name=source.name if name is None else name,
            num_classes=num_classes,
            class_names=class_names,
            normalization=scaling_words(scale),
        )


def _flat(features: npt.NDArray[Any], flatten: bool) -> npt.NDArray[Any]:
    if flatten and features.ndim:
        return features.reshape(len(features), prod(features.shape[1:]))
    if features.ndim > 2:
        raise InvalidInputError(
            f"features must have shape (N, D); found {features.shape}: flatten=True makes each sample one row, and "
            "scale=255 brings 8-bit pixels into [0, 1]"
        )
    return features


def _read_archive(source: Path, features: str | None, labels: str | None) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    # Opened here because numpy.load(path), of NumPy 1.26, leaves a damaged archive's file open.
    with opened(source) as stream:
        archive: Any = np.load(stream, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DatasetError(f"{source} holds a single array; save both with numpy.savez(path, x=..., y=...)")
        with archive:
            if len(set(archive.files)) < len(archive.files):
                raise DatasetError(f"{source} holds two arrays of one name ({', '.join(archive.files)}); save it again")
            feature_key = _key(archive.files, features, _FEATURE_NAMES, "features", source)
            label_key = _key(archive.files, labels, _LABEL_NAMES, "labels", source)
            found = {key: archive[key] for key in (feature_key, label_key)}
    # What was not written as an array comes as its bytes.
    for key, value in found.items():
        if not isinstance(value, np.ndarray):
            raise DatasetError(f"{source} holds {key!r}, which is no array; save it with numpy.savez")
    return found[feature_key], found[label_key]


def _key(present: Sequence[str], asked: str | None, usual: Sequence[str], role: str, source: Path) -> str:
    found = [key for key in ([asked] if asked is not None else usual) if key in present]
    if len(found) == 1:
        return found[0]
    # None of the usual names is as bad as two: which one was meant is not guessed.
    sought = repr(asked) if asked is not None else f"one of {', '.join(usual)}"
    raise DatasetError(
        f"{source}: {role} were sought under {sought}; the archive has: {', '.join(present) or 'nothing'}. "
        f"Name the array with {role}=..."
    )
