"""A reader of the IDX format, in which the MNIST family of data sets is published (LeCun, Cortes & Burges 1998).

An IDX file is a big-endian header (two zero bytes, a type code, the number of axes, then each axis as uint32)
followed by the values in C order. Only unsigned bytes are read here, which is what the MNIST family holds.
This module knows nothing of data sets by name nor of where they are kept.
"""

import gzip
import struct
import zlib
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from gradest.datasets.arguments import blamed_on
from gradest.datasets.dataset import Dataset, scaled_dataset
from gradest.errors import DatasetError, InvalidInputError

SUBSETS = ("train", "test", "all")

_PREFIXES = {"train": ("train",), "test": ("t10k",), "all": ("train", "t10k")}
_IMAGES, _LABELS = "images", "labels"
_NUM_AXES = {_IMAGES: 3, _LABELS: 1}
_UNSIGNED_BYTE = 0x08
_GZIP_MAGIC = b"\x1f\x8b"
_BLOCK_BYTES = 1 << 20
_LARGEST_PIXEL = 255.0


def load_idx(
    folder: str | Path, *, subset: str = "train", name: str | None = None, num_classes: int | None = None
) -> Dataset:
    """Return the images and labels of a folder of MNIST-like IDX files, one image a row, pixels divided by 255.

    The files are named `train-images-idx3-ubyte` and so on (`t10k` for the test set; `images.idx3` is also
    known), raw or gzipped, and lie in `folder` (as Debian packages them) or in `folder/raw` (as torchvision does).

    Parameters
    ----------
    folder
        Where the files are.
    subset
        Which samples: "train", "test" or "all"; "all" is the training set followed by the test set.
    name
        Name of the result; by default the name of the folder and the subset.
    num_classes
        By default the largest label of the subset plus one.

    Raises
    ------
    DatasetError
        A file is missing, is not IDX data of the right kind, or is too short or too long for its header.
    InvalidInputError
        `subset` is not known, or the contents are refused by `validate_classification`.

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
    >>> tiny.features.tolist(), tiny.labels.tolist()
    ([[0.0, 1.0], [1.0, 0.0]], [0, 1])
    """
    if subset not in SUBSETS:
        raise InvalidInputError(f"no subset is named {subset!r}; use one of: {', '.join(SUBSETS)}")
    home = Path(folder)
    files = [(_required(home, prefix, _IMAGES), _required(home, prefix, _LABELS)) for prefix in _PREFIXES[subset]]
    parts = [_read_pair(image_file, label_file) for image_file, label_file in files]
    if len({images.shape[1] for images, _ in parts}) > 1:
        raise DatasetError(f"{home}: the training and test images differ in size; the folder mixes two data sets")
    images = np.concatenate([part[0] for part in parts])
    labels = np.concatenate([part[1] for part in parts])
    title = f"{home.resolve().name}/{subset}" if name is None else name
    with blamed_on(home):
        return scaled_dataset(
            images, labels, _LARGEST_PIXEL, name=title, num_classes=num_classes, normalization="pixel / 255"
        )


def idx_files(folder: Path) -> dict[str, Path | None]:
    """Return where each of the four files of an IDX folder is (None: nowhere); opens none of them."""
    return {
        f"{prefix}-{kind}": _find(folder, prefix, kind) for prefix in _PREFIXES["all"] for kind in (_IMAGES, _LABELS)
    }


def _find(folder: Path, prefix: str, kind: str) -> Path | None:
    axes = _NUM_AXES[kind]
    for home in (folder, folder / "raw"):
        for stem in (f"{prefix}-{kind}-idx{axes}-ubyte", f"{prefix}-{kind}.idx{axes}-ubyte"):
            for file_name in (stem, f"{stem}.gz"):
                if (home / file_name).is_file():
                    return home / file_name
    return None


def _required(folder: Path, prefix: str, kind: str) -> Path:
    found = _find(folder, prefix, kind)
    if found is None:
        raise DatasetError(
            f"{folder} has no {prefix}-{kind}-idx{_NUM_AXES[kind]}-ubyte, raw or .gz, nor has its folder 'raw'; "
            "give the folder that holds the IDX files"
        )
    return found


def _read_pair(image_file: Path, label_file: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    images, labels = read_idx(image_file, num_axes=3), read_idx(label_file, num_axes=1)
    if len(images) != len(labels):
        raise DatasetError(
            f"{image_file} holds {len(images)} images but {label_file} holds {len(labels)} labels; "
            "they do not belong together: fetch both again"
        )
    if images.size == 0:
        raise DatasetError(f"{image_file} is empty: its header announces shape {images.shape}; fetch it again")
    return images.reshape(len(images), -1), labels


def read_idx(path: Path, *, num_axes: int) -> npt.NDArray[np.uint8]:
    """Return the array of unsigned bytes, with `num_axes` axes, of one IDX file, raw or gzipped.

    Raises
    ------
    DatasetError
        The file cannot be read, has another magic number, or is too short or too long for its header.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
            raw.seek(0)
            if not zipped:
                return _parse(raw, path, num_axes)
            with gzip.GzipFile(fileobj=raw) as unzipped:
                return _parse(unzipped, path, num_axes)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} cannot be read ({error}); it is damaged or incomplete: fetch it again") from error


def _parse(stream: IO[bytes] | gzip.GzipFile, path: Path, num_axes: int) -> npt.NDArray[np.uint8]:
    layout = f">I{num_axes}I"
    header = stream.read(struct.calcsize(layout))
    expected = (_UNSIGNED_BYTE << 8) | num_axes
    magic = struct.unpack(">I", header[:4])[0] if len(header) >= 4 else None
    if magic is not None and magic != expected:
        raise DatasetError(
            f"{path} begins with the magic number 0x{magic:08x}; IDX data of unsigned bytes with {num_axes} axes "
            f"begin with 0x{expected:08x}: this is another kind of file"
        )
    if len(header) < struct.calcsize(layout):
        raise DatasetError(f"{path} is truncated: its header has {len(header)} bytes of {struct.calcsize(layout)}")
    shape: tuple[Any, ...] = struct.unpack(layout, header)[1:]
    size = prod(shape)
    values = bytearray()
    # In blocks, and never past one byte too many: a damaged header may announce 2**96 bytes.
    while len(values) <= size and (block := stream.read(min(_BLOCK_BYTES, size + 1 - len(values)))):
        values += block
    if len(values) != size:
        fault = f"ends after {len(values)}" if len(values) < size else "holds more"
        raise DatasetError(f"{path}: the header announces {shape}, {size} bytes, but the file {fault}; fetch it again")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)
