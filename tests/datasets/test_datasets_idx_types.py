"""IDX files of every type, number of axes, byte order and name; written with struct, from the format's definition."""

import bz2
import gzip
import lzma
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.idx_files import write_idx

from gradest import datasets
from gradest.errors import DatasetError, InvalidInputError, InvalidTypeError, NonFiniteError

TYPES: dict[
    int, tuple[str, str, list[Any]]
] = {  # type code: letter of struct, name of the dtype, values that only this type holds
    0x08: ("B", "uint8", [0, 255, 128, 7]),
    0x09: ("b", "int8", [-128, 127, 0, 1]),
    0x0B: ("h", "int16", [-32768, 258, 1, 0]),
    0x0C: ("i", "int32", [-(2**31), 16909060, 1, 0]),
    0x0D: ("f", "float32", [0.5, -1.25, 2.0**-140, 3.0e38]),
    0x0E: ("d", "float64", [0.1, -1e300, 5e-324, 1 / 3]),
}


def idx(code: int, shape: tuple[int, ...], values: list[Any], *, sizes: str = ">", order: str = ">") -> bytes:
    """Return an IDX file: `sizes` is the byte order of the axes, `order` that of the values."""
    letter = TYPES[code][0]
    header = struct.pack("4B", 0, 0, code, len(shape)) + struct.pack(f"{sizes}{len(shape)}I", *shape)
    return header + struct.pack(f"{order}{len(values)}{letter}", *values)


@pytest.mark.parametrize("shape", [(4,), (2, 2), (4, 1), (1, 2, 2), (2, 1, 2, 1), (1, 1, 2, 1, 2)], ids=str)
@pytest.mark.parametrize("code", TYPES, ids=lambda code: TYPES[code][1])
def test_every_type_and_number_of_axes_is_read(tmp_path: Path, code: int, shape: tuple[int, ...]) -> None:
    _, dtype, values = TYPES[code]
    path = tmp_path / "some.idx"
    path.write_bytes(idx(code, shape, values))
    array = datasets.read_idx(path)
    assert (array.dtype.name, array.dtype.isnative, array.shape) == (dtype, True, shape)
    assert array.ravel().tolist() == [np.dtype(dtype).type(value) for value in values]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=lambda f: f.__module__)
