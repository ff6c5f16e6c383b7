"""A sweep killed at random moments and resumed ends with every cell exactly once, equal to an undisturbed one."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.bench_runs import ROOTS, TWO_ROUNDS, Silent, faulty_suite, lasting, run_suite

from gradest.measurement.outcome import Outcome
from gradest_bench.results.outcomes import CellError
from gradest_bench.results.records import Record, blocks_of
from gradest_bench.results.store import RESULTS, Store, latest, read_records
from gradest_bench.run.sweep import Sweep
from gradest_bench.suite.cells import expand
from gradest_bench.suite.schema import parse_suite
from gradest_bench.worker.launch import Launch
from gradest_bench.worker.pool import WorkerPool

COMMAND = "from gradest_bench.command.main import main; main()"
SUITE = faulty_suite("none", "double", "print", "nan", "unsupported", size=4, budget=TWO_ROUNDS)
KILLS = 3


def _belongs_to(process: psutil.Process, sweep: int) -> bool:
    alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return alive and (process.info["environ"] or {}).get("GRADEST_BENCH_PARENT") == str(sweep)


def start(suite: Path, folder: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", COMMAND, "bench", "run", str(suite), "--out", str(folder), "--resume", *more]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    return run_suite(SUITE, tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize("seed", range(3))
def test_killed_and_resumed_sweep_equals_an_undisturbed_one(
    seed: int, tmp_path: Path, undisturbed: dict[str, Record]
) -> None:
    suite, folder = tmp_path / "suite.toml", tmp_path / "run"
    suite.write_text(SUITE, encoding="utf-8")
    moments = random.Random(seed)
    for kill in range(KILLS):
        process = start(suite, folder)
        time.sleep(moments.uniform(0.2, 2.5))
        victims = [process.pid] if kill % 2 else [child.pid for child in psutil.Process(process.pid).children()]
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        if not kill % 2:  # the sweep outlives its workers
            process.wait(timeout=30)
        else:
            process.wait()
        process.communicate()
    output, _ = start(suite, folder).communicate(timeout=60)
    records = list(read_records(folder))
    done = [record for record in records if record.outcome in ("ok", "invalid", "unsupported")]
    assert sorted(r.cell.estimator.label for r in done) == sorted(undisturbed), output
    assert {r.cell.estimator.label: lasting(r) for r in done} == {k: lasting(r) for k, r in undisturbed.items()}
    assert all(record.outcome == Outcome.CRASHED for record in records if record not in done)


def test_resume_runs_what_failed_and_nothing_else(tmp_path: Path) -> None:
    first = run_suite(faulty_suite("none", "nan", "raise"), tmp_path)
    listener = Silent()
    second = run_suite(faulty_suite("none", "nan", "raise"), tmp_path, listener)
    assert listener.ended == [first["raise"].key]
    assert second["raise"].attempts == 2
    assert second["none"].finished == first["none"].finished
    assert listener.kept == 3  # none, nan, null


def test_torn_last_line_is_cut_off_and_run_again(tmp_path: Path) -> None:
    first = run_suite(faulty_suite("none"), tmp_path)
    path = tmp_path / RESULTS
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][: len(lines[1]) // 2])
    assert len(list(read_records(tmp_path))) == 1
    second = run_suite(faulty_suite("none"), tmp_path)
    assert {r.key for r in read_records(tmp_path)} == {r.key for r in first.values()}
    assert {label: lasting(r) for label, r in first.items()} == {label: lasting(r) for label, r in second.items()}


def test_changed_code_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "my_estimator.py"
    source = (Path(__file__).parents[1] / "support" / "bench_faults.py").read_text(encoding="utf-8")
    module.write_text(source, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    text = faulty_suite("none").replace("support.bench_faults:", "my_estimator:")
    first = run_suite(text, tmp_path / "run")
    module.write_text(
        source.replace('"none": lambda block: block', '"none": lambda block: 1 * block'), encoding="utf-8"
    )
    listener = Silent()
    second = run_suite(text, tmp_path / "run", listener)
    assert listener.ended == [first["none"].key]
    assert first["none"].identity != second["none"].identity
    assert first["null"].identity == second["null"].identity


@pytest.mark.parametrize("executor", [(), ("--executor", "local:2")], ids=["here", "local:2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_sweep_keeps_what_is_done_and_says_how_to_resume(
    number: int, executor: tuple[str, ...], tmp_path: Path
) -> None:
    suite, folder = tmp_path / "suite.toml", tmp_path / "run"
    suite.write_text(faulty_suite("none", "hang"), encoding="utf-8")
    process = start(suite, folder, *executor)
    # the sweep has begun, and not only the process that looks its names up: there is something to go on with
    until = time.monotonic() + 60
    while not (folder / RESULTS).exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1.5)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "--resume" in output
    assert "Traceback" not in output
    outcomes = [json.loads(line)["outcome"] for line in (folder / RESULTS).read_text(encoding="utf-8").splitlines()]
    assert set(outcomes) <= {"interrupted"}  # none where it was stopped before the first cell began
    until = time.monotonic() + 30  # one that was just being started ends with its parent, as soon as it runs
    while left := [p for p in psutil.process_iter(["environ"]) if _belongs_to(p, process.pid)]:
        assert time.monotonic() < until, left
        time.sleep(0.1)


def test_a_done_cell_whose_worker_dies_while_it_is_identified_stays_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_suite(faulty_suite("none"), tmp_path)

    def killed(self: Sweep, cell: object, pool: object) -> dict[str, Any]:
        raise CellError(Outcome.CRASHED, "the worker was killed by SIGKILL")

    monkeypatch.setattr(Sweep, "_identify", killed)
    listener = Silent()
    second = run_suite(faulty_suite("none"), tmp_path, listener)
    assert listener.ended == []
    assert {label: lasting(r) for label, r in first.items()} == {label: lasting(r) for label, r in second.items()}


STARTS = """[budget]
starts = 3
repetitions = 2
minimum_samples = 2
minimum_seconds = 0.02
"""


def test_a_sweep_that_is_stopped_goes_on_with_the_start_that_it_was_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped before the third start of the workers: two stand, and are not made again."""
    text = faulty_suite("none", "double", budget=STARTS)
    close, closed = WorkerPool.close, [0]

    def stopped(self: WorkerPool) -> None:
        closed[0] += 1
        if closed[0] == 2:
            raise KeyboardInterrupt
        close(self)

    with monkeypatch.context() as patched:
        patched.setattr(WorkerPool, "close", stopped)
        with pytest.raises(KeyboardInterrupt):
            run_suite(text, tmp_path)
    begun = latest(read_records(tmp_path))
    assert {(record.outcome, record.begun, record.attempts) for record in begun.values()} == {("interrupted", True, 0)}
    assert {record.reason for record in begun.values()} == {"2 of 3 starts of the workers are done"}
    listener = Silent()
    found = run_suite(text, tmp_path, listener)
    assert sorted(listener.ended) == sorted(begun)
    for record in found.values():
        before = begun[record.key]
        assert record.timing is not None, record.reason
        assert before.timing is not None
        assert record.outcome == "ok"
        assert record.timing.starts == [2, 2, 2]
        assert record.timing.wall_seconds[: len(before.timing.wall_seconds)] == before.timing.wall_seconds
        assert len(record.timing.machine_shares) == 6
        assert record.timing.preparation_seconds == before.timing.preparation_seconds
        assert (record.accuracy, record.counts) == (before.accuracy, before.counts)
    whole = run_suite(text, tmp_path.with_name("undisturbed"))
    assert {k: lasting(r) for k, r in found.items()} == {k: lasting(r) for k, r in whole.items()}


