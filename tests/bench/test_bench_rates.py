"""The stated rates of comparisons hold for every noise that was simulated, and a change is found as often as is stated.

`make rates` prints the same simulations with more trials. A bound of a rate that is as promised fails with a
probability of 1e-6; the powers were measured with more trials, and are asked for with something to spare.
"""

import numpy as np
import pytest
from scipy import stats
from support.comparison_rates import CELLS, NOISES, UNFAIR, Setting, rates, verdicts, wrong_rates

from gradest_bench.results import significance
from gradest_bench.results.significance import FALSE_CHANGE
from gradest_bench.results.verdict import FALSE_WRONG

TRIALS, CHANCE = 40, 1e-6


@pytest.mark.parametrize(("paired", "starts"), [(True, 7), (False, 4)])
@pytest.mark.parametrize("noise", NOISES)
def test_false_changes_are_as_rare_as_is_stated(noise: str, paired: bool, starts: int) -> None:
    found = rates(noise, starts=starts, paired=paired, trials=TRIALS)
    most = float(stats.binom.ppf(1 - CHANCE, TRIALS, FALSE_CHANGE)) / TRIALS
    if noise == UNFAIR and not paired:  # two runs that were made in unlike minutes: no statistic can know
        assert found.false > most
    else:
        assert found.false <= most
        assert found.false_beside <= most
        assert found.denied <= 0.05


@pytest.mark.parametrize(
    ("paired", "starts", "least"), [(True, 8, {1.10: 0.5, 1.25: 0.95, 10.0: 0.99}), (False, 4, {10.0: 0.99})]
)
def test_changes_are_found_as_often_as_is_stated(paired: bool, starts: int, least: dict[float, float]) -> None:
    found = rates("as measured", starts=starts, paired=paired, trials=TRIALS).found
    for factor, share in least.items():
        assert found[factor] >= share


def test_the_rule_that_medians_are_compared_cell_by_cell_would_be_rejected() -> None:
    """What `compare` did: rounds taken as independent, each cell by itself, corrected for their number alone."""
    generator, alarms = np.random.default_rng(1), 0
    for _ in range(TRIALS):
        logs = NOISES["starts 10 %"](generator, 4, 2)
        a, b = (side.mean(axis=3).reshape(CELLS, -1) for side in logs)
        alarms += min(stats.mannwhitneyu(a, b, axis=1).pvalue) < FALSE_CHANGE / CELLS
    assert alarms > stats.binom.ppf(1 - CHANCE, TRIALS, FALSE_CHANGE)


def test_variances_lent_by_the_observed_labelling_alone_would_be_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule was so: cells that changed tenfold made others beside them seem so, in a tenth to a fifth of trials."""

    def lent(variances: np.ndarray, degrees: int) -> np.ndarray:
        return np.asarray((4 * np.median(np.maximum(variances, 0.0), axis=0) + degrees * variances) / (4 + degrees))

    monkeypatch.setattr(significance, "_moderated", lent)
    found = rates("Student t, 3 degrees", starts=4, paired=False, trials=2 * TRIALS)
    assert found.false_beside > float(stats.binom.ppf(0.99, 2 * TRIALS, FALSE_CHANGE)) / (2 * TRIALS)


@pytest.mark.parametrize("lost", [(3, 3), (3, 0), (0, 3)])
def test_starts_that_all_cells_lost_leave_the_rate_as_it_is(lost: tuple[int, int]) -> None:
    """Where those that nobody can use were exchanged with the others, a loss of three each gave 12 % false changes."""
    generator, trials, alarms = np.random.default_rng(11), 600, 0
    for _ in range(trials):
        sides = 0.05 * generator.exponential(size=(2, 6, 7))
        for side, count in zip(sides, lost, strict=True):
            side[:, :count] = np.nan
        ratios = significance.ratios_with_law(*sides, paired=False)
        alarms += any(ratio is None or not ratio.low <= 1 <= ratio.high for ratio in ratios)
    assert alarms <= stats.binom.ppf(1 - CHANCE, trials, FALSE_CHANGE)


def test_a_change_that_is_not_there_is_not_found() -> None:
    logs = np.repeat(NOISES["as measured"](np.random.default_rng(2), 6, 2)[:1], 2, axis=0)
    assert set(verdicts(logs, paired=True)) == {"no change"}


@pytest.mark.parametrize(
    "setting", [Setting(1, 16, known=True), Setting(4, 4, known=True), Setting(4, 16, known=False)]
)
def test_calibrated_estimators_are_called_wrong_as_rarely_as_is_stated(setting: Setting) -> None:
    false, _ = wrong_rates(setting, runs=TRIALS)
    assert false <= float(stats.binom.ppf(1 - CHANCE, TRIALS, FALSE_WRONG)) / TRIALS