@pytest.mark.parametrize("name", ["emnist-letters-train-images-idx3-ubyte.gz", "test-images", "x.bin"])
def test_files_under_any_name_are_given_by_their_paths(
    tmp_path: Path, pack: Callable[[bytes], bytes], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(pack(idx(0x08, (2, 1, 2), [0, 255, 51, 102])))
    (tmp_path / "labels").write_bytes(pack(idx(0x08, (2,), [1, 0])))
    data = datasets.load_idx(tmp_path, images=name, labels="labels")
    assert data.features.tolist() == [[0.0, 1.0], [0.2, 0.4]]
    assert (data.labels.tolist(), data.name, data.normalization) == ([1, 0], name, "pixel / 255")
    again = datasets.load_idx(images=tmp_path / name, labels=str(tmp_path / "labels"), name="mine")
    assert (again.checksum, again.name) == (data.checksum, "mine")
    monkeypatch.chdir(tmp_path)
    assert datasets.load_idx(images=name, labels="labels").checksum == data.checksum


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz"])
def test_the_test_set_may_be_called_test(tmp_path: Path, suffix: str) -> None:
    packs: dict[str, Any] = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    pack = packs[suffix]
    (tmp_path / f"test-images-idx3-ubyte{suffix}").write_bytes(pack(idx(0x08, (2, 1, 1), [0, 255])))
    (tmp_path / f"test-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(0x08, (2,), [0, 1])))
    assert datasets.load_idx(tmp_path, subset="test").features.tolist() == [[0.0], [1.0]]
    with pytest.raises(DatasetError, match=r"test-images-idx3-ubyte.*images= and labels="):
        datasets.load_idx(tmp_path)


def test_images_of_other_types_are_as_given_unless_scaled(tmp_path: Path) -> None:
    (tmp_path / "labels").write_bytes(idx(0x0C, (2,), [1, 0]))
    (tmp_path / "floats").write_bytes(idx(0x0D, (2, 1, 2), [0.5, -0.25, 1.0, 0.0]))
    floats = datasets.load_idx(tmp_path, images="floats", labels="labels")
    assert (floats.features.tolist(), floats.normalization) == ([[0.5, -0.25], [1.0, 0.0]], "as given")
    (tmp_path / "shorts").write_bytes(idx(0x0B, (2, 2), [4096, 2048, 0, -4096]))
    shorts = datasets.load_idx(tmp_path, images="shorts", labels="labels", scale=4096)
    assert (shorts.features.tolist(), shorts.normalization) == ([[1.0, 0.5], [0.0, -1.0]], "pixel / 4096")
    (tmp_path / "bytes").write_bytes(idx(0x08, (2, 1, 1), [7, 255]))
    raw = datasets.load_idx(tmp_path, images="bytes", labels="labels", scale=1)
    assert (raw.features.tolist(), raw.normalization) == ([[7.0], [255.0]], "as given")


def test_colour_images_are_rows_in_c_order(tmp_path: Path) -> None:
    pixels = list(range(2 * 2 * 3 * 3))
    (tmp_path / "colour").write_bytes(idx(0x08, (2, 2, 3, 3), pixels))
    (tmp_path / "labels").write_bytes(idx(0x08, (2,), [0, 1]))
    data = datasets.load_idx(tmp_path, images="colour", labels="labels")
    assert np.round(data.features * 255).tolist() == [pixels[:18], pixels[18:]]


@pytest.fixture
def two_images(tmp_path: Path) -> Path:
    (tmp_path / "images").write_bytes(idx(0x08, (2, 1, 2), [0, 255, 51, 102]))
    return tmp_path


def load_labels(folder: Path, content: bytes, **options: Any) -> datasets.Dataset:
    (folder / "labels").write_bytes(content)
    return datasets.load_idx(folder, images="images", labels="labels", **options)


@pytest.mark.parametrize(("column", "labels"), [(0, [5, 3]), (1, [0, 1]), (2, [7, 9]), (-1, [7, 9]), (-3, [5, 3])])
def test_labels_with_further_columns(two_images: Path, column: int, labels: list[int]) -> None:
    content = idx(0x0C, (2, 3), [5, 0, 7, 3, 1, 9])  # as QMNIST has them: class, writer and so on
    assert load_labels(two_images, content, label_column=column).labels.tolist() == labels
    with pytest.raises(DatasetError, match=r"int32 of shape \(2, 3\).*label_column=0"):
        load_labels(two_images, content)


@pytest.mark.parametrize(
    ("content", "options", "error", "words"),
    [
        (idx(0x0C, (2, 2), [0, 1, 1, 0]), {}, DatasetError, r"one-hot.*argmax\(axis=1\)"),
        (idx(0x0D, (2, 2), [0, 1, 1, 0]), {}, DatasetError, r"one-hot.*argmax\(axis=1\)"),
        (idx(0x08, (2, 1), [0, 1]), {}, DatasetError, "label_column=0"),
        (idx(0x08, (2,), [0, 1]), {"label_column": 0}, InvalidInputError, "drop it"),
        (idx(0x08, (2, 2), [3, 1, 2, 0]), {"label_column": 2}, InvalidInputError, "counted from 0"),
        (idx(0x08, (2, 2), [3, 1, 2, 0]), {"label_column": -3}, InvalidInputError, "label_column"),
        (idx(0x08, (2, 2), [3, 1, 2, 0]), {"label_column": "1"}, InvalidTypeError, "label_column"),
        (idx(0x0D, (2,), [0.0, 1.0]), {}, InvalidTypeError, r"astype\(int\).*read_idx"),
        (idx(0x0D, (2,), [0.0, 0.5]), {}, InvalidTypeError, r"0\.5 in row 1 \(counted from 0\)"),
        (idx(0x0C, (2,), [0, -1]), {}, InvalidInputError, "found -1 in row 1"),
        (idx(0x0C, (2,), [0, 10**9]), {}, InvalidInputError, "num_classes=1000000001"),
        (idx(0x08, (3,), [0, 1, 2]), {}, DatasetError, "2 images .* 3 labels"),
        (idx(0x08, (2,), [0, 1]), {"subset": "train"}, InvalidInputError, "subset"),
    ],
)
def test_labels_that_are_not_one_class_an_image(
    two_images: Path, content: bytes, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        load_labels(two_images, content, **options)


def test_images_that_are_not_finite(two_images: Path) -> None:
    (two_images / "images").write_bytes(idx(0x0D, (2, 1), [1.0, float("nan")]))
    with pytest.raises(NonFiniteError, match=r"nan in row 1, column 0 \(counted from 0\)"):
        load_labels(two_images, idx(0x08, (2,), [0, 1]))


def test_one_file_of_two_is_not_enough_and_a_path_is_a_path(two_images: Path) -> None:
    with pytest.raises(InvalidInputError, match="two files"):
        datasets.load_idx(two_images, images="images")
    with pytest.raises(InvalidTypeError, match="by its path"):
        datasets.read_idx(3)  # type: ignore[arg-type]  # what is refused
    with pytest.raises(DatasetError, match="cannot be read"):
        datasets.read_idx(two_images / "absent")
    with pytest.raises(DatasetError, match="is no folder"):
        datasets.load_idx(two_images / "absent")


def test_a_folder_of_two_types_is_two_sets(tmp_path: Path) -> None:
    write_idx(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(0x0B, (10, 3, 4), list(range(120))))
    with pytest.raises(DatasetError, match="differ in size or type"):
        datasets.load_idx(tmp_path, subset="all")


# -- byte order -------------------------------------------------------------------------------------------------------

REVERSED = {
    "sizes": idx(0x08, (6, 2, 2), [1] * 24, sizes="<"),
    "sizes of one axis": idx(0x08, (6,), [1] * 6, sizes="<"),
    "sizes and values": idx(0x0C, (6, 2), [1] * 12, sizes="<", order="<"),
    "sizes, and cut short": idx(0x08, (60, 28, 28), [1] * 1000, sizes="<"),
    "sizes that are smaller reversed": idx(0x08, (65536,), [1] * 65536, sizes="<"),
    "all of it": struct.pack("<4I", 0x0803, 6, 2, 2) + bytes(24),
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzipped"])
@pytest.mark.parametrize("fault", REVERSED)
def test_little_endian_files_are_named_as_such(tmp_path: Path, fault: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "little.idx"
    path.write_bytes(pack(REVERSED[fault]))
    with pytest.raises(DatasetError, match=r"byte order.*reversed.*big-endian") as caught:
        datasets.read_idx(path)
    assert "fetch" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        idx(0x08, (65536,), [1] * 255),  # 256 when read the other way round, but that is not what follows
        idx(0x08, (6, 2, 2), [1] * 23),
        idx(0x08, (6, 2, 2), [1] * 25),
    ],
)
def test_a_damaged_big_endian_file_is_not_called_reversed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "big.idx"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="fetch it again") as caught:
        datasets.read_idx(path)
    assert "reversed" not in str(caught.value)


def test_the_digits_of_scikit_learn_come_back_from_idx(tmp_path: Path) -> None:
    source = pytest.importorskip("sklearn.datasets", reason="digits come with scikit-learn")
    digits = source.load_digits()
    pixels = [int(pixel) for pixel in digits.images.ravel()]
    (tmp_path / "images").write_bytes(idx(0x08, (1797, 8, 8), pixels))
    (tmp_path / "labels").write_bytes(idx(0x0C, (1797,), digits.target.tolist()))
    data = datasets.load_idx(tmp_path, images="images", labels="labels", scale=16)
    assert data.checksum == datasets.load("digits").checksum
