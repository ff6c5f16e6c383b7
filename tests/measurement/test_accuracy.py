"""Accuracy is measured as stated, and nothing that is not finite is averaged away."""

import math

import numpy as np
import pytest

from gradest import InvalidInputError, Layout
from gradest.measurement.accuracy import accuracy_of_replicates, compare_gradients


def test_numbers_of_a_known_pair() -> None:
    found, reference = np.array([3.0, 0.0, -1.0]), np.array([3.0, 4.0, 0.0])
    accuracy = compare_gradients(found, reference, layout=Layout(("a", "b"), ((2,), (1,))))
    assert accuracy.relative_error == pytest.approx(math.sqrt(17) / 5)
    assert accuracy.cosine == pytest.approx(9 / (5 * math.sqrt(10)))
    assert accuracy.norm_ratio == pytest.approx(math.sqrt(10) / 5)
    assert accuracy.max_abs_error == 4.0
    assert accuracy.sign_agreement == pytest.approx(1 / 3)
    assert accuracy.blocks == {"a": pytest.approx(4 / 5), "b": pytest.approx(1.0)}


def test_a_difference_far_below_float64_is_resolved() -> None:
    reference = np.array([1.0, 2.0], dtype=np.longdouble) + np.longdouble("1e-18")
    assert 0 < compare_gradients(np.array([1.0, 2.0]), reference).relative_error < 1e-17


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nonfinite_entries_are_counted_and_no_number_passes(bad: float) -> None:
    accuracy = compare_gradients(np.array([1.0, bad]), np.array([1.0, 1.0]))
    assert accuracy.nonfinite == 1
    assert not accuracy.relative_error <= 1e300
    assert math.isnan(accuracy.cosine)


def test_zero_gradients_have_an_absolute_error_and_no_cosine() -> None:
    accuracy = compare_gradients(np.array([0.0, 3.0]), np.zeros(2))
    assert accuracy.relative_error == 3.0
    assert math.isnan(accuracy.cosine)


def test_shapes_must_agree() -> None:
    with pytest.raises(InvalidInputError, match="one length"):
        compare_gradients(np.zeros(3), np.zeros((3, 1)))


def test_scatter_of_noise_of_known_variance() -> None:
    generator, target = np.random.default_rng(5), np.array([3.0, 4.0, 0.0, 0.0])
    estimates = target + 0.5 * generator.standard_normal((4000, 4))
    found = accuracy_of_replicates(iter(estimates), target)
    # E relMSE = 4 * 0.25 / 25 = 0.04; its standard error here is 0.04 * sqrt(2 / 4 / 4000): 5 of them is 6e-7 of alarm
    assert abs(found.relative_mse - 0.04) < 5 * 0.04 * math.sqrt(2 / 4 / 4000)
    assert found.relative_mse_error == pytest.approx(0.04 * math.sqrt(2 / 4 / 4000), rel=0.1)
    assert found.bias_noise == pytest.approx(math.sqrt(0.04 / 4000), rel=0.1)
    assert abs(found.scale - 1) < 3 * found.scale_half_width


def test_scatter_sees_a_bias_and_a_wrong_scale() -> None:
    generator, target = np.random.default_rng(6), np.array([3.0, 4.0])
    found = accuracy_of_replicates(1.1 * target + 0.01 * generator.standard_normal((100, 2)), target)
    assert found.bias > 20 * found.bias_noise
    assert found.scale - found.scale_half_width > 1.05


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scatter_reports_nonfinite_estimates(bad: float) -> None:
    """Of an infinite one the mean squared error was infinite, and NumPy warned of it."""
    found = accuracy_of_replicates([np.array([1.0]), np.array([bad]), np.array([1.0])], np.array([1.0]))
    assert found.nonfinite == 1
    assert math.isnan(found.relative_mse)
    assert math.isnan(found.bias_noise)


@pytest.mark.parametrize(("estimates", "target"), [([np.ones(2)], np.ones(2)), ([np.ones(2)] * 3, np.zeros(2))])
def test_scatter_refuses_what_has_no_meaning(estimates: list[np.ndarray], target: np.ndarray) -> None:
    with pytest.raises(InvalidInputError):
        accuracy_of_replicates(estimates, target)


@pytest.mark.parametrize("scale", [2.0**660, 2.0**-660], ids=["large", "small"])
def test_estimates_whose_squares_are_out_of_range_scatter_as_others(scale: float) -> None:
    """The mean squared error of a gradient near 1e200 was 0, and one near 1e-200 was called zero."""
    generator = np.random.default_rng(0)
    target = generator.standard_normal(4)
    estimates = [target + generator.standard_normal(4) for _ in range(8)]
    usual = accuracy_of_replicates(estimates, target)
    assert accuracy_of_replicates([scale * each for each in estimates], scale * target) == usual
    assert usual.relative_mse == pytest.approx(
        np.mean([np.sum((each - target) ** 2) for each in estimates]) / np.sum(target**2)
    )


@pytest.mark.parametrize("length", [1.0, 2.0**660, 2.0**-660])
def test_the_cosine_of_a_direction_is_the_same_at_every_length(length: float) -> None:
    """Estimates that promise a direction alone, of a loss near 1e-200: their squares are out of range beside it."""
    generator = np.random.default_rng(3)
    target = generator.standard_normal(4)
    estimates = [target + generator.standard_normal(4) for _ in range(6)]
    expected = accuracy_of_replicates(estimates, target).cosine
    assert 0.3 < expected < 0.99
    assert accuracy_of_replicates([length * e for e in estimates], target).cosine == pytest.approx(expected, rel=1e-12)
