"""Every problem keeps the laws of `Problem`: one text, population axes, a closed form that is the gradient."""

from typing import Any

import numpy as np
import pytest
from support.turns import is_in_turn

import gradest
from gradest import (
    InvalidInputError,
    InvalidTypeError,
    NonFiniteError,
    UnknownNameError,
    bind,
    get_backend,
    get_estimator,
    get_problem,
)
from gradest.datasets import from_arrays
from gradest.problem import Problem
from gradest.problems.mlp import ACTIVATIONS, MLP
from gradest.problems.quadratic import Quadratic
from gradest.testing import check_problem, raise_on_failure

PROBLEMS: list[Problem] = [
    *(get_problem("mlp", activation=activation) for activation in ACTIVATIONS),
    get_problem("mlp", widths=(16, 12, 8), bias=False, batch=1),
    get_problem("mlp", widths=(8,), dataset="iris", batch=None),
    get_problem("softmax-regression"),
    get_problem("least-squares"),
    get_problem("polynomial-regression", degree=8),
    get_problem("quadratic", size=12, condition=1e4, offset=3.0),
    get_problem("quadratic", size=5, condition=0),
    get_problem("rosenbrock"),
    get_problem("logsumexp", scale=30.0),
    get_problem("cubic-graph"),
    get_problem("log-graph"),
]
BACKENDS = ("numpy", "jax", "torch", "mxnet")


@pytest.mark.parametrize("problem", PROBLEMS, ids=repr)
def test_every_problem_keeps_the_laws(problem: Problem) -> None:
    raise_on_failure(check_problem(problem))


@pytest.mark.parametrize("problem", PROBLEMS, ids=repr)
@pytest.mark.parametrize("backend", BACKENDS)
def test_one_text_gives_the_same_loss_on_every_backend(problem: Problem, backend: str) -> None:
    expected: Any = problem.loss(get_backend("numpy").operations(), problem.parameters(), problem.data())
    objective = bind(problem, backend=backend)
    value = objective.prepare_value()(objective.start)
    assert float(objective.backend.numpy(value)) == pytest.approx(float(expected), rel=4e-15)


def test_scalar_graphs_have_the_known_gradients() -> None:
    ops = get_backend("numpy").operations()
    for name, value, slope in (("cubic-graph", 20.0, (24.0, 4.0)), ("log-graph", np.log(2) + 21.0, (12.5, 10.0))):
        problem = get_problem(name)
        found, gradient = problem.loss_and_gradient(ops, problem.parameters(), problem.data())
        assert float(np.asarray(found)) == pytest.approx(value, rel=1e-15)
        assert np.array_equal([np.asarray(gradient["x"]), np.asarray(gradient["y"])], slope)


def test_quadratic_has_the_conditioning_it_states() -> None:
    eigenvalues = np.linalg.eigvalsh(Quadratic(size=30, condition=1000.0).data()["H"])
    assert eigenvalues[0] == pytest.approx(1.0)
    assert eigenvalues[-1] == pytest.approx(1000.0)


@pytest.mark.parametrize(
    ("name", "fields", "error"),
    [
        ("mlp", {"activation": "tnah"}, UnknownNameError),
        ("mlp", {"widths": (0,)}, InvalidInputError),
        ("mlp", {"width": 3}, UnknownNameError),
        ("least-squares", {"num_samples": 0}, InvalidInputError),
        ("quadratic", {"condition": 0.5}, InvalidInputError),
        ("rosenbrock", {"size": 1}, InvalidInputError),
        ("log-graph", {"x": -1.0}, InvalidInputError),
        ("softmax-regression", {"widths": (3,)}, InvalidInputError),
        ("mpl", {}, UnknownNameError),
        *((name, {"seed": -1}, InvalidInputError) for name in ("mlp", "least-squares", "quadratic", "logsumexp")),
        ("mlp", {"dataset": 3}, InvalidTypeError),
        ("quadratic", {"condition": np.inf}, InvalidInputError),
        ("quadratic", {"offset": np.nan}, InvalidInputError),
        ("logsumexp", {"scale": np.nan}, InvalidInputError),
        ("least-squares", {"noise": np.nan}, InvalidInputError),
        ("polynomial-regression", {"noise": -1.0}, InvalidInputError),
        ("cubic-graph", {"y": np.inf}, InvalidInputError),
        ("log-graph", {"x": np.inf}, InvalidInputError),
    ],
)
def test_bad_fields_are_refused(name: str, fields: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        get_problem(name, **fields)


def test_parameters_of_a_problem_have_no_order() -> None:
    """Sorted by their names, as `jax.tree.map` gives them back, they were refused."""
    problem = get_problem("mlp", dataset="iris", widths=(3,))
    start = problem.parameters()
    ordered = {name: start[name] for name in sorted(start)}
    assert tuple(ordered) != tuple(start)
    found, expected = (get_estimator("reverse")(problem, params).gradient for params in (ordered, start))
    assert all(np.array_equal(found[name], block) for name, block in expected.items())


def test_widths_of_numpy_are_widths() -> None:
    assert get_problem("mlp", widths=(np.int64(3),)).layout.shapes[0] == (64, 3)


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        (np.array([0, 1, 3]), InvalidInputError),
        (np.array([0, 1, -1]), InvalidInputError),
        (np.array([0.0, 1.0, 1.5]), InvalidTypeError),
        (np.array([[0], [1], [2]]), InvalidInputError),
    ],
)
def test_bad_labels_are_refused_before_any_backend(labels: np.ndarray, error: type[Exception]) -> None:
    with pytest.raises(error):
        MLP(dataset=from_arrays(np.eye(3), labels, num_classes=3), batch=None)


