"""Whole losses as researchers write them: their gradients are JAX's to rounding, in both modes."""

from typing import Any

import numpy as np
import pytest
from numpy_functions.test_rules import x64
from support.numpy_losses import LOSSES

from gradest_numpy.differentiation import value_and_gradient, value_and_jvps

pytestmark = pytest.mark.usefixtures("quickly_compiled")  # of JAX the numbers are wanted


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_jax_to_rounding(name: str) -> None:
    jax = pytest.importorskip("jax", reason="JAX is what the gradients are compared with")
    loss, params = LOSSES[name]
    with x64():
        of_jax = jax.jit(jax.value_and_grad(lambda p: loss(jax.numpy, p)))  # one program: each operation would be one
        wanted_value, wanted = of_jax([jax.numpy.asarray(p) for p in params])
        wanted = [np.asarray(w) for w in wanted]
    value, gradient = value_and_gradient(lambda leaves, data: loss(np, leaves))(params, None)
    assert value == pytest.approx(float(wanted_value), rel=1e-12)
    scale = np.sqrt(sum(np.sum(w * w) for w in wanted))
    for g, w in zip(gradient, wanted, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-12, atol=1e-12 * scale)
    generator = np.random.default_rng(1)
    tangents = [generator.standard_normal((3, *p.shape)) for p in params]
    _, jvps = value_and_jvps(lambda leaves, data: loss(np, leaves))(params, tangents, None)
    expected = [sum(np.sum(t[k] * w) for t, w in zip(tangents, wanted, strict=True)) for k in range(3)]
    np.testing.assert_allclose(jvps, expected, rtol=1e-11, atol=1e-12 * scale)


@pytest.mark.parametrize("name", LOSSES)
def test_the_value_is_that_of_plain_numpy(name: str) -> None:
    loss, params = LOSSES[name]
    value, _ = value_and_gradient(lambda leaves, data: loss(np, leaves))(params, None)
    assert value == pytest.approx(loss(np, params), rel=1e-13)


@pytest.mark.parametrize("name", LOSSES)
def test_second_derivatives_are_what_differences_of_gradients_give(name: str) -> None:
    """The inner gradient is followed by an outer trace, forward and reverse: every rule has rules itself."""
    loss, params = LOSSES[name]
    generator = np.random.default_rng(2)
    weights = [generator.standard_normal(p.shape) for p in params]
    direction = [generator.standard_normal(p.shape) for p in params]
    gradient = value_and_gradient(lambda leaves, data: loss(np, leaves))

    def along(leaves: Any, data: Any) -> Any:
        return sum(np.sum(w * g) for w, g in zip(weights, gradient(leaves, None)[1], strict=True))

    _, (jvp,) = value_and_jvps(along)(params, [t[None] for t in direction], None)
    _, by_reverse = value_and_gradient(along)(params, None)
    h = 1e-5
    ahead = along([p + h * t for p, t in zip(params, direction, strict=True)], None)
    behind = along([p - h * t for p, t in zip(params, direction, strict=True)], None)
    scale = max(abs(ahead), abs(behind), 1.0)
    assert jvp == pytest.approx((ahead - behind) / (2 * h), rel=1e-6, abs=1e-7 * scale)
    assert sum(np.sum(t * g) for t, g in zip(direction, by_reverse, strict=True)) == pytest.approx(jvp, rel=1e-9)


def test_a_loop_over_rows_is_linear_in_their_number() -> None:
    """The cotangents of an array's entries are added into one array, not one array each."""
    from gradest_numpy.differentiation import indexing

    made: list[Any] = []

    def loss(leaves: Any, data: Any) -> Any:
        total = 0.0
        for k in range(50):
            total = total + leaves[0][k] * k
        return total

    original, before = indexing.GETITEM.vjps[0], indexing.GETITEM

    def watched(g: Any, *rest: Any, **options: Any) -> Any:
        made.append(g)
        assert original is not None
        return original(g, *rest, **options)

    object.__setattr__(before, "vjps", (watched,))
    try:
        _, (g,) = value_and_gradient(loss)((np.zeros(50),), None)
    finally:
        object.__setattr__(before, "vjps", (original,))
    np.testing.assert_array_equal(g, np.arange(50.0))
    assert not made
