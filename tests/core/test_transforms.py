"""`grad` and `value_and_grad`: any method, prepared once, a new batch at each call."""

from typing import Any

import numpy as np
import pytest

import gradest
from gradest import InvalidInputError, NonFiniteError, NonFiniteWarning, UnknownNameError


def loss(params: dict[str, Any], x: Any, scale: float = 1.0) -> Any:
    return scale * ((x @ params["w"]) ** 2).sum()


W, X = np.array([1.0, -2.0, 0.5]), np.arange(12.0).reshape(4, 3)
EXACT = 2 * X.T @ X @ W


@pytest.mark.parametrize("method", ["fd-central", "fd-richardson", "complex-step"])
def test_numpy_functions(method: str) -> None:
    value, gradient = gradest.value_and_grad(loss, method=method)({"w": W}, X)
    np.testing.assert_allclose(gradient["w"], EXACT, rtol=1e-7)
    assert float(value) == pytest.approx(((X @ W) ** 2).sum())


def test_a_new_batch_is_not_prepared_for_again() -> None:
    traced = []

    def traced_loss(params: dict[str, Any], x: Any) -> Any:
        traced.append(1)
        return loss(params, x)

    jnp = pytest.importorskip("jax.numpy", reason="JAX counts how often a loss is traced")
    gradient = gradest.grad(traced_loss, method="reverse")
    for factor in (1.0, 2.0, 3.0):
        batch = jnp.asarray(factor * X, dtype="float32")
        found = gradient({"w": jnp.asarray(W, dtype="float32")}, batch)
        np.testing.assert_allclose(found["w"], factor**2 * EXACT, rtol=1e-5)
    assert len(traced) == 1


def test_another_form_is_prepared_for() -> None:
    torch = pytest.importorskip("torch", reason="reverse mode of a user's function is a framework's own")
    gradient = gradest.grad(loss, method="reverse")
    for rows in (4, 2, 4):
        found = gradient({"w": torch.tensor(W)}, torch.tensor(X[:rows]))
        np.testing.assert_allclose(found["w"], 2 * X[:rows].T @ X[:rows] @ W, rtol=1e-12)
    doubled = gradient({"w": torch.tensor(W)}, torch.tensor(X), 2.0)
    np.testing.assert_allclose(doubled["w"], 2 * EXACT, rtol=1e-12)


def test_another_module_of_the_same_form_is_another_model() -> None:
    torch = pytest.importorskip("torch", reason="the model is a module of PyTorch")

    def module_loss(module: Any, x: Any) -> Any:
        return (module.factor * module(x)).sum()

    gradient = gradest.grad(module_loss, method="reverse")
    for factor in (1.0, 3.0):
        module = torch.nn.Linear(3, 1)
        module.factor = factor
        found = gradient(module, torch.tensor(X, dtype=torch.float32))
        np.testing.assert_allclose(found["weight"][0], factor * X.sum(axis=0))


def test_parameters_are_asked_to_be_finite_when_it_prepares() -> None:
    bad = {"w": np.array([1.0, np.nan, 0.0])}
    gradient = gradest.grad(loss, method="fd-central")
    with pytest.raises(NonFiniteError):
        gradient(bad, X)
    gradient({"w": W}, X)
    with pytest.warns(NonFiniteWarning, match="6 of 6"):
        assert np.isnan(gradient(bad, X)["w"]).any()
    with pytest.raises(NonFiniteError):
        gradest.grad(gradest.bind(loss, {"w": W}, X), method="fd-central")(bad)


def test_an_objective_takes_the_arguments_of_the_first_call_too() -> None:
    gradient = gradest.grad(gradest.bind(loss, {"w": W}, X), method="fd-central")
    for factor in (2.0, 3.0):
        np.testing.assert_allclose(gradient({"w": W}, factor * X)["w"], factor**2 * EXACT, rtol=1e-7)
    estimate = gradest.get_estimator("fd-central")(gradest.bind(loss, {"w": W}, X), {"w": W}, 2.0 * X)
    np.testing.assert_allclose(estimate.gradient["w"], 4 * EXACT, rtol=1e-7)


def test_what_is_bound_is_not_bound_otherwise() -> None:
    objective = gradest.bind(loss, {"w": W}, X)
    assert gradest.bind(objective) is objective
    with pytest.raises(InvalidInputError, match="params, dtype were given with an Objective"):
        gradest.bind(objective, {"w": W}, dtype="float32")


def test_parameters_are_taken_apart_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    numpy_backend = type(gradest.get_backend("numpy"))
    flatten = numpy_backend.flatten

    def counted(self: gradest.Backend, tree: Any) -> Any:
        taken.append(tree)
        return flatten(self, tree)

    monkeypatch.setattr(numpy_backend, "flatten", counted)
    params = {"nested": {"w": W}}  # a flat dict would need no walk at all
    gradient = gradest.grad(lambda p: (p["nested"]["w"] ** 2).sum(), method="fd-central")
    gradient(params)
    taken.clear()
    gradient(params)
    assert len(taken) == 1


def test_problems_and_estimators() -> None:
    problem = gradest.get_problem("cubic-graph")
    assert gradest.grad(problem, method=gradest.get_estimator("analytic"), backend="numpy")()["x"] == 24.0
    with pytest.raises(InvalidInputError, match="other data by name"):
        gradest.get_estimator("analytic").prepare(gradest.bind(problem))(None, X)


def test_unknown_methods_and_options_are_refused_at_once() -> None:
    with pytest.raises(UnknownNameError):
        gradest.grad(loss, method="fd-cental")
    with pytest.raises(UnknownNameError, match="sigma"):
        gradest.grad(loss, method="es", sigmma=0.1)
    with pytest.raises(InvalidInputError, match="own"):
        gradest.grad(loss, method=gradest.get_estimator("reverse"), sigma=0.1)
