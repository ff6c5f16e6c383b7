"""The worker process: measures cells of one backend as it is asked, line by line.

Run as `python -m gradest_bench.worker`. Standard output is kept for the protocol: everything that frameworks print
there goes to the log. It ends when its standard input does, and with its parent.
"""

import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from gradest.backend import get_backend
from gradest.case import Case
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.measurement.outcome import Outcome, outcome_of
from gradest.measurement.session import Bound, Session
from gradest.registry import import_plugin
from gradest_bench.results.outcomes import CellError
from gradest_bench.results.records import plain
from gradest_bench.suite.cells import Cell
from gradest_bench.suite.resolving import located, make_estimator, make_loss, require_own
from gradest_bench.suite.schema import Suite
from gradest_bench.suite.selection import name_errors
from gradest_bench.worker import protocol
from gradest_bench.worker.environment import libraries, machine
from gradest_bench.worker.family import adopt_orphans
from gradest_bench.worker.forks import CAME_BACK, ForkWatch
from gradest_bench.worker.identity import identify
from gradest_bench.worker.memory import measure_memory

# of <sys/prctl.h>; Python names none of these
_PR_SET_PDEATHSIG = 1


class Worker:
    """Holds the prepared cells of one process; each public method is a request."""

    def __init__(self) -> None:
        self._bound: dict[tuple[Any, ...], Bound] = {}
        self._sessions: dict[str, Session] = {}
        self._folder: Path | None = None

    def hello(self, backend: str, plugins: list[str], folder: str | None) -> dict[str, Any]:
        """Import plug-ins and the backend, of a suite in a folder; return the environment."""
        self._folder = None if folder is None else Path(folder)
        with _nobody_interrupts():
            for plugin in plugins:
                import_plugin(located(plugin, self._folder))
            return {"machine": machine(), "libraries": libraries(get_backend(located(backend, self._folder)))}

    def load(self, plugin: str) -> dict[str, Any]:
        """Import one plug-in."""
        with _nobody_interrupts():
            import_plugin(plugin)
        return {}

    def names(self, suite: dict[str, Any], folder: str | None, plugins: list[str]) -> dict[str, Any]:
        """Return what is wrong with the names of a suite, some of whose plug-ins can be loaded."""
        where = None if folder is None else Path(folder)
        with _nobody_interrupts():
            for plugin in plugins:  # again: the process that tried them first may have ended
                import_plugin(plugin)
            return {"errors": name_errors(msgspec.convert(suite, Suite), where)}

    def identify(self, cell: dict[str, Any]) -> dict[str, Any]:
        """Return the identity of a cell, and its size."""
        return identify(_cell(cell), self._folder)

    def prepare(self, cell: dict[str, Any]) -> dict[str, Any]:
        """Prepare a cell, make its first calls, and return what they showed."""
        asked = _cell(cell)
        session = self._open(asked)
        self._sessions[asked.key] = session
        objective, estimator = session.bound.objective, session.estimator
        return {
            "path": session.path,
            "stochastic": estimator.stochastic,
            "state_bytes": session.state_bytes,
            "target": estimator.target.value,
            "num_parameters": objective.layout.num_parameters,
            "dtype": objective.dtype,
            "device": objective.device,
            "timing": asdict(session.timing((), conversions=False)),
            "counts": asdict(session.counts),
            "notes": list(session.bound.notes),
        }

    def block(self, key: str, round_number: int, samples: int, seconds: float) -> dict[str, Any]:
        """Time one block of calls of a prepared cell."""
        session = self._sessions[key]
        block = session.block(round_number=round_number, samples=samples, seconds=seconds)
        return {"block": asdict(block), "conversion_seconds": session.bound.conversion_seconds()}

    def accuracy(self, key: str) -> dict[str, Any]:
        """Judge the estimates of a prepared cell; what does not apply is left out."""
        found = asdict(self._sessions[key].accuracy())
        # of the parameters by name: it stands beside the others, as they are numbers and this is a mapping
        found["blocks"] = found["single"].pop("blocks")
        stochastic = found["replicates"] is not None
        left_out = (
            {"smoothed", "prediction_fault"}
            if stochastic
            else {"replicates", "predicted", "smoothed", "prediction_fault"}
        )
        return {name: value for name, value in found.items() if value or name not in left_out}

    def memory(self, cell: dict[str, Any]) -> dict[str, Any]:
        """Return the peak memory of one call; asked of a fresh process."""
        asked = _cell(cell)
        return measure_memory(lambda: self._open(asked), self._bind(asked).objective)

    def training(self, cell: dict[str, Any]) -> dict[str, Any]:
        """Train a cell's problem under its estimator."""
        # every worker starts with what stands above, a fifth of whose time this would be, and few train
        from gradest_bench.worker.training import train_cell

        asked = _cell(cell)
        loss = make_loss(asked.problem, self._folder)
        return train_cell(
            loss, make_estimator(asked.estimator, self._folder), asked, backend=located(asked.backend, self._folder)
        )

    def release(self) -> dict[str, Any]:
        """Forget all prepared cells."""
        self._sessions.clear()
        self._bound.clear()
        return {}

    def _open(self, cell: Cell) -> Session:
        return Session(make_estimator(cell.estimator, self._folder), self._bind(cell), seeds=cell.seeds)

    def _bind(self, cell: Cell) -> Bound:
        where = (
            cell.problem.name,
            json.dumps(cell.problem.fields, sort_keys=True),
            cell.dtype,
            cell.kernel,
            cell.device,
        )
        # cells that share it share one copy of the data on the device
        if where not in self._bound:
            self._bound[where] = self._new_bound(cell)
        return self._bound[where]

    def _new_bound(self, cell: Cell) -> Bound:
        loss = make_loss(cell.problem, self._folder)
        device = None if cell.device == "default" else cell.device
        if isinstance(loss, Case):
            if cell.kernel != "portable" or device is not None:
                raise UnsupportedError(
                    f"kernel {cell.kernel!r} on device {cell.device!r} was asked for; {cell.problem.name!r} is a case, "
                    "with kernels and a device of its own; leave both out"
                )
            backend = get_backend(located(cell.backend, self._folder)).name
            return Bound(require_own(loss, cell.problem, backends=[backend], dtypes=[cell.dtype]))
        backend_name = located(cell.backend, self._folder)
        return Bound(loss, backend=backend_name, dtype=cell.dtype, device=device, kernel=cell.kernel)


