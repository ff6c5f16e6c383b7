"""Where a sweep's groups run changes nothing but times; a distributed worker that dies loses no cell."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest
from support.bench_runs import ROOTS, Silent, lasting, run_suite

import gradest
from gradest.errors import InvalidInputError
from gradest.measurement.outcome import Outcome
from gradest_bench.results.records import Record
from gradest_bench.results.store import Store, latest, read_environment, read_records
from gradest_bench.run.executors import executor_name, open_executor
from gradest_bench.run.sweep import Sweep
from gradest_bench.suite.cells import expand
from gradest_bench.suite.schema import parse_suite
from gradest_bench.worker.launch import Launch

SUITE = """
name = "sizes"
measure = ["time", "accuracy"]
[budget]
repetitions = 2
minimum_samples = 2
minimum_seconds = 0.02
[[grid]]
backends = ["numpy"]
problems = [{ name = "quadratic", label = "P = {size}", vary = { size = [2, 3, 4, 5] } }]
estimators = [{ name = "support.bench_faults:Faulty", label = "{fault}", vary = { fault = ["none", "nan"] } }]
"""


class Inline(Executor):
    """Runs a task when it is submitted; what `module:callable` may name."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Lost(Executor):
    """Loses every task, as an executor does whose workers die."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_exception(RuntimeError("the worker is gone"))
        return future


def run_with(executor: str, folder: Path) -> dict[str, Record]:
    suite = parse_suite(SUITE)
    with Store(folder) as store, open_executor(executor) as pool:
        cells = expand(suite)
        launch = Launch(pythons={}, logs=store.logs)
        sweep = Sweep(suite=suite.name, cells=cells, store=store, launch=launch, listener=Silent())
        return {record.cell.title: record for record in sweep.run(pool)}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
        run_suite(SUITE, folder)
    return {record.cell.title: lasting(record) for record in latest(read_records(folder)).values()}


@pytest.mark.parametrize("executor", ["local:2", "test_bench_executors:Inline"])
def test_executor_gives_the_records_of_a_run_without_one(
    executor: str, tmp_path: Path, expected: dict[str, Any]
) -> None:
    found = run_with(executor, tmp_path)
    assert {title: lasting(record) for title, record in found.items()} == expected
    assert {record.environment for record in found.values()} == {"numpy"}


def test_the_executor_is_kept_with_what_it_ran(tmp_path: Path) -> None:
    suite = parse_suite(SUITE)
    with Store(tmp_path) as store, open_executor("local:2") as pool:
        launch = Launch(pythons={}, logs=store.logs)
        Sweep(suite.name, expand(suite), store, launch, Silent(), executor=executor_name("local:2")).run(pool)
    workers = read_environment(tmp_path)["workers"]
    assert {found["executor"] for found in workers.values()} == {"local:2"}
    assert {found["gradest"] for found in workers.values()} == {gradest.__version__}


def test_lost_task_is_a_crash_of_its_cells_and_resumable(tmp_path: Path, expected: dict[str, Any]) -> None:
    lost = run_with("test_bench_executors:Lost", tmp_path)
    assert {record.outcome for record in lost.values()} == {Outcome.CRASHED}
    assert all("the worker is gone" in record.reason for record in lost.values())
    again = run_with("test_bench_executors:Inline", tmp_path)
    assert {title: lasting(record) for title, record in again.items()} == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("local:none", "positive integer"),
        ("four", "local:N, dask:ADDRESS or module:callable"),
        ("no_such_module:Pool", "cannot be found"),
        ("builtins:dict", r"must give a concurrent\.futures\.Executor; found dict"),
    ],
)
def test_executor_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message), open_executor(text):
        pass


@pytest.fixture
def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS)}


def wait_for(path: Path, seconds: float) -> bytes:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if path.exists() and path.read_bytes():
            return path.read_bytes()
        time.sleep(0.05)
    raise TimeoutError(path)


def test_dask_worker_that_is_killed_loses_no_cell(
    tmp_path: Path, environment: dict[str, str], expected: dict[str, Any]
) -> None:
    pytest.importorskip("distributed", reason="distributed is not installed")
    where, suite, folder = tmp_path / "scheduler.json", tmp_path / "suite.toml", tmp_path / "run"
    suite.write_text(SUITE, encoding="utf-8")
    python = [sys.executable, "-W", "ignore", "-m"]
    quiet: dict[str, Any] = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler_command = [*python, "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"]
    processes = [subprocess.Popen([*scheduler_command, "--scheduler-file", str(where)], cwd=tmp_path, **quiet)]
    try:
        address = json.loads(wait_for(where, 60))["address"]
        worker = [*python, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
        processes += [subprocess.Popen([*worker, "--name", str(k)], cwd=tmp_path, **quiet) for k in range(2)]
        command = "from gradest_bench.command.main import main; main()"
        arguments = ["bench", "run", str(suite), "--out", str(folder), "--executor", f"dask:{address}"]
        sweep = subprocess.Popen([sys.executable, "-c", command, *arguments], env=environment, stdout=subprocess.PIPE)
        wait_for(folder / "results.jsonl", 90)
        processes[1].send_signal(signal.SIGKILL)
        sweep.communicate(timeout=120)
    finally:
        for process in processes[::-1]:
            process.kill()
            process.wait()
    found = latest(read_records(folder))
    assert {record.cell.title: lasting(record) for record in found.values()} == expected
