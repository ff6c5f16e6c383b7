"""What goes wrong while estimates are made: saturation, kinks, subnormals, cancellation, threads, pickling, globals."""

import ast
import copy
import importlib
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.turns import WITH_THE_NEWEST, with_numpy

import gradest
from gradest.datasets import from_arrays
from gradest.measurement.accuracy import accuracy_of_replicates, compare_gradients

BACKENDS = ("numpy", "jax", "torch", "mxnet")
backends = pytest.mark.parametrize("backend", BACKENDS)

FEATURES = np.random.default_rng(0).standard_normal((6, 3))
DATA = from_arrays(FEATURES, np.array([0, 1, 2, 0, 1, 2]))


def network(activation: str = "tanh") -> gradest.Problem:
    return gradest.get_problem("mlp", dataset=DATA, widths=(4,), batch=None, activation=activation)


def arrays(backend: str, gradient: dict[str, Any]) -> dict[str, np.ndarray]:
    framework = gradest.get_backend(backend)
    return {k: v if isinstance(v, np.ndarray) else framework.numpy(v) for k, v in gradient.items()}


def gradient_of(problem: gradest.Problem, params: Any, method: str, **options: Any) -> dict[str, np.ndarray]:
    binding = {k: options.pop(k) for k in ("backend", "kernel", "dtype") if k in options}
    estimate = gradest.get_estimator(method, **options)(problem, params, rng=0, **binding)
    return arrays(binding.get("backend", "numpy"), estimate.gradient)


def engines(backend: str) -> list[tuple[str, dict[str, str]]]:
    """Return the exact methods, with each engine that differentiates a loss of operations here."""
    native = gradest.get_backend(backend).native
    if backend == "jax":  # each is a compilation of seconds, and gradest's engines are the same text everywhere
        return [("analytic", {}), ("reverse", {"engine": "native"})]
    found = [("analytic", {}), ("reverse", {"engine": "gradest"}), ("forward", {"engine": "gradest"})]
    found += [("reverse", {"engine": "native"})] if "value_and_gradient" in native else []
    return found + ([("forward", {"engine": "native"})] if "value_and_jvps" in native else [])


@backends
@pytest.mark.parametrize(("kernel", "dtype"), [("portable", "float64"), ("native", "float32")])
def test_saturated_sigmoids_overflow_nowhere(backend: str, kernel: str, dtype: str) -> None:
    problem = network("sigmoid")
    start = problem.parameters()
    params = {**start, "W1": 0 * start["W1"], "b1": np.array([1000.0, -1000.0, 1000.0, -1000.0])}
    hidden = (params["b1"] > 0).astype(float)  # what the sigmoids are, but for e^-1000
    logits = hidden @ start["W2"] + start["b2"]
    residual = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum() - 1 / 3  # two samples a class
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        for method, options in engines(backend):
            found = gradient_of(problem, params, method, backend=backend, kernel=kernel, dtype=dtype, **options)
            limit = 16 * np.finfo(dtype).eps
            assert np.abs(found["W1"]).max() <= limit, (method, options)
            assert np.abs(found["b1"]).max() <= limit, (method, options)
            assert np.abs(found["b2"] - residual).max() <= limit, (method, options)
            assert np.abs(found["W2"] - np.outer(hidden, residual)).max() <= limit, (method, options)


@backends
def test_the_derivative_of_relu_at_zero_is_zero_whatever_the_method(backend: str) -> None:
    problem = network("relu")
    params = {name: np.zeros_like(block) for name, block in problem.parameters().items()}
    params["W2"] += np.array([1.0, 2.0, -1.0])  # so that a derivative of 0.5 or 1 would show below
    for kernel in gradest.get_backend(backend).kernels:
        for method, options in engines(backend):
            found = gradient_of(problem, params, method, backend=backend, kernel=kernel, **options)
            assert not found["W1"].any(), (kernel, method, options)
            assert not found["b1"].any(), (kernel, method, options)
    smooth = gradient_of(network("softplus"), params, "analytic")
    assert np.abs(smooth["W1"]).max() > 0.01


@backends
def test_subnormal_data_and_parameters_are_harmless_and_stay_what_they_are(backend: str) -> None:
    features = np.array([[5e-324, 1e-310, 0.0], [1e-40, -5e-324, 1.0]])
    data = from_arrays(features, np.array([0, 1]))
    problem = gradest.get_problem("softmax-regression", dataset=data, batch=None)
    expected = gradient_of(problem, None, "analytic", dtype="longdouble")
    for method in ("analytic", "reverse"):
        found = gradient_of(problem, None, method, backend=backend)
        for name, block in found.items():
            error = np.abs(block - expected[name])
            assert np.all(error <= 8 * np.finfo(float).eps * np.abs(expected[name]) + np.finfo(float).tiny)
    tiny = {name: np.full_like(block, 5e-324) for name, block in problem.parameters().items()}
    for method in ("analytic", "fd-central") if backend != "jax" else ("analytic",):
        found = gradient_of(problem, tiny, method, backend=backend)
        assert np.allclose(found["b1"], [0.0, 0.0], atol=1e-9)
        assert np.allclose(found["W1"][2], [0.25, -0.25], atol=1e-9)
    assert np.array([5e-324])[0] * np.array([1.0])[0] > 0  # NumPy still does not flush


