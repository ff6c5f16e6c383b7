"""A gradient by reverse mode composes with JAX's own jit, vmap and grad; others say that they stay outside."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from support.plain_residual_feedback import PlainResidualFeedback

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


@pytest.mark.parametrize("method", ["fd-central", "es"])
def test_a_traced_batch_is_refused_alike(method: str) -> None:
    gradient = gradest.grad(loss, method=method)
    for _ in range(2):  # prepared inside, then prepared outside
        with pytest.raises(gradest.UnsupportedError, match="inside a transformation of jax"):
            jax.jit(lambda x: gradient(P, x))(X)
        assert np.isfinite(gradient(P, X, rng=0)["W"]).all()


def test_nothing_that_was_traced_is_kept() -> None:
    gradient = gradest.grad(loss, method="reverse")
    with jax.checking_leaks():
        jax.jit(gradient)(P, X)
    objective = gradest.bind(loss, P, X)
    prepared = gradest.get_estimator("reverse").prepare(objective)
    right = prepared(P).gradient["W"]
    jax.jit(lambda p, x: prepared(p, x).gradient)(P, 2 * X)
    assert np.array_equal(prepared(P).gradient["W"], right)  # the batch is the one from before


def test_a_call_without_a_batch_is_never_at_a_stand_in() -> None:
    case = gradest.Case(loss, P, (X,))
    gradient = gradest.grad(case, method="reverse")
    jax.jit(lambda x: gradient(P, x))(2 * X)
    assert np.allclose(gradient()["W"], jax.grad(loss)(P, X)["W"], rtol=1e-6)


def second_moment(p: dict[str, Any], key: Any) -> Any:
    return jnp.sum(p["W"] ** 2 * jax.random.normal(key, (4, 3)) ** 2)


@pytest.mark.parametrize("make", [jax.random.key, jax.random.PRNGKey], ids=["typed key", "raw key"])
def test_a_random_key_among_the_arguments_is_traced_too(make: Any) -> None:
    found = jax.jit(gradest.grad(second_moment, method="reverse"))(P, make(3))
    assert np.allclose(found["W"], jax.grad(second_moment)(P, make(3))["W"], rtol=1e-6)


@jax.tree_util.register_dataclass
@dataclass
class Weights:
    """Parameters in a class of the user's own."""

    w: Any


def test_parameters_in_a_registered_class_are_traced_too() -> None:
    def square(p: Weights) -> Any:
        return jnp.sum(p.w**2)

    assert np.array_equal(jax.jit(gradest.grad(square, method="reverse"))(Weights(jnp.ones(3))).w, 2 * np.ones(3))


def test_second_derivatives_by_forward_over_reverse() -> None:
    def cube(p: Any) -> Any:
        return jnp.sum(p**3)

    at = jnp.array([1.0, -2.0])
    assert np.allclose(jax.jacfwd(gradest.grad(cube, method="reverse"))(at), np.diag([6.0, -12.0]))


def test_another_form_under_jit_is_prepared_for() -> None:
    gradient = gradest.grad(loss, method="reverse")
    for columns in (3, 2):
        p = {"W": P["W"][:, :columns]}
        assert np.allclose(jax.jit(gradient)(p, X)["W"], jax.grad(loss)(p, X)["W"], rtol=1e-6)


@pytest.mark.parametrize("method", ["reverse", "analytic"])
def test_a_problem_composes(method: str) -> None:
    problem = gradest.get_problem("quadratic", size=3)
    gradient = gradest.grad(problem, method=method, backend="jax", dtype="float32")
    at = {"x": jnp.linspace(0.0, 1.0, 3)}
    assert np.array_equal(jax.jit(gradient)(at)["x"], gradient(at)["x"])


def test_an_estimator_called_at_once_composes() -> None:
    reverse, objective = gradest.get_estimator("reverse"), gradest.bind(loss, P, X)
    right = jax.grad(loss)(P, X)["W"]
    assert np.allclose(jax.jit(lambda p, x: reverse(loss, p, x).gradient)(P, X)["W"], right, rtol=1e-6)
    assert np.allclose(jax.jit(lambda p: reverse(objective, p).gradient)(P)["W"], right, rtol=1e-6)
    with pytest.raises(gradest.UnsupportedError, match="inside a transformation of jax"):
        jax.jit(lambda p: gradest.get_estimator("es")(objective, p).gradient)(P)


def test_binding_inside_a_transformation_says_what_to_do() -> None:
    with pytest.raises(gradest.UnsupportedError, match="bind it outside"):
        jax.jit(lambda p: gradest.bind(loss, p, X).start)(P)


def test_finiteness_is_asked_when_it_prepares_and_not_at_each_call() -> None:
    gradient = gradest.grad(loss, method="reverse")
    bad = {"W": P["W"].at[0, 0].set(jnp.nan)}
    with pytest.raises(gradest.NonFiniteError):
        gradient(bad, X)
    gradient(P, X)
    assert np.isnan(gradient(bad, X)["W"]).any()


def test_a_stateful_estimator_stays_outside() -> None:
    run = PlainResidualFeedback().prepare_run(gradest.bind(loss, P, X))
    state = run.init_state()
    for traced, at in ((lambda x: run(P, x, state=state), X), (lambda p: run(p, state=state), P)):
        with pytest.raises(gradest.UnsupportedError, match="it keeps a state"):
            jax.jit(traced)(at)
    assert np.isfinite(run(P, state=state, rng=0)[0].gradient["W"]).all()  # at the batch from before


@pytest.mark.parametrize("method", ["fd-central", "es", "forward", "complex-step"])
def test_a_traced_array_that_a_loss_closes_over_is_told(method: str) -> None:
    """Its parameters have values, and what it computes from them has none: this ended in JAX's own errors."""
    point = jnp.array([1.0, 2.0])

    def outer(scale: Any) -> Any:
        return jnp.sum(gradest.grad(lambda p: scale * jnp.sum(p**3), method=method)(point, rng=0))

    with pytest.raises(gradest.UnsupportedError, match="a transformation of jax"):
        jax.grad(outer)(2.0)
    with pytest.raises(gradest.UnsupportedError, match="inside a transformation of jax"):
        jax.jit(outer)(2.0)


def test_reverse_mode_goes_through_what_a_loss_closes_over() -> None:
    point = jnp.array([1.0, 2.0])
    found = jax.grad(lambda s: jnp.sum(gradest.grad(lambda p: s * jnp.sum(p**3))(point)))(2.0)
    assert float(found) == pytest.approx(3.0 * 5.0)  # the sum of 3 s p^2, by s
