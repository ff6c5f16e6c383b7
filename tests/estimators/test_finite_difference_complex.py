"""The complex step is exact to rounding where the loss is analytic, and refused where it cannot be had."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import gradest
from gradest.measurement.accuracy import compare_gradients
from gradest.measurement.reference import reference_gradient
from gradest.measurement.session import flat

COMPLEX_STEP = gradest.get_estimator("complex-step")


@pytest.mark.parametrize(
    ("backend", "dtype", "bar", "activation"),
    [
        ("numpy", "float64", 2e-15, "tanh"),
        ("numpy", "float32", 1e-6, "relu"),
        ("torch", "float64", 2e-15, "relu"),
        ("torch", "float32", 1e-6, "tanh"),
        ("jax", "float64", 2e-15, "relu"),
    ],
)
def test_it_reaches_rounding_on_backends_with_complex_arrays(
    backend: str, dtype: str, bar: float, activation: str
) -> None:
    problem = gradest.get_problem("mlp", widths=(4,), batch=8, bias=False, activation=activation)
    objective = gradest.bind(problem, backend=backend, dtype=dtype)
    estimate = COMPLEX_STEP.prepare(objective)()
    reference = reference_gradient(objective)
    assert compare_gradients(flat(objective, estimate), reference.gradient).relative_error < bar
    assert float(objective.backend.numpy(estimate.value)) == pytest.approx(float(reference.value), rel=100 * bar)
    assert objective.counts == COMPLEX_STEP.cost(objective.layout)


@pytest.mark.parametrize("activation", ["sigmoid", "softplus", "requ"])
def test_composed_activations_are_analytic(activation: str) -> None:
    objective = gradest.bind(gradest.get_problem("mlp", widths=(4,), batch=8, activation=activation))
    found = flat(objective, COMPLEX_STEP.prepare(objective)())
    assert compare_gradients(found, reference_gradient(objective).gradient).relative_error < 2e-15


def test_a_users_analytic_function_is_differentiated_to_rounding() -> None:
    params = np.array([0.3, -1.2, 2.0])
    params.flags.writeable = False

    def f(x: npt.NDArray[Any]) -> Any:
        return np.sin(x[0]) * np.exp(x[1]) + x[2] ** 3

    exact = [np.cos(0.3) * np.exp(-1.2), np.sin(0.3) * np.exp(-1.2), 12.0]
    estimate = COMPLEX_STEP(f, params)
    assert estimate.gradient.dtype == np.float64
    np.testing.assert_allclose(estimate.gradient, exact, rtol=4e-16)


def test_a_loss_that_drops_the_imaginary_part_is_refused() -> None:
    with pytest.raises(gradest.InvalidInputError, match="analytic"):
        COMPLEX_STEP(lambda x: np.abs(x).sum(), np.ones(2))


@pytest.mark.parametrize("backend", ["mxnet"])
def test_a_backend_without_complex_arrays_is_refused_when_prepared(backend: str) -> None:
    objective = gradest.bind(gradest.get_problem("rosenbrock"), backend=backend)
    with pytest.raises(gradest.UnsupportedError, match="complex"):
        COMPLEX_STEP.prepare(objective)


def test_what_a_users_function_cannot_do_with_complex_parameters_is_said() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    held = torch.ones((2, 2), dtype=torch.float64)
    params = torch.tensor([0.5, 0.25], dtype=torch.float64)
    with pytest.raises(gradest.UnsupportedError, match=r"does not take them .*RuntimeError.*as arguments"):
        COMPLEX_STEP(lambda p: (held @ p).sum(), params)
    estimate = COMPLEX_STEP(lambda p, x: ((x @ p) ** 2).sum(), params, held)
    np.testing.assert_allclose(estimate.gradient.numpy(), [3.0, 3.0], rtol=4e-16)


def test_of_a_long_error_the_first_line_is_told() -> None:
    def loss(p: Any) -> Any:
        if np.iscomplexobj(p):
            raise TypeError("the carry has another type\n\nRevise the function so that it has not")
        return np.sum(p**2)

    with pytest.raises(gradest.UnsupportedError, match="TypeError: the carry has another type") as raised:
        COMPLEX_STEP(loss, np.ones(2))
    assert "Revise" not in str(raised.value)
