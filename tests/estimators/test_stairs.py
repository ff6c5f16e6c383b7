"""Differences of a loss of which a part alone is computed coarsely: their steps cross many of its stairs.

Over a step that suits the rest such a part does not change, and its gradient was left out without a word.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradest
from gradest.finite_differences.stairs import height_of_stairs

RULES = {"fd-central": 2e-3, "fd-forward": 2e-2, "fd-backward": 2e-2, "fd-five-point": 1e-3, "fd-richardson": 1e-3}
"""How far off each may be, beside the gradient: its step is that of the coarse part."""
X = np.array([2.3, 1.2])


def penalty(p: Any) -> Any:
    return np.sum(p**2)


PARTS: dict[str, Callable[[Any], Any]] = {
    "float32 as a number": lambda p: float(np.float32(np.sum(p))) / 2,
    "float32 beside a constant": lambda p: float(np.float32(np.sum(p) + 300.0)) / 2,
    "float16": lambda p: float(np.float16(np.sum(p))) / 2,
    "rounded to 5 digits": lambda p: np.round(np.sum(p), 5) / 2,
    "a mean in float32": lambda p: np.mean(p, dtype=np.float32),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("method", RULES)
def test_a_part_that_is_coarser_than_the_rest(method: str, part: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = gradest.grad(lambda p: PARTS[part](p) + penalty(p), method=method)(X)
    assert np.linalg.norm(found - (2 * X + 0.5)) < RULES[method] * np.linalg.norm(2 * X)


TWO_HEIGHTS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "float32 and float16 beside float64": (
        lambda p: PARTS["float32 as a number"](p) + 2 * PARTS["float16"](p) + penalty(p),
        lambda x: 2 * x + 1.5,
    ),
    "float32 and float16 alone": (
        lambda p: PARTS["float32 as a number"](p) + 2 * PARTS["float16"](p),
        lambda x: np.full(2, 1.5),
    ),
    "float32 of a large constant": (
        lambda p: 2 * PARTS["float32 beside a constant"](p) + 1e-3 * penalty(p),
        lambda x: 1 + 2e-3 * x,
    ),
}


@pytest.mark.parametrize("loss", TWO_HEIGHTS)
@pytest.mark.parametrize("method", RULES)
def test_stairs_among_lower_ones_and_stairs_near_which_nothing_moves(method: str, loss: str) -> None:
    """The lower ones ended the search; where no near point differed from another, none were looked for."""
    of, slope = TWO_HEIGHTS[loss]
    found = gradest.grad(of, method=method)(X)
    assert np.linalg.norm(found - slope(X)) < 10 * RULES[method] * np.linalg.norm(slope(X))


def _floor(value: Any, height: float) -> Any:
    return height * np.floor(value / height)


POINTS = np.random.default_rng(1).uniform(-2.0, 2.0, (60, 3))[[11, 12, 29, 30]]


@pytest.mark.parametrize("times", [10, 50])
@pytest.mark.parametrize("method", ["fd-central", "fd-five-point", "fd-richardson"])
def test_stairs_of_two_heights_near_each_other(method: str, times: int) -> None:
    """Among the lower ones no slopes settle, and the nearest one was too low beside the higher to be taken for one."""

    def loss(p: Any) -> Any:
        return _floor(np.sin(p).sum(), 1e-7) + _floor(np.cos(p).sum(), times * 1e-7) + penalty(p)

    for x in POINTS:
        slope = np.cos(x) - np.sin(x) + 2 * x
        found = gradest.grad(loss, method=method)(x)
        assert np.linalg.norm(found - slope) < 1e-2 * np.linalg.norm(slope)


def test_stairs_of_each_entry_that_along_the_line_nearly_cancel() -> None:
    """What the line climbs was held against the height of a stair, and this line climbs no more than a few."""
    for x in np.array([[-1.186, -0.951, 1.001], [1.148, -1.234, 1.209], [-1.235, -1.674, 1.421]]):
        found = gradest.grad(lambda p: float(np.sin(p.astype(np.float16)).sum()) + penalty(p), method="fd-central")(x)
        assert np.linalg.norm(found - np.cos(x) - 2 * x) < 3e-2


def test_many_parts_with_stairs_of_their_own_are_as_high_as_what_they_add_up_to() -> None:
    widths = 1e-5 * np.random.default_rng(2).uniform(0.7, 1.4, 100)

    def loss(t: float) -> float:
        return float(np.sum(widths * np.floor(t / widths + 0.37))) + math.sin(t)

    # A deviation of noise from 13 fourth differences is known within a factor of two, more than six of its deviations.
    found = height_of_stairs(loss, 2.0**-4, 2.0**-43, 1e-16, shorter=4.236)
    assert 0.5 < found / np.linalg.norm(widths) < 2.0


@pytest.mark.parametrize("method", RULES)
def test_a_network_in_float32_with_a_penalty_in_float64(method: str) -> None:
    inputs = np.linspace(0.0, 1.0, 50)

    def loss(p: Any) -> Any:
        hidden = np.tanh(np.outer(inputs.astype(np.float32), p.astype(np.float32)).sum(axis=1))
        return float(hidden.mean(dtype=np.float32)) + 0.01 * penalty(p)

    slopes = (1 - np.tanh(inputs * X.sum()) ** 2) * inputs
    exact = np.full(2, slopes.mean()) + 0.02 * X
    found = gradest.grad(loss, method=method)(X)
    assert np.linalg.norm(found - exact) < RULES[method] * np.linalg.norm(exact)


@pytest.mark.parametrize("width", [3e-9, 1e-7, 1e-6])
def test_the_height_is_that_of_the_higher_stairs_of_two(width: float) -> None:
    def loss(t: float) -> float:
        stairs = sum(0.5 * w * math.floor((t + 0.3 * w) / w) for w in (width, 1000 * width))
        return stairs + math.sin(t)

    found = height_of_stairs(loss, 2.0**-6, 2.0**-43, 1e-16, shorter=4.236)
    assert found == pytest.approx(500 * width, rel=0.05)


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_the_same_of_other_frameworks(name: str) -> None:
    framework = pytest.importorskip("jax.numpy" if name == "jax" else name, reason=f"{name} is not installed")
    x = gradest.get_backend(name).array(X, dtype="float64")

    def loss(p: Any) -> Any:
        if name == "jax":
            return framework.sum(p.astype("float32")).astype("float64") / 2 + (p**2).sum()
        return p.float().sum().double() / 2 + (p**2).sum()

    found = gradest.grad(loss, method="fd-central")(x)
    np.testing.assert_allclose(np.asarray(found), 2 * X + 0.5, rtol=1e-4)


NO_STAIRS: dict[str, tuple[Callable[[Any], Any], float]] = {
    "a kink": (lambda p: np.abs(p[0] - 2.3 - 1e-8), -1.0),
    "a jump": (lambda p: 1.0 * (p[0] > 2.3 + 1e-6), 0.0),
    "many kinks": (lambda p: np.sum(np.maximum(p[0] - 2.3 - 1e-7 * (np.arange(-20, 20) + 0.5), 0)), 20.0),
    "a quick oscillation": (lambda p: 1e-7 * np.sin(1e7 * (p[0] - 2.3)), 1.0),
}


@pytest.mark.parametrize("kind", NO_STAIRS)
def test_kinks_jumps_and_oscillations_are_no_stairs(kind: str) -> None:
    part, slope = NO_STAIRS[kind]
    found = gradest.grad(lambda p: part(p) + penalty(p), method="fd-central")(X)
    np.testing.assert_allclose(found, 2 * X + [slope, 0.0], rtol=1e-4)


@pytest.mark.parametrize("width", [3e-9, 1e-7, 4e-6])
def test_the_height_is_that_of_one_stair(width: float) -> None:
    """Of stairs of a slope of 0.5 and each of a width, beside a smooth part."""

    def loss(t: float) -> float:
        return 0.5 * width * math.floor((t + 0.3 * width) / width) + math.sin(t)

    found = height_of_stairs(loss, 2.0**-10, 2.0**-43, 1e-16, shorter=4.236)
    assert found == pytest.approx(0.5 * width, rel=0.05)
    assert height_of_stairs(math.sin, 2.0**-10, 2.0**-43, 1e-16, shorter=4.236) == 0.0


def test_a_loss_that_ends_near_the_point_is_looked_at_no_further() -> None:
    """Stairs are looked for further away than differences are taken, where `math.acos` raises an error."""
    x = np.array([0.999])
    found = gradest.grad(lambda p: math.acos(p[0]), method="fd-central")(x)
    np.testing.assert_allclose(found, -1 / math.sqrt(1 - 0.999**2), rtol=1e-7)


@pytest.mark.parametrize("constant", [0.0, 30.0])
def test_check_of_such_a_loss(constant: float) -> None:
    """The shortest steps do not move the part in float32: the gradient without it was called right, its own wrong."""

    def loss(p: Any) -> Any:
        return float(np.float32(np.sum(p) + constant)) / 2 + penalty(p)

    right = gradest.check(loss, X, 2 * X + 0.5)
    assert right.verdict == "right"
    wrong = gradest.check(loss, X, 2 * X)
    assert wrong.verdict == "wrong"
    (defect,) = wrong.defects
    assert defect.expected == pytest.approx(2 * X[defect.index[0]] + 0.5, rel=1e-3)


def test_check_of_a_gradient_that_is_more_exact_than_reverse_mode() -> None:
    """Reverse mode through float32 is off by its rounding, which the gradients at points nearby do not show."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 6, generator=generator)
    weights = torch.randn(6, 3, generator=generator, dtype=torch.float64)

    def loss(w: Any, dtype: Any = torch.float32) -> Any:
        return torch.tanh(x.to(dtype) @ w.to(dtype)).pow(2).mean().double() + 1e-2 * (w**2).sum()

    exact = torch.func.grad(loss)(weights, torch.float64)
    assert gradest.check(loss, weights, exact).verdict == "right"
    assert gradest.check(loss, weights, 2e-2 * weights).verdict == "wrong"
    assert gradest.check(loss, weights, exact * (1 + 1e-2)).verdict == "wrong"
