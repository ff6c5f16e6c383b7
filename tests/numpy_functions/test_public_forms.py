"""NumPy functions through the public forms: every estimator that needs a derivative, and a user's own rules."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import InvalidInputError, UnsupportedError

X = np.array([0.5, 1.5, -0.7])


def loss(p: Any) -> Any:
    return np.sum(np.sin(p) * p)


def slope(x: np.ndarray) -> np.ndarray:
    return np.sin(x) + x * np.cos(x)


def test_reverse_mode_is_what_nobody_has_to_ask_for() -> None:
    np.testing.assert_allclose(gradest.grad(loss)(X), slope(X), rtol=1e-15)
    estimate = gradest.get_estimator("reverse")(loss, X)
    assert (estimate.path, str(estimate.cost)) == ("native", "1 VJP")
    assert gradest.get_estimator("reverse")(gradest.get_problem("rosenbrock")).path == "gradest"


@pytest.mark.parametrize("method", ["reverse", "forward"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "longdouble"])
def test_each_leaf_has_a_gradient_of_its_own_dtype(method: str, dtype: str) -> None:
    params = {"a": X.astype(dtype), "b": [np.float64(2.0), np.array(3.0, np.float32)], "name": "text"}
    found = gradest.grad(lambda p: np.sum(np.sin(p["a"])) * p["b"][0] * p["b"][1], method=method)(params)
    assert found["a"].dtype == np.dtype(dtype)
    assert found["name"] is None
    assert [g.dtype.name for g in found["b"]] == ["float64", "float32"]
    np.testing.assert_allclose(found["a"].astype(float), 6 * np.cos(X), rtol=4 * float(np.finfo(dtype).eps) + 1e-15)


def test_a_gradient_inside_a_function_that_is_differentiated() -> None:
    inner = gradest.grad(lambda y: np.sum(y**3))
    for method in ("reverse", "forward"):
        np.testing.assert_allclose(gradest.grad(lambda p: np.sum(inner(p) ** 2), method=method)(X), 36 * X**3)
        # Of what is differentiated around it the inner function only closes over.
        outer = gradest.grad(lambda p: np.sum(gradest.grad(lambda y: np.sum(p * y**3))(np.ones(3)) ** 2), method=method)
        np.testing.assert_allclose(outer(X), 18 * X)


def test_a_gradient_by_differences_inside_is_refused() -> None:
    for inner in (gradest.grad(loss, method="fd-central"), lambda p: gradest.grad(lambda y: np.sum(p * y), method="es")(
        np.ones(3), rng=0)):  # fmt: skip
        with pytest.raises(UnsupportedError, match=r"'reverse'|derivative would be lost"):
            gradest.grad(lambda p, inner=inner: np.sum(inner(p)))(X)


def test_threads_inside_a_loss_take_gradients_of_their_own() -> None:
    """An inner gradient in another thread is inner all the same."""

    def outer(p: Any) -> Any:
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda c: gradest.grad(lambda y: np.sum(c * p * y**2))(np.ones(3)), (1.0, 2.0)))
        return np.sum(found[0] * found[1])

    np.testing.assert_allclose(gradest.grad(outer)(X), 16 * X)


def test_the_border_keeps_inputs_and_returns_structure() -> None:
    x, batch = X.copy(), np.array([1.0, 2.0, 3.0])
    value_and_grad = gradest.value_and_grad(lambda b, p: (np.sum(b * p), p), argnums=1, has_aux=True)
    (value, aux), gradient = value_and_grad(batch, x)
    assert value == pytest.approx(np.sum(batch * X))
    np.testing.assert_array_equal(aux, X)
    np.testing.assert_array_equal(gradient, batch)
    gradient[0] = 99.0
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(batch, [1.0, 2.0, 3.0])

    def writes(p: Any, b: Any) -> Any:
        b += 1.0
        return np.sum(p * b)

    for method in ("reverse", "forward"):
        with pytest.raises(InvalidInputError, match="writes into its parameters or arguments"):
            gradest.grad(writes, method=method)(X, batch)


@pytest.mark.parametrize("function", [memoryview, lambda p: range(p[0]), lambda p: bytes(p) and p.sum()])
def test_what_takes_plain_numbers_alone_is_told_apart_from_a_users_own_error(function: Callable[[Any], Any]) -> None:
    with pytest.raises(UnsupportedError, match=r"takes plain numbers|derivative would be lost"):
        gradest.grad(function)(X)
    with pytest.raises(KeyError, match="mine"):
        gradest.grad(lambda p: p.sum() * {"yours": 1.0}["mine"])(X)


@pytest.fixture
def cube() -> Any:
    @gradest.primitive
    def cubed(x: Any) -> Any:
        return np.array([entry**3 for entry in x.tolist()])

    gradest.defvjp(cubed, lambda ans, x: lambda g: 3 * g * x**2)
    gradest.defjvp(cubed, lambda g, ans, x: 3 * g * x**2)
    return cubed


@pytest.mark.parametrize("method", ["reverse", "forward", "fd-central", "complex-step"])
def test_a_primitive_by_every_method(cube: Any, method: str) -> None:
    np.testing.assert_allclose(gradest.grad(lambda p: np.sum(cube(p)), method=method)(X), 3 * X**2, rtol=1e-8)


def test_a_wrong_rule_differs_from_differences_by_more_than_they_err(cube: Any) -> None:
    by_differences = gradest.grad(lambda p: np.sum(cube(p)), method="fd-central")(X)
    assert np.allclose(gradest.grad(lambda p: np.sum(cube(p)))(X), by_differences, rtol=1e-7)
    gradest.defvjp(cube, lambda ans, x: lambda g: 3.001 * g * x**2)
    assert not np.allclose(gradest.grad(lambda p: np.sum(cube(p)))(X), by_differences, rtol=1e-7)


def test_the_list_of_rules_is_of_150_functions_and_more() -> None:
    names = gradest.get_backend("numpy").differentiable()
    assert len(set(names)) == len(names) >= 150
    assert {"numpy.einsum", "numpy.linalg.cholesky", "scipy.special.expit"} <= set(names)
