"""Tries foreign code in a process of its own, before anything relies on it: plug-ins, and the names of a suite.

A file that is imported may do anything: end the program, crash it, never come back. In a worker each of that is one
sentence. This module reads no suite and no result.
"""

import tempfile
from pathlib import Path
from typing import Any

import msgspec

from gradest.errors import InvalidInputError
from gradest_bench.results.outcomes import CellError
from gradest_bench.suite.resolving import located
from gradest_bench.suite.schema import Suite
from gradest_bench.suite.selection import name_errors, runs_foreign_code
from gradest_bench.worker.launch import Launch
from gradest_bench.worker.process import Limits, WorkerProcess

TRIAL_SECONDS = 60.0
"""How long a plug-in may take to be imported, and the names of a suite to be looked up."""


def require_loadable(name: str) -> None:
    """Import the module of "module:Class" or "path.py:Class", or the file "path.py", in a process of its own.

    A registered name is left alone.

    Raises
    ------
    InvalidInputError
        It cannot be imported: it raised, ended or crashed the process, or did not come back.
    """
    place = name if name.endswith(".py") else name.rpartition(":")[0]
    if place:
        with _Trial() as trial:
            fault = trial.fault("load", plugin=place)
        if fault:
            raise InvalidInputError(_as_sentence(place, fault))


def check_names(suite: Suite, folder: Path | None = None) -> None:
    """Refuse a suite, of a folder, that names what does not exist, or whose plug-ins do not load.

    Raises
    ------
    InvalidInputError
        The message has one line for each.
    """
    errors = _errors_apart(suite, folder) if runs_foreign_code(suite) else name_errors(suite, folder)
    if errors:
        raise InvalidInputError(f"suite {suite.name!r}:\n  " + "\n  ".join(errors))


def _errors_apart(suite: Suite, folder: Path | None) -> list[str]:
    errors, loaded = [], []
    with _Trial() as trial:
        for number, plugin in enumerate(suite.plugins):
            place = located(plugin, folder)
            fault = trial.fault("load", plugin=place)
            if fault:
                errors.append(f"plugins[{number}]: {_as_sentence(plugin, fault)}")
            else:
                # a plug-in that does not load must not hide what else is wrong
                loaded.append(place)
        where = None if folder is None else str(folder)
        arguments = {"suite": msgspec.to_builtins(suite), "folder": where, "plugins": loaded}
        fault = trial.fault("names", **arguments)
        errors += [f"the names of the suite: {fault}"] if fault else trial.result["errors"]
    return errors


def _as_sentence(plugin: str, fault: str) -> str:
    """Return a fault of a plug-in with its name in front, where it does not say it by itself."""
    return fault if repr(plugin) in fault else f"{plugin!r} cannot be loaded: {fault}"


class _Trial:
    """Holds the process in which things are tried, and starts another where one has ended."""

    def __init__(self) -> None:
        self.result: dict[str, Any] = {}
        self._worker: WorkerProcess | None = None

    def __enter__(self) -> "_Trial":
        self._logs = tempfile.TemporaryDirectory(prefix="gradest-bench-")
        return self

    def __exit__(self, *error: object) -> None:
        if self._worker is not None:
            self._worker.kill()
        self._logs.cleanup()

    def fault(self, op: str, **arguments: Any) -> str:
        """Return why a request failed, in one line; nothing where it did not, and `result` has its answer."""
        # what was tried before may have ended it
        if self._worker is None or not self._worker.alive:
            self._worker = WorkerProcess("trial", Launch(pythons={}, logs=Path(self._logs.name)))
        try:
            self.result = self._worker.request(op, Limits.of(TRIAL_SECONDS), **arguments)
        except CellError as failure:
            return " ".join(failure.reason.split())
        return ""
