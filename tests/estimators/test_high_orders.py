"""Rules of many points: their steps, and the errors they state, whose series double precision has no digits for."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from gradest.estimators import FiniteDifference, Richardson
from gradest.finite_differences.error_estimates import _coefficients
from gradest.finite_differences.rules import MOST_QUOTIENTS, central_rule, richardson_rule
from gradest.finite_differences.statuses import Status

POINT = np.array([0.3, 0.7, -0.2])


@pytest.mark.parametrize("rule", [central_rule(2 * MOST_QUOTIENTS), richardson_rule(MOST_QUOTIENTS)])
def test_the_series_of_quotients_is_solved_exactly(rule: Any) -> None:
    points = [Fraction(multiple) ** 2 for multiple in rule.multiples]
    inverse = _coefficients(points)
    for k, point in enumerate(points):
        powers = [point**i for i in range(len(points))]
        products = [sum(power * row[j] for power, row in zip(powers, inverse, strict=True)) for j in range(len(points))]
        assert products == [int(j == k) for j in range(len(points))]


def runge(x: Any) -> Any:
    return 1 / (1 + (3 * x) ** 2)


def slope_of_runge(x: Any) -> Any:
    return -18 * x / (1 + (3 * x) ** 2) ** 2


@pytest.mark.parametrize("order", [32, 48, 64])
def test_steps_beyond_the_radius_of_a_series_state_it(order: int) -> None:
    # The radius is 1/3 at zero. An inverse in floating point said 1e-13 of entries that were off by 2e-4.
    found = FiniteDifference(order=order, step=0.1)(lambda x: runge(x).sum(), POINT)
    assert (np.abs(found.gradient - slope_of_runge(POINT)) <= found.error).all()


@pytest.mark.parametrize(("order", "bound"), [(48, 1e-8), (64, 1e-11)])
def test_terms_that_fall_in_the_end_leave_a_small_error(order: int, bound: float) -> None:
    # The nearest step moves the phase by 1.2. It said 1e-5 and 5e-3 of errors near 1e-12 and 1e-14.
    found = FiniteDifference(order=order, step=0.1)(lambda x: np.sin(12 * x).sum(), POINT)
    assert (np.abs(found.gradient - 12 * np.cos(12 * POINT)) <= found.error).all()
    assert (found.error < bound).all()


LOSSES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sin": (np.sin, np.cos),
    "exp": (np.exp, np.exp),
    "runge": (runge, slope_of_runge),
    "log": (lambda x: np.log(x + 1.3), lambda x: 1 / (x + 1.3)),
}


@pytest.mark.parametrize("order", [4, 16, 64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_point_lies_beyond_the_radius_of_the_series_that_is_presumed(dtype: str, order: int) -> None:
    # Rules of many points have longer steps than those of few; log(1 + x) has none beyond 1.
    x = np.array([0.0, 0.1], dtype)
    for estimator in (FiniteDifference(order=order), Richardson(levels=max(2, order // 4))):
        found = estimator(lambda p: np.log1p(p).sum(), x)
        assert (np.abs(found.gradient - 1 / (1 + x.astype(float))) <= found.error).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("levels", [8, 12, 20, 29, MOST_QUOTIENTS])
def test_every_number_of_levels_has_a_step_and_states_what_it_is_off_by(levels: int, loss: str) -> None:
    f, slope = LOSSES[loss]
    found = Richardson(levels=levels)(lambda x: f(x).sum(), POINT)
    assert (np.abs(found.gradient - slope(POINT)) <= found.error).all()
    assert (found.error < 1e-13 * 2.0**levels).all()  # the rounding of a loss over the shortest step
    assert (found.status == Status.RELIABLE).all()
