"""Opens a file of data, whether it is compressed or not; knows nothing of what is in it."""

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gradest.errors import DatasetError

SUFFIXES = ("", ".gz", ".bz2", ".xz")
"""What a compressed file's name ends with, where a file is sought by name."""

READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What reading a file that is absent, truncated or damaged raises."""

Stream = io.BufferedReader | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile

_GZIP = re.compile(rb"\x1f\x8b")
_BZIP2 = re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)")  # the digits of pi, or of its root where nothing follows
_XZ = re.compile(rb"\xfd7zXZ\x00")
_ARCHIVE = re.compile(rb"PK\x03\x04|7z\xbc\xaf|\x28\xb5\x2f\xfd")
_LONGEST_MAGIC = 10


@contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """Open a file to be read, uncompressed if it is gzip, bzip2 or xz by its first bytes, whatever its name.

    Raises
    ------
    OSError, EOFError, zlib.error, lzma.LZMAError
        As `READ_ERRORS` lists them: here or at a later read.
    """
    with path.open("rb") as raw:
        # Looked at and not read, so that what follows begins at the first byte.
        start = raw.peek(_LONGEST_MAGIC)
        if _GZIP.match(start):
            with gzip.GzipFile(fileobj=raw) as unzipped:
                yield unzipped
        elif _BZIP2.match(start):
            with bz2.BZ2File(raw) as unzipped:
                yield unzipped
        elif _XZ.match(start):
            with lzma.LZMAFile(raw) as unzipped:
                yield unzipped
        else:
            yield raw


def refuse_archive(stream: Stream) -> None:
    """Refuse a file that holds files, or is compressed by what the standard library cannot read.

    Raises
    ------
    DatasetError
        It is a zip or 7z archive, or compressed by Zstandard.
    """
    if _ARCHIVE.match(stream.peek(_LONGEST_MAGIC)):
        raise DatasetError(
            "the file is packed (zip, as .xlsx and .npz are too, 7z or Zstandard); unpack it first, or compress it "
            "with gzip, bzip2 or xz"
        )
