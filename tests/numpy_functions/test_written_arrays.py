"""Plain arrays that a function writes into after it has computed with them: what stood there then counts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradest
from gradest_numpy.differentiation import value_and_gradient, value_and_jvps
from gradest_numpy.differentiation.keeping import Keeper

LONG = 1000  # entries, more than are copied without a look


def buffer_in_a_loop(x: Any) -> Any:
    weights, total = np.zeros(len(x)), 0.0
    for k in range(3):
        weights[:] = k + 1.0
        total = total + np.sum(weights * x**2)
    return total


def view_of_a_buffer(x: Any) -> Any:
    buffer, total = np.zeros((2, len(x))), 0.0
    for k in range(3):
        buffer[k % 2] = k + 1.0
        total = total + np.sum(buffer[k % 2] * x**2)
    return total


def out_of_a_ufunc(x: Any) -> Any:
    scale, total = np.empty(len(x)), 0.0
    for k in range(3):
        np.multiply(np.ones(len(x)), k + 1.0, out=scale)
        total = total + np.sum(x**2 * scale)
    return total


def read_only_view(x: Any) -> Any:
    scale = np.ones(len(x))
    y = np.broadcast_to(scale, (6, len(x))) * x**2
    scale[:] = 7.0
    return np.sum(y)


def entries_of_an_index(x: Any) -> Any:
    places, total = np.arange(len(x)), 0.0
    for k in range(3):
        total = total + (k + 1) * np.sum(x[places] ** 2)
        places[:] = (places + k) % len(x)
    places[:] = 0
    return total


def mask(x: Any) -> Any:
    chosen = x > 0
    y = 6 * np.where(chosen, x**2, 0.0)
    np.logical_not(chosen, out=chosen)
    return np.sum(y)


WRITING = [buffer_in_a_loop, view_of_a_buffer, out_of_a_ufunc, read_only_view, entries_of_an_index, mask]


@pytest.mark.parametrize("size", [3, 100, LONG])
@pytest.mark.parametrize("loss", WRITING)
def test_derivatives_are_by_what_was_computed_with(loss: Callable[[Any], Any], size: int) -> None:
    """The value is the sum of 6 x^2 in each; a second call is one of a loss that has been seen to write."""
    pull = value_and_gradient(lambda leaves, data: loss(leaves[0]))
    for seed in (0, 1):
        x = np.random.default_rng(seed).uniform(0.5, 1.5, size)
        value, (gradient,) = pull((x,), None)
        assert value == pytest.approx(6 * np.sum(x**2), rel=1e-12)
        np.testing.assert_allclose(gradient, 12 * x, rtol=1e-12)
    _, forward = value_and_jvps(lambda leaves, data: loss(leaves[0]))((x,), (np.ones((1, size)),), None)
    np.testing.assert_allclose(forward, np.sum(12 * x), rtol=1e-12)


def test_a_buffer_that_only_a_later_call_fills_again() -> None:
    """The first call shows nothing written into what was used, and the second takes other turns of the loop."""
    weights = np.zeros(LONG)

    def loss(x: Any) -> Any:
        total = 0.0
        for k in range(3 if x[0] > 0 else 1):
            weights[:] = k + 1.0
            total = total + np.sum(weights * x**2)
        return total

    gradient, x = gradest.grad(loss), np.full(LONG, 0.5)
    for sign, factor in ((-1, 2), (1, 12), (-1, 2), (1, 12)):
        np.testing.assert_allclose(gradient(sign * x), factor * sign * x, rtol=1e-12)


def test_hessian_products_likewise() -> None:
    x = np.linspace(0.5, 1.5, 4)
    np.testing.assert_allclose(gradest.hvp(buffer_in_a_loop, x, np.ones(4)).value, 12.0, rtol=1e-12)


def test_a_routine_that_returns_its_own_array_at_every_call() -> None:
    state = np.empty(3)

    @gradest.primitive
    def advance(x: Any) -> Any:
        np.square(x, out=state)
        return state

    gradest.defvjp(advance, lambda ans, x: lambda g: 2 * g * x)

    def loss(x: Any) -> Any:
        return np.sum(advance(x) ** 2) + np.sum(advance(2 * x) ** 2)

    x = np.array([0.5, 1.0, 2.0])
    np.testing.assert_allclose(gradest.grad(loss)(x), 4 * x**3 + 64 * x**3, rtol=1e-12)


def test_large_arrays_are_copied_until_nothing_is_seen_to_be_written() -> None:
    """What a loss closes over is copied in its first evaluation; arguments are never: it cannot write into those."""
    closed, given = np.ones(LONG), np.ones(LONG)
    view = given.view()
    view.flags.writeable = False
    first = Keeper([view])
    copy = first.kept(closed)
    assert copy is not closed
    assert first.kept(closed) is copy
    assert first.kept(view) is view
    assert first.kept(view[1:]).base is given
    assert not first.wrote()
    watching = Keeper([view], whole=False)
    assert watching.kept(closed) is closed
    assert not watching.missed()
    watching.kept(closed)
    closed[:] = 3.0
    assert watching.missed()
    second = Keeper()
    second.kept(closed)
    closed[5] = 2.0
    assert second.wrote()
    third = Keeper()
    kept = third.kept(closed)
    closed[5] = np.nan
    assert third.kept(closed) is not kept
    assert third.kept(closed) is third.kept(closed)
    assert third.wrote()
