"""Keeps a forked child of a worker from going on in its place: it ends as soon as it comes back to the harness.

A child that an estimator forks holds the worker's line to the sweep and all that is prepared. One that does its own
work and ends is nobody's concern; one that returns from the estimator's call would time, answer and fork again beside
its parent. This module knows no request.
"""

import contextlib
import os
import select
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import psutil

CAME_BACK = "the estimator, or a library under it, forked, and the child came back from the call (os.fork returns 0 in \
it); end the child with os._exit, or start it with subprocess or multiprocessing"
_LEAST_WAIT_SECONDS = 0.25
_OWN = ("gradest", "gradest_bench")
_STARTERS = ("multiprocessing", "concurrent")
"""Their children run a function of their own and exit: they do not come back."""


class ForkWatch:
    """Remembers which process the worker is, and learns of children that came back from a call.

    Make one as the worker starts; `os.register_at_fork` has no way back.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._notices, self._notify = os.pipe()  # children inherit both ends; what they start by exec has neither
        self._known: set[int] = set()
        self._calling = False
        os.register_at_fork(after_in_child=self._watch_child)

    def leave_if_forked(self, *, exiting: bool = False) -> None:
        """End this process at once unless it is the worker, which is told, but of one that is `exiting` by itself."""
        if os.getpid() != self._pid:
            if not exiting:
                with contextlib.suppress(OSError):  # the worker has ended, and is told nothing
                    os.write(self._notify, b"\n")
            os._exit(0)  # not sys.exit: what the worker registered to be done at its end is not this process's to do

    def came_back(self, call: Callable[[], Any]) -> tuple[Any, bool]:
        """Return what a call returns, and whether a child that it forked came back from it.

        A child that is new after the call is given as long as the call took: it has the same way to go.
        """
        self._told(0.0)  # of an earlier call, by a child that came too late to be waited for: not this call's fault
        start = time.monotonic()
        self._calling = True
        try:
            result = call()
        finally:
            self._calling = False
            self.leave_if_forked(exiting=isinstance(sys.exception(), SystemExit))
            until = time.monotonic() + max(_LEAST_WAIT_SECONDS, time.monotonic() - start)
            told = self._await_new_children(until)
        return result, told

    def _await_new_children(self, until: float) -> bool:
        told = self._told(0.0)
        self._known, known = living_children(), self._known
        while not told and self._known - known and time.monotonic() < until:
            told = self._told(0.01)
            self._known = living_children()
        # a child that was seen to be gone may have told between the last look at the pipe and the one at the processes
        return told or self._told(0.0)

    def _told(self, seconds: float) -> bool:
        if not select.select([self._notices], [], [], seconds)[0]:
            return False
        os.read(self._notices, 1 << 12)
        return True

    def _watch_child(self) -> None:
        """Let a new child end where it comes back to code of this project; called in it, by the interpreter.

        The frames that wait for the call are traced, as a debugger's `until` does: the next line, return or exception
        in one of them is the child's last. Waiting for it to reach the end of the request would let one that forks in
        every call double the processes with each.
        """
        frame: FrameType | None = sys._getframe(1) if self._calling else None
        waiting = []
        while frame is not None:
            package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            if package in _STARTERS:
                return
            if package in _OWN:
                waiting.append(frame)
            frame = frame.f_back
        for each in waiting:
            each.f_trace = self._end
        if waiting:
            sys.settrace(_trace_nothing)  # the traces of single frames hold only while there is a global one

    def _end(self, frame: FrameType, event: str, argument: Any) -> Any:
        self.leave_if_forked(exiting=event == "exception" and issubclass(argument[0], SystemExit))


def _trace_nothing(frame: FrameType, event: str, argument: Any) -> None:
    return None


def living_children() -> set[int]:
    """Return the ids of this process's children that run."""
    try:
        # one system call that reaps nobody; almost every call forks nothing, and pays no more than this
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()
    found = set()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            if child.status() != psutil.STATUS_ZOMBIE:
                found.add(child.pid)
    return found
