"""The MXNet backend on whole losses: accuracy against extended precision, engines, threads, and the global state."""

import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.backend_cases import dtype_scope

import gradest
from gradest.datasets import from_arrays

if find_spec("mxnet") is None:
    pytest.skip("MXNet is not installed (it needs NumPy 1)", allow_module_level=True)

BACKEND = gradest.get_backend("mxnet")
ROOT = Path(__file__).resolve().parents[2]
ACTIVATIONS = ("tanh", "sigmoid", "relu", "requ", "softplus")
# Relative L2 error of the gradient. Gluon's own log-softmax keeps fewer digits in float32.
TOLERANCE = {
    ("portable", "float64"): 5e-15,
    ("native", "float64"): 5e-15,
    ("portable", "float32"): 2e-6,
    ("native", "float32"): 1e-5,
}


def network(activation: str = "tanh", widths: tuple[int, ...] = (12, 9)) -> gradest.Problem:
    generator = np.random.default_rng(3)
    samples = from_arrays(generator.standard_normal((24, 8)), np.arange(24) % 5, name="normal")
    return gradest.get_problem("mlp", dataset=samples, widths=widths, activation=activation, batch=None)


def flat(gradient: dict[str, Any], backend: gradest.Backend = BACKEND) -> np.ndarray:
    return np.concatenate([np.ravel(backend.numpy(block)).astype(np.longdouble) for block in gradient.values()])


def relative_error(found: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(found - reference) / np.linalg.norm(reference))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", ["portable", "native"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient_equals_the_closed_form_in_extended_precision(activation: str, kernel: str, dtype: str) -> None:
    problem = network(activation)
    exact = gradest.get_estimator("analytic")(problem, backend="numpy", dtype="longdouble")
    reference = flat(exact.gradient, gradest.get_backend("numpy"))
    objective = gradest.bind(problem, backend="mxnet", dtype=dtype, kernel=kernel)
    for name, options in (("reverse", {"engine": "native"}), ("analytic", {})):
        estimate = gradest.get_estimator(name, **options)(objective)
        assert {BACKEND.dtype(block) for block in estimate.gradient.values()} == {dtype}
        assert relative_error(flat(estimate.gradient), reference) <= TOLERANCE[kernel, dtype]
        assert abs(float(BACKEND.numpy(estimate.value)) - float(exact.value)) <= TOLERANCE[kernel, dtype]


@pytest.mark.parametrize("name", ["reverse", "forward"])
def test_engines_of_gradest_work_on_mxnet_arrays(name: str) -> None:
    objective = gradest.bind(network(), backend="mxnet")
    native = gradest.get_estimator("reverse", engine="native")(objective)
    found = gradest.get_estimator(name, engine="gradest")(objective)
    assert relative_error(flat(found.gradient), flat(native.gradient)) <= 5e-15


def test_native_forward_mode_is_refused() -> None:
    """Two backward passes would give it, and give zeros: autograd never fills the gradient of a head gradient."""
    with pytest.raises(gradest.UnsupportedError, match="value_and_jvps"):
        gradest.get_estimator("forward", engine="native")(gradest.bind(network(), backend="mxnet"))


def test_value_is_that_of_the_text_evaluated_eagerly() -> None:
    objective = gradest.bind(network(), backend="mxnet")
    assert objective.text is not None
    with dtype_scope(BACKEND, "float64"):
        eager = objective.text(objective.ops, objective.start, objective.data)
    assert float(BACKEND.numpy(objective.prepare_value()(objective.start))) == float(BACKEND.numpy(eager))


def test_traced_loss_takes_other_shapes_too() -> None:
    ops = BACKEND.operations()
    loss = BACKEND.compile_loss(lambda leaves, data: ops.mean(ops.matmul(data["x"], leaves[0])))
    with dtype_scope(BACKEND, "float64"):
        for rows in (2, 5, 2):
            x = np.arange(3.0 * rows).reshape(rows, 3)
            weight = (BACKEND.array(np.ones((3, 2)), dtype="float64"),)
            value = loss(weight, {"x": BACKEND.array(x, dtype="float64")})
            assert float(BACKEND.numpy(value)) == x.sum() / rows


def test_data_that_the_loss_does_not_read_are_no_warning() -> None:
    ops = BACKEND.operations()
    loss = BACKEND.compile_loss(lambda leaves, data: ops.sum(leaves[0] * data[1]))
    with dtype_scope(BACKEND, "float64"):
        one, two = (BACKEND.array(np.array([k, k]), dtype="float64") for k in (1.0, 2.0))
        assert float(BACKEND.numpy(loss((one, two), (one, two)))) == 4.0


