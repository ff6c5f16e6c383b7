"""Finite differences approximate the gradient as theory says, on every backend; judged in extended precision."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import approx_fprime
from support.turns import shared_by_two

import gradest
from gradest.estimators.finite_difference import FiniteDifference
from gradest.measurement.accuracy import compare_gradients
from gradest.measurement.reference import reference_gradient
from gradest.measurement.session import flat

SMOOTH = ("tanh", "sigmoid", "softplus", "requ")
BACKENDS = ("numpy", "jax", "torch", "mxnet")


def bound(backend: str = "numpy", dtype: str = "float64", **fields: Any) -> gradest.Objective:
    return gradest.bind(gradest.get_problem("mlp", **fields), backend=backend, dtype=dtype)


def small(backend: str, dtype: str = "float64", **fields: Any) -> gradest.Objective:
    """Two blocks and not four: XLA compiles a step for each."""
    return bound(backend, dtype, widths=(4,), batch=8, bias=False, **fields)


def error_of(estimator: gradest.Estimator, objective: gradest.Objective) -> float:
    found = flat(objective, estimator.prepare(objective)(rng=0))
    return compare_gradients(found, reference_gradient(objective).gradient).relative_error


@pytest.mark.parametrize(("path", "activation"), [("black-box", "tanh"), *(("structured", name) for name in SMOOTH)])
def test_central_differences_reach_1e_8_in_float64(path: str, activation: str) -> None:
    assert error_of(FiniteDifference(path=path), bound(activation=activation)) < 1e-8


@pytest.mark.parametrize("activation", SMOOTH)
@pytest.mark.parametrize(("dtype", "bar"), [("float64", 1e-14), ("float32", 1e-6)])
def test_exact_differences_reach_rounding(activation: str, dtype: str, bar: float) -> None:
    objective = bound(dtype=dtype, activation=activation)
    assert error_of(gradest.get_estimator("fd-exact"), objective) < bar


@pytest.mark.parametrize("scheme", ["forward", "backward", "central"])
def test_in_float32_a_step_of_1e_6_ruins_plain_differences_and_not_exact_ones(scheme: str) -> None:
    objective = bound(dtype="float32", activation="tanh")
    exact = FiniteDifference(scheme=scheme, differences="exact", step=1e-6)
    assert error_of(exact, objective) < 1e-6
    with pytest.warns(gradest.FlatLossWarning, match="by less than its rounding"):
        assert error_of(FiniteDifference(scheme=scheme, step=1e-6), objective) > 0.1


ACCURATE = [("fd-central", "float64", 1e-8), ("fd-exact", "float32", 1e-6)]


@pytest.mark.parametrize(
    ("backend", "name", "dtype", "bar"),
    [
        *((backend, *scheme) for backend in BACKENDS if backend != "jax" for scheme in ACCURATE),
        *(("jax", *scheme) for scheme in shared_by_two(ACCURATE)),
    ],
)
def test_every_backend_reaches_the_accuracy_of_the_scheme(backend: str, name: str, dtype: str, bar: float) -> None:
    assert error_of(gradest.get_estimator(name), small(backend, dtype)) < bar


@pytest.mark.parametrize("backend", BACKENDS)
def test_black_box_and_structured_paths_agree_to_rounding(backend: str) -> None:
    objective = small(backend)
    black_box, structured = (
        flat(objective, FiniteDifference(path=path).prepare(objective)()) for path in ("black-box", "structured")
    )
    assert compare_gradients(structured, black_box).relative_error < 1e-8


def test_forward_differences_equal_those_of_scipy() -> None:
    problem = gradest.get_problem("rosenbrock", size=7)
    objective = gradest.bind(problem)
    start = problem.parameters()["x"]
    step = 2.0**-20

    def loss(x: npt.NDArray[Any]) -> Any:
        return objective.prepare_value()((x,))

    estimator = FiniteDifference(scheme="forward", step=step, step_mode="absolute", path="black-box")
    found = flat(objective, estimator.prepare(objective)())
    np.testing.assert_allclose(found, approx_fprime(start, loss, step), rtol=1e-6)


def test_a_polynomial_of_degree_four_is_exact_to_rounding_from_order_four_on() -> None:
    params = np.array([0.7, -1.2])

    def quartic(x: npt.NDArray[Any]) -> Any:
        return x[0] ** 4 - 3 * x[0] * x[1] ** 3

    exact = np.array([4 * 0.7**3 - 3 * (-1.2) ** 3, -9 * 0.7 * 1.44])
    for order, bar in ((2, 1e-2), (4, 1e-12), (6, 1e-12)):
        error = np.abs(FiniteDifference(order=order, step=0.05)(quartic, params).gradient - exact).max()
        assert error < bar
        assert order > 2 or error > 1e-3


@pytest.mark.parametrize("levels", [2, 3, 4])
def test_richardson_estimates_its_own_error(levels: int) -> None:
    objective = small("numpy", activation="tanh")
    estimate = gradest.get_estimator("fd-richardson", levels=levels).prepare(objective)()
    reference = reference_gradient(objective).gradient
    blocks = objective.backend.flatten(estimate.error)[0]
    claimed = np.asarray(objective.layout.flatten(blocks), dtype=np.float64)
    actual = np.abs(flat(objective, estimate) - reference.astype(np.float64))
    assert np.mean(actual <= claimed) > 0.99
    assert np.linalg.norm(claimed) < 1e-5 * np.linalg.norm(reference)


def test_richardson_is_more_accurate_than_the_central_differences_that_it_extrapolates() -> None:
    objective = small("numpy")
    errors = [error_of(gradest.get_estimator(name), objective) for name in ("fd-central", "fd-richardson")]
    assert errors[1] < 0.1 * errors[0]
