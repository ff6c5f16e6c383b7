"""The complex step at exact kinks and ties gives the slope that the operations' conventions state, on every backend."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from support.backend_cases import dtype_scope

import gradest
from gradest import Problem
from gradest.measurement.session import flat

BACKENDS = [name for name in ("numpy", "jax", "torch") if find_spec(name) is not None]
CASES = [(b, k) for b in BACKENDS for k in gradest.get_backend(b).kernels]

Loss = Callable[[Any, Any, Any], Any]
X = np.array([0.0, -0.0, 1.5, -2.0])

KINKS: dict[str, tuple[Loss, list[float]]] = {
    # of x, and of y = x moved by nothing: what the conventions say of the derivative by x at 0, -0, 1.5, -2
    "relu": (lambda ops, x, y: ops.relu(x), [0, 0, 1, 0]),
    "abs": (lambda ops, x, y: ops.abs(x), [0, 0, 1, -1]),
    "maximum with 0": (lambda ops, x, y: ops.maximum(x, 0.0), [0, 0, 1, 0]),
    "maximum with zeros": (lambda ops, x, y: ops.maximum(x, ops.zeros_like(x)), [0, 0, 1, 0]),
    "maximum, tie with data": (lambda ops, x, y: ops.maximum(x, y), [0, 0, 0, 0]),  # a tie is the second's
    "maximum, the second": (lambda ops, x, y: ops.maximum(y, x), [1, 1, 1, 1]),
    "maximum of opposites": (lambda ops, x, y: ops.maximum(x, -x), [-1, -1, 1, -1]),
    "where": (lambda ops, x, y: ops.where(ops.greater(x, 0.0), 3.0 * x, 5.0 * x), [5, 5, 3, 5]),
    "where, tie with data": (lambda ops, x, y: ops.where(ops.greater(x, y), 3.0 * x, 5.0 * x), [5, 5, 5, 5]),
    "where, the second": (lambda ops, x, y: ops.where(ops.greater(y, x), 3.0 * x, 5.0 * x), [5, 5, 5, 5]),
    "softplus": (lambda ops, x, y: ops.softplus(x), list(1 / (1 + np.exp(-X)))),
}
MAXIMA: dict[str, tuple[list[list[float]], list[list[float]]]] = {
    # tied entries share the derivative equally
    "no tie": ([[1, 2], [4, 3]], [[0, 1], [1, 0]]),
    "two": ([[2, 2], [-1, -1]], [[0.5, 0.5], [0.5, 0.5]]),
    "zeros of both signs": ([[0.0, -0.0], [-0.0, 0.0]], [[0.5, 0.5], [0.5, 0.5]]),
    "three of four": ([[7, 7, 1, 7]], [[1 / 3, 1 / 3, 0, 1 / 3]]),
    "a mask": ([[-np.inf, 1, 1]], [[0, 0.5, 0.5]]),
}


@dataclass(frozen=True, eq=False)
class Kink(Problem):
    """A sum of one operation at a point."""

    name = "test-kink"
    operation: Loss
    at: np.ndarray = field(default_factory=lambda: X)

    def parameters(self) -> dict[str, np.ndarray]:
        return {"x": np.where(np.isfinite(self.at), self.at, 0.0)}

    def data(self) -> dict[str, np.ndarray]:
        return {"x": self.at.copy(), "mask": np.where(np.isfinite(self.at), 0.0, self.at)}

    def loss(self, ops: Any, params: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
        values = self.operation(ops, params["x"] + data["mask"], data["x"])
        return ops.sum(values, axis=tuple(range(-self.at.ndim, 0)))


def slopes(problem: Problem, backend: str, kernel: str, estimator: str = "complex-step") -> np.ndarray:
    objective = gradest.bind(problem, backend=backend, kernel=kernel)
    return flat(objective, gradest.get_estimator(estimator).prepare(objective)())


@pytest.mark.parametrize(("backend", "kernel"), CASES)
@pytest.mark.parametrize("name", KINKS)
def test_slope_at_a_kink(name: str, backend: str, kernel: str) -> None:
    operation, right = KINKS[name]
    np.testing.assert_allclose(slopes(Kink(operation), backend, kernel), right, rtol=1e-15)


@pytest.mark.parametrize(("backend", "kernel"), CASES)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", MAXIMA)
def test_slope_of_a_maximum_along_an_axis(name: str, keepdims: bool, backend: str, kernel: str) -> None:
    at, right = (np.array(x, dtype=float) for x in MAXIMA[name])

    def spread(ops: Any, x: Any, y: Any) -> Any:
        largest = ops.max(x, axis=-1, keepdims=keepdims)
        return ops.zeros_like(y) + (largest if keepdims else ops.expand_dims(largest, axis=-1))

    found = slopes(Kink(spread, at), backend, kernel).reshape(at.shape)
    np.testing.assert_allclose(found, at.shape[1] * right, rtol=1e-15)


@pytest.mark.parametrize("name", KINKS)
def test_the_interpreters_have_the_same_conventions(name: str) -> None:
    for estimator in ("forward", "reverse"):
        np.testing.assert_allclose(
            slopes(Kink(KINKS[name][0]), "numpy", "native", estimator), KINKS[name][1], rtol=1e-15
        )


@pytest.mark.parametrize(("backend", "kernel"), CASES)
def test_a_relu_network_of_zeros_has_gradient_zero_in_its_hidden_layer(backend: str, kernel: str) -> None:
    @dataclass(frozen=True, eq=False)
    class Zeros(type(gradest.get_problem("mlp"))):  # type: ignore[misc]  # a problem's class, found by name
        def parameters(self) -> dict[str, np.ndarray]:
            return {name: 0 * block for name, block in super().parameters().items()}

    problem = Zeros(widths=(4,), batch=8, activation="relu")
    found, right = (slopes(problem, backend, kernel, name) for name in ("complex-step", "analytic"))
    assert not found[: problem.layout.offsets[2]].any()
    np.testing.assert_allclose(found, right, atol=1e-16)


@pytest.mark.parametrize(("backend", "kernel"), CASES)
@pytest.mark.parametrize("name", ["abs", "maximum"])
def test_nan_is_not_lost_in_a_comparison_of_complex_numbers(name: str, backend: str, kernel: str) -> None:
    framework, ops = gradest.get_backend(backend), gradest.get_backend(backend).operations(kernel)
    with dtype_scope(framework, "float64"):
        x = framework.array(np.array([np.nan, 1.0]), dtype="float64") + 0j
        found = framework.numpy(ops.abs(x) if name == "abs" else ops.maximum(x, 0.0))
    assert np.isnan(found).tolist() == [True, False]
