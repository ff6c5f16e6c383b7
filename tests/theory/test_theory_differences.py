"""Difference rules: weights, truncation, rounding and best step, against polynomials, real rounding and grids."""

import math
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from gradest import theory
from gradest.errors import InvalidInputError, UnknownNameError

REAL_RULES = [
    ("forward", None),
    ("backward", None),
    ("central", 2),
    ("central", 4),
    ("central", 6),
    ("central", 8),
    ("five-point", None),
    ("richardson", None),
]


def quotient(scheme: str, order: int | None, f: Callable[..., Any], x: Any, h: Any) -> Any:
    """Return the rule written out from its definition, for floats and for exact fractions."""
    if scheme == "forward":
        return (f(x + h) - f(x)) / h
    if scheme == "backward":
        return (f(x) - f(x - h)) / h
    if scheme == "five-point":
        return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)
    if scheme == "richardson":
        return (4 * quotient("central", 2, f, x, h / 2) - quotient("central", 2, f, x, h)) / 3
    if order == 2:
        return (f(x + h) - f(x - h)) / (2 * h)
    assert order is not None
    return sum(w * f(x + j * h) for j, w in theory.central_coefficients(order).items()) / h


@pytest.mark.parametrize("order", [2, 4, 6, 8, 12])
def test_central_weights_are_exact_on_polynomials(order: int) -> None:
    weights = theory.central_coefficients(order)
    for power in range(order + 1):
        assert sum(w * Fraction(j) ** power for j, w in weights.items()) == (1 if power == 1 else 0)
    assert sum(w * Fraction(j) ** (order + 1) for j, w in weights.items()) != 0


def test_central_weights_of_the_tables() -> None:
    assert theory.central_coefficients(4) == {
        -2: Fraction(1, 12),
        -1: Fraction(-2, 3),
        1: Fraction(2, 3),
        2: Fraction(-1, 12),
    }
    assert list(theory.central_coefficients(6).values())[3:] == [Fraction(3, 4), Fraction(-3, 20), Fraction(1, 60)]


@pytest.mark.parametrize(("scheme", "order"), REAL_RULES)
def test_truncation_is_exact_on_the_first_polynomial_it_misses(scheme: str, order: int | None) -> None:
    """For f = x^(p+1) the (p+1)-th derivative is constant, so that the error is C M h^p in exact fractions."""
    rule = theory.difference_rule(scheme, order=order)
    step = Fraction(1, 10)
    power = rule.derivative
    error = abs(quotient(scheme, order, lambda x: x**power, Fraction(0), step))
    predicted = rule.truncation * math.factorial(power) * float(step) ** rule.order
    assert float(error) == pytest.approx(predicted, rel=1e-13)
    below = quotient(scheme, order, lambda x: x ** (power - 1), Fraction(0), step)
    assert below == (1 if power == 2 else 0)


@pytest.mark.parametrize(("scheme", "order"), REAL_RULES)
def test_amplification_is_the_response_to_the_worst_and_to_random_noise(scheme: str, order: int | None) -> None:
    """Every evaluation point in turn returns 1, the rest 0: the weights, whatever way the rule is written."""
    rule = theory.difference_rule(scheme, order=order)
    step = Fraction(1)
    points = set()

    def noted(x: Fraction) -> Fraction:
        points.add(x)
        return Fraction(0)

    quotient(scheme, order, noted, Fraction(0), step)
    weights = [quotient(scheme, order, lambda x, p=p: Fraction(int(x == p)), Fraction(0), step) for p in points]
    assert rule.amplification == pytest.approx(float(sum(abs(w) for w in weights)), rel=1e-14)
    assert rule.rms_amplification == pytest.approx(math.sqrt(sum(w * w for w in weights)), rel=1e-14)


@pytest.mark.parametrize("rms", [False, True])
@pytest.mark.parametrize(("scheme", "order"), REAL_RULES)
def test_the_best_step_minimises_the_curve(scheme: str, order: int | None, rms: bool) -> None:
    arguments: dict[str, Any] = {"noise": 3e-12, "derivative_bound": 5.0, "order": order, "rms": rms}
    step, error = theory.difference_optimum(scheme, **arguments)
    curve = [theory.difference_error(scheme, step * s, **arguments) for s in np.geomspace(0.1, 10, 401)]
    assert error == pytest.approx(min(curve), rel=1e-12)
    assert curve[190] > error
    assert curve[210] > error


