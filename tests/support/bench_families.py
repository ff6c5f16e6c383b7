"""Estimators that fork and start processes while they are called; tests of the harness see what becomes of them."""

import ctypes
import os
import subprocess
import sys
import time
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from gradest.backend import Leaves
from gradest.estimate import Cost, KernelResult
from gradest.estimator import Estimator, PreparedKernel
from gradest.layout import Layout
from gradest.objective import Objective

MARKER = "GRADEST_TEST_FAMILY"
"""What stands in the arguments of every process that is started here to stay, so that tests find it."""
_STAY = ["import sys, time; time.sleep(300)", MARKER]


@dataclass(frozen=True)
class Forking(Estimator):
    """Returns the closed-form gradient after `busy` seconds, and does what `how` says in call number `at` (0: in each).

    `busy` and `scale` make a slow and a wrong estimator of it.
    """

    name = "forking"
    source = "a control"
    formula = "closed form, with company"
    cost_formula = "1 VJP"

    how: str = "nothing"
    at: int = 0
    busy: float = 0.0
    scale: float = 1.0

    def cost(self, layout: Layout) -> Cost:
        return Cost(vjps=1)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        closed_form, calls = objective.prepare_closed_form(), 0

        def kernel(leaves: Leaves, rng: Any) -> KernelResult:
            nonlocal calls
            end = time.perf_counter() + self.busy
            while time.perf_counter() < end:
                pass
            calls += 1
            if calls == self.at or not self.at:
                WAYS[self.how]()
            value, gradient = closed_form(leaves)
            return KernelResult(value, tuple(self.scale * block for block in gradient))

        return PreparedKernel(kernel, "forking")


def _fork_in_c() -> None:
    ctypes.CDLL(None).fork()


def _fork_and_end() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def _fork_and_raise() -> None:
    if not os.fork():
        raise RuntimeError("only the child raises")


def _fork_and_exit() -> None:
    child = os.fork()
    if not child:
        sys.exit(0)
    os.waitpid(child, 0)


def _pool() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        assert pool.submit(abs, -1).result() == 1


def _start() -> None:
    subprocess.Popen([sys.executable, "-c", *_STAY])


def _start_daemon() -> None:
    """Start a process as daemons are: in a session of its own, its parent gone, its environment empty."""
    start = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', *{}], start_new_session=True, env={{}})"
    start = start.format(_STAY)
    subprocess.run([sys.executable, "-c", start], check=True, start_new_session=True)


def _start_large() -> None:
    """Start a process that holds 400 MB, and give it the time to."""
    grow = f"import time; kept = b'x' * 400_000_000; time.sleep(300); '{MARKER}'"
    subprocess.Popen([sys.executable, "-c", grow])
    time.sleep(20)


def _start_daemon_and_die() -> None:
    start = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', *{_STAY!r}], start_new_session=True)"
    subprocess.run([sys.executable, "-c", start], check=True, start_new_session=True)
    os._exit(3)


WAYS = {
    "nothing": lambda: None,
    "fork": os.fork,
    "fork-in-c": _fork_in_c,
    "fork-and-end": _fork_and_end,
    "fork-and-raise": _fork_and_raise,
    "fork-and-exit": _fork_and_exit,
    "pool": _pool,
    "start": _start,
    "start-daemon": _start_daemon,
    "start-large": _start_large,
    "start-daemon-and-die": _start_daemon_and_die,
}
