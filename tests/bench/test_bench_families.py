"""Children of a worker: none answers in its place, none outlives its run, and limits see what they hold."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from support.bench_families import MARKER
from support.bench_runs import QUICK_BUDGET, run_suite

from gradest.measurement.outcome import Outcome
from gradest_bench.results.records import Record


def suite(*estimators: str, budget: str = QUICK_BUDGET) -> str:
    """Return a suite of estimators, each of them the fields of one as TOML has them, and the label."""
    listed = ", ".join(
        f'{{ name = "support.bench_families:Forking", label = "{label}", fields = {{ {fields} }} }}'
        for label, _, fields in (each.partition(": ") for each in estimators)
    )
    return f"""
name = "families"
measure = ["time"]
{budget}
[[grid]]
backends = ["numpy"]
problems = [{{ name = "quadratic", fields = {{ size = 5 }} }}]
estimators = [{listed}]
"""


def left_over() -> list[int]:
    """Return the processes of these tests that are alive, and not only zombies."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if MARKER in " ".join(process.info["cmdline"] or ()) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def outcomes(records: dict[str, Record]) -> dict[str, str]:
    return {label: record.outcome for label, record in records.items()}


@pytest.mark.parametrize("how", ["fork", "fork-and-raise", "fork-in-c"])
def test_a_child_that_comes_back_is_its_cells_crash_and_shifts_no_other_result(how: str, tmp_path: Path) -> None:
    busy = {"A": 0.01, "B": 0.03, "C": 0.06, "D": 0.12}
    fields = [f"{label}: busy = {seconds}" for label, seconds in busy.items()]
    fields[0] += f', how = "{how}", at = 4'
    found = run_suite(suite(*fields), tmp_path)
    # no hook sees a fork of C code: its child ends only as it would answer, which may be too late to be told
    told = how != "fork-in-c" or found["A"].outcome == Outcome.CRASHED
    expected = Outcome.CRASHED if told else Outcome.OK
    assert outcomes(found) == {"A": expected, **dict.fromkeys(("B", "C", "D", "null"), Outcome.OK)}
    assert not told or "forked" in found["A"].reason
    for label in "BCD":
        timing = found[label].timing
        assert timing is not None
        assert min(timing.wall_seconds) >= busy[label], "a time of another cell"
    null = found["null"].timing
    assert null is not None
    assert null.median_seconds is not None
    assert null.median_seconds < busy["A"]


def test_a_fork_in_every_call_ends_after_one_of_them(tmp_path: Path) -> None:
    found = run_suite(suite('fork: how = "fork"', "none: at = 1"), tmp_path)
    assert outcomes(found) == {"fork": Outcome.CRASHED, "none": Outcome.OK, "null": Outcome.OK}


@pytest.mark.parametrize("how", ["fork-and-end", "fork-and-exit", "pool"])
def test_a_child_that_does_its_work_and_ends_is_welcome(how: str, tmp_path: Path) -> None:
    found = run_suite(suite(f'child: how = "{how}", at = 2'), tmp_path)
    assert outcomes(found) == {"child": Outcome.OK, "null": Outcome.OK}, found["child"].reason


@pytest.mark.parametrize("how", ["start", "start-daemon"])
def test_nothing_that_an_estimator_started_outlives_the_run(how: str, tmp_path: Path) -> None:
    found = run_suite(suite(f'starts: how = "{how}", at = 2'), tmp_path)
    assert outcomes(found) == {"starts": Outcome.OK, "null": Outcome.OK}
    assert left_over() == []


def test_nothing_outlives_a_worker_that_died_by_itself(tmp_path: Path) -> None:
    found = run_suite(suite('dies: how = "start-daemon-and-die", at = 2'), tmp_path)
    assert found["dies"].outcome == Outcome.CRASHED
    assert left_over() == []


def test_the_memory_of_children_counts(tmp_path: Path) -> None:
    limited = QUICK_BUDGET + "memory_limit_mb = 250\n"
    found = run_suite(suite('large: how = "start-large", at = 2', budget=limited), tmp_path)
    assert found["large"].outcome == Outcome.OUT_OF_MEMORY, found["large"].reason
    assert left_over() == []


SLOW_CHILD = """
import os, time
from gradest_bench.worker.forks import ForkWatch

def call():
    if not os.fork():
        time.sleep(0.05)  # its parent has returned by then, and waits for it

watch = ForkWatch()
print([watch.came_back(call)[1] for _ in range(5)])
"""


def test_a_child_that_comes_back_after_its_parent_is_told_of() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SLOW_CHILD]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == str([True] * 5)