def test_closed_forms_of_the_best_step() -> None:
    def best(scheme: str, **options: Any) -> tuple[float, float]:
        return theory.difference_optimum(scheme, noise=1e-15, derivative_bound=2.0, **options)

    assert best("forward") == pytest.approx((2 * math.sqrt(1e-15 / 2), 2 * math.sqrt(2e-15)))
    assert best("central") == pytest.approx(((3e-15 / 2) ** (1 / 3), 1.5 * 1e-10 * (2 / 3) ** (1 / 3)))
    assert best("five-point")[0] == pytest.approx((45e-15 / 8) ** 0.2)
    assert best("five-point")[1] == pytest.approx(15 / 8 * 1e-15 / best("five-point")[0])
    assert best("forward", rms=True)[0] == pytest.approx(8**0.25 * math.sqrt(1e-15 / 2))
    richardson, five = best("richardson"), best("five-point")
    assert richardson == pytest.approx((2 * five[0], five[1]))


@pytest.mark.parametrize(("scheme", "order"), [("forward", None), ("central", 2), ("five-point", None), ("central", 6)])
def test_real_rounding_stays_under_the_bound(scheme: str, order: int | None) -> None:
    """The exponential in float64, accurate to one unit in the last place: the error curve is an upper bound."""
    points = np.linspace(0.5, 1.5, 101)
    rule = theory.difference_rule(scheme, order=order)
    noise = float(np.finfo(np.float64).eps) * math.exp(1.6)
    best, predicted = theory.difference_optimum(scheme, noise=noise, derivative_bound=math.exp(1.6), order=order)
    worst = {}
    for factor in (1 / 16, 1, 4):
        # A power of two divides exactly; the bound below is for the step that was really taken.
        step = 2.0 ** round(math.log2(best * factor))
        grid = np.round(points / step) * step
        errors = np.abs(quotient(scheme, order, np.exp, grid, step) - np.exp(grid))
        # The quotient itself rounds once or twice more.
        bound = theory.difference_error(
            scheme, step, noise=noise, derivative_bound=math.exp(1.5 + rule.order * step), order=order
        )
        worst[factor] = errors.max()
        assert errors.max() < bound + 4 * noise
    assert worst[1] < 3 * predicted
    assert worst[4] > worst[1]


def test_random_noise_has_the_predicted_root_mean_square() -> None:
    """A linear f with normal noise: 20,000 differences, 5 standard errors (2.5 %); the worst-case sum is told apart."""
    rng, noise, step = np.random.default_rng(4), 0.1, 0.5
    rules: dict[str, list[float]] = {
        "forward": [1, -1],
        "central": [0.5, -0.5],
        "five-point": [2 / 3, -2 / 3, 1 / 12, -1 / 12],
    }
    for scheme, weights in rules.items():
        errors = noise * rng.standard_normal((20_000, len(weights))) @ weights / step
        found = math.sqrt(np.mean(errors**2))
        rms = theory.difference_error(scheme, step, noise=noise, derivative_bound=0.0, rms=True)
        assert found == pytest.approx(rms, rel=0.025)
        assert found != pytest.approx(theory.difference_error(scheme, step, noise=noise, derivative_bound=0.0), rel=0.1)


def test_complex_step_has_truncation_only() -> None:
    step, error = theory.difference_optimum("complex-step", noise=1e-16, derivative_bound=1.0)
    assert error < sys.float_info.epsilon**2
    assert abs(np.exp(complex(1.0, step)).imag / step - math.e) < 4 * sys.float_info.epsilon
    coarse = abs(np.exp(complex(1.0, 1e-2)).imag / 1e-2 - math.e)
    predicted = theory.difference_error("complex-step", 1e-2, noise=1e-16, derivative_bound=math.e)
    assert coarse == pytest.approx(predicted, rel=1e-4)


def test_the_error_of_a_step_beyond_all_numbers_is_infinite() -> None:
    assert theory.difference_error("central", 1e200, noise=1e-16, derivative_bound=1.0) == math.inf
    assert theory.difference_error("central", 1e200, noise=1e-16, derivative_bound=0.0) == pytest.approx(1e-216)


def test_refusals() -> None:
    with pytest.raises(UnknownNameError, match="central"):
        theory.difference_rule("centered")
    with pytest.raises(InvalidInputError, match="even order"):
        theory.central_coefficients(3)
    with pytest.raises(InvalidInputError, match="scheme='central'"):
        theory.difference_rule("forward", order=2)
    with pytest.raises(InvalidInputError, match=r"\(0, inf\)"):
        theory.difference_error("forward", 0.0, noise=1e-16, derivative_bound=1.0)
    with pytest.raises(InvalidInputError, match="noise > 0"):
        theory.difference_optimum("forward", noise=0.0, derivative_bound=1.0)
    with pytest.raises(InvalidInputError, match="finite"):  # a step of infinity and an error of NaN came out
        theory.difference_optimum("forward", noise=math.inf, derivative_bound=1.0)
    for noise, bound in ((-1.0, 1.0), (1.0, -1.0)):
        with pytest.raises(InvalidInputError, match=r"\[0, inf\)"):  # a negative error came out
            theory.difference_error("forward", 1e-3, noise=noise, derivative_bound=bound)
