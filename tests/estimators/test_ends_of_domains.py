"""Differences of losses that end near the point: what lies outside is not what was asked for."""

import math
from typing import Any

import numpy as np
import pytest

import gradest

CHOSEN = ["fd-forward", "fd-backward", "fd-central", "fd-five-point", "fd-richardson"]


def raises_outside(p: Any) -> float:
    return sum(float(x) * math.log(x) for x in p)


def nan_outside(p: Any) -> Any:
    with np.errstate(invalid="ignore"):
        return (p * np.log(p)).sum()


@pytest.mark.parametrize("loss", [raises_outside, nan_outside])
@pytest.mark.parametrize("method", CHOSEN)
def test_steps_stay_inside_whether_a_loss_raises_outside_or_is_nan_there(method: str, loss: Any) -> None:
    """`math.log` raised its error from where the loss is looked at before differences are taken."""
    x = np.array([0.5, 1e-6])
    found = gradest.get_estimator(method)(loss, x).gradient
    np.testing.assert_allclose(found, np.log(x) + 1, 1e-5)


@pytest.mark.parametrize(
    ("method", "end"), [("fd-forward", 0.0), ("fd-backward", 1.0)], ids=["the lower end", "the upper end"]
)
@pytest.mark.parametrize("options", [{}, {"error": True}], ids=["plain", "with its error"])
@pytest.mark.parametrize("raises", [True, False], ids=["raises", "is NaN"])
def test_differences_of_one_side_at_the_end_of_a_domain(
    method: str, end: float, options: dict[str, Any], raises: bool
) -> None:
    """The first look moves up: at the upper end the few digits of the loss there, 1.0, were taken for all it has."""

    def loss(p: Any) -> Any:
        if raises:
            return math.sqrt(p[0]) ** 5 + math.sqrt(1.0 - p[0]) ** 5
        with np.errstate(invalid="ignore"):
            return p[0] ** 2.5 + (1.0 - p[0]) ** 2.5

    found = gradest.get_estimator(method, **options)(loss, np.array([end])).gradient
    np.testing.assert_allclose(found, [2.5 if end else -2.5], 1e-6)
    if raises:
        with pytest.raises(ValueError, match=r"domain|nonnegative"):  # where it is evaluated, what it raises is told
            gradest.get_estimator("fd-central")(loss, np.array([end]))


@pytest.mark.parametrize("constant", [0.0, 100.0])
@pytest.mark.parametrize("method", CHOSEN)
def test_a_step_beside_the_end_of_a_domain_is_no_shorter_than_the_loss_can_tell(method: str, constant: float) -> None:
    """Its length was taken for one over which the loss varies by its size: of 1e-9, all differences were zero."""
    x = np.array([0.5, 1e-9])
    options = {} if method in ("fd-five-point", "fd-richardson") else {"error": True}
    found = gradest.get_estimator(method, **options)(lambda p: nan_outside(p) + constant, x)
    np.testing.assert_allclose(found.gradient, np.log(x) + 1, 1e-3)
    assert (np.abs(found.gradient - np.log(x) - 1) <= found.error).all()