@backends
def test_a_radius_of_1e_6_is_warned_of_in_float32_alone(backend: str) -> None:
    estimator = gradest.get_estimator("es", sigma=1e-6, num_samples=4)
    problem = gradest.get_problem("softmax-regression", dataset=DATA, batch=None)
    with pytest.warns(gradest.NoiseWarning, match="larger sigma, float64"):
        estimator(problem, backend=backend, dtype="float32", rng=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator(problem, backend=backend, dtype="float64", rng=0)


@backends
@pytest.mark.parametrize(("method", "options"), [("es", {"num_samples": 4}), ("reverse", {})])
def test_eight_threads_get_what_one_gets_and_are_counted(backend: str, method: str, options: dict[str, Any]) -> None:
    objective = gradest.bind(network(), backend=backend)
    estimator = gradest.get_estimator(method, **options)
    prepared = estimator.prepare(objective)
    found: list[Any] = []
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        found.extend(arrays(backend, prepared(rng=3).gradient) for _ in range(4))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cost = estimator.cost(objective.layout)
    assert objective.counts == gradest.Cost(32 * cost.values, 32 * cost.jvps, 32 * cost.vjps)
    alone = arrays(backend, prepared(rng=3).gradient)
    assert len(found) == 32
    assert all(np.array_equal(one[name], alone[name]) for one in found for name in alone)


def sum_of_products(params: Any, x: Any) -> Any:
    return (params["w"] * x).sum()


@backends
def test_objectives_and_what_is_prepared_survive_pickling_in_their_dtype(backend: str) -> None:
    framework = gradest.get_backend(backend)
    third = framework.array(np.array([1.0, 2.0]) / 3, dtype="float64")
    batches = [framework.array(np.array(x) / 7, dtype="float64") for x in ([1.0, 2.0], [3.0, 5.0])]
    method = "fd-central" if backend == "numpy" else "reverse"
    prepared = gradest.get_estimator(method).prepare(gradest.bind(sum_of_products, {"w": third}, batches[0]))
    prepared({"w": third}, batches[1])  # the latest batch is the one that travels
    again = pickle.loads(pickle.dumps(prepared))
    assert again.objective.dtypes == ("float64",)
    assert np.array_equal(framework.numpy(again.objective.start[0]), np.array([1.0, 2.0]) / 3)
    found, expected = (arrays(backend, p().gradient)["w"] for p in (again, prepared))
    assert found.tobytes() == expected.tobytes()
    problem = gradest.bind(network(), backend=backend, dtype="float64")
    for twin in (pickle.loads(pickle.dumps(problem)), copy.deepcopy(problem)):
        for ours, theirs in zip(problem.start, twin.start, strict=True):
            assert framework.numpy(ours).tobytes() == framework.numpy(theirs).tobytes()


def test_a_pickled_objective_starts_where_it_was_bound() -> None:
    params, x = {"w": np.ones(2)}, np.ones(2)
    objective = gradest.bind(sum_of_products, params, x)
    params["w"][...] = 7.0
    assert pickle.loads(pickle.dumps(objective)).start[0].tolist() == [1.0, 1.0]


class TwoArgumentsError(Exception):
    """Cannot be unpickled: it is made again from its message alone."""

    def __init__(self, what: str, where: int) -> None:
        super().__init__(f"{what} at {where}")


def fails(params: Any) -> Any:
    if np.all(abs(params - 1.0) < 0.002):  # near where it is bound: preparation sees no failure, the workers do
        return float(np.sum(params))
    raise TwoArgumentsError("no convergence", 3)


def test_an_exception_that_cannot_be_unpickled_breaks_no_executor() -> None:
    estimator = gradest.get_estimator("es", num_samples=4)
    objective = gradest.bind(fails, np.ones(3))
    with pytest.raises(TwoArgumentsError), ThreadPoolExecutor(1) as threads:
        estimator.prepare(objective, executor=threads)(rng=0)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        for _ in range(2):  # a broken executor would take no second task
            with pytest.raises(gradest.GradestError, match="TwoArgumentsError: no convergence at 3"):
                estimator.prepare(objective, executor=processes)(rng=0)


def test_plain_values_survive_pickling() -> None:
    vector = np.array([1.0, 2.0, 3.0])
    values = [
        *(gradest.get_estimator(name) for name in gradest.names("estimators")),
        gradest.Cost(values=3),
        gradest.Layout(("a", "b"), ((2,), ())),
        compare_gradients(vector, vector + 1e-9),
        accuracy_of_replicates([vector, vector + 1.0], vector),
    ]
    assert all(pickle.loads(pickle.dumps(value)) == value for value in values)
    for name in gradest.names("problems"):
        problem = gradest.get_problem(name)
        again = pickle.loads(pickle.dumps(problem))
        for block, twin in zip(problem.parameters().values(), again.parameters().values(), strict=True):
            assert block.tobytes() == twin.tobytes()
    estimate = pickle.loads(pickle.dumps(gradest.get_estimator("analytic")(network())))
    assert (estimate.cost, estimate.path) == (gradest.Cost(vjps=1), estimate.path)


@backends
def test_warning_filters_and_error_states_are_the_callers(backend: str) -> None:
    gradest.get_backend(backend)
    with np.errstate(over="ignore", divide="raise", invalid="call", under="warn"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the caller's own")
        before = (np.geterr(), list(warnings.filters), warnings.showwarning)
        for method in ("analytic", "reverse", "fd-central") if backend != "jax" else ("reverse",):
            gradient_of(network(), None, method, backend=backend)
        gradient_of(network(), None, "es", num_samples=4, backend=backend)
        assert (np.geterr(), list(warnings.filters), warnings.showwarning) == before


def test_a_small_component_that_is_wrong_shows() -> None:
    layout = gradest.Layout(("large", "small"), ((3,), (1,)))
    right = np.array([1.0, -2.0, 3.0, 1e-9])
    wrong = right * np.array([1.0, 1.0, 1.0, 2.0])
    found = compare_gradients(wrong, right, layout=layout)
    assert found.relative_error < 1e-9  # all that a norm over everything says
    assert found.blocks["small"] == pytest.approx(1.0)
    assert found.max_abs_error == pytest.approx(1e-9)


@pytest.mark.parametrize("package", ["gradest", "gradest_bench"])
def test_no_process_is_forked(package: str) -> None:
    folder = Path(importlib.import_module(package).__file__ or "").parent
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.rglob("*.py")]
    assert trees
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import | ast.ImportFrom):  # a message may advise it; nothing here uses it
            assert "multiprocessing" not in {getattr(node, "module", None), *(alias.name for alias in node.names)}
        assert not (isinstance(node, ast.Attribute) and node.attr in ("fork", "forkpty"))
        assert not (isinstance(node, ast.keyword) and node.arg == "preexec_fn")


