"""The workers of one sweep: one to a name, started when needed, and again after a death."""

import contextlib
from collections.abc import Sequence
from typing import Any

from gradest.measurement.outcome import Outcome
from gradest_bench.results.outcomes import CellError
from gradest_bench.worker.launch import Launch
from gradest_bench.worker.process import STOP_SECONDS, Limits, WorkerProcess

START_SECONDS = 120.0
"""How long a worker may take to import its framework; that is no cell's time."""
LARGE_MB = 1500.0
"""A worker whose resident memory exceeds this between two groups is started afresh."""
START_ATTEMPTS = 3
"""How often a worker that dies while it starts is started."""


class WorkerPool:
    """The workers of one sweep, one to a name, started and greeted when first needed and again after a death."""

    def __init__(self, launch: Launch, *, plugins: Sequence[str] = ()) -> None:
        self.launch = launch
        self.plugins = list(plugins)
        self.environments: dict[str, dict[str, Any]] = {}
        self._workers: dict[str, WorkerProcess] = {}
        self._hopeless: dict[str, CellError] = {}
        self._stopped = False

    def worker(self, name: str, backend: str) -> WorkerProcess:
        """Return the living worker of a name, starting one where there is none.

        Raises
        ------
        CellError
            It cannot be started, or its backend cannot be imported. A name is not tried again after that.
        """
        if self._stopped:
            raise CellError(Outcome.INTERRUPTED, "the sweep was stopped")
        if name in self._hopeless:
            raise self._hopeless[name]
        worker = self._workers.get(name)
        if worker is None or not worker.alive:
            if worker is not None:
                worker.kill()
            try:
                worker = self._workers[name] = self.fresh(name, backend)
            except CellError as failure:
                # each further cell of it would wait for as many starts again
                self._hopeless[name] = failure
                raise
        return worker

    def living(self, name: str) -> WorkerProcess | None:
        """Return the worker of a name if there is one that runs."""
        worker = self._workers.get(name)
        return worker if worker is not None and worker.alive else None

    def fresh(self, name: str, backend: str) -> WorkerProcess:
        """Return a new worker that belongs to the caller; raises as `worker` does."""
        attempts = START_ATTEMPTS
        while True:
            try:
                return self._start(name, backend)
            except CellError as failure:
                attempts -= 1
                if failure.outcome in (Outcome.MISSING, Outcome.UNSUPPORTED):  # it started, and said so itself
                    raise
                # one that died may live at the next try; one that hung, or is no program, would not
                if not attempts or failure.outcome is not Outcome.CRASHED:
                    reason = f"worker {name!r} cannot be started: {failure.reason}"
                    raise CellError(Outcome.NOT_TRIED, reason, failure.log_tail) from failure

    def _start(self, name: str, backend: str) -> WorkerProcess:
        worker = WorkerProcess(name, self.launch)
        folder = None if self.launch.folder is None else str(self.launch.folder)
        try:
            self.environments[name] = worker.request(
                "hello", Limits.of(START_SECONDS), backend=backend, plugins=self.plugins, folder=folder
            )
        except BaseException:  # Ctrl-C too: this one is in no list of workers yet
            worker.kill()
            raise
        return worker

    def release(self) -> None:
        """Let all workers forget their prepared cells; one that does not answer soon, has grown large or has
        children, is ended.

        A framework keeps what it has compiled: without this, the last cell of a long run would be blamed for it.
        """
        for worker in self._workers.values():
            if not worker.alive:
                continue
            with contextlib.suppress(CellError):  # it ended meanwhile, and with it what it held
                worker.request("release", Limits.of(STOP_SECONDS))
            # what a cell left behind would be counted to the next: its memory, and the time that it takes from it
            if worker.resident_mb() > LARGE_MB or worker.has_started_others:
                worker.stop()

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers.values():
            worker.stop()
        self._workers.clear()

    def kill(self) -> None:
        """End all workers at once, and start no more."""
        self._stopped = True
        for worker in list(self._workers.values()):
            worker.kill()
        self._workers.clear()
