"""Peak memory of a call is that of the call: what preparing took stands apart, and what is kept is not new.

The estimators take a known number of bytes at a known moment; a bound is a tenth of it beside 8 MB of a worker's own.
"""

from pathlib import Path

import pytest
from support.bench_runs import QUICK_BUDGET, run_suite

from gradest_bench.results.records import Memory

MEGABYTE = 1_000_000
SUITE = f"""
name = "memory"
measure = ["memory"]
{QUICK_BUDGET}
[[grid]]
backends = ["numpy"]
problems = [{{{{ name = "quadratic", fields = {{{{ size = 3 }}}} }}}}]
estimators = [{{estimators}}]
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Memory]:
    listed = ", ".join(
        f'{{ name = "support.bench_memory:Greedy", label = "{when}", fields = {{ when = "{when}" }} }}'
        for when in ("never", "prepare", "first", "call", "kept")
    )
    folder: Path = tmp_path_factory.mktemp("memory") / "run"
    records = run_suite(SUITE.format(estimators=listed), folder)
    assert {record.outcome for record in records.values()} == {"ok"}, [r.reason for r in records.values()]
    return {label: record.memory for label, record in records.items() if record.memory is not None}


@pytest.mark.parametrize(
    ("when", "call", "before"),
    [("never", 0, 0), ("prepare", 0, 200), ("first", 0, 200), ("call", 200, 200), ("kept", 0, 200)],
)
def test_bytes_are_told_where_they_are_taken(when: str, call: int, before: int, found: dict[str, Memory]) -> None:
    """In one number, as it was, the last four rows were the same."""
    memory = found[when]
    assert memory.preparation_extra_bytes is not None
    for measured, expected in ((memory.peak_extra_bytes, call), (memory.preparation_extra_bytes, before)):
        assert abs(measured / MEGABYTE - expected) <= 8 + 0.1 * expected, memory
