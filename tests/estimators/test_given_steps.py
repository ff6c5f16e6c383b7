"""Steps that are given, and are longer than the length on which a loss bends: told, where errors are stated."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradest
from gradest.estimators import FiniteDifference, Richardson
from gradest.finite_differences.statuses import Status

Estimator = Callable[[float], gradest.Estimator]
RULES: dict[str, Estimator] = {
    "forward": lambda h: FiniteDifference(scheme="forward", step=h, step_mode="absolute", error=True),
    "central": lambda h: FiniteDifference(step=h, step_mode="absolute", error=True),
    "order 8": lambda h: FiniteDifference(order=8, step=h, step_mode="absolute"),
    "richardson": lambda h: Richardson(step=h, step_mode="absolute"),
}
LOSSES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "softplus": (lambda p: np.log1p(np.exp(p)).sum(), lambda x: 1 / (1 + np.exp(-x))),
    "sine": (lambda p: np.sin(p).sum(), np.cos),
    "sine beside a square": (lambda p: (np.sin(3 * p) + p**2).sum(), lambda x: 3 * np.cos(3 * x) + 2 * x),
}
PEAKS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "Gaussian": (lambda p: np.exp(-(p**2) / 2).sum(), lambda x: -x * np.exp(-(x**2) / 2)),
    "Gaussian of all": (lambda p: np.exp(-(p**2).sum() / 2), lambda x: -x * np.exp(-(x**2).sum() / 2)),
    "Lorentzian": (lambda p: (1 / (1 + p**2)).sum(), lambda x: -2 * x / (1 + x**2) ** 2),
}
X = np.array([0.3, 0.7])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", LOSSES)
def test_errors_of_steps_of_any_length_hold_or_the_entry_is_flagged(name: str, rule: str) -> None:
    """Near a period, and where a loss is straight far away, lengths agree: gradients were off by 10^6 stated errors."""
    loss, slope = LOSSES[name]
    for step in (5.89, 7.72, 12.0, 23.0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gradest.StepWarning)  # flags are looked at, entry by entry
            warnings.simplefilter("ignore", gradest.KinkWarning)  # what softplus is, seen from far away
            found = RULES[rule](step)(loss, X)
        assert ((np.abs(found.gradient - slope(X)) <= found.error) | (found.status != Status.RELIABLE)).all()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", PEAKS)
@pytest.mark.filterwarnings("ignore::gradest.StepWarning", "ignore::gradest.KinkWarning")  # flags are looked at
@pytest.mark.filterwarnings("ignore::gradest.NoiseWarning", "ignore::gradest.FlatLossWarning")
def test_errors_hold_or_are_flagged_where_a_peak_is_narrow_beside_a_given_step(name: str, rule: str) -> None:
    """Two long lengths that show nothing ended the search, and a peak is level there: an error of 1e-198 was stated."""
    loss, slope = PEAKS[name]
    for step in (5.0, 12.0, 30.0, 1e4):
        found = RULES[rule](step)(loss, X)
        assert ((np.abs(found.gradient - slope(X)) <= found.error) | (found.status != Status.RELIABLE)).all()


def test_a_step_near_a_period_is_warned_of() -> None:
    with pytest.warns(gradest.StepWarning, match="2 of 2 difference quotients are of steps within"):
        RULES["order 8"](5.89)(lambda p: np.sin(p).sum(), X)


@pytest.mark.parametrize(("rule", "step"), [("forward", 0.01), ("central", 0.1), ("order 8", 0.5), ("richardson", 1.5)])
def test_steps_that_suit_a_loss_are_not_flagged_and_cost_little_more(rule: str, step: float) -> None:
    calls = []

    def loss(p: Any) -> Any:
        calls.append(p)
        return np.sin(p).sum()

    found = RULES[rule](step)(loss, X)
    assert (found.status == Status.RELIABLE).all()
    assert (np.abs(found.gradient - np.cos(X)) <= found.error).all()
    assert len(calls) <= 50


def test_a_small_ripple_that_a_step_goes_over_is_flagged_by_its_size_and_not_warned_of() -> None:
    found = RULES["central"](1e-2)(lambda p: (p**2 + 1e-6 * np.sin(1e4 * p)).sum(), X)
    error = np.abs(found.gradient - 2 * X - 1e-2 * np.cos(1e4 * X))
    assert (found.status == Status.TOO_LONG).all()
    assert (error <= 2 * found.error).all()
    assert (found.error < 0.1).all()
