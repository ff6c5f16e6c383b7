"""Tells how far work has come where there is no terminal for a bar: few lines, and never a long silence.

A line for each twentieth of the work, and one a minute while a single step lasts, so that a log of many cells stays
short, and one of slow cells shows that something goes on. This module reads no clock: it waits.
"""

import threading
from types import TracebackType
from typing import Self

from rich.console import Console

LINES = 20
"""The most lines that the work itself makes, however many steps it has."""
SILENT_SECONDS = 60.0
"""After so long without a line, what is being done now is said once more."""


class ProgressLines:
    """Prints `done of total`; use it in a `with` statement, which ends its waiting thread."""

    def __init__(self, console: Console, *, unit: str = "cells", silent_seconds: float = SILENT_SECONDS) -> None:
        self._console = console
        self._unit = unit
        self._silent_seconds = silent_seconds
        self._done, self._total, self._what = 0, 0, "starting"
        self._shown = 0
        self._spoke = False
        self._ended = threading.Event()
        self._lock = threading.Lock()
        # a daemon: what ends the program must not wait a minute for it
        self._thread = threading.Thread(target=self._keep_speaking, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def doing(self, what: str) -> None:
        """Remember what is done now: a long silence will name it."""
        self._what = what

    def advance(self, done: int, total: int) -> None:
        """Say how far it has come, if that is a twentieth further than what was said last."""
        with self._lock:
            self._done, self._total = done, total
            part = done * LINES // total if total else 0
            if part > self._shown:
                self._shown = part
                self._say(f"{done} of {total} {self._unit}")

    def _keep_speaking(self) -> None:
        while not self._ended.wait(self._silent_seconds):
            with self._lock:
                if not self._spoke:
                    self._say(f"{self._done} of {self._total or '?'} {self._unit}; now: {self._what}")
                self._spoke = False

    def _say(self, line: str) -> None:
        self._spoke = True
        self._console.print(line, markup=False, highlight=False)
