"""Comparing runs: no change is seen where there is none, a change is, and what is not comparable is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy import stats
from support.bench_runs import faulty_suite

from gradest.errors import InvalidInputError
from gradest.measurement.timing import Timing
from gradest_bench.results.loading import Run
from gradest_bench.results.records import Record
from gradest_bench.results.run_comparison import FALSE_ALARM, compare_runs
from gradest_bench.results.significance import compare_samples, holm, normal_p_value
from gradest_bench.suite.cells import expand
from gradest_bench.suite.schema import parse_suite

FAULTS = ("none", "double", "print", "nan", "infinite", "raise", "hang", "exit", "segfault")
CELLS = expand(parse_suite(faulty_suite(*FAULTS)))
ROUNDS, SAMPLES = 5, 4


def environment(**variables: str) -> dict[str, Any]:
    libraries = {"worker": "numpy", "versions": {"numpy": "1"}, "variables": {"OMP_NUM_THREADS": "1", **variables}}
    return {"machine": {"processor": "one", "cores": 2}, "workers": {"numpy": libraries}}


def run_of(seed: int, *, factor: float = 1.0, error: float = 1e-9, machine: dict[str, Any] | None = None) -> Run:
    """Return a run of one-millisecond cells with 2 % log-normal noise; the first cell is slower by a factor."""
    generator = np.random.default_rng(seed)
    records = []
    for number, cell in enumerate(CELLS):
        walls = 1e-3 * np.exp(0.02 * generator.standard_normal(ROUNDS * SAMPLES)) * (factor if number == 0 else 1.0)
        timing = Timing(
            preparation_seconds=0.0, first_call_seconds=0.0, wall_seconds=walls.tolist(), rounds=[SAMPLES] * ROUNDS
        )
        accuracy = {"single": {"relative_error": error if number == 0 else 1e-9}}
        records.append(
            Record(
                key=cell.key, identity="", suite="", cell=cell, outcome="ok", timing=timing, accuracy=accuracy,
                facts={"stochastic": False},
            )
        )  # fmt: skip
    return Run(Path(f"run-{seed}"), tuple(records), machine or environment(), "", "", len(records))


def test_run_against_itself_has_no_change() -> None:
    found = compare_runs(run_of(0), run_of(0))
    assert {change.verdict for change in found.times} == {"same"}
    assert {change.verdict for change in found.accuracies} == {"same"}
    assert not found.worse


def test_false_alarms_stay_below_the_stated_rate() -> None:
    trials = 30
    alarms = sum(compare_runs(run_of(2 * k), run_of(2 * k + 1)).worse for k in range(trials))
    assert alarms <= stats.binom.ppf(1 - 1e-6, trials, FALSE_ALARM)


@pytest.mark.parametrize(("factor", "verdict"), [(1.3, "slower"), (0.7, "faster"), (1.02, "same")])
def test_change_of_time_is_seen_if_it_exceeds_the_minimum_effect(factor: float, verdict: str) -> None:
    found = compare_runs(run_of(0), run_of(1, factor=factor))
    assert [change.verdict for change in found.times] == [verdict] + ["same"] * (len(CELLS) - 1)
    assert found.worse == (verdict == "slower")
    assert found.times[0].ratio.low <= factor * 1.02
    assert found.times[0].ratio.high >= factor * 0.98


@pytest.mark.parametrize(("error", "verdict"), [(2e-9, "worse"), (5e-10, "better"), (1e-9, "same")])
def test_accuracy_of_a_deterministic_estimator_is_compared_exactly(error: float, verdict: str) -> None:
    found = compare_runs(run_of(0), run_of(0, error=error))
    assert found.accuracies[0].verdict == verdict
    assert {change.verdict for change in found.accuracies[1:]} == {"same"}


def with_scatter(run: Run, mse: float) -> Run:
    scatter = {"relative_mse": mse, "relative_mse_error": 0.1}
    records = tuple(
        msgspec.structs.replace(r, accuracy={**r.accuracy, "replicates": scatter}, facts={"stochastic": True})
        for r in run.records
    )
    return Run(run.folder, records, run.environment, "", "", run.num_cells)


@pytest.mark.parametrize(("mse", "verdict"), [(1.1, "same"), (2.0, "worse"), (0.1, "better")])
def test_accuracy_of_a_stochastic_estimator_is_compared_statistically(mse: float, verdict: str) -> None:
    found = compare_runs(with_scatter(run_of(0), 1.0), with_scatter(run_of(0), mse))
    assert {change.verdict for change in found.accuracies} == {verdict}


@pytest.mark.parametrize(
    ("other", "key"),
    [
        ({"machine": {"processor": "two", "cores": 2}, "workers": {}}, "processor is 'one'"),
        (environment(OMP_NUM_THREADS="2"), "numpy: OMP_NUM_THREADS is '1'"),
    ],
)
def test_runs_of_other_environments_are_refused_by_the_key_that_differs(other: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidInputError, match=key):
        compare_runs(run_of(0), run_of(1, machine=other))


def test_runs_without_a_common_cell_are_refused() -> None:
    empty = Run(Path("empty"), (), environment(), "", "", 0)
    with pytest.raises(InvalidInputError, match="no cell in common"):
        compare_runs(run_of(0), empty)


def test_time_of_a_disturbed_cell_is_not_judged() -> None:
    before, after = run_of(0), run_of(1, factor=3.0)
    timing = after.records[0].timing
    assert timing is not None
    after.records[0].timing = replace(timing, disturbed=True)
    found = compare_runs(before, after)
    assert [change.verdict for change in found.times] == ["disturbed"] + ["same"] * (len(CELLS) - 1)
    assert not found.worse


def test_outcome_that_was_ok_and_is_not_is_worse() -> None:
    before, after = run_of(0), run_of(0)
    after.records[0].outcome = "timeout"
    found = compare_runs(before, after)
    assert [row[1:] for row in found.outcomes] == [("ok", "timeout")]
    assert found.worse


def test_rank_test_is_scipys() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(1.0, 0.1, 20), generator.normal(1.1, 0.1, 20)
    found = compare_samples([a.tolist()], [b.tolist()])
    assert found.low < found.ratio < found.high or found.low == found.high
    assert found.p_value == stats.mannwhitneyu(a, b, alternative="two-sided").pvalue
    assert found.ratio == np.median(b) / np.median(a)


def test_bootstrap_of_one_round_has_no_width_and_of_many_covers() -> None:
    generator = np.random.default_rng(1)
    single = compare_samples([[1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0]])
    assert single.low == single.high == 2.0
    covered = 0
    for _ in range(50):
        a, b = (generator.lognormal(0, 0.1, (10, 4)).tolist() for _ in range(2))
        found = compare_samples(a, b)
        covered += found.low <= 1.0 <= found.high
    assert covered >= stats.binom.ppf(1e-4, 50, 0.9)


def test_median_of_rounds_of_unequal_length_ignores_the_padding() -> None:
    found = compare_samples([[1.0, 1.0, 1.0]], [[5.0], [5.0, 5.0, 5.0], [5.0, 5.0]])
    assert (found.ratio, found.low, found.high) == (5.0, 5.0, 5.0)


def test_holm_against_a_worked_example() -> None:
    # 4 x 0.01, 3 x 0.02, max(2 x 0.022, 3 x 0.02), 0.09: the steps of the procedure by hand
    assert holm([0.01, 0.02, 0.022, 0.09]) == pytest.approx([0.04, 0.06, 0.06, 0.09])
    assert holm([0.9, 0.0001]) == pytest.approx([0.9, 0.0002])
    assert holm([]) == []


def test_normal_p_value() -> None:
    assert normal_p_value(1.96, 1.0) == pytest.approx(0.05, abs=1e-4)
    assert normal_p_value(0.0, 0.0) == 1.0
    assert normal_p_value(1.0, 0.0) == 0.0
