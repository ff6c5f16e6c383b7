"""IDX files are read in every layout they come in, and refused by name when damaged."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from support.idx_files import idx_bytes, pixels_and_labels, write_idx

from gradest import datasets
from gradest.errors import DatasetError, InvalidInputError


@pytest.mark.parametrize("zipped", [False, True], ids=["raw", "gzipped"])
@pytest.mark.parametrize("layout", ["", "raw"], ids=["Debian", "torchvision"])
@pytest.mark.parametrize("separator", ["-", "."])
def test_idx_layouts_give_the_same_data(tmp_path: Path, zipped: bool, layout: str, separator: str) -> None:
    written = write_idx(tmp_path / layout, zipped=zipped, separator=separator)
    for subset, (images, labels) in written.items():
        data = datasets.load_idx(tmp_path, subset=subset)
        assert data.features.tolist() == (images.reshape(len(images), 12) / 255.0).tolist()
        assert data.labels.tolist() == labels.tolist()
        assert data.normalization == "pixel / 255"
    every = datasets.load_idx(tmp_path, subset="all")
    assert every.labels.tolist() == [*written["train"][1], *written["test"][1]]
    assert every.features.shape == (30, 12)


def test_idx_header_is_read_big_endian(tmp_path: Path) -> None:
    write_idx(tmp_path)
    images = np.zeros((258, 1, 1), np.uint8)  # 258 is 0x0102, and 0x0201 when read the other way round
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(images))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(258, np.uint8)))
    assert datasets.load_idx(tmp_path, subset="test").features.shape == (258, 1)


IMAGES, LABELS = pixels_and_labels(20, 20)
GOOD_IMAGE_FILE = idx_bytes(IMAGES)
DAMAGE = {
    "nothing in it": ("images-idx3", b"", "truncated"),
    "half a magic number": ("images-idx3", GOOD_IMAGE_FILE[:3], "truncated"),
    "half a header": ("images-idx3", GOOD_IMAGE_FILE[:9], "truncated"),
    "one byte short": ("images-idx3", GOOD_IMAGE_FILE[:-1], "ends after 239"),
    "one byte long": ("images-idx3", GOOD_IMAGE_FILE + b"\0", "holds more"),
    "labels as images": ("images-idx3", idx_bytes(LABELS), r"shape \(20,\).* are these the labels"),
    "images as labels": ("labels-idx1", GOOD_IMAGE_FILE, r"shape \(20, 3, 4\).* are these the images"),
    "bytes as floats": ("images-idx3", idx_bytes(IMAGES, magic=0x0D03), "960 bytes, but the file ends after 240"),
    "a type that is not": ("images-idx3", idx_bytes(IMAGES, magic=0x0A03), "0x00000a03.*another kind of file"),
    "no axes": ("images-idx3", idx_bytes(IMAGES, magic=0x0800), "0x00000800.*another kind of file"),
    "a zip archive": ("images-idx3", b"PK\x03\x04 and more", "unpack it first"),
    "a web page": ("images-idx3", b"<html><body>404</body></html>", "another kind of file"),
    "a huge promise": ("images-idx3", struct.pack(">4I", 0x0803, *[2**32 - 1] * 3), "ends after 0"),
    "no images": ("images-idx3", idx_bytes(IMAGES[:0]), "is empty"),
    "no pixels, and sizes beyond NumPy": ("images-idx3", struct.pack(">4I", 0x0803, 0, *[2**32 - 1] * 2), "is empty"),
    "a label too few": ("labels-idx1", idx_bytes(LABELS[:-1]), "20 images .* 19 labels"),
    "gzip cut short": ("images-idx3", gzip.compress(GOOD_IMAGE_FILE)[:-20], "cannot be read|ends after"),
    "gzip with a flipped byte": ("images-idx3", gzip.compress(GOOD_IMAGE_FILE)[:-8] + b"\0" * 8, "CRC"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("zipped", [False, True], ids=["raw", "gzipped"])
def test_damaged_idx_files_are_refused_by_name(tmp_path: Path, damage: str, zipped: bool) -> None:
    kind, content, words = DAMAGE[damage]
    write_idx(tmp_path)
    if zipped and not content.startswith(b"\x1f\x8b"):
        content = gzip.compress(content)
    (tmp_path / f"train-{kind}-ubyte").write_bytes(content)
    with pytest.raises(DatasetError, match=words) as caught:
        datasets.load_idx(tmp_path)
    assert kind in str(caught.value)
    assert len(datasets.load_idx(tmp_path, subset="test")) == 10


def test_empty_idx_pair_is_refused(tmp_path: Path) -> None:
    write_idx(tmp_path, counts=(0, 10))
    with pytest.raises(DatasetError, match="is empty"):
        datasets.load_idx(tmp_path)


def test_idx_label_out_of_range_is_named_with_its_folder(tmp_path: Path) -> None:
    write_idx(tmp_path)
    with pytest.raises(InvalidInputError, match=r"found 9 in row 9") as caught:
        datasets.load_idx(tmp_path, num_classes=9)
    assert str(tmp_path) in str(caught.value)


def test_idx_folder_without_files_and_unknown_subset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has no train-images-idx3-ubyte"):
        datasets.load_idx(tmp_path)
    with pytest.raises(InvalidInputError, match="train, test, all"):
        datasets.load_idx(tmp_path, subset="valid")


def test_idx_parts_of_other_image_sizes_are_not_joined(tmp_path: Path) -> None:
    write_idx(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((10, 2, 2), np.uint8)))
    with pytest.raises(DatasetError, match="differ in size"):
        datasets.load_idx(tmp_path, subset="all")