@pytest.mark.parametrize("changed", ["threads", "executor"])
def test_what_was_begun_with_other_threads_or_by_an_executor_begins_anew(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its starts would be called those of the environment of the last."""
    text, suite = faulty_suite("none", budget=STARTS), parse_suite(faulty_suite("none", budget=STARTS))
    with monkeypatch.context() as patched:
        patched.setattr(WorkerPool, "close", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_suite(text, tmp_path)
    begun = latest(read_records(tmp_path))
    assert all(record.begun for record in begun.values())
    threads = 2 if changed == "threads" else 1
    with Store(tmp_path) as store, ThreadPoolExecutor(1) as executor:
        found = Sweep(
            suite=suite.name, cells=expand(suite), store=store, listener=Silent(),
            launch=Launch(pythons={}, logs=store.logs, threads=threads), executor="local:1",
        ).run(executor if changed == "executor" else None)  # fmt: skip
    for record in found:
        first = begun[record.key].timing
        assert record.timing is not None
        assert first is not None
        assert record.timing.starts == [2, 2, 2]
        assert record.timing.wall_seconds[: len(first.wall_seconds)] != first.wall_seconds
        assert record.environment == "numpy#2"


def interrupted(self: WorkerPool) -> None:
    raise KeyboardInterrupt


def test_other_code_begins_anew(tmp_path: Path) -> None:
    text = faulty_suite("none", budget=STARTS)
    first = run_suite(text, tmp_path)["none"]
    assert first.timing is not None
    (block, *_) = blocks_of(first.timing)
    begun = first.timing.with_blocks([block], on_processor=True, starts=[1])
    first.timing, first.outcome, first.identity = begun, "interrupted", "of other code"
    with Store(tmp_path) as store:
        store.append(first)
    again = run_suite(text, tmp_path)["none"]
    assert again.timing is not None
    assert again.timing.starts == [2, 2, 2]
    assert again.timing.wall_seconds[: len(begun.wall_seconds)] != begun.wall_seconds