def test_bad_features_are_refused() -> None:
    with pytest.raises(NonFiniteError, match="row 1"):
        from_arrays(np.array([[1.0], [np.nan]]), np.array([0, 1]))
    with pytest.raises(InvalidInputError):
        from_arrays(np.zeros((0, 3)), np.zeros(0, dtype=int))


HARD_LOGITS = [  # logits, label, loss, derivative
    ([800.0, 0.0], 1, 800.0, [1.0, -1.0]),
    ([1e308, 0.0], 1, 1e308, [1.0, -1.0]),
    ([-1e5, -1e5, -1e5], 0, 1.0986122886681098, [-2 / 3, 1 / 3, 1 / 3]),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kernel", ["portable", "native"])
@pytest.mark.parametrize(("logits", "label", "loss", "slope"), HARD_LOGITS)
def test_hard_logits(
    backend: str, kernel: str, logits: list[float], label: int, loss: float, slope: list[float]
) -> None:
    features = np.ones((1, 1))
    data = from_arrays(features, np.array([label]), num_classes=len(logits))
    problem = get_problem("softmax-regression", dataset=data, batch=None, bias=False)
    objective = bind(problem, {"W1": np.array([logits])}, backend=backend, kernel=kernel)
    value, gradient = objective.prepare_closed_form()(objective.start)
    assert float(objective.backend.numpy(value)) == pytest.approx(loss, rel=1e-15)
    np.testing.assert_allclose(objective.backend.numpy(gradient[0])[0], slope, atol=2e-16)


DTYPES, KERNELS = ("float32", "float64"), ("portable", "native")
KEPT = [
    (backend, kernel, dtype, method)
    for backend in BACKENDS
    for first, kernel in enumerate(KERNELS)
    for dtype in DTYPES
    for number, method in enumerate(("analytic", "reverse", "fd-central", "es"), first)
    if backend != "jax" or is_in_turn(number, dtype, DTYPES)
]


@pytest.mark.parametrize(("backend", "kernel", "dtype", "method"), KEPT)
def test_values_and_gradients_keep_the_dtype(backend: str, kernel: str, dtype: str, method: str) -> None:
    objective = bind(get_problem("mlp", dataset="iris", widths=(3,)), backend=backend, dtype=dtype, kernel=kernel)
    estimate = get_estimator(method)(objective, rng=0)
    arrays = [*estimate.gradient.values(), *([] if estimate.value is None else [estimate.value])]
    assert {objective.backend.dtype(array) for array in arrays} == {dtype}


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
@pytest.mark.parametrize("estimator", ["reverse", "fd-central", "es"])
def test_losses_that_are_one_number_are_refused(backend: str, estimator: str) -> None:
    """Their mean over examples ended in a framework's own error about an axis; for MXNet a number is its own mean."""

    class Averaged(gradest.EmpiricalRisk):
        name = "averaged"

        def parameters(self) -> dict[str, Any]:
            return {"x": np.zeros(1)}

        def data(self) -> dict[str, Any]:
            return {"points": np.array([1.0, 3.0])}

        def losses(self, ops: Any, params: Any, data: Any) -> Any:
            return ops.mean(ops.square(params["x"] - data["points"]))

    with pytest.raises(gradest.InvalidInputError, match=r"Averaged\.losses must return the loss of each example"):
        gradest.get_estimator(estimator)(gradest.bind(Averaged(), backend=backend))
