"""Keeps one run in a folder: results appended line by line, the environment, the suite as run, logs, and a lock.

    results.jsonl      one record a line, each written with one system call and synchronised
    environment.json   the machine, and the libraries of each worker
    suite.toml         the suite as run
    invocations.jsonl  when it was begun, and by which command (written by `invocations`)
    logs/              what workers printed, one file a worker
    lock               held by the sweep that writes here

A torn last line, left by a death in the middle of a write, is cut off by the next sweep and ignored by readers. This
module knows nothing of how results come about.
"""

import difflib
import errno
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from gradest.errors import InvalidInputError
from gradest_bench.results.files import (
    StorageError,
    append_line,
    cut_torn_line,
    open_plain,
    replace_text,
    replacing,
)
from gradest_bench.results.integrity import DamagedError, require_environment, require_sound
from gradest_bench.results.places import with_texts, without_places
from gradest_bench.results.records import COMPARABLE, READABLE, SCHEMA, Record, plain
from gradest_bench.results.whole_text import may_have_halves, whole_text

RESULTS = "results.jsonl"
ENVIRONMENT = "environment.json"
SUITE = "suite.toml"
LOGS = "logs"
LOCK = "lock"


class LockedError(StorageError):
    """Another sweep writes to the folder."""


class Store:
    """Holds a run's folder, opened for writing by one sweep at a time; use it in a `with` statement."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = folder / LOGS
        self._results = -1
        self._lock = -1

    def __enter__(self) -> Self:
        """Create the folder, lock it, and cut off a torn last line.

        Raises
        ------
        LockedError
            Another sweep holds it.
        StorageError
            It cannot be written to.
        """
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            # mkdir is content with a link to a folder, and workers would write where it leads
            if self.logs.is_symlink():
                raise OSError(errno.ELOOP, f"{LOGS} is a link to {self.logs.readlink()}")
            self._lock = open_plain(self.folder / LOCK, os.O_RDWR)
            self._take_lock()
            self._results = open_plain(self.folder / RESULTS, os.O_RDWR | os.O_APPEND)
            # under the lock: without it, the line may be one that another sweep is writing
            cut_torn_line(self._results)
        except OSError as error:
            self.close()
            raise StorageError(
                f"results were to be kept in {self.folder}; {error.strerror}; choose another folder with --out"
            ) from error
        except LockedError:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the folder; the logs then hold no places of the writer's files either."""
        try:
            for log in sorted(self.logs.glob("*.log")):  # workers write there by themselves, and have ended by now
                _rewrite_without_places(log)
        finally:
            self.close()

    def _take_lock(self) -> None:
        try:
            # the kernel lets go of it when the process dies, however it dies: no stale lock has to be removed by hand
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._lock, 100, 0).decode(errors="replace").strip()
            raise LockedError(
                f"{self.folder} is being written to by another sweep ({owner or 'unknown'}); "
                "wait for it, or choose another folder with --out"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"process {os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let go of the folder; it may be called twice."""
        for descriptor in (self._results, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._results = self._lock = -1

    def append(self, record: Record) -> None:
        """Write one record, without the places of the writer's files: when this returns, it is on the disk.

        Raises
        ------
        StorageError
            It could not be written whole; what was written of it is taken back.
        """
        record = msgspec.structs.replace(
            record, reason=without_places(record.reason), log_tail=without_places(record.log_tail)
        )
        line = (
            json.dumps(
                plain(msgspec.to_builtins(record, enc_hook=plain)), allow_nan=False, separators=(",", ":")
            ).encode()
            + b"\n"
        )
        try:
            append_line(self._results, line)
        except OSError as error:
            kept = sum(1 for _ in read_records(self.folder))
            raise StorageError(
                f"a result could not be written to {self.folder / RESULTS}: {error.strerror}; {kept} results before it "
                "are kept; make room and run again with --resume"
            ) from error

    def write_suite(self, text: str) -> None:
        """Keep the suite as run; a resumed run must be of the same text.

        Raises
        ------
        InvalidInputError
            The folder holds another suite.
        StorageError
            It holds what is none.
        """
        path, kept = self.folder / SUITE, read_suite(self.folder)
        if kept is not None and kept != text:
            raise InvalidInputError(
                f"{path} holds another suite than the one asked for ({_difference(kept, text)}); give the file and the "
                "options that it was run with, or choose another folder with --out"
            )
        replace_text(path, text)

    def has_environment(self, name: str, worker: str, libraries: dict[str, Any]) -> bool:
        """Whether what records refer to by a name is a worker with these libraries, threads and flags."""
        kept = read_environment(self.folder).get("workers", {}).get(name)
        return bool(kept == {"worker": worker, **with_texts(plain(libraries), without_places)})

    def write_environment(
        self, machine: dict[str, Any], worker: str, libraries: dict[str, Any], *, elsewhere: bool = False
    ) -> str:
        """Add a worker's libraries to the environment; return the name under which records refer to them.

        A worker that an executor runs `elsewhere` may have another machine, which is then kept with its libraries.
        Texts, such as the flags of a compiler, are kept without the places of the writer's files.

        Raises
        ------
        InvalidInputError
            The folder holds results of another machine.
        """
        path = self.folder / ENVIRONMENT
        machine, libraries = (with_texts(plain(found), without_places) for found in (machine, libraries))
        known = read_environment(self.folder)
        if not known:
            known = {"schema": SCHEMA, "machine": machine, "workers": {}}
        differing = [key for key in COMPARABLE if known["machine"].get(key) != machine.get(key)]
        if differing and elsewhere:
            libraries = {**libraries, "machine": machine}
        elif differing:
            raise InvalidInputError(
                f"{self.folder} holds results of another machine ({', '.join(differing)} differ: "
                f"{known['machine'].get(differing[0])!r} there, {machine.get(differing[0])!r} here); "
                "choose another folder with --out"
            )
        workers: dict[str, Any] = known["workers"]
        same = next((name for name, found in workers.items() if found == {"worker": worker, **libraries}), None)
        if same is not None:
            return same
        taken = sum(1 for found in workers.values() if found["worker"] == worker)
        # records before a change of libraries keep the name of what they ran on
        name = worker if not taken else f"{worker}#{taken + 1}"
        workers[name] = {"worker": worker, **libraries}
        replace_text(path, json.dumps(plain(known), indent=1))
        return name


def _rewrite_without_places(log: Path) -> None:
    if log.is_symlink() or not log.is_file():  # somebody else's file, or one that would be waited for
        return
    content = log.read_bytes()
    found = without_places(content.decode(errors="surrogateescape")).encode(errors="surrogateescape")
    if found != content:
        with replacing(log) as temporary:
            temporary.write_bytes(found)


def read_suite(folder: Path) -> str | None:
    """Return the text of the suite of a run as it was run, None where there is none.

    Raises
    ------
    StorageError
        It is no text, or cannot be read.
    """
    path = folder / SUITE
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else None
    except (UnicodeDecodeError, OSError) as error:
        raise StorageError(
            f"{path} is damaged: {error}; without it the results can be read by themselves: remove it"
        ) from error


def read_environment(folder: Path) -> dict[str, Any]:
    """Return the environment of a run, empty where there is none yet.

    Raises
    ------
    StorageError
        It is damaged.
    """
    path = folder / ENVIRONMENT
    if not path.exists():
        return {}
    try:
        found: dict[str, Any] = whole_text(json.loads(path.read_text(encoding="utf-8")))
        require_environment(found)
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{path} is damaged: {_said(error)}; remove it, and run the cells anew") from error
    return found


def read_records(folder: Path) -> Iterator[Record]:
    """Yield every whole record of a run, in the order written.

    Raises
    ------
    StorageError
        There are no results, or a line other than the last is damaged or of an unknown schema.
    """
    path = folder / RESULTS
    if not path.is_file():
        raise StorageError(f"{folder} was to hold a run; it has no {RESULTS}; see: gradest bench list")
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):  # after the last newline: nothing, or a torn line
        try:
            found = json.loads(line)
            if may_have_halves(line):
                found = whole_text(found)
            if not isinstance(found, dict):
                raise DamagedError(f"a record was expected; found {type(found).__name__}")
            schema = found.get("schema")
            if schema not in READABLE:
                # a newer version may keep what this one cannot judge: to skip its lines would be to lose them in
                # silence
                newer = isinstance(schema, int) and schema > SCHEMA
                raise StorageError(
                    f"{path}, line {number}: schema 1 to {SCHEMA} was asked for; found {schema!r:.40}; "
                    + ("a newer gradest wrote it: upgrade this one" if newer else "remove the line to read the rest")
                )
            record = msgspec.convert(found, Record)
            require_sound(record)
        except (ValueError, RecursionError) as error:  # msgspec's are ValueErrors
            raise StorageError(
                f"{path}, line {number} is damaged: {_said(error)}; remove the line to read the rest"
            ) from error
        yield record


def _said(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def latest(records: Iterator[Record]) -> dict[str, Record]:
    """Return the last record of each cell, by key."""
    # nothing is ever rewritten: a cell that was run again has several lines
    return {record.key: record for record in records}


def _difference(kept: str, asked: str) -> str:
    """Return the first line that one of two texts has and the other has not; options of a run are such lines."""
    lines = difflib.ndiff(kept.splitlines(keepends=True), asked.splitlines(keepends=True))
    line = next(each for each in lines if each.startswith(("- ", "+ ")))
    return f"{'there' if line[0] == '-' else 'here'}: {line[2:].strip().removeprefix('# ')!r}"
