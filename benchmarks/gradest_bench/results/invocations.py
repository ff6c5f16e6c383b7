"""Keeps when and by which command a run was made; a run that was resumed has several. This module starts nothing.

    invocations.jsonl      one line for each time that the sweep was begun

A line is written when a sweep begins and none when it ends: a sweep that is killed writes no more, and the last cell
that it finished says until when it went.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from gradest_bench.results.files import StorageError, append_line, cut_torn_line, open_plain
from gradest_bench.results.places import without_places
from gradest_bench.results.records import Record
from gradest_bench.results.whole_text import whole_text

INVOCATIONS = "invocations.jsonl"


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """States when a sweep was begun, in ISO 8601, and by which command, without the places of the writer's files."""

    began: str
    command: str


@dataclass(frozen=True, kw_only=True)
class Span:
    """Holds from when to when a run was made, and how long it worked: pauses between a stop and a resume are none.

    `exact` is false for a run of an earlier version, which kept no beginning: it took at least so long.
    """

    first: datetime
    last: datetime
    worked: timedelta
    exact: bool


def add_invocation(folder: Path, command: str) -> None:
    """Add a line that says that a sweep begins now.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    began = datetime.now(UTC).isoformat(timespec="seconds")
    line = json.dumps(asdict(Invocation(began=began, command=without_places(command)))) + "\n"
    try:
        descriptor = open_plain(folder / INVOCATIONS, os.O_RDWR | os.O_APPEND)
        try:
            cut_torn_line(descriptor)  # this line would be added to it, and the two would be no line
            append_line(descriptor, line.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(
            f"the command of a run was to be kept in {folder / INVOCATIONS}; {error.strerror}; "
            "choose another folder with --out"
        ) from error


def read_invocations(folder: Path) -> tuple[Invocation, ...]:
    """Return how a run was made, in order; empty for a run of an earlier version.

    Raises
    ------
    StorageError
        A line is damaged.
    """
    path = folder / INVOCATIONS
    if not path.is_file():
        return ()
    found = []
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):  # after the last newline: nothing, or a torn line
        try:
            found.append(msgspec.convert(whole_text(json.loads(line)), Invocation))
        except (ValueError, RecursionError) as error:  # msgspec's are ValueErrors
            raise StorageError(
                f"{path}, line {number} is damaged: {error}; remove the file, which no result needs"
            ) from error
    return tuple(found)


def span(invocations: Sequence[Invocation], records: Iterable[Record]) -> Span | None:
    """Return from when to when a run was made; None where neither a cell nor a beginning says it."""
    ends = sorted(filter(None, (_instant(record.finished) for record in records)))
    begins = sorted(filter(None, (_instant(invocation.began) for invocation in invocations)))
    if not ends:
        return None
    # a cell ended before the first beginning that was kept: an earlier version began the run, and kept none
    if not begins or ends[0] < begins[0]:
        return Span(first=ends[0], last=ends[-1], worked=ends[-1] - ends[0], exact=False)
    worked = timedelta()
    for begin, following in zip(begins, [*begins[1:], None], strict=True):
        # what comes after its last cell, a sweep that was killed cannot tell from the pause
        inside = [end for end in ends if end >= begin and (following is None or end < following)]
        worked += inside[-1] - begin if inside else timedelta()
    return Span(first=begins[0], last=ends[-1], worked=worked, exact=True)


def _instant(text: str) -> datetime | None:
    """Return the time that a record names; None for none, or for what is no time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
