"""A reader of the IDX format, in which the MNIST family of data sets is published (LeCun, Cortes & Burges 1998).

An IDX file is a header (two zero bytes, a type code, the number of axes, then each axis as uint32) followed by the
values in C order, all of it big-endian. This module knows nothing of images, of labels nor of folders.
"""

import struct
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gradest.datasets.arguments import blamed_on, checked_path
from gradest.datasets.files import READ_ERRORS, Stream, opened, refuse_archive
from gradest.errors import DatasetError

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_AXES = 32  # of an array of NumPy 1
_ABSURD_BYTES = 1 << 40
_BLOCK_BYTES = 1 << 20
_BIG_ENDIAN = (
    "IDX is big-endian throughout: write the header as struct.pack('>4B3I', 0, 0, 8, 3, ...) does, and values of more "
    "than one byte with the most significant byte first"
)


def read_idx(path: str | Path) -> npt.NDArray[Any]:
    """Return the array in an IDX file, of any type and number of axes; raw, or compressed by gzip, bzip2 or xz.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    array
        In the shape that the header announces: uint8, int8, int16, int32, float32 or float64, in native byte order.

    Raises
    ------
    DatasetError
        The file cannot be read, is not IDX, is little-endian, or is too short or too long for its header.

    Examples
    --------
    >>> import pathlib, struct, tempfile
    >>> from gradest import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "labels-idx2-int")
    ...     _ = path.write_bytes(struct.pack(">4B2I4i", 0, 0, 0x0C, 2, 2, 2, 7, -1, 3, 1000))
    ...     table = datasets.read_idx(path)
    >>> table.dtype.name, table.tolist()
    ('int32', [[7, -1], [3, 1000]])
    """
    source = checked_path(path)
    try:
        with opened(source) as stream:
            with blamed_on(source):
                refuse_archive(stream)
            code, sizes = _read_header(stream, source)
            return _read_values(stream, source, code, sizes)
    except READ_ERRORS as error:
        raise DatasetError(
            f"{source} cannot be read ({error}); check the path, or fetch the file again if it is damaged or incomplete"
        ) from error


def _read_header(stream: Stream, path: Path) -> tuple[int, bytes]:
    """Return the type code, and the bytes that hold the sizes of the axes."""
    magic = stream.read(4)
    if len(magic) < 4:
        raise DatasetError(f"{path} is truncated: its header has {len(magic)} bytes of at least 8")
    zeros, code, num_axes = struct.unpack(">HBB", magic)
    if magic[2:] == b"\0\0" and magic[1] in _TYPES and 1 <= magic[0] <= _MOST_AXES:
        raise DatasetError(
            f"{path} has its byte order reversed: it begins with the magic number 0x{magic.hex()}, which is "
            f"little-endian for 0x{magic[::-1].hex()}. {_BIG_ENDIAN}"
        )
    if zeros or code not in _TYPES or not 1 <= num_axes <= _MOST_AXES:
        raise DatasetError(
            f"{path} begins with the magic number 0x{magic.hex()}; IDX files begin with two zero bytes, a type "
            "(08, 09, 0b to 0e) and the number of axes, such as 0x00000803: this is another kind of file"
        )
    sizes = stream.read(4 * num_axes)
    if len(sizes) < 4 * num_axes:
        raise DatasetError(f"{path} is truncated: its header has {4 + len(sizes)} bytes of {4 + 4 * num_axes}")
    return code, sizes


def _read_values(stream: Stream, path: Path, code: int, sizes: bytes) -> npt.NDArray[Any]:
    dtype = np.dtype(_TYPES[code])
    shape, reversed_shape = _shapes(sizes)
    size, reversed_size = prod(shape) * dtype.itemsize, prod(reversed_shape) * dtype.itemsize
    # Never past one byte too many: a damaged header may announce 2**96 bytes.
    values = _read_at_most(stream, size + 1)
    if len(values) != size:
        found = len(values)
        if found > size:
            found += len(_read_at_most(stream, reversed_size + 1 - found))
        # Sizes that fit when they are read the other way round, or are at least of this world.
        if found == reversed_size or reversed_size < _ABSURD_BYTES <= size:
            raise DatasetError(
                f"{path} has the byte order of its sizes reversed: the header announces {shape}, {size:.3g} bytes, "
                f"and, read as little-endian, {reversed_shape}, {reversed_size} bytes. {_BIG_ENDIAN}"
            )
        fault = f"ends after {len(values)}" if len(values) < size else "holds more"
        raise DatasetError(f"{path}: the header announces {shape}, {size} bytes, but the file {fault}; fetch it again")
    if not size:
        raise DatasetError(f"{path} is empty: its header announces shape {shape}; fetch it again")
    return np.frombuffer(values, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _shapes(sizes: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shape that a header announces, and what it is when read in the other byte order."""
    num_axes = len(sizes) // 4
    return struct.unpack(f">{num_axes}I", sizes), struct.unpack(f"<{num_axes}I", sizes)


def _read_at_most(stream: Stream, limit: int) -> bytearray:
    values = bytearray()
    while len(values) < limit and (block := stream.read(min(_BLOCK_BYTES, limit - len(values)))):
        values += block
    return values
