"""The JAX backend: operations equal NumPy's, native transformations equal the closed form, arrays are its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from backend_cases import (
    COMPLEX_POINTS,
    KINKS,
    OPERATIONS,
    SMOOTH,
    OperationCase,
    assert_operation,
    complex_steps,
    network,
    relative_error,
    slopes_at_zero,
)

import gradest

jax = pytest.importorskip("jax", reason="JAX is not installed")
jnp = jax.numpy

LIMITS = {"float32": 2e-6, "float64": 5e-15}
BACKEND = gradest.get_backend("jax")


@pytest.mark.parametrize("case", OPERATIONS, ids=str)
@pytest.mark.parametrize("kernel", BACKEND.kernels)
@pytest.mark.parametrize("dtype", BACKEND.dtypes)
def test_operation_equals_numpys(dtype: str, kernel: str, case: OperationCase) -> None:
    assert_operation(BACKEND, kernel, dtype, case)


@pytest.mark.parametrize("kernel", BACKEND.kernels)
def test_derivatives_at_kinks_follow_the_convention(kernel: str) -> None:
    assert slopes_at_zero(BACKEND, kernel) == {name: slope for name, _, slope in KINKS}


@pytest.mark.parametrize("kernel", BACKEND.kernels)
def test_complex_step_gives_the_derivative(kernel: str) -> None:
    found = complex_steps(BACKEND, kernel)
    for name, _, derivative in SMOOTH:
        np.testing.assert_allclose(found[name], derivative(COMPLEX_POINTS), rtol=1e-12, atol=1e-16, err_msg=name)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "requ", "softplus"])
@pytest.mark.parametrize(("dtype", "kernel"), [("float32", "native"), ("float64", "portable")])
def test_native_gradient_equals_the_closed_form(activation: str, dtype: str, kernel: str) -> None:
    problem, expected, loss = network(activation)
    reverse = gradest.get_estimator("reverse", engine="native")
    estimate = reverse(problem, backend="jax", dtype=dtype, kernel=kernel)
    assert {str(block.dtype) for block in estimate.gradient.values()} == {dtype}
    assert relative_error(BACKEND, estimate.gradient, expected) <= LIMITS[dtype]
    assert abs(float(estimate.value) - loss) <= LIMITS[dtype] * loss


@pytest.mark.parametrize("dtype", BACKEND.dtypes)
def test_native_jvps_equal_the_closed_form(dtype: str) -> None:
    problem, expected, loss = network("tanh")
    objective = gradest.bind(problem, backend="jax", dtype=dtype)
    generator = np.random.default_rng(1)
    directions = [generator.standard_normal((5, *shape)) for shape in objective.layout.shapes]
    tangents = tuple(BACKEND.array(d, dtype=dtype) for d in directions)
    value, products = objective.prepare_jvps()(objective.start, tangents)
    slopes = sum(np.tensordot(d, expected[k], axes=expected[k].ndim) for d, k in zip(directions, expected, strict=True))
    assert products.shape == (5,)
    np.testing.assert_allclose(BACKEND.numpy(products), slopes.astype(float), rtol=0, atol=20 * LIMITS[dtype])
    assert abs(float(value) - loss) <= LIMITS[dtype] * loss


def test_vmap_evaluates_each_member_of_a_population() -> None:
    population = (jnp.arange(6.0).reshape(3, 2),)
    values = BACKEND.vmap(lambda leaves, data: jnp.sum(leaves[0] ** 2) + data[0])(population, (jnp.float32(1.0),))
    assert values.tolist() == [2.0, 14.0, 42.0]


def test_float64_that_jax_would_round_to_float32_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(BACKEND), "scope", lambda self, dtype: None)
    with pytest.raises(gradest.UnsupportedError, match="float64"):
        BACKEND.array(np.ones(3), dtype="float64")


def test_integers_that_jax_would_wrap_are_refused() -> None:
    assert BACKEND.array(np.array([3, -1]), dtype="int64").tolist() == [3, -1]
    with pytest.raises(gradest.UnsupportedError, match="int64"):
        BACKEND.array(np.array([2**40]), dtype="int64")


@pytest.mark.parametrize("dtype", [*BACKEND.dtypes, "float16"])
@pytest.mark.parametrize("offset", [0, 1])
def test_arrays_go_there_and_back_and_share_no_memory(dtype: str, offset: int) -> None:
    room = np.zeros(4096 // np.dtype(dtype).itemsize + 64, dtype=dtype)
    start = (-room.ctypes.data // room.itemsize) % (64 // room.itemsize) + offset  # 64-byte aligned, or one off it
    values = room[start : start + 12].reshape(3, 4)
    values[...] = np.random.default_rng(2).standard_normal((3, 4))
    original = values.copy()
    array = BACKEND.array(values, dtype=dtype)
    values[...] = 0
    back = BACKEND.numpy(array)
    assert back.dtype == original.dtype
    assert np.array_equal(back, original)
    back[...] = 7
    assert np.array_equal(BACKEND.numpy(array), original)
    assert (BACKEND.dtype(array), BACKEND.device(array)) == (dtype, "cpu")


def test_data_are_arguments_of_the_compiled_function() -> None:
    traces = []

    def loss(leaves: Any, data: Any) -> Any:
        traces.append(1)
        return jnp.sum(leaves[0] * data["x"])

    gradient = BACKEND.value_and_gradient(loss)
    leaves = (jnp.ones(2),)
    assert gradient(leaves, {"x": jnp.array([1.0, 2.0])})[1][0].tolist() == [1.0, 2.0]
    assert gradient(leaves, {"x": jnp.array([3.0, 4.0])})[1][0].tolist() == [3.0, 4.0]
    assert len(traces) == 1


@jax.tree_util.register_dataclass
@dataclass
class Layer:
    weight: Any
    bias: Any


def test_registered_classes_are_pytrees_of_parameters() -> None:
    params = [Layer(jnp.ones((2, 3)), jnp.zeros(3)), {"scale": jnp.ones(3)}]

    def loss(params: Any, x: Any) -> Any:
        return jnp.sum((x @ params[0].weight + params[0].bias) * params[1]["scale"])

    estimate = gradest.get_estimator("reverse")(loss, params, jnp.array([[1.0, 2.0]]))
    assert isinstance(estimate.gradient[0], Layer)
    assert estimate.gradient[0].weight.tolist() == [[1.0] * 3, [2.0] * 3]
    assert estimate.gradient[1]["scale"].tolist() == [3.0] * 3
    assert gradest.bind(loss, params, jnp.ones((1, 2))).layout.names == ("0.weight", "0.bias", "1.scale")


def test_wait_versions_and_devices() -> None:
    BACKEND.wait([jnp.ones(3)])
    assert BACKEND.versions()["jax"] == jax.__version__
    assert "cpu" in BACKEND.devices()
    with pytest.raises(gradest.UnsupportedError, match="JAX has here"):
        BACKEND.array(np.ones(1), dtype="float32", device="tpu:99")


def test_devices_have_names_and_parameters_of_another_one_are_refused() -> None:
    program = """
import jax, numpy as np, pytest, gradest
backend = gradest.get_backend("jax")
assert backend.devices() == ("cpu", "cpu:1")
first, second = (backend.array(np.ones(2), dtype="float32", device=d) for d in backend.devices())
assert (backend.device(first), backend.device(second)) == ("cpu", "cpu:1")
prepared = gradest.get_estimator("reverse").prepare(gradest.bind(lambda w: (w * w).sum(), second))
assert backend.device(prepared(second).gradient) == "cpu:1"
with pytest.raises(gradest.PreparationMismatchError, match="cpu:1"):
    prepared(first)
"""
    environment = {
        **os.environ,
        "PYTHONPATH": ":".join(sys.path),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, timeout=120)