def state() -> tuple[Any, ...]:
    import mxnet as mx

    stream: Any = np.random.get_state()  # noqa: NPY002  # the process-wide stream is what a library could disturb
    return (
        "bool" in vars(np),
        mx.util.is_np_shape(),
        mx.util.is_np_array(),
        mx.autograd.is_recording(),
        mx.autograd.is_training(),
        str(mx.current_context()),
        stream[1].tobytes(),
        stream[2],
        tuple(warnings.filters),
    )


def test_no_global_setting_differs_after_a_call() -> None:
    before = state()
    objective = gradest.bind(network(), backend="mxnet")
    for name in ("reverse", "analytic", "fd-central"):
        gradest.get_estimator(name)(gradest.bind(network(widths=(3,)), backend="mxnet"))
    with pytest.raises(gradest.InvalidInputError):
        BACKEND.value_and_gradient(lambda leaves, data: leaves[0])(objective.start, ())
    assert state() == before


def test_random_stream_of_mxnet_is_untouched() -> None:
    import mxnet as mx

    mx.random.seed(7)
    expected = [mx.nd.random.uniform(shape=(3,)).asnumpy() for _ in range(2)]
    mx.random.seed(7)
    first = mx.nd.random.uniform(shape=(3,)).asnumpy()
    gradest.get_estimator("reverse")(network(), backend="mxnet")
    np.testing.assert_array_equal([first, mx.nd.random.uniform(shape=(3,)).asnumpy()], expected)


def test_names_of_the_users_next_blocks_do_not_count_ours() -> None:
    import mxnet as mx

    def number() -> int:
        return int(mx.gluon.nn.HybridSequential().prefix.strip("_").removeprefix("hybridsequential"))

    before = number()
    gradest.get_estimator("reverse")(network(), backend="mxnet")
    symbols = mx.sym.var("x") + 1
    gradest.get_estimator("reverse")(network("relu"), backend="mxnet")
    assert number() == before + 1
    assert (
        int((mx.sym.var("x") + 1).name.removeprefix("_plusscalar")) == int(symbols.name.removeprefix("_plusscalar")) + 1
    )


def test_callers_arrays_get_no_gradient_buffer_and_keep_theirs() -> None:
    import mxnet as mx

    objective = gradest.bind(network(), backend="mxnet")
    params = {name: array.copy() for name, array in objective.start_tree.items()}
    params["W1"].attach_grad()
    before = {name: BACKEND.numpy(array) for name, array in params.items()}
    prepared = gradest.get_estimator("reverse").prepare(objective)
    with mx.autograd.record():
        inside = prepared(params)
    outside = prepared(params)
    assert not np.any(BACKEND.numpy(params["W1"].grad))
    assert params["W2"].grad is None
    for name, array in params.items():
        np.testing.assert_array_equal(BACKEND.numpy(array), before[name])
        np.testing.assert_array_equal(BACKEND.numpy(inside.gradient[name]), BACKEND.numpy(outside.gradient[name]))


@pytest.mark.parametrize("kernel", ["portable", "native"])
def test_threads_give_the_serial_results(kernel: str) -> None:
    """Each thread begins with MXNet's own semantics, in which a scalar has no shape."""
    objective = gradest.bind(network(), backend="mxnet", kernel=kernel)
    generator = np.random.default_rng(0)
    points = [
        {
            name: BACKEND.array(generator.standard_normal(a.shape), dtype="float64")
            for name, a in objective.start_tree.items()
        }
        for _ in range(8)
    ]
    prepared = gradest.get_estimator("reverse", engine="native").prepare(objective)

    def run(point: dict[str, Any]) -> list[np.ndarray]:
        return [flat(prepared(point).gradient) for _ in range(10)]

    with ThreadPoolExecutor(8) as threads:
        parallel = list(threads.map(run, points))
    for results, point in zip(parallel, points, strict=True):
        for result in results:
            np.testing.assert_array_equal(result, flat(prepared(point).gradient))


def test_importing_gradest_and_the_package_loads_no_mxnet() -> None:
    code = (
        "import sys, gradest, gradest_mxnet; assert 'mxnet' not in sys.modules\n"
        "gradest.get_backend('mxnet'); assert 'mxnet' in sys.modules"
    )
    roots = f"{ROOT}:{ROOT / 'backends'}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": roots},
    )
    assert done.returncode == 0, done.stderr
