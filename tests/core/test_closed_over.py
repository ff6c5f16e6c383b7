"""A loss that computes with what it closes over: a later call sees what it is then, compiled or not."""

import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest

import gradest
from gradest.closed_over import ClosedOver
from gradest.errors import InvalidInputError

SCALE = 2.0
BACKENDS = ("numpy", "jax", "torch", "mxnet")
P = np.array([1.0, 2.0])


def scaled(value: Any) -> Any:
    return SCALE * value


def of_the_module(p: Any) -> Any:
    return scaled((p**2).sum())


class Weighted:
    def __init__(self) -> None:
        self.weight = 1.0

    def __call__(self, p: Any) -> Any:
        return self.weight * self.squared(p)

    def squared(self, p: Any) -> Any:
        return (p**2).sum()


@pytest.mark.parametrize("method", ["reverse", "fd-central"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_array_that_is_closed_over_may_be_another_at_the_next_call(backend: str, method: str) -> None:
    kept: dict[str, Any] = {"x": gradest.get_backend(backend).array(P, dtype="float64")}
    x = kept["x"]
    by_cell = gradest.grad(lambda p: (x * p**2).sum(), method=method, backend=backend)
    by_container = gradest.grad(lambda p: (kept["x"] * p**2).sum(), method=method, backend=backend)
    for factor in (1.0, 5.0):
        kept["x"] = x = gradest.get_backend(backend).array(factor * P, dtype="float64")
        np.testing.assert_allclose(by_cell(P), 2 * factor * P**2, rtol=1e-6)
        np.testing.assert_allclose(by_container(P), 2 * factor * P**2, rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_so_may_a_variable_of_the_module_that_another_function_names(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    g = gradest.grad(of_the_module, backend=backend)
    np.testing.assert_allclose(g(P), 4 * P)
    monkeypatch.setattr(f"{__name__}.SCALE", 3.0)
    np.testing.assert_allclose(g(P), 6 * P)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["callable", "named", "partial", "has_aux"])
def test_so_may_an_attribute(backend: str, kind: str) -> None:
    loss = Weighted()
    f: Any = {
        "callable": loss,
        "named": lambda p: loss.weight * loss.squared(p),
        "partial": partial(lambda p, weighted: weighted.weight * weighted.squared(p), weighted=loss),
        "has_aux": lambda p: (loss(p), None),
    }[kind]
    g = gradest.value_and_grad(f, backend=backend, has_aux=kind == "has_aux")
    for weight in (1.0, 4.0):
        loss.weight = weight
        np.testing.assert_allclose(g(P)[1], 2 * weight * P)


def test_a_loss_that_counts_its_calls_is_compiled_once() -> None:
    jax = pytest.importorskip("jax", reason="pip install 'gradest[jax]'")
    calls, step = [0], 0

    def loss(p: Any) -> Any:
        calls[0] += 1
        return (p**2).sum()

    g = gradest.grad(loss)
    for step in range(3):  # noqa: B007  # the loss names no `step`
        g(jax.numpy.ones(2))
    assert calls == [1]


def test_what_changes_is_told_from_what_does_not() -> None:
    own: list[Any] = [1.0, P]
    own.append(own)  # a container that holds itself
    looked = ClosedOver(lambda p: own[0] * p)
    before = looked.values()
    assert before == looked.values()
    own[0] = float("1.0")  # an equal number
    assert before == looked.values()
    own[1] = P.copy()
    assert before != looked.values()


def test_a_gradient_function_is_sent_to_another_process_after_a_call() -> None:
    g = gradest.grad(of_the_module, method="fd-central")
    g(P)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(g))(P), 4 * P, rtol=1e-6)


@pytest.mark.parametrize("method", ["forward", "forward-gradient"])
def test_an_array_that_is_kept_from_one_trace_for_the_next_is_told_in_words(method: str) -> None:
    jax = pytest.importorskip("jax", reason="pip install 'gradest[jax]'")
    kept: list[Any] = []

    def loss(p: Any) -> Any:
        kept.append(p)
        return (kept[0] * p).sum()

    with pytest.raises(InvalidInputError, match="keeps an array of an earlier call"):
        gradest.grad(loss, method=method)(jax.numpy.ones(2), rng=0)
