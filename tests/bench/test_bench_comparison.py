"""Comparing runs: no change is seen where there is none, a change is, and what is not comparable is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy import stats
from support.bench_runs import faulty_suite, run_suite

from gradest.errors import InvalidInputError
from gradest.measurement.timing import Timing
from gradest_bench.results.accuracy_change import FALSE_ACCURACY_CHANGE, least_factor
from gradest_bench.results.loading import Run
from gradest_bench.results.records import Record
from gradest_bench.results.run_comparison import compare_runs
from gradest_bench.results.significance import FALSE_CHANGE, ratios_with_law
from gradest_bench.suite.cells import expand
from gradest_bench.suite.scaling import AsRun, parse_as_run
from gradest_bench.suite.schema import Budget, parse_suite

FAULTS = ("none", "double", "print", "nan", "infinite", "raise", "hang", "exit", "segfault")
CELLS = expand(parse_suite(faulty_suite(*FAULTS)))
STARTS, ROUNDS, SAMPLES = 6, 5, 3
CHANCE = 1e-6
"""The probability that a bound on a rate fails though the rate is as stated."""


def environment(**variables: str) -> dict[str, Any]:
    libraries = {"worker": "numpy", "versions": {"numpy": "1"}, "variables": {"OMP_NUM_THREADS": "1", **variables}}
    return {"machine": {"processor": "one", "cores": 2}, "workers": {"numpy": libraries}}


def with_libraries(**libraries: Any) -> dict[str, Any]:
    found = environment()
    found["workers"]["numpy"].update(libraries)
    return found


def walls_of(generator: np.random.Generator, starts: int, *, between: float) -> np.ndarray:
    """Return times of one millisecond: noise of one sign in samples and rounds, and levels of whole starts."""
    rounds = 0.15 * generator.exponential(size=(starts, ROUNDS, 1))
    samples = 0.05 * generator.exponential(size=(starts, ROUNDS, SAMPLES))
    return 1e-3 * np.exp(between * generator.standard_normal((starts, 1, 1)) + rounds + samples)


def run_of(
    seed: int, *, factor: float = 1.0, error: float = 1e-9, machine: dict[str, Any] | None = None,
    starts: int = STARTS, between: float = 0.01,
) -> Run:  # fmt: skip
    """Return a run of one-millisecond cells; the first cell is slower by a factor."""
    generator = np.random.default_rng(seed)
    records = []
    for number, cell in enumerate(CELLS):
        walls = walls_of(generator, starts, between=between).ravel() * (factor if number == 0 else 1.0)
        timing = Timing(
            preparation_seconds=0.0, first_call_seconds=0.0, wall_seconds=walls.tolist(),
            rounds=[SAMPLES] * (ROUNDS * starts), starts=[ROUNDS] * starts,
        )  # fmt: skip
        accuracy = {"single": {"relative_error": error if number == 0 else 1e-9}}
        records.append(
            Record(
                key=cell.key, identity="", suite="", cell=cell, outcome="ok", timing=timing, accuracy=accuracy,
                facts={"stochastic": False, "num_parameters": 2000}, environment="numpy",
            )
        )  # fmt: skip
    return Run(Path(f"run-{seed}"), tuple(records), environment() if machine is None else machine, "", "", len(records))


def test_run_against_itself_has_no_change() -> None:
    found = compare_runs(run_of(0), run_of(0))
    assert not {change.verdict for change in found.times} & {"slower", "faster"}
    assert all(change.ratio is not None and abs(change.ratio.ratio - 1) <= 1e-12 for change in found.times)
    assert {change.verdict for change in found.accuracies} == {"same"}
    assert not found.worse


@pytest.mark.parametrize("between", [0.01, 0.1])
def test_false_changes_stay_below_the_stated_rate(between: float) -> None:
    trials = 60
    runs = [run_of(k, between=between) for k in range(2 * trials)]
    found = [compare_runs(a, b) for a, b in zip(runs[::2], runs[1::2], strict=True)]
    alarms = sum(any(change.verdict in ("slower", "faster") for change in one.times) for one in found)
    assert alarms <= stats.binom.ppf(1 - CHANCE, trials, FALSE_CHANGE)


def test_samples_taken_as_independent_would_be_rejected() -> None:
    generator = np.random.default_rng(0)
    trials, alarms = 60, 0
    for _ in range(trials):
        a, b = (np.log(walls_of(generator, STARTS, between=0.1)).ravel() for _ in range(2))
        alarms += stats.ttest_ind(a, b).pvalue < FALSE_CHANGE
    assert alarms > stats.binom.ppf(1 - CHANCE, trials, FALSE_CHANGE)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("noise", ["normal", "heavy", "drifting"])
def test_intervals_of_equal_code_hold_all_together(noise: str, paired: bool) -> None:
    generator = np.random.default_rng(3)
    trials, outside = 120, 0
    for _ in range(trials):
        both = generator.standard_normal((2, 20, 8)) if noise != "heavy" else generator.standard_t(3, (2, 20, 8))
        if noise == "drifting":  # all cells of a block alike, and both sides where they are interleaved
            both += 5 * generator.standard_normal((1 if paired else 2, 1, 8))
        ratios = ratios_with_law(0.05 * both[0], 0.05 * both[1], paired=paired)
        outside += any(ratio is None or not ratio.low <= 1 <= ratio.high for ratio in ratios)
    assert outside <= stats.binom.ppf(1 - CHANCE, trials, FALSE_CHANGE)
    shifted = ratios_with_law(0.01 * both[0], 0.01 * both[1] + np.log(np.r_[2.0, np.ones(19)])[:, None], paired=paired)
    assert shifted[0] is not None
    assert noise == "drifting" or shifted[0].low > 1


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("noise", ["normal", "heavy", "drifting"])
def test_intervals_hold_all_together_where_cells_lost_blocks_of_their_own(noise: str, paired: bool) -> None:
    generator = np.random.default_rng(7)
    trials, outside = 120, 0
    for _ in range(trials):
        both = generator.standard_normal((2, 20, 8)) if noise != "heavy" else generator.standard_t(3, (2, 20, 8))
        if noise == "drifting":
            both += 5 * generator.standard_normal((1 if paired else 2, 1, 8))
        both[generator.random(both.shape) < 0.1] = np.nan
        ratios = ratios_with_law(0.05 * both[0], 0.05 * both[1], paired=paired)
        outside += any(ratio is not None and not ratio.low <= 1 <= ratio.high for ratio in ratios)
        counts = np.isfinite(both).sum(axis=2).min(axis=0) if not paired else np.isfinite(both.sum(axis=0)).sum(axis=1)
        assert [ratio is not None for ratio in ratios] == (counts >= (6 if paired else 4)).tolist()
        assert any(ratio is not None for ratio in ratios)
    assert outside <= stats.binom.ppf(1 - CHANCE, trials, FALSE_CHANGE)


@pytest.mark.parametrize(("factor", "verdict"), [(1.3, "slower"), (0.7, "faster")])
def test_change_of_time_is_seen_if_it_exceeds_the_minimum_effect(factor: float, verdict: str) -> None:
    found = compare_runs(run_of(0), run_of(1, factor=factor))
    assert found.times[0].verdict == verdict
    assert not {change.verdict for change in found.times[1:]} & {"slower", "faster"}
    assert found.exit_code() == (1 if verdict == "slower" else 0)
    ratio = found.times[0].ratio
    assert ratio is not None
    assert ratio.low <= factor <= ratio.high


def test_a_tenfold_slowdown_of_a_slow_cell_is_found_with_four_starts() -> None:
    found = compare_runs(run_of(0, starts=4), run_of(1, starts=4, factor=10.0))
    assert found.times[0].verdict == "slower"


@pytest.mark.parametrize("starts", [1, 3])
def test_too_few_starts_are_no_success(starts: int) -> None:
    found = compare_runs(run_of(0, starts=starts), run_of(1, starts=starts, factor=10.0))
    assert {change.verdict for change in found.times} == {"too few starts"}
    assert found.exit_code() == 3


def test_what_cannot_be_told_says_what_would_be_seen_and_fails_where_strict() -> None:
    found = compare_runs(run_of(0, between=0.2), run_of(1, between=0.2))
    unclear = [change.ratio for change in found.times if change.verdict == "cannot tell"]
    assert unclear
    assert all(ratio is not None and ratio.visible > 1.05 for ratio in unclear)
    assert (found.exit_code(), found.exit_code(strict=True)) == (0, 3)


def test_a_suite_starts_its_workers_as_often_as_it_says(tmp_path: Path) -> None:
    budget = "[budget]\nstarts = 3\nrepetitions = 2\nminimum_samples = 2\nminimum_seconds = 0.02\n"
    record = run_suite(faulty_suite("none", budget=budget), tmp_path)["none"]
    assert record.timing is not None
    assert record.timing.starts == [2, 2, 2]
    assert len(record.timing.rounds) == 6
    assert record.accuracy
    assert parse_as_run(str(AsRun(faulty_suite("none"), 0.5, repeat=True)), origin="").budget.starts == 7


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (1e-9, 2e-9, "worse"), (1e-9, 5e-10, "better"), (1e-9, 1e-9 * (1 + 3e-16), "same"), (1e-9, 1.4e-9, "same"),
        (3.407e-17, 4.307e-17, "same"), (1e-17, 1e-15, "same"), (1e-16, 1e-14, "worse"),
        (1e-9, float("nan"), "worse"), (float("nan"), 1e-9, "better"), (float("nan"), float("nan"), "same"),
    ],
)  # fmt: skip
def test_accuracy_of_a_deterministic_estimator_ties_at_rounding(before: float, after: float, verdict: str) -> None:
    found = compare_runs(run_of(0, error=before), run_of(0, error=after))
    assert found.accuracies[0].verdict == verdict
    assert {change.verdict for change in found.accuracies[1:]} == {"same"}


@pytest.mark.parametrize("size", [1, 5, 20, 2410])
def test_norms_of_rounding_errors_drawn_anew_rarely_differ_by_the_factor(size: int) -> None:
    family, trials = 48, 4000
    drawn = np.random.default_rng(size).chisquare(size, (2, trials)) / size
    changes = int(np.sum(np.abs(np.log(drawn[0] / drawn[1])) / 2 > np.log(least_factor(size, family))))
    assert changes <= stats.binom.ppf(1 - CHANCE, trials, FALSE_ACCURACY_CHANGE / family)


def with_scatter(run: Run, mse: float, *, seeds: int = 16) -> Run:
    drawn = mse * np.random.default_rng(5).chisquare(4, seeds) / 4
    scatter = {"relative_mse": float(drawn.mean()), "relative_mse_error": 0.1, "squared_errors": drawn.tolist()}
    records = tuple(
        msgspec.structs.replace(r, accuracy={**r.accuracy, "replicates": scatter}, facts={"stochastic": True})
        for r in run.records
    )
    return Run(run.folder, records, run.environment, "", "", run.num_cells)


@pytest.mark.parametrize(
    ("mse", "seeds", "verdict"),
    [(1.2, 16, "same"), (2.0, 16, "worse"), (0.1, 16, "better"), (2.0, 4, "cannot tell"), (1.0, 4, "same")],
)
def test_accuracy_of_a_stochastic_estimator_is_compared_seed_by_seed(mse: float, seeds: int, verdict: str) -> None:
    found = compare_runs(with_scatter(run_of(0), 1.0, seeds=seeds), with_scatter(run_of(0), mse, seeds=seeds))
    assert {change.verdict for change in found.accuracies} == {verdict}


def test_errors_that_fall_for_most_seeds_and_rise_in_their_mean_are_not_called_better() -> None:
    first, second = with_scatter(run_of(0), 1.0, seeds=1000), with_scatter(run_of(0), 1.0, seeds=1000)
    scatter = second.records[0].accuracy["replicates"]  # one for all cells
    squares = 0.5 * np.array(scatter["squared_errors"])
    squares[::20] *= 400
    scatter.update(squared_errors=squares.tolist(), relative_mse=float(squares.mean()))
    for a, b in ((first, second), (second, first)):
        assert {change.verdict for change in compare_runs(a, b).accuracies} == {"cannot tell"}


def test_errors_beyond_all_numbers_are_compared_without_a_warning() -> None:
    first, second = with_scatter(run_of(0), 1.0), with_scatter(run_of(0), 1.0)
    scatter = second.records[0].accuracy["replicates"]
    scatter.update(squared_errors=["inf"] * 16, relative_mse="inf")
    for a, b, word in ((second, second, "same"), (first, second, "worse"), (second, first, "better")):
        assert {change.verdict for change in compare_runs(a, b).accuracies} == {word}


@pytest.mark.parametrize(
    ("other", "key"),
    [
        ({**environment(), "machine": {"processor": "two", "cores": 2}}, "processor is 'one'"),
        ({}, "is not known"),
        ({**environment(), "workers": {}}, "no worker 'numpy'"),
        (with_libraries(executor="local:2"), "executor is '' in run-0, 'local:2'"),
        (with_libraries(machine={"processor": "two", "cores": 2}), "processor is 'one'"),
        (environment(OMP_NUM_THREADS="2"), "numpy: OMP_NUM_THREADS is '1'"),
    ],
)
def test_runs_of_other_environments_are_refused_by_the_key_that_differs(other: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidInputError, match=key):
        compare_runs(run_of(0), run_of(1, machine=other))


def test_two_runs_of_which_nobody_knows_the_machine_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="run-0 ran on is not known"):
        compare_runs(run_of(0, machine={}), run_of(1, machine={}))


def test_threads_that_a_pool_has_count_and_not_only_those_that_were_asked_for() -> None:
    pools = [{"prefix": "libopenblas", "num_threads": count, "architecture": "Haswell"} for count in (1, 2)]
    with pytest.raises(InvalidInputError, match="threads of libopenblas is 1 in run-0, 2"):
        compare_runs(
            run_of(0, machine=with_libraries(pools=pools[:1])), run_of(1, machine=with_libraries(pools=pools[1:]))
        )


@pytest.mark.parametrize(
    ("libraries", "told"),
    [
        ({"gradest": "9.9"}, "numpy: gradest None -> 9.9"),
        ({"python": "3.99"}, "numpy: python None -> 3.99"),
        ({"versions": {"numpy": "2"}}, "numpy: numpy 1 -> 2"),
        ({"pools": [{"prefix": "libblis", "architecture": "Zen"}]}, "numpy: libblis kernels None -> Zen"),
    ],
)
def test_code_that_differs_is_told_and_compared(libraries: dict[str, Any], told: str) -> None:
    assert compare_runs(run_of(0), run_of(0)).versions == ()
    assert told in compare_runs(run_of(0), run_of(0, machine=with_libraries(**libraries))).versions


def test_records_of_another_schema_are_told() -> None:
    older = run_of(0)
    for record in older.records:
        record.schema = 1
    assert compare_runs(older, run_of(0)).versions == ("records: schema 1 -> 2",)


def test_each_cell_is_compared_where_it_ran() -> None:
    """A resumed run may hold workers of two environments, of which only one fits the other run."""
    after = run_of(1)
    after.environment["workers"]["numpy#2"] = {**environment(OMP_NUM_THREADS="8")["workers"]["numpy"]}
    assert compare_runs(run_of(0), after).versions == ()
    after.records[0].environment = "numpy#2"
    with pytest.raises(InvalidInputError, match="numpy#2: OMP_NUM_THREADS is '1'"):
        compare_runs(run_of(0), after)


def test_runs_without_a_common_cell_are_refused() -> None:
    empty = Run(Path("empty"), (), environment(), "", "", 0)
    with pytest.raises(InvalidInputError, match="no cell in common: empty has no result yet;"):
        compare_runs(run_of(0), empty)


def test_runs_of_other_seeds_and_rounds_are_told_what_they_differ_in() -> None:
    other = run_of(0)
    for record in other.records:
        record.cell = msgspec.structs.replace(record.cell, seeds=(10, 11), budget=Budget(repetitions=99))
        record.key = record.cell.key
    with pytest.raises(InvalidInputError, match=r"in seeds \(\(0,.*\) and \(10, 11\)\), .*repetitions \(\d+ and 99\)"):
        compare_runs(run_of(0), other)


def test_time_of_a_cell_that_waits_is_judged_as_any_other() -> None:
    before, after = run_of(0), run_of(1, factor=65.0)
    timing = after.records[0].timing
    assert timing is not None
    after.records[0].timing = replace(timing, cpu_wall_ratio=0.01, disturbed=True)
    assert compare_runs(before, after).times[0].verdict == "slower"


def test_rounds_of_a_disturbed_machine_are_left_out_and_too_many_of_them_are_a_verdict() -> None:
    before, after = run_of(0), run_of(1)
    for record in after.records:
        assert record.timing is not None
        shares = np.ones((STARTS, ROUNDS))
        walls = np.array(record.timing.wall_seconds).reshape(STARTS, ROUNDS, SAMPLES)
        shares[:2] = 0.3  # two of the six starts, which took ten times as long
        walls[:2] *= 10.0
        record.timing = replace(
            record.timing, wall_seconds=walls.ravel().tolist(), machine_shares=shares.ravel().tolist()
        )
    found = compare_runs(before, after)
    assert {change.starts for change in found.times} == {4}
    assert not {change.verdict for change in found.times} & {"slower", "faster", "machine too disturbed"}
    for record in after.records:
        assert record.timing is not None
        shares[:3] = 0.3
        record.timing = replace(record.timing, machine_shares=shares.ravel().tolist())
    found = compare_runs(before, after)
    assert {change.verdict for change in found.times} == {"machine too disturbed"}
    assert (found.exit_code(), found.exit_code(strict=True)) == (4, 4)


def test_cells_that_lost_other_starts_share_the_rate_of_false_changes() -> None:
    """False alarm: 0.05 over 150 comparisons, of which more than its 1 - 1e-6 quantile fails."""
    trials, alarms = 150, 0
    for trial in range(trials):
        before, after = run_of(2 * trial), run_of(2 * trial + 1)
        for number, record in enumerate(after.records):
            assert record.timing is not None
            shares = np.ones((STARTS, ROUNDS))
            shares[number % 2] = 0.5
            record.timing = replace(record.timing, machine_shares=shares.ravel().tolist())
        alarms += bool({change.verdict for change in compare_runs(before, after).times} & {"slower", "faster"})
    assert alarms <= stats.binom.ppf(1 - CHANCE, trials, FALSE_CHANGE)


@pytest.mark.parametrize("paired", [True, False])
def test_a_tenfold_slowdown_is_found_where_every_cell_lost_another_start(paired: bool) -> None:
    """Cells in families of their own had a share of the rate that no number of their few starts could come below."""
    starts = 7 if paired else 5
    before, after = run_of(20, starts=starts), run_of(21, starts=starts, factor=10.0)
    for number, record in enumerate(after.records):
        assert record.timing is not None
        shares = np.ones((starts, ROUNDS))
        shares[number % starts] = 0.3
        record.timing = replace(record.timing, machine_shares=shares.ravel().tolist())
    found = compare_runs(before, after, paired=paired)
    assert {change.starts for change in found.times} == {starts - 1}
    assert found.times[0].verdict == "slower"
    assert not {change.verdict for change in found.times[1:]} & {"slower", "faster"}


def test_levels_that_both_sides_of_a_pair_share_hide_a_change_from_all_but_pairs() -> None:
    before, after = run_of(0, between=0.0), run_of(1, factor=1.2, between=0.0)
    levels = np.repeat(np.exp(np.random.default_rng(4).standard_normal(STARTS)), ROUNDS * SAMPLES)
    for record in (*before.records, *after.records):
        assert record.timing is not None
        record.timing.wall_seconds[:] = (np.array(record.timing.wall_seconds) * levels).tolist()
    assert compare_runs(before, after).times[0].verdict == "cannot tell"
    found = compare_runs(before, after, paired=True)
    assert found.times[0].verdict == "slower"
    assert not {change.verdict for change in found.times[1:]} & {"slower", "faster"}
    assert found.least_starts == 6


def test_of_a_pair_both_starts_are_left_out_where_one_is_disturbed() -> None:
    before, after = run_of(0), run_of(1)
    for run, number in ((before, 0), (after, 3)):
        for record in run.records:
            assert record.timing is not None
            shares = np.ones((STARTS, ROUNDS))
            shares[number] = 0.3
            record.timing = replace(record.timing, machine_shares=shares.ravel().tolist())
    found = compare_runs(before, after, paired=True)
    assert {(change.starts, change.verdict) for change in found.times} == {(4, "machine too disturbed")}
    assert {change.starts for change in compare_runs(before, after).times} == {5}


def test_outcome_that_was_ok_and_is_not_is_worse() -> None:
    before, after = run_of(0), run_of(0)
    after.records[0].outcome = "timeout"
    found = compare_runs(before, after)
    assert [row[1:] for row in found.outcomes] == [("ok", "timeout")]
    assert found.worse
