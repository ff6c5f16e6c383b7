"""Writes files so that a reader sees the old one or the new one, and that nothing else than what was asked is written.

A folder of results may be another's: a link in it that leads elsewhere is not followed. This module knows no result.
"""

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gradest.errors import GradestError

_MODE = 0o644


class StorageError(GradestError):
    """A file or folder cannot be written or read; what was written before is kept."""


def open_plain(path: Path, flags: int) -> int:
    """Return a descriptor of a plain file, made where there is none; a link, a pipe or a device is refused.

    Raises
    ------
    OSError
        It is no plain file, or cannot be opened.
    """
    # without O_NONBLOCK, opening a pipe that nobody reads would wait for ever
    descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, _MODE)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(None, "it is no plain file")
    return descriptor


def cut_torn_line(descriptor: int) -> None:
    """Cut off what a death in the middle of a write has left behind the last whole line of a file."""
    size = os.fstat(descriptor).st_size
    content = os.pread(descriptor, size, 0)
    if not content.endswith(b"\n"):
        os.ftruncate(descriptor, content.rfind(b"\n") + 1)


def append_line(descriptor: int, line: bytes) -> None:
    """Add a line to a file that was opened for that, whole or not at all: when this returns, it is on the disk.

    Raises
    ------
    OSError
        It could not be written; what was written of it is taken back.
    """
    before = os.fstat(descriptor).st_size
    try:
        if os.write(descriptor, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # a disk that fills up writes a part, silently
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of a new file beside `path`, with its ending, which takes its place when the block ends well.

    A device or a pipe, such as /dev/stdout, keeps its place, and is written into.

    Raises
    ------
    StorageError
        It cannot be written; what stood there before is as it was.
    """
    temporary = None
    try:
        special = path.exists() and not path.is_file() and not path.is_dir()
        # made with O_EXCL and a name that cannot be guessed: nobody can have laid a link there before
        folder = tempfile.gettempdir() if special else path.parent
        # cut, as a name has 255 bytes; with the ending, by which Matplotlib and others choose a format
        descriptor, name = tempfile.mkstemp(prefix=f".{path.stem[:50]}-", suffix=path.suffix, dir=folder)
        temporary = Path(name)
        # a temporary file is its owner's alone; what takes its place is to be read by whom the user lets read
        os.fchmod(descriptor, _MODE & ~_umask())
        os.close(descriptor)
        yield temporary
        if special:
            with temporary.open("rb") as written, path.open("wb") as device:
                shutil.copyfileobj(written, device)
        else:
            _synchronise(temporary)  # else a machine that fails may have the new name and not the new bytes
            temporary.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}; choose another place") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):  # it has taken its place, or its folder is gone
                temporary.unlink()


def replace_text(path: Path, text: str) -> None:
    """Write a text file beside `path` and put it in its place. Raises as `replacing` does."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def _synchronise(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    found = os.umask(0o077)  # there is no way to ask without setting it
    os.umask(found)
    return found
