"""Loads images and labels from two IDX files, or from a folder of them that is named as the MNIST family names them.

This module knows nothing of data sets by name nor of where they are kept.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gradest.datasets.arguments import blamed_on, checked_integer, checked_path, checked_scale, scaling_words
from gradest.datasets.dataset import Dataset, scaled_dataset
from gradest.datasets.files import SUFFIXES
from gradest.datasets.idx_format import read_idx
from gradest.datasets.labels import is_one_hot
from gradest.errors import DatasetError, InvalidInputError

SUBSETS = ("train", "test", "all")

_PREFIXES = {"train": ("train",), "test": ("t10k",), "all": ("train", "t10k")}
# The test set is t10k in LeCun's own names; others write test.
_SPELLINGS = {"train": ("train",), "t10k": ("t10k", "test")}
_IMAGES, _LABELS = "images", "labels"
_NUM_AXES = {_IMAGES: 3, _LABELS: 1}
_LARGEST_PIXEL = 255.0
_SHOWN_FILES = 6

Arrays = tuple[npt.NDArray[Any], npt.NDArray[Any]]


def load_idx(
    folder: str | Path = ".",
    *,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    subset: str | None = None,
    label_column: int | None = None,
    scale: float | None = None,
    name: str | None = None,
    num_classes: int | None = None,
) -> Dataset:
    """Return the images and labels of IDX files, one image a row: of two files, or of a folder of MNIST-like files.

    In a folder the files are named `train-images-idx3-ubyte` and so on (`t10k` or `test` for the test set;
    `images.idx3` is also known), and lie in it (as Debian packages them) or in its folder `raw` (as torchvision does).
    Files under any other name are given by `images` and `labels`. All may be raw, or compressed by gzip, bzip2 or xz.

    Parameters
    ----------
    folder
        Where the files are.
    images, labels
        The two files, in `folder` or as whole paths. Images have shape (N, ...), which becomes (N, D) in C order; they
        may be of any type, in colour, or plain vectors.
    subset
        Which samples of a folder: "train" (by default), "test" or "all", the training set followed by the test set.
    label_column
        Which column, counted from 0, of labels of shape (N, C).
    scale
        The number that features are divided by; by default 255 for unsigned bytes and 1 for all other types.
    name
        Name of the result; by default the name of the folder and the subset, or of the file of images.
    num_classes
        By default the largest label of the subset plus one.

    Raises
    ------
    DatasetError
        A file is missing, is not IDX data, has its byte order reversed, or is too short or too long for its header; or
        images and labels do not belong together.
    InvalidInputError, InvalidTypeError, NonFiniteError
        An argument does not fit, or the contents are refused by `validate_classification`.

    Examples
    --------
    >>> import pathlib, struct, tempfile
    >>> from gradest import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     images = struct.pack(">4B3I", 0, 0, 8, 3, 2, 1, 2) + bytes([0, 255, 255, 0])  # 2 images of 1 x 2 pixels
    ...     labels = struct.pack(">4BI", 0, 0, 8, 1, 2) + bytes([0, 1])
    ...     _ = pathlib.Path(folder, "train-images-idx3-ubyte").write_bytes(images)
    ...     _ = pathlib.Path(folder, "train-labels-idx1-ubyte").write_bytes(labels)
    ...     tiny = datasets.load_idx(folder)
    ...     other = struct.pack(">4B2I4i", 0, 0, 0x0C, 2, 2, 2, 7, 1, 9, 0)  # int32; the classes are the second column
    ...     _ = pathlib.Path(folder, "other-labels").write_bytes(other)
    ...     again = datasets.load_idx(folder, images="train-images-idx3-ubyte", labels="other-labels", label_column=1)
    >>> tiny.features.tolist(), tiny.labels.tolist(), again.labels.tolist()
    ([[0.0, 1.0], [1.0, 0.0]], [0, 1], [1, 0])
    """
    home = checked_path(folder)
    if images is not None or labels is not None:
        files = [_given(home, images, labels, subset)]
        source, title = " and ".join(map(str, files[0])), files[0][0].name
    else:
        part = "train" if subset is None else subset
        if part not in SUBSETS:
            raise InvalidInputError(f"no subset is named {part!r}; use one of: {', '.join(SUBSETS)}")
        files = [(_required(home, prefix, _IMAGES), _required(home, prefix, _LABELS)) for prefix in _PREFIXES[part]]
        source, title = str(home), f"{home.resolve().name}/{part}"
    pixels, classes = _joined(home, [_read_pair(*pair, label_column) for pair in files])
    # By the type alone, never by the largest value found: a part of a set may have no white pixel.
    default = _LARGEST_PIXEL if pixels.dtype == np.uint8 else 1.0
    divisor = default if scale is None else checked_scale(scale)
    with blamed_on(source, "" if classes.dtype.kind in "iu" else "read_idx reads each file, from_arrays takes arrays"):
        return scaled_dataset(
            pixels,
            classes,
            divisor,
            name=title if name is None else name,
            num_classes=num_classes,
            normalization=scaling_words(divisor, "pixel"),
        )


def idx_files(folder: Path) -> dict[str, Path | None]:
    """Return where each of the four files of an IDX folder is (None: nowhere); opens none of them."""
    return {
        f"{prefix}-{kind}": _find(folder, prefix, kind) for prefix in _PREFIXES["all"] for kind in (_IMAGES, _LABELS)
    }


def _given(home: Path, images: str | Path | None, labels: str | Path | None, subset: str | None) -> tuple[Path, Path]:
    if images is None or labels is None:
        raise InvalidInputError("images and labels are two files; give both, or neither and the folder that holds them")
    if subset is not None:
        raise InvalidInputError(
            f"subset={subset!r} chooses among a folder's files, and images and labels name two: drop it"
        )
    return home / checked_path(images), home / checked_path(labels)


def _find(folder: Path, prefix: str, kind: str) -> Path | None:
    axes = _NUM_AXES[kind]
    # Files that lie in the folder itself come before those that torchvision has put in `raw`.
    for home in (folder, folder / "raw"):
        for spelling in _SPELLINGS[prefix]:
            for stem in (f"{spelling}-{kind}-idx{axes}-ubyte", f"{spelling}-{kind}.idx{axes}-ubyte"):
                for suffix in SUFFIXES:
                    if (home / f"{stem}{suffix}").is_file():
                        return home / f"{stem}{suffix}"
    return None


def _required(folder: Path, prefix: str, kind: str) -> Path:
    found = _find(folder, prefix, kind)
    if found is None:
        if not folder.is_dir():
            raise DatasetError(
                f"{folder} is no folder; give the folder that holds the IDX files, or images= and labels="
            )
        others = sorted(path.name for path in folder.iterdir() if "idx" in path.name)
        shown = f" (such as {', '.join(others[:_SHOWN_FILES])}, which are here)" if others else ""
        raise DatasetError(
            f"{folder} has no {prefix}-{kind}-idx{_NUM_AXES[kind]}-ubyte, raw or compressed, nor has its folder 'raw'; "
            f"give the folder that holds the IDX files, or files under other names{shown} by images= and labels="
        )
    return found


def _read_pair(image_file: Path, label_file: Path, label_column: int | None) -> Arrays:
    images, labels = read_idx(image_file), read_idx(label_file)
    if images.ndim < 2:
        raise DatasetError(
            f"{image_file} holds {images.dtype} of shape {images.shape}; images have 2 axes or more, the first of "
            "which counts them: are these the labels?"
        )
    if len(images) != len(labels):
        raise DatasetError(
            f"{image_file} holds {len(images)} images but {label_file} holds {len(labels)} labels; "
            "they do not belong together: check the two, or fetch both again"
        )
    return images.reshape(len(images), -1), _label_column(labels, label_column, label_file)


def _label_column(labels: npt.NDArray[Any], column: int | None, label_file: Path) -> npt.NDArray[Any]:
    found = f"{label_file} holds {labels.dtype} of shape {labels.shape}"
    if labels.ndim > 2:
        raise DatasetError(f"{found}; labels have one axis, or two with label_column: are these the images?")
    if labels.ndim == 1:
        if column is not None:
            raise InvalidInputError(f"{found}, and label_column={column!r} chooses among columns: drop it")
        return labels
    if column is not None:
        chosen = checked_integer(column, "label_column", minimum=-labels.shape[1])
        if chosen >= labels.shape[1]:
            raise InvalidInputError(f"{found}; label_column={chosen}, counted from 0, is not among its columns")
        return labels[:, chosen]
    if is_one_hot(labels):
        raise DatasetError(
            f"{found}, one-hot rows with a column a class; use read_idx for the images and the labels, and give "
            "from_arrays labels.argmax(axis=1)"
        )
    raise DatasetError(
        f"{found}, labels with further columns; say which holds the classes: label_column=0 is the first. (Where a "
        "row has several classes, choose one: multi-label data are no classification here)"
    )


def _joined(home: Path, parts: Sequence[Arrays]) -> Arrays:
    # NumPy joins uint8 and float32 without a word, pixels up to 255 with pixels up to 1.
    kinds = {(images.shape[1], images.dtype) for images, _ in parts}
    if len(kinds) > 1:
        raise DatasetError(
            f"{home}: the training and test images differ in size or type; the folder mixes two data sets"
        )
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return images, labels
