"""The record of a stateful estimator says how much it keeps from one estimate to the next."""

from pathlib import Path

from support.bench_runs import QUICK_BUDGET, run_suite

SUITE = f"""
name = "states"
measure = ["time"]
{QUICK_BUDGET}
[[grid]]
backends = ["numpy"]
problems = [{{ name = "quadratic", fields = {{ size = 5 }} }}]
estimators = [
    {{ name = "residual-feedback", label = "one value", fields = {{ num_samples = 1 }} }},
    {{ name = "momentum-guided-es", label = "one gradient", fields = {{ num_samples = 2 }} }},
    {{ name = "spsa", label = "nothing", fields = {{ num_samples = 1 }} }},
]
"""


def test_a_record_has_the_size_of_the_state(tmp_path: Path) -> None:
    records = run_suite(SUITE, tmp_path)
    kept = {label: record.facts["state_bytes"] for label, record in records.items()}
    assert kept == {"one value": 8, "one gradient": 5 * 8, "nothing": 0, "null": 0}
