"""Every injected fault ends in its documented outcome, with its reason, and the cells around it are measured."""

from pathlib import Path
from typing import Any

import pytest
from support.bench_runs import faulty_suite, run_suite

from gradest.measurement.outcome import Outcome
from gradest_bench.results.records import Record
from gradest_bench.results.store import latest, read_records
from gradest_bench.results.verdict import AGREES, WRONG, verdict
from gradest_bench.worker.process import Limits, WorkerProcess

LIMITED = """
[budget]
repetitions = 2
minimum_samples = 2
minimum_seconds = 0.02
timeout_seconds = 5
memory_limit_mb = 250
"""
EXPECTED = {
    "none": (Outcome.OK, ""),
    "double": (Outcome.OK, ""),
    "print": (Outcome.OK, ""),
    "nan": (Outcome.INVALID, "NaN or infinite"),
    "infinite": (Outcome.INVALID, "1 of"),
    "wrong-shape": (Outcome.INVALID, "must be float64"),
    "wrong-dtype": (Outcome.INVALID, "found float32"),
    "raise": (Outcome.ERROR, "this estimator raises"),
    "unsupported": (Outcome.UNSUPPORTED, "that can be used"),
    "segfault": (Outcome.CRASHED, "SIGSEGV"),
    "exit": (Outcome.CRASHED, "exit code 3"),
    "allocate": (Outcome.OUT_OF_MEMORY, "250 MB"),
    "hang": (Outcome.TIMEOUT, "limit of 5 s"),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
        return run_suite(faulty_suite(*EXPECTED, budget=LIMITED), tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("fault", EXPECTED)
def test_fault_ends_in_its_outcome_with_its_reason(fault: str, results: dict[str, Record]) -> None:
    outcome, reason = EXPECTED[fault]
    assert results[fault].outcome == outcome, results[fault].reason
    assert reason in results[fault].reason


def test_null_estimator_is_a_row_of_its_own(results: dict[str, Record]) -> None:
    assert results["null"].outcome == Outcome.OK


def test_traceback_of_an_error_is_kept(results: dict[str, Record]) -> None:
    assert "RuntimeError" in results["raise"].log_tail
    assert "bench_faults.py" in results["raise"].log_tail


def test_what_is_printed_goes_to_the_log(results: dict[str, Record]) -> None:
    assert results["print"].timing is not None
    assert results["print"].accuracy["single"]["relative_error"] < 1e-12


def test_wrong_estimate_is_called_wrong(results: dict[str, Record]) -> None:
    assert verdict(results["none"])[0] == AGREES
    found, reason = verdict(results["double"])
    assert found == WRONG
    assert "relative error 1" in reason


@pytest.mark.parametrize(
    ("backend", "outcome", "reason"),
    [
        ("support.bench_faults:BrokenBackend", Outcome.NOT_TRIED, "exit code 7"),
        ("support.bench_faults:MissingBackend", Outcome.MISSING, "pip install absent"),
    ],
)
def test_backend_that_cannot_be_had_is_an_outcome_of_its_cells(
    backend: str, outcome: Outcome, reason: str, tmp_path: Path
) -> None:
    text = faulty_suite("none").replace('["numpy"]', f'["{backend}", "numpy"]')
    run_suite(text, tmp_path)
    records = [r for r in latest(read_records(tmp_path)).values() if r.cell.estimator.label == "none"]
    assert {r.cell.backend: r.outcome for r in records} == {backend: outcome, "numpy": Outcome.OK}
    assert reason in next(r.reason for r in records if r.cell.backend == backend)


@pytest.mark.parametrize("kind", ["missing key", "wrong kind", "harness"])
def test_what_one_group_ends_in_ends_no_sweep(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that lacks what it should have ends its cell; a fault of the harness ends the cells of its group."""
    request = WorkerProcess.request

    def damaged(self: WorkerProcess, op: str, limits: Limits, **arguments: Any) -> dict[str, Any]:
        found = request(self, op, limits, **arguments)
        if op == "prepare" and arguments["cell"]["problem"]["label"] == "3":
            return {} if kind == "missing key" else {**found, "timing": "soon", "counts": 1}
        return found

    def broken(*arguments: object, seed: int) -> Any:
        raise ZeroDivisionError("a fault of the harness")

    if kind == "harness":
        monkeypatch.setattr("gradest_bench.run.group.rounds", broken)
    else:
        monkeypatch.setattr(WorkerProcess, "request", damaged)
    text = faulty_suite("none").replace("fields = { size = 3 }", "vary = { size = [3, 4] }")
    run_suite(text.replace('label = "quadratic"', 'label = "{size}"'), tmp_path)
    records = list(latest(read_records(tmp_path)).values())
    assert len(records) == 4
    ended = Outcome.ERROR if kind == "harness" else Outcome.CRASHED
    for record in records:
        touched = kind == "harness" or record.cell.problem.label == "3"
        assert record.outcome == (ended if touched else Outcome.OK), record.reason
        assert not touched or "Traceback" in record.log_tail


def test_size_above_one_that_timed_out_is_not_tried(tmp_path: Path) -> None:
    text = faulty_suite("hang", budget=LIMITED)
    text = text.replace("fields = { size = 3 }", "vary = { size = [3, 5, 4] }").replace(
        'label = "quadratic"', 'label = "{size}"'
    )
    run_suite(text, tmp_path)
    found = {
        r.cell.problem.label: r for r in latest(read_records(tmp_path)).values() if r.cell.estimator.label == "hang"
    }
    assert {label: record.outcome for label, record in found.items()} == dict.fromkeys("345", Outcome.TIMEOUT)
    assert "limit of 5 s" in found["3"].reason
    assert all("not tried" in found[label].reason for label in "45")
