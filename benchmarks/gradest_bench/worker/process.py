"""A worker process as the sweep sees it: started, asked, watched, and killed when it exceeds a limit.

It is spawned with a fresh interpreter, which may be another Python than this one. Requests go to its standard input
and replies come back on its original standard output; what frameworks print goes to the log.
"""

import contextlib
import itertools
import math
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any, BinaryIO

import psutil

from gradest.measurement.outcome import Outcome
from gradest_bench.results.files import StorageError, open_plain
from gradest_bench.results.outcomes import CellError
from gradest_bench.worker import protocol
from gradest_bench.worker.family import FAMILY_VARIABLE, adopt_orphans, descendants, end_family, resident_mb
from gradest_bench.worker.launch import Launch, log_name

_WATCH_SECONDS = 0.05
"""Between looks at an answer that is awaited: limits are held to within it, and an answer itself is read at once."""
_FAMILY_SECONDS = 0.3
"""Between looks at a worker's own processes, each of which takes milliseconds of the machine that is measured on."""
_LOG_TAIL_BYTES = 2000
STOP_SECONDS = 2.0
"""What a worker that was told to end, or has died, is waited for before it is killed."""
_MARKS = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What ends a request: the monotonic time at which it must be over, and the resident memory of the worker."""

    deadline: float
    timeout_seconds: float
    memory_limit_mb: float = math.inf

    @classmethod
    def of(cls, seconds: float, *, memory_limit_mb: float = math.inf) -> "Limits":
        """Return limits that begin now."""
        return cls(deadline=time.monotonic() + seconds, timeout_seconds=seconds, memory_limit_mb=memory_limit_mb)


class WorkerProcess:
    """One worker; a request is answered, or raises `CellError` and leaves the process dead or usable (`alive`)."""

    def __init__(self, name: str, launch: Launch) -> None:
        self.name = name
        self.log_path = launch.logs / log_name(name)
        python = launch.pythons.get(name, sys.executable)
        # the process as well: two sweeps on one machine must not end each other's
        self._mark = f"{os.getpid()}-{next(_MARKS)}"
        self._family: list[psutil.Process] = []
        adopt_orphans()
        with self._open_log() as log:
            try:
                self._process = subprocess.Popen(
                    [python, "-m", "gradest_bench.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    # it is handed down by fork and exec alike, and so tells whose a process is when its parents are
                    # gone
                    env={**launch.environment(name), FAMILY_VARIABLE: self._mark},
                    start_new_session=True,  # Ctrl-C reaches the sweep alone, which then ends its workers
                )
            except OSError as error:
                raise CellError(
                    Outcome.NOT_TRIED, f"the interpreter {python!r} of worker {name!r} cannot be started: {error}"
                ) from error
        self._log_start = self.log_path.stat().st_size
        self._buffer = b""
        self._next_id = 0
        self._ended = False
        self._next_look = 0.0

    def _open_log(self) -> BinaryIO:
        try:
            return os.fdopen(open_plain(self.log_path, os.O_WRONLY | os.O_APPEND), "ab")
        except OSError as error:
            raise StorageError(f"a worker's log was to be kept in {self.log_path}; {error.strerror}") from error

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def resident_mb(self) -> float:
        """Return the resident memory of the process and of what it started; 0 if it has died."""
        return resident_mb(self.pid, descendants(self.pid))

    @property
    def has_started_others(self) -> bool:
        """Whether processes that it has started are alive."""
        return bool(descendants(self.pid))

    def mark_log(self) -> None:
        """Let the tail of the log begin here."""
        self._log_start = self.log_path.stat().st_size

    def log_tail(self) -> str:
        """Return what the log has gained since it was marked, its last 2 kB."""
        with self.log_path.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            # never from before the mark: that is what another cell printed
            log.seek(max(self._log_start, end - _LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")

    def request(self, op: str, limits: Limits, **arguments: Any) -> dict[str, Any]:
        """Return the result of a request.

        Raises
        ------
        CellError
            The worker reported a failure, died, or exceeded a limit and was killed.
        """
        # by its number, a reply to an earlier request is told from that to this one
        self._next_id += 1
        try:
            self._send(protocol.encode({"id": self._next_id, "op": op, **arguments}))
            reply = protocol.decode_reply(self._receive(limits), request=self._next_id)
            if self._buffer:
                raise protocol.ProtocolError(f"one reply was asked for; found another: {self._buffer[:80]!r}")
        except (BrokenPipeError, EOFError):
            raise self._death() from None
        except protocol.ProtocolError as error:
            self.kill()
            raise CellError(Outcome.CRASHED, f"worker {self.name!r}: {error}", self.log_tail()) from error
        if not reply["ok"]:
            outcome = Outcome(reply["outcome"])
            if outcome is Outcome.CRASHED:  # it says of itself that it is in no state to go on
                self.kill()
            raise CellError(outcome, reply["reason"], reply.get("traceback", ""))
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
        if time.monotonic() >= self._next_look:  # it reads the whole table of processes, which takes milliseconds
            self._family = descendants(self.pid)  # those that it leaves behind when it dies are found by this
            self._next_look = time.monotonic() + _FAMILY_SECONDS
        resident = resident_mb(self.pid, self._family)  # 0 if it has died: the pipe says so next
        if resident > limits.memory_limit_mb:
            self.kill()
            reason = f"{resident:.0f} MB resident, more than its limit of {limits.memory_limit_mb:g} MB"
            raise CellError(Outcome.OUT_OF_MEMORY, reason, self.log_tail())

    def _death(self) -> CellError:
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        self.kill()  # what it has started lives on without it
        if code < 0:
            with contextlib.suppress(ValueError):  # a signal without a name: the exit code is said below
                name = signal.Signals(-code).name
                hint = " (perhaps by the system, for memory)" if name == "SIGKILL" else ""
                return CellError(Outcome.CRASHED, f"the worker was killed by {name}{hint}", self.log_tail())
        tail = self.log_tail()
        last = tail.strip().rpartition("\n")[2]
        return CellError(
            Outcome.CRASHED, f"the worker ended with exit code {code}" + (f": {last}" if last else ""), tail
        )

    def kill(self) -> None:
        """End the process and all that it started, at once; it may be called twice."""
        if self._ended:  # its number may be another process's by now
            return
        end_family(self.pid, self._mark, self._family)
        self._process.wait()
        self._close_pipes()
        self._ended = True

    def stop(self) -> None:
        """Ask the process to end, kill it if it does not, and end what it started."""
        self._family = descendants(self.pid) or self._family  # once it has ended, nobody can tell whose they were
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError, ValueError):  # it has ended, or the pipe is closed already
                self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # it is killed with the others
            self._process.wait(STOP_SECONDS)
        self.kill()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # nobody is left to read what was not sent
                    pipe.close()
