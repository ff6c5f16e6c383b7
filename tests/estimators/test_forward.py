"""Exact forward mode: right to rounding by every engine and path, P JVPs, memory that chunks bound."""

import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import gradest
from gradest.datasets import Dataset, from_arrays
from gradest.estimators.forward import Forward
from gradest.measurement.accuracy import compare_gradients
from gradest.measurement.reference import reference_gradient
from gradest.measurement.session import flat

SMALL: dict[str, Any] = {"widths": (6,), "batch": 8}
NATIVE = ("numpy", "jax", "torch")


def error_of(estimator: Forward, objective: gradest.Objective) -> float:
    found = flat(objective, estimator.prepare(objective)())
    return compare_gradients(found, reference_gradient(objective).gradient).relative_error


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "softplus", "relu", "requ"])
@pytest.mark.parametrize("path", ["dense", "structured"])
@pytest.mark.parametrize(("dtype", "bar"), [("float64", 5e-15), ("float32", 3e-6)])
def test_it_is_exact_to_rounding_on_the_digits_network(activation: str, path: str, dtype: str, bar: float) -> None:
    objective = gradest.bind(gradest.get_problem("mlp", activation=activation), dtype=dtype)
    assert error_of(Forward(engine="gradest", path=path), objective) < bar


@pytest.mark.parametrize(
    ("backend", "engine", "path", "words"),
    [
        ("numpy", "auto", "auto", "gradest"),
        ("jax", "auto", "auto", "native"),
        ("jax", "auto", "structured", "gradest, structured"),
        ("torch", "auto", "auto", "native"),
        ("torch", "gradest", "structured", "gradest, structured"),
        ("mxnet", "auto", "dense", "gradest"),
        ("mxnet", "auto", "structured", "gradest, structured"),
    ],
)
def test_every_engine_is_exact_and_named(backend: str, engine: str, path: str, words: str) -> None:
    objective = gradest.bind(gradest.get_problem("mlp", bias=False, **SMALL), backend=backend)
    prepared = Forward(engine=engine, path=path).prepare(objective)
    estimate = prepared()
    reference = reference_gradient(objective)
    assert compare_gradients(flat(objective, estimate), reference.gradient).relative_error < 5e-15
    assert float(objective.backend.numpy(estimate.value)) == pytest.approx(float(reference.value), rel=1e-14)
    assert prepared.path == estimate.path == words
    assert objective.counts == prepared.cost == gradest.Cost(jvps=objective.layout.num_parameters)


@pytest.mark.parametrize("path", ["dense", "structured"])
@pytest.mark.parametrize("chunk_size", [1, 3, 50, 10_000])
def test_no_chunk_size_shows(path: str, chunk_size: int) -> None:
    objective = gradest.bind(gradest.get_problem("mlp", **SMALL))
    whole, chunked = (
        flat(objective, Forward(path=path, chunk_size=size).prepare(objective)()) for size in (None, chunk_size)
    )
    np.testing.assert_allclose(chunked, whole, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["rosenbrock", "logsumexp", "cubic-graph", "log-graph", "least-squares"])
@pytest.mark.parametrize("path", ["dense", "structured"])
def test_small_functions_have_their_closed_form(name: str, path: str) -> None:
    objective = gradest.bind(gradest.get_problem(name))
    assert error_of(Forward(path=path), objective) < 5e-15


@pytest.mark.parametrize("backend", NATIVE)
def test_a_users_function_goes_through_its_frameworks_forward_mode(backend: str) -> None:
    own = gradest.get_backend(backend)
    params = {
        "x": own.array(np.array([0.3, -1.2]), dtype="float64"),
        "y": own.array(np.array(2.0), dtype="float64"),
    }

    def f(given: dict[str, Any]) -> Any:
        return (given["x"] ** 3).sum() * given["y"]

    objective = gradest.bind(f, params)
    gradient = Forward().prepare(objective)().gradient
    np.testing.assert_allclose(own.numpy(gradient["x"]), 6 * np.array([0.09, 1.44]), rtol=1e-14)
    np.testing.assert_allclose(own.numpy(gradient["y"]), 0.027 - 1.728, rtol=1e-14)


def test_a_function_without_a_forward_mode_is_refused_with_what_can_be_used() -> None:
    def f(x: npt.NDArray[Any]) -> Any:
        return float((x**2).sum())

    with pytest.raises(gradest.UnsupportedError, match="fd-central"):
        Forward()(f, np.ones(3))
    with pytest.raises(gradest.InvalidInputError, match="engine='gradest'"):
        Forward(path="structured", engine="native")


@pytest.mark.parametrize("path", ["dense", "structured"])
def test_memory_is_bounded_by_the_chunks_and_not_by_p_squared(path: str) -> None:
    """784 inputs and 16 hidden units are P = 12,730: a dense basis would take 648 MB in float32."""
    generator = np.random.default_rng(0)
    problem = gradest.get_problem("mlp", dataset=_random_images(generator), widths=(16,), batch=20)
    objective = gradest.bind(problem, dtype="float32")
    prepared = Forward(path=path).prepare(objective)
    tracemalloc.start()
    prepared()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def _random_images(generator: np.random.Generator) -> Dataset:
    return from_arrays(generator.random((20, 784)), generator.integers(0, 10, 20), num_classes=10)


def test_the_number_of_arrays_does_not_show_in_how_often_a_loss_is_compiled() -> None:
    # Each compilation runs the function once, as Python: one for each array would take seconds for a network.
    jnp = pytest.importorskip("jax.numpy", reason="JAX is not installed")
    traces = {}
    for arrays in (2, 9):
        params = {f"w{i}": jnp.full((2 + i,), 0.1 * i, dtype=jnp.float32) for i in range(arrays)}
        ran: list[int] = []

        def loss(params: Any, ran: list[int] = ran) -> Any:
            ran.append(1)
            return sum(jnp.sum(jnp.sin(leaf) ** 2) for leaf in params.values())

        prepared = Forward(chunk_size=4).prepare(gradest.bind(loss, params))
        estimate = prepared()
        for name, leaf in params.items():
            assert np.allclose(estimate.gradient[name], np.sin(2 * np.asarray(leaf)), atol=1e-6)
        traces[arrays] = len(ran)
    assert traces[2] == traces[9]


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("chunk_size", [1, 2, 7, 11, 24, 100])
def test_spans_over_arrays_of_any_rank_are_put_where_they_belong(backend: str, chunk_size: int) -> None:
    framework = gradest.get_backend(backend)
    shapes = {"scalar": (), "none": (0, 3), "vector": (5,), "cube": (2, 3, 2), "row": (1, 6)}
    drawn = {name: np.random.default_rng(len(name)).standard_normal(shape) for name, shape in shapes.items()}
    params = {name: framework.array(values, dtype="float64") for name, values in drawn.items()}

    def loss(params: Any) -> Any:
        total = 0.0
        for place, leaf in enumerate(params.values()):
            total = total + (place + 1.0) * (leaf * leaf * leaf).sum()
        return total

    gradient = Forward(engine="native", chunk_size=chunk_size).prepare(gradest.bind(loss, params))().gradient
    for place, (name, values) in enumerate(drawn.items()):
        assert gradient[name].shape == shapes[name]
        # one power, one product: a few units in the last place
        assert np.allclose(framework.numpy(gradient[name]), (place + 1.0) * 3 * values**2, rtol=1e-14, atol=0)
