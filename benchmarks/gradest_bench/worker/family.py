"""What a worker has started, and what that has started: how much memory it holds, and how it is ended.

A process leaves its parent's group by a session of its own, and its parent by a second fork. Linux hands an orphan to
the nearest ancestor that asked for it (`prctl(2)`, PR_SET_CHILD_SUBREAPER): the worker asks, so that while it lives all
that it started is below it, and the sweep asks, so that what a dead worker leaves comes to the sweep, which knows it by
a variable of the environment. Elsewhere than on Linux the group alone is ended. This module knows no request.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence

import psutil

FAMILY_VARIABLE = "GRADEST_BENCH_FAMILY"
"""The environment variable that a worker hands on to all that it starts."""
_PR_SET_CHILD_SUBREAPER = 36
_MEGABYTE = 1 << 20
_END_SECONDS = 2.0
"""How long what is left is looked for: a process that forks may have done so since the last look."""
_LOOK_SECONDS = 0.005


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own (Linux; elsewhere nothing is done)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int) -> list[psutil.Process]:
    """Return all processes below one; none where it has ended."""
    try:
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    except psutil.Error:  # it has ended, and its children have another parent
        return []
    return found


def resident_mb(pid: int, below: Sequence[psutil.Process]) -> float:
    """Return the resident memory of a process and those below it, pages that they share once; 0 if it has died."""
    try:
        process = psutil.Process(pid)
        if not below:
            return float(process.memory_info().rss / _MEGABYTE)
        return sum(map(_share_bytes, (process, *below))) / _MEGABYTE
    except psutil.Error:  # it has ended, and holds nothing
        return 0.0


def _share_bytes(process: psutil.Process) -> float:
    """Return a process's proportional share of its pages: a forked child's resident pages are its parent's as well."""
    try:
        found = process.memory_full_info()
        return float(getattr(found, "pss", found.rss))
    except psutil.Error:  # it ended meanwhile, or is another user's
        return 0.0


def end_family(pid: int, mark: str, known: Iterable[psutil.Process] = ()) -> None:
    """Kill a worker's group, what is `known` of what it started, and what became the sweep's by its death."""
    left = {process.pid: process for process in (*known, *descendants(pid))}
    with contextlib.suppress(ProcessLookupError, PermissionError):  # none is left in it, which is what is asked
        os.killpg(pid, signal.SIGKILL)
    ended: set[int] = set()
    until = time.monotonic() + _END_SECONDS
    while time.monotonic() < until:
        for process in left.values():
            with contextlib.suppress(psutil.Error):  # it has ended; psutil sees when another process has its number
                process.kill()
        ended = {each for each in (*ended, *left) if not _gone(each)}
        left = {child.pid: child for child in _adopted(mark) if child.pid != pid}
        if not left and not ended:
            return
        time.sleep(_LOOK_SECONDS)


def _adopted(mark: str) -> list[psutil.Process]:
    """Return the children of this process, and what is below them, that a worker of this mark has started."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            if child.status() != psutil.STATUS_ZOMBIE and child.environ().get(FAMILY_VARIABLE) == mark:
                found.append(child)
    return found


def _gone(pid: int) -> bool:
    """Whether a killed process has left the table, which it does when its parent, or who adopted it, asks how it ended.

    What became a child of this process would stay there as a zombie.
    """
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # another's child, or reaped already
        return not psutil.pid_exists(pid)
