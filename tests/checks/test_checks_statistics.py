"""The tests inside the checks: p-values as SciPy's, false alarms as often as stated, power where something is wrong."""

import math

import numpy as np
import pytest
from scipy import stats

from gradest import UnknownNameError, get_estimator
from gradest.testing import STATISTICAL, CheckFailedError, CheckResult, check_estimator, raise_on_failure
from gradest.testing.known_problems import Cubic
from gradest.testing.plain_estimators import PlainEvolution
from gradest.testing.results import judged
from gradest.testing.statistics import (
    deviations_allowed,
    hotelling_test,
    lag_correlation,
    log10_beta_tail,
    ratio_bounds,
)


@pytest.mark.parametrize(
    ("x", "a", "b"), [(0.3, 5.0, 2.0), (0.9, 500.0, 4.0), (0.5, 496.0, 4.0), (0.99, 2.0, 0.5), (0.2, 0.5, 3)]
)
def test_beta_tail_is_scipys(x: float, a: float, b: float) -> None:
    assert log10_beta_tail(x, a, b) == pytest.approx(stats.beta.logcdf(x, a, b) / math.log(10), rel=1e-9)


def test_hotelling_is_the_f_test_for_one_dimension_and_for_many() -> None:
    generator = np.random.default_rng(0)
    one = generator.standard_normal((30, 1)) + 0.3
    expected = stats.ttest_1samp(one[:, 0], 0.1).pvalue
    assert hotelling_test(one, np.array([0.1])).surprise == pytest.approx(-math.log10(expected), rel=1e-9)
    many = generator.standard_normal((50, 4)) @ generator.standard_normal((4, 4))
    deviation = many.mean(axis=0) - 0.2
    square = 50 * deviation @ np.linalg.solve(np.cov(many, rowvar=False), deviation)
    expected = stats.f.sf(square * 46 / (4 * 49), 4, 46)
    assert hotelling_test(many, np.full(4, 0.2)).surprise == pytest.approx(-math.log10(expected), rel=1e-9)


def test_where_estimates_do_not_scatter_the_mean_must_not_move() -> None:
    exact = np.ones((100, 3))
    assert hotelling_test(exact, np.ones(3)).surprise == 0.0
    assert hotelling_test(exact, np.array([1.0, 1.0, 1.0 + 1e-6])).surprise == math.inf
    flat = np.random.default_rng(0).standard_normal((100, 1)) * np.ones((1, 3))
    assert hotelling_test(flat + 1, np.ones(3)).surprise < 5
    assert hotelling_test(flat + np.array([1.0, 1.0, 1.001]), np.ones(3)).surprise == math.inf


def test_p_values_of_the_mean_of_few_directions_are_uniform() -> None:
    """Estimates are products of normal numbers, far from normal: the stated probability must hold nevertheless."""
    target, generator = Cubic().gradient_at_start, np.random.default_rng(1)
    values = []
    for _ in range(300):
        directions = generator.standard_normal((1000, 5, target.size))
        estimates = np.einsum("kni,knj,j->ki", directions, directions, target, optimize=True) / 5
        values.append(10 ** -hotelling_test(estimates, target).surprise)
    for level in (0.5, 0.1, 0.02):
        count = sum(value < level for value in values)
        assert stats.binomtest(count, len(values), level).pvalue > 1e-4, (level, count)


def test_bounds_of_the_scatter_and_of_the_correlation_hold_as_often_as_stated() -> None:
    generator, level = np.random.default_rng(2), 0.05
    outside = correlated = 0
    for _ in range(300):
        estimates = np.mean(generator.standard_normal((1000, 5, 8)) * generator.standard_normal((1000, 5, 1)), axis=1)
        squares = np.sum(estimates**2, axis=1)
        low, high = ratio_bounds(squares, level)
        outside += not low <= squares.mean() / (8 / 5) <= high
        correlated += abs(lag_correlation(estimates, 1)) > deviations_allowed(level)
    for count in (outside, correlated):
        assert stats.binomtest(count, 300, level).pvalue > 1e-4, count


def test_independent_seeds_of_the_checks_raise_no_false_alarm() -> None:
    for seed in (10**6, 2**40):
        raise_on_failure(check_estimator(PlainEvolution(), checks=STATISTICAL, seed=seed))


def test_the_stated_probabilities_add_up_to_the_one_asked_for() -> None:
    results = check_estimator(PlainEvolution(), false_alarm=1e-4)
    assert sum(result.false_alarm for result in results) <= 1e-4 * (1 + 1e-12)
    assert {result.name for result in results if result.false_alarm} <= set(STATISTICAL)


def test_nan_never_passes() -> None:
    assert not judged("figure", math.nan, 1.0, "").passed
    with pytest.raises(CheckFailedError, match="figure: FAILED") as caught:
        raise_on_failure([judged("figure", math.nan, 1.0, "a figure"), CheckResult("fine", True, "")])
    assert isinstance(caught.value, AssertionError)
    assert "fine" not in str(caught.value)


def test_an_unknown_check_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="variance"):
        check_estimator(get_estimator("reverse"), checks=["varianc"])
