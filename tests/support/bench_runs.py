"""How the tests of the harness run small suites; it checks nothing itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradest_bench.results.records import Record
from gradest_bench.results.store import Store
from gradest_bench.run.sweep import Sweep
from gradest_bench.suite.cells import Cell, expand
from gradest_bench.suite.schema import parse_suite
from gradest_bench.worker.launch import Launch

TESTS = Path(__file__).resolve().parents[1]
ROOTS = [str(TESTS.parent / name) for name in (".", "backends", "benchmarks", "tests")]
QUICK_BUDGET = "[budget]\nrepetitions = 1\nminimum_samples = 2\nminimum_seconds = 0.02\n"
TWO_ROUNDS = QUICK_BUDGET.replace("repetitions = 1", "repetitions = 2")
"""For what is about rounds, or about what happens between them."""


class Silent:
    """Listens to a sweep and remembers which cells ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.kept = 0

    def planned(self, cells: Sequence[Cell], kept: int) -> None:
        self.kept = kept

    def step(self, cell: Cell) -> None:
        return None

    def finished(self, record: Record) -> None:
        self.ended.append(record.key)


def faulty_suite(*faults: str, size: int = 3, more: str = "", budget: str = QUICK_BUDGET) -> str:
    """Return a suite of faulty estimators on a small quadratic."""
    listed = ", ".join(f'"{fault}"' for fault in faults)
    return f"""
name = "faults"
{more}
{budget}
[[grid]]
backends = ["numpy"]
problems = [{{ name = "quadratic", label = "quadratic", fields = {{ size = {size} }} }}]
estimators = [{{ name = "support.bench_faults:Faulty", label = "{{fault}}", vary = {{ fault = [{listed}] }} }}]
"""


def run_suite(text: str, folder: Path, listener: Silent | None = None) -> dict[str, Record]:
    """Run a suite in a folder, new or begun; return its records by label of the estimator."""
    suite = parse_suite(text)
    with Store(folder) as store:
        records = Sweep(
            suite=suite.name,
            cells=expand(suite),
            store=store,
            launch=Launch(pythons={}, logs=store.logs),
            listener=listener or Silent(),
            seed=suite.seed,
            plugins=suite.plugins,
        ).run()
    return {record.cell.estimator.label: record for record in records}


def lasting(record: Record) -> dict[str, Any]:
    """Return what must not differ between two runs: everything but times."""
    return {
        "identity": record.identity,
        "outcome": record.outcome,
        "reason": record.reason,
        "counts": record.counts,
        "accuracy": record.accuracy,
        "path": record.facts.get("path"),
    }
