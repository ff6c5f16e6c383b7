"""Parameters of every framework become one vector and come back; slopes along directions equal the gradient's."""

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

import gradest

BACKENDS = [name for name in ("numpy", "jax", "torch", "mxnet") if find_spec(name) is not None]


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_pytree_comes_back_as_it_was(name: str, dtype: str) -> None:
    backend = gradest.get_backend(name)
    values = [np.array([[1.5, -2.25], [0.1, 3.0]]), np.array(7.0)]
    with backend.scope(dtype) or gradest.get_backend("numpy").scope(dtype) or nothing():
        w, b = (backend.array(v, dtype=dtype) for v in values)
        vector, unravel = gradest.ravel({"b": [b], "act": "relu", "w": w})
        assert vector.dtype == np.float64
        assert vector.tolist() == [7.0, *values[0].astype(dtype).astype("float64").ravel().tolist()]
        back = unravel(2 * vector)
    assert back["act"] == "relu"
    assert backend.owns(back["w"])
    assert backend.dtype(back["w"]) == dtype
    assert np.asarray(backend.numpy(back["w"])).tolist() == (2 * values[0].astype(dtype)).tolist()
    assert tuple(back["b"][0].shape) == ()
    with pytest.raises(gradest.InvalidInputError, match=r"shape \(5,\) was asked for"):
        unravel(vector[:4])


def nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


@pytest.mark.skipif("torch" not in BACKENDS, reason="PyTorch is not installed: pip install 'gradest[torch]'")
def test_a_module_is_fitted_by_scipy() -> None:
    """A least-squares fit, by BFGS on the vector, is the solution of the normal equations."""
    import torch

    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((20, 3)), generator.standard_normal(20)
    model = torch.nn.Linear(3, 1).double()
    start, unravel = gradest.ravel(model)
    loss = gradest.value_and_grad(lambda m, x, y: (m(x)[:, 0] - y).square().mean())

    def of_vector(vector: np.ndarray) -> tuple[float, np.ndarray]:
        gradest.assign(model, parameters=unravel(vector))
        value, gradient = loss(model, torch.tensor(x), torch.tensor(y))
        return float(value), gradest.ravel(gradient)[0]

    found = minimize(of_vector, start, jac=True, options={"gtol": 1e-9})
    exact = np.linalg.lstsq(np.column_stack([x, np.ones(20)]), y, rcond=None)[0]
    np.testing.assert_allclose(found.x, exact, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("method", ["forward", "complex-step", "fd-richardson", "fd-central"])
def test_a_slope_is_the_gradient_times_the_direction(name: str, method: str) -> None:
    problem = gradest.get_problem("logsumexp")
    objective = gradest.bind(problem, backend=name, dtype="float64")
    v = np.random.default_rng(3).standard_normal(objective.layout.num_parameters)
    make = objective.scoped(lambda a: objective.backend.array(a, dtype="float64"))
    if method == "complex-step" and name == "mxnet":
        with pytest.raises(gradest.UnsupportedError, match="no complex arrays"):
            gradest.directional_derivative(objective, None, {objective.layout.names[0]: make(v)}, method=method)
        return
    found = gradest.directional_derivative(objective, None, {objective.layout.names[0]: make(v)}, method=method)
    (x,) = problem.parameters().values()
    p = np.exp(x - x.max())
    exact = float(p @ v / p.sum())
    assert abs(found.slope - exact) < (1e-14 if method in ("forward", "complex-step") else 1e-8)
    assert found.path.startswith(method)
    assert found.value == pytest.approx(float(np.log(np.sum(np.exp(x)))), rel=1e-14)
    if method == "fd-richardson":
        assert found.error is not None
        assert abs(found.slope - exact) <= 10 * found.error + 1e-13


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_differences_do_not_depend_on_the_length_of_the_direction(scale: float) -> None:
    """The slope is proportional to the direction, whatever its length; and a zero direction has slope 0."""
    x, v = np.array([0.5, -1.0, 2.0]), np.array([1.0, 2.0, -1.0])
    found = gradest.directional_derivative(lambda p: float(np.sum(np.exp(p))), x, scale * v)
    assert found.slope == pytest.approx(scale * float(np.exp(x) @ v), rel=1e-8)
    assert gradest.directional_derivative(lambda p: float(np.sum(p)), x, 0 * v).slope == 0.0


@pytest.mark.parametrize("name", [n for n in ("numpy", "jax", "torch") if n in BACKENDS])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", [1e-6, 1.0, 1e6])
def test_the_complex_step_is_exact_along_a_direction_of_any_length(name: str, dtype: str, length: float) -> None:
    backend = gradest.get_backend(name)
    x, v = np.array([0.5, -1.0, 2.0]), length * np.array([1.0, 2.0, -1.0])
    with backend.scope(dtype) or nothing():
        at, along, scale = (backend.array(a, dtype=dtype) for a in (x, v, np.array([2.0, 0.5, 1.0])))
    objective = gradest.bind(lambda p, s: (s * p**3).sum(), at, scale)
    found = gradest.directional_derivative(objective, None, along, method="complex-step")
    exact = float(3 * (np.array([2.0, 0.5, 1.0]) * x**2) @ v)
    assert found.slope == pytest.approx(exact, rel=2e-6 if dtype == "float32" else 1e-14)
    assert (found.path, found.error) == ("complex-step", None)
    assert found.value == pytest.approx(float((np.array([2.0, 0.5, 1.0]) * x**3).sum()), rel=1e-6)


@pytest.mark.parametrize("loss", [lambda p: np.vdot(p, p), lambda p: np.linalg.norm(p) ** 2 + 0 * p.sum()])
def test_the_complex_step_along_a_direction_is_refused_where_a_loss_is_not_analytic(loss: Any) -> None:
    x, v = np.array([-2.0, 3.0]), np.array([1.0, 0.5])
    with pytest.raises(gradest.InvalidInputError, match="asks for an analytic loss"):
        gradest.directional_derivative(loss, x, v, method="complex-step")
    zero = gradest.directional_derivative(lambda p: np.exp(p).sum(), x, 0 * v, method="complex-step")
    assert zero.slope == 0.0
    with pytest.raises(gradest.UnsupportedError, match="complex parameters"):
        gradest.directional_derivative(lambda p: float(p @ p), x, v, method="complex-step")


@pytest.mark.parametrize("name", [n for n in ("jax", "torch") if n in BACKENDS])
def test_a_users_function_goes_by_the_frameworks_forward_mode(name: str) -> None:
    backend = gradest.get_backend(name)
    x, v = (backend.array(np.array(a), dtype="float32") for a in ([1.0, 2.0], [3.0, -1.0]))
    found = gradest.directional_derivative(lambda p, k: k * (p * p).sum(), x, v, 2.0)
    assert (found.value, found.slope, found.path) == (10.0, 4.0, "forward, native")


def test_wrong_use_is_told() -> None:
    def f(p: np.ndarray) -> float:
        return float(np.sum(p))

    with pytest.raises(gradest.InvalidInputError, match="method must be one of"):
        gradest.directional_derivative(f, np.ones(2), np.ones(2), method="es")
    with pytest.raises(gradest.PreparationMismatchError):
        gradest.directional_derivative(f, np.ones(2), np.ones(3))
    with pytest.raises(gradest.NonFiniteError):
        gradest.directional_derivative(f, np.ones(2), np.array([1.0, np.nan]))
    with pytest.raises(gradest.UnsupportedError):
        gradest.directional_derivative(f, np.ones(2), np.ones(2), method="forward")
