"""The chi-square tails and quantiles written for the core agree with SciPy and with closed forms."""

import math

import numpy as np
import pytest
from scipy import stats

from gradest import theory
from gradest.errors import InvalidInputError

DEGREES = [0.5, 1, 2, 3, 7, 30, 39.9, 40, 41, 200, 1_000, 20_000, 1_000_000]


@pytest.mark.parametrize("degrees", DEGREES)
def test_tails_agree_with_scipy(degrees: float) -> None:
    spread = math.sqrt(2 * degrees)
    centres = [degrees * share for share in (1e-3, 0.1, 0.5)] + [degrees + spread * z for z in (-3, -1, 0, 1, 3, 6, 12)]
    for statistic in (x for x in centres if x > 0):
        lower = theory.chi2_cdf(statistic, degrees_of_freedom=degrees)
        upper = theory.chi2_sf(statistic, degrees_of_freedom=degrees)
        assert lower == pytest.approx(stats.chi2.cdf(statistic, degrees), abs=1e-12, rel=1e-10)
        assert upper == pytest.approx(stats.chi2.sf(statistic, degrees), abs=1e-12, rel=1e-10)


@pytest.mark.parametrize(
    ("statistic", "lower", "upper"),
    [
        (2 * 997_000.0, 0.0013381041673135996923, 0.99866189583268640031),
        (2 * 1_004_000.0, 0.99996765455268652232, 0.000032345447313477680324),
    ],
)
def test_tails_of_two_million_degrees_are_those_of_50_digits(statistic: float, lower: float, upper: float) -> None:
    """By mpmath's `gammainc`; the series that these took, of thousands of terms, had 13 digits of them."""
    assert theory.chi2_cdf(statistic, degrees_of_freedom=2e6) == pytest.approx(lower, rel=1e-14)
    assert theory.chi2_sf(statistic, degrees_of_freedom=2e6) == pytest.approx(upper, rel=1e-14)


@pytest.mark.parametrize("degrees", [1.9e6, 1e9, 1e16, 1e20, 1e26])
def test_any_number_of_degrees_has_tails(degrees: float) -> None:
    """From 1e14 on a tail took minutes, from 1e29 on it was an error of powers."""
    for z in (-30, -3, 0, 2, 30):
        statistic = degrees + z * math.sqrt(2 * degrees)
        lower = theory.chi2_cdf(statistic, degrees_of_freedom=degrees)
        upper = theory.chi2_sf(statistic, degrees_of_freedom=degrees)
        assert lower == pytest.approx(stats.chi2.cdf(statistic, degrees), rel=1e-9)
        assert upper == pytest.approx(stats.chi2.sf(statistic, degrees), rel=1e-9)
    for far in (1e40, 1e150, 1e300):
        assert theory.chi2_cdf(far, degrees_of_freedom=far) == pytest.approx(0.5, abs=1e-15)
        assert theory.chi2_quantile(0.05, degrees_of_freedom=far) == pytest.approx(far, rel=1e-14)


@pytest.mark.parametrize("statistic", [1e-3, 0.5, 2.0, 30.0, 900.0])
def test_closed_form_at_two_and_four_degrees(statistic: float) -> None:
    half = statistic / 2
    assert theory.chi2_sf(statistic, degrees_of_freedom=2) == pytest.approx(math.exp(-half), rel=1e-13)
    assert theory.chi2_sf(statistic, degrees_of_freedom=4) == pytest.approx((1 + half) * math.exp(-half), rel=1e-13)


@pytest.mark.parametrize("statistic", [1e-4, 0.3, 4.0, 60.0])
def test_closed_form_at_one_degree(statistic: float) -> None:
    exact = math.erfc(math.sqrt(statistic / 2))
    assert theory.chi2_sf(statistic, degrees_of_freedom=1) == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("probability", [1e-12, 1e-4, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("degrees", [1, 2, 7, 40, 1_000, 20_000])
def test_quantiles_agree_with_scipy(degrees: int, probability: float) -> None:
    lower = theory.chi2_quantile(probability, degrees_of_freedom=degrees)
    upper = theory.chi2_quantile(probability, degrees_of_freedom=degrees, upper=True)
    assert lower == pytest.approx(stats.chi2.ppf(probability, degrees), rel=1e-9)
    assert upper == pytest.approx(stats.chi2.isf(probability, degrees), rel=1e-9)


def test_the_wilson_hilferty_approximation_would_not_pass() -> None:
    degrees, probability = 7, 1e-4
    cube = 1 - 2 / (9 * degrees) + theory.normal_quantile(1 - probability) * math.sqrt(2 / (9 * degrees))
    exact = theory.chi2_quantile(probability, degrees_of_freedom=degrees, upper=True)
    assert abs(degrees * cube**3 / exact - 1) > 1e-4


def test_normal_quantiles_agree_with_scipy() -> None:
    for probability in (1e-12, 1e-3, 0.2, 0.5, 0.975, 1 - 1e-9):
        assert theory.normal_quantile(probability) == pytest.approx(stats.norm.ppf(probability), rel=1e-12, abs=1e-15)


def test_ends_and_refusals() -> None:
    assert theory.chi2_sf(0.0, degrees_of_freedom=3) == 1.0
    assert theory.chi2_sf(math.inf, degrees_of_freedom=3) == 0.0
    with pytest.raises(InvalidInputError, match="NaN"):
        theory.chi2_sf(math.nan, degrees_of_freedom=3)
    with pytest.raises(InvalidInputError, match=r"in \(0, inf\)"):
        theory.chi2_cdf(1.0, degrees_of_freedom=0)
    for probability in (0.0, 1.0, np.nan):
        with pytest.raises(InvalidInputError, match=r"in \(0, 1\)"):
            theory.chi2_quantile(probability, degrees_of_freedom=3)