@contextmanager
def _nobody_interrupts() -> Iterator[None]:
    """Take a KeyboardInterrupt for an error of the file that is imported: no key reaches this session."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise InvalidInputError("a file raised KeyboardInterrupt while it was imported") from error


_OPERATIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "hello": Worker.hello,
    "load": Worker.load,
    "names": Worker.names,
    "identify": Worker.identify,
    "prepare": Worker.prepare,
    "block": Worker.block,
    "accuracy": Worker.accuracy,
    "memory": Worker.memory,
    "training": Worker.training,
    "release": Worker.release,
}


def _cell(plain_cell: dict[str, Any]) -> Cell:
    return msgspec.convert(plain_cell, Cell)


def answer(worker: Worker, request: dict[str, Any], forks: ForkWatch) -> dict[str, Any]:
    """Return the reply to one request; whatever is raised becomes an outcome."""
    arguments = {name: value for name, value in request.items() if name not in ("protocol", "id", "op")}
    try:
        result, came_back = forks.came_back(lambda: plain(_OPERATIONS[request["op"]](worker, **arguments)))
        if came_back:
            raise CellError(Outcome.CRASHED, CAME_BACK)
    except CellError as failure:
        return _failed(request, failure.outcome, failure.reason)
    except Exception as error:  # noqa: BLE001  # an estimator or a framework may raise anything; it is one cell's outcome
        return _failed(request, *outcome_of(error))
    return {"id": request["id"], "ok": True, "result": result}


def _failed(request: dict[str, Any], outcome: Outcome, reason: str) -> dict[str, Any]:
    text = traceback.format_exc()
    # into the log, where it stands among what the cell has printed
    sys.stderr.write(text)
    sys.stderr.flush()
    return {"id": request["id"], "ok": False, "outcome": outcome.value, "reason": reason, "traceback": text[-2000:]}


def _die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends, however that happens (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.environ.get("GRADEST_BENCH_PARENT", str(os.getppid())) != str(os.getppid()):
        os._exit(1)  # the parent ended before the request above


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until there are no more."""
    worker, forks = Worker(), ForkWatch()
    for line in requests:
        reply = protocol.encode(answer(worker, protocol.decode(line), forks))
        forks.leave_if_forked()  # one that no hook saw, as C code forked it: two may not write on one line
        replies.write(reply)
        replies.flush()


def main() -> None:
    """Keep standard output for the protocol, point it at the log for everyone else, and serve."""
    _die_with_parent()
    adopt_orphans()
    # a copy of the descriptor: the next line turns number 1 to the log, for what C code prints as well
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    # whoever asks a question on standard input would eat a request, and wait for an answer
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    serve(requests, replies)


if __name__ == "__main__":
    main()
