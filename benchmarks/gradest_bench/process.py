"""A worker process as the sweep sees it: started, asked, watched, and killed when it exceeds a limit.

It is spawned with a fresh interpreter, which may be another Python than this one. Requests go to its standard input
and replies come back on its original standard output; what frameworks print goes to the log.
"""

import contextlib
import importlib.util
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from gradest.outcome import Outcome
from gradest_bench import protocol
from gradest_bench.environment import THREAD_VARIABLES
from gradest_bench.outcomes import CellError

_SINGLE_THREAD_XLA = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads="
START_ATTEMPTS = 3
"""How often a worker that dies while it starts is started."""
_WATCH_SECONDS = 0.05
_LOG_TAIL_BYTES = 2000
_STOP_SECONDS = 2.0
_MEGABYTE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What ends a request: the monotonic time at which it must be over, and the resident memory of the worker."""

    deadline: float
    timeout_seconds: float
    memory_limit_mb: float


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How workers are started: interpreter of each worker by name, folder of logs, threads of each library."""

    pythons: Mapping[str, str]
    logs: Path
    threads: int = 1

    def environment(self) -> dict[str, str]:
        """Return the environment variables of a worker: threads pinned before anything is imported."""
        pinned = dict.fromkeys(THREAD_VARIABLES, str(self.threads))
        flags = f"{os.environ.get('XLA_FLAGS', '')} {_SINGLE_THREAD_XLA}{self.threads}".strip()
        return {
            **os.environ,
            **pinned,
            "OMP_WAIT_POLICY": "PASSIVE",
            "XLA_FLAGS": flags if self.threads == 1 else os.environ.get("XLA_FLAGS", ""),
            "PYTHONPATH": os.pathsep.join([*source_roots(), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep),
            "PYTHONHASHSEED": "0",
            "GRADEST_BENCH_PARENT": str(os.getpid()),
        }


def source_roots() -> list[str]:
    """Return the folders of this checkout that workers import from; none where gradest is installed as a wheel."""
    roots = []
    for package in ("gradest", "gradest_bench", "gradest_numpy"):
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            root = Path(spec.origin).parents[1]
            if root.name not in ("site-packages", "dist-packages"):
                roots.append(str(root))
    return list(dict.fromkeys(roots))


class WorkerProcess:
    """One worker; a request is answered, or raises `CellError` and leaves the process dead or usable (`alive`)."""

    def __init__(self, name: str, launch: Launch) -> None:
        self.name = name
        self.log_path = launch.logs / f"{name.replace(':', '-')}.log"
        python = launch.pythons.get(name, sys.executable)
        with self.log_path.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    [python, "-m", "gradest_bench.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=launch.environment(),
                    start_new_session=True,  # Ctrl-C reaches the sweep alone, which then ends its workers
                )
            except OSError as error:
                raise CellError(
                    Outcome.MISSING, f"the interpreter {python!r} of worker {name!r} cannot be started: {error}"
                ) from error
        self._log_start = self.log_path.stat().st_size
        self._buffer = b""
        self._next_id = 0

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def mark_log(self) -> None:
        """Let the tail of the log begin here."""
        self._log_start = self.log_path.stat().st_size

    def log_tail(self) -> str:
        """Return what the log has gained since it was marked, its last 2 kB."""
        with self.log_path.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, end - _LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")

    def request(self, op: str, limits: Limits, **arguments: Any) -> dict[str, Any]:
        """Return the result of a request.

        Raises
        ------
        CellError
            The worker reported a failure, died, or exceeded a limit and was killed.
        """
        self._next_id += 1
        try:
            self._send(protocol.encode({"id": self._next_id, "op": op, **arguments}))
            reply = protocol.decode(self._receive(limits))
        except (BrokenPipeError, EOFError):
            raise self._death() from None
        except protocol.ProtocolError as error:
            self.kill()
            raise CellError(Outcome.CRASHED, f"worker {self.name!r}: {error}", self.log_tail()) from error
        if not reply["ok"]:
            raise CellError(Outcome(reply["outcome"]), reply["reason"], reply.get("traceback", ""))
        result: dict[str, Any] = reply["result"]
        return result

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def _receive(self, limits: Limits) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([descriptor], [], [], _WATCH_SECONDS)
            if ready:
                chunk = os.read(descriptor, 1 << 20)
                if not chunk:
                    raise EOFError
                self._buffer += chunk
            else:
                self._enforce(limits)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _enforce(self, limits: Limits) -> None:
        if time.monotonic() > limits.deadline:
            self.kill()
            reason = f"longer than its limit of {limits.timeout_seconds:g} s"
            raise CellError(Outcome.TIMEOUT, reason, self.log_tail())
        try:
            resident = psutil.Process(self.pid).memory_info().rss / _MEGABYTE
        except psutil.Error:  # it has died; the pipe says so next
            return
        if resident > limits.memory_limit_mb:
            self.kill()
            reason = f"{resident:.0f} MB resident, more than its limit of {limits.memory_limit_mb:g} MB"
            raise CellError(Outcome.OUT_OF_MEMORY, reason, self.log_tail())

    def _death(self) -> CellError:
        try:
            code = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._process.returncode
        if code < 0:
            with contextlib.suppress(ValueError):
                name = signal.Signals(-code).name
                hint = " (perhaps by the system, for memory)" if name == "SIGKILL" else ""
                return CellError(Outcome.CRASHED, f"the worker was killed by {name}{hint}", self.log_tail())
        tail = self.log_tail()
        last = tail.strip().rpartition("\n")[2]
        return CellError(
            Outcome.CRASHED, f"the worker ended with exit code {code}" + (f": {last}" if last else ""), tail
        )

    def kill(self) -> None:
        """End the process and what it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._close_pipes()

    def stop(self) -> None:
        """Ask the process to end, and kill it if it does not."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError, ValueError):
                self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


class WorkerPool:
    """The workers of one sweep, one to a name, started and greeted when first needed and again after a death."""

    def __init__(self, launch: Launch, *, plugins: Sequence[str] = ()) -> None:
        self.launch = launch
        self.plugins = list(plugins)
        self.environments: dict[str, dict[str, Any]] = {}
        self._workers: dict[str, WorkerProcess] = {}
        self._hopeless: dict[str, CellError] = {}
        self._stopped = False

    def worker(self, name: str, backend: str, limits: Limits) -> WorkerProcess:
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
                worker = self._workers[name] = self.fresh(name, backend, limits)
            except CellError as failure:
                self._hopeless[name] = failure
                raise
        return worker

    def fresh(self, name: str, backend: str, limits: Limits) -> WorkerProcess:
        """Return a new worker that belongs to the caller; raises as `worker` does."""
        attempts = START_ATTEMPTS
        while True:
            worker = WorkerProcess(name, self.launch)
            try:
                self.environments[name] = worker.request("hello", limits, backend=backend, plugins=self.plugins)
            except CellError as failure:
                worker.kill()
                attempts -= 1
                if attempts and failure.outcome is Outcome.CRASHED:
                    continue
                raise
            return worker

    def release(self) -> None:
        """Let all workers forget their prepared cells; one that does not answer soon is ended."""
        for worker in self._workers.values():
            if worker.alive:
                deadline = time.monotonic() + _STOP_SECONDS
                limits = Limits(deadline=deadline, timeout_seconds=_STOP_SECONDS, memory_limit_mb=math.inf)
                with contextlib.suppress(CellError):
                    worker.request("release", limits)

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
