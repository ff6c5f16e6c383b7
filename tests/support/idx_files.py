"""Writes small IDX files, from the definition of the format and not from the reader."""

import gzip
import struct
from pathlib import Path

import numpy as np

IDX_NAMES = {"train": "train", "test": "t10k"}


def idx_bytes(array: np.ndarray, magic: int | None = None) -> bytes:
    """Encode independently of the reader, from the format's definition."""
    code = 0x0800 + array.ndim if magic is None else magic
    return struct.pack(">I", code) + b"".join(struct.pack(">I", n) for n in array.shape) + array.tobytes()


def pixels_and_labels(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 3, 4), dtype=np.uint8)
    return images, (np.arange(count) % 10).astype(np.uint8)


def write_idx(
    folder: Path, *, zipped: bool = False, separator: str = "-", counts: tuple[int, int] = (20, 10)
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for (subset, prefix), count in zip(IDX_NAMES.items(), counts, strict=True):
        images, labels = written[subset] = pixels_and_labels(count, count)
        for kind, array in ((f"images{separator}idx3", images), (f"labels{separator}idx1", labels)):
            path = folder / f"{prefix}-{kind}-ubyte{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(idx_bytes(array)) if zipped else idx_bytes(array))
    return written