FORKING = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
import numpy as np
import gradest
from support.forked_losses import quadratic

if __name__ == "__main__":
    backend, method = sys.argv[1:]
    params = gradest.get_backend(backend).array(np.linspace(1.0, 2.0, 40_000).reshape(200, 200), dtype="float64")
    estimator = gradest.get_estimator("es", num_samples=4)
    here = estimator(quadratic, params, rng=0)  # now the framework has computed, and has its threads
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as executor:
        objective = gradest.bind(quadratic, params)
        try:
            there = estimator.prepare(objective, executor=executor)(rng=0)
        except gradest.UnsupportedError as error:
            print("refused:", error)
        else:
            numpy = objective.backend.numpy
            one, other = numpy(here.gradient), numpy(there.gradient)
            # XLA chooses kernels for a GPU by their times, in each process anew: what they sum may round otherwise.
            near = objective.form.device != "cpu" and np.linalg.norm(one - other) <= 1e-6 * np.linalg.norm(one)
            print("equal:", near or bool(np.array_equal(one, other)))
"""


def run_with_a_pool(backend: str, method: str, folder: Path) -> str:
    script = folder / "pool.py"
    script.write_text(FORKING, encoding="utf-8")
    command = [sys.executable, "-W", "ignore", str(script), backend, method]
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    environment = {**os.environ, **paths, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Three processes, each of which imports a framework: what is tried is gradest's own, and each framework is tried once.
JAX, TORCH = pytest.param("jax", marks=WITH_THE_NEWEST), pytest.param("torch", marks=with_numpy(2))


@pytest.mark.parametrize("backend", [JAX, TORCH, "mxnet"])
def test_a_pool_that_forks_is_refused_for_a_framework_with_threads(backend: str, tmp_path: Path) -> None:
    gradest.get_backend(backend)
    said = run_with_a_pool(backend, "fork", tmp_path)
    assert "refused:" in said
    assert 'ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))' in said


def test_numpy_computes_in_a_pool_that_forks(tmp_path: Path) -> None:
    assert gradest.get_backend("numpy").survives_fork
    assert "equal: True" in run_with_a_pool("numpy", "fork", tmp_path)


@pytest.mark.parametrize("backend", [JAX, TORCH, "mxnet"])
def test_pools_that_start_afresh_are_taken(backend: str, tmp_path: Path) -> None:
    gradest.get_backend(backend)
    method = "spawn" if backend == "jax" else "forkserver"
    assert "equal: True" in run_with_a_pool(backend, method, tmp_path)


def test_what_is_no_executor_is_refused_with_one_that_is() -> None:
    estimator, objective = gradest.get_estimator("es", num_samples=4), gradest.bind(network())
    with (
        multiprocessing.get_context("spawn").Pool(1) as pool,
        pytest.raises(gradest.InvalidTypeError, match=r"found Pool; pass ThreadPoolExecutor"),
    ):
        estimator.prepare(objective, executor=pool)  # type: ignore[arg-type]
    with pytest.raises(gradest.InvalidTypeError, match="found int"):
        estimator.prepare(objective, executor=4)  # type: ignore[arg-type]
