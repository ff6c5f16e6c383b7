"""A gradient by reverse mode composes with JAX's own jit, vmap and grad; others say that they stay outside."""

from typing import Any

import numpy as np
import pytest

import gradest

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'gradest[jax]'")
jnp = jax.numpy


def loss(p: dict[str, Any], x: Any) -> Any:
    return jnp.mean(jnp.tanh(x @ p["W"]) ** 2)


P = {"W": jnp.linspace(-1.0, 1.0, 12).reshape(4, 3)}
X = jnp.linspace(0.0, 1.0, 20).reshape(5, 4)


@pytest.mark.parametrize("called_before", [True, False], ids=["prepared before", "first call inside"])
def test_reverse_mode_composes_with_jit(called_before: bool) -> None:
    gradient = gradest.grad(loss, method="reverse")
    if called_before:
        gradient(P, X)
    found = jax.jit(gradient)(P, X)
    assert np.allclose(found["W"], jax.grad(loss)(P, X)["W"], rtol=1e-6)
    other = {"W": P["W"] * 2}
    assert np.allclose(gradient(other, X)["W"], jax.grad(loss)(other, X)["W"], rtol=1e-6)  # nothing traced was kept


def test_reverse_mode_composes_with_vmap_and_grad() -> None:
    gradient = gradest.grad(loss, method="reverse")
    many = {"W": jnp.stack([P["W"], 2 * P["W"]])}
    found = jax.vmap(gradient, in_axes=(0, None))(many, X)["W"]
    assert np.allclose(found, jax.vmap(jax.grad(loss), in_axes=(0, None))(many, X)["W"], rtol=1e-6)

    def length(slope: Any) -> Any:
        return lambda p: jnp.sum(slope(p, X)["W"] ** 2)

    found = jax.grad(length(gradient))(P)["W"]
    assert np.allclose(found, jax.grad(length(jax.grad(loss)))(P)["W"], rtol=1e-5)


def test_the_value_comes_along_inside_jit() -> None:
    value, gradient = jax.jit(gradest.value_and_grad(loss, method="reverse"))(P, X)
    assert np.allclose(value, loss(P, X), rtol=1e-6)
    assert np.allclose(gradient["W"], jax.grad(loss)(P, X)["W"], rtol=1e-6)


@pytest.mark.parametrize("method", ["fd-central", "es", "forward", "complex-step"])
def test_estimators_that_read_values_say_that_they_stay_outside(method: str) -> None:
    gradient = gradest.grad(loss, method=method)
    with pytest.raises(gradest.UnsupportedError, match=r"inside a transformation of jax.*use 'reverse'"):
        jax.jit(lambda p: gradient(p, X))(P)


def test_finiteness_is_asked_when_it_prepares_and_not_at_each_call() -> None:
    gradient = gradest.grad(loss, method="reverse")
    bad = {"W": P["W"].at[0, 0].set(jnp.nan)}
    with pytest.raises(gradest.NonFiniteError):
        gradient(bad, X)
    gradient(P, X)
    assert np.isnan(gradient(bad, X)["W"]).any()
