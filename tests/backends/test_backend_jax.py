"""What is JAX's own: values it would round or wrap are refused, data are arguments, registered classes, devices."""

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import gradest

jax = pytest.importorskip("jax", reason="JAX is not installed")
jnp = jax.numpy

BACKEND = gradest.get_backend("jax")


def test_float64_that_jax_would_round_to_float32_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(BACKEND), "scope", lambda self, dtype: None)
    with pytest.raises(gradest.UnsupportedError, match="float64"):
        BACKEND.array(np.ones(3), dtype="float64")


def test_integers_that_jax_would_wrap_are_refused() -> None:
    assert np.array_equal(BACKEND.numpy(BACKEND.array(np.array([3, -1]), dtype="int64")), [3, -1])
    with pytest.raises(gradest.UnsupportedError, match="int64"):
        BACKEND.array(np.array([2**40]), dtype="int64")


def test_data_are_arguments_of_the_compiled_function() -> None:
    traces = []

    def loss(leaves: Any, data: Any) -> Any:
        traces.append(1)
        return jnp.sum(leaves[0] * data["x"])

    gradient = BACKEND.value_and_gradient(loss)
    leaves = (jnp.ones(2),)
    for x in ([1.0, 2.0], [3.0, 4.0]):
        assert np.array_equal(BACKEND.numpy(gradient(leaves, {"x": jnp.array(x)})[1][0]), x)
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
        "JAX_PLATFORMS": "cpu",  # the devices asserted, also where there is a GPU
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, timeout=120)


@pytest.mark.parametrize("method", ["fd-central", "es"])
def test_a_user_who_forbids_rank_promotion_forbids_it_in_the_loss_alone(method: str) -> None:
    """gradest's own code broadcasts on purpose: every estimator that evaluates ended in an error of JAX's."""
    params = {"w": jnp.full((3, 2), 0.3), "b": jnp.array([0.1, 0.2])}
    options: dict[str, Any] = {"rng": 0} if method == "es" else {}

    def fine(p: Any) -> Any:
        return jnp.sum(jnp.tanh(p["w"] + p["b"][None, :]))

    with jax.numpy_rank_promotion("raise"):
        found = gradest.grad(fine, method=method)(params, **options)
        problem = gradest.get_problem("quadratic", size=3)
        structured = gradest.get_estimator(method)(gradest.bind(problem, backend="jax", dtype="float32"), **options)
        with pytest.raises(ValueError, match="rank_promotion"):
            gradest.grad(lambda p: jnp.sum(p["w"] + p["b"]), method=method)(params, **options)
        assert jax.config.jax_numpy_rank_promotion == "raise"
    usual = gradest.get_estimator(method)(gradest.bind(problem, backend="jax", dtype="float32"), **options)
    np.testing.assert_array_equal(structured.gradient["x"], usual.gradient["x"])
    assert np.isfinite(found["w"]).all()


def test_an_option_that_this_xla_does_not_know_is_left_away(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradest_jax import compiling

    assert not compiling._knows({"xla_cpu_no_such_option": True})
    with pytest.raises(jax.errors.JaxRuntimeError, match="optimization_level"):
        compiling._knows({"xla_backend_optimization_level": "text"})  # a fault of another kind is not taken for it
    compiling.quickly_compiled.cache_clear()
    try:
        monkeypatch.setattr(compiling, "_knows", lambda options: False)
        assert compiling.quickly_compiled() in ({}, {"compiler_options": {"xla_backend_optimization_level": 2}})
    finally:
        compiling.quickly_compiled.cache_clear()


def test_differences_compile_no_program_for_the_loss_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of it is in what all parameters have in common; it was compiled again, for a quarter of a second."""
    problem = gradest.get_problem("mlp", widths=(4,))
    objective = gradest.bind(problem, backend="jax", dtype="float64")
    compiled: list[Any] = []
    original = type(objective.backend).compile

    def seen(self: Any, function: Any, **options: Any) -> Any:
        compiled.append(function)
        return original(self, function, **options)

    monkeypatch.setattr(type(objective.backend), "compile", seen)
    with jax.disable_jit():
        apart = gradest.get_estimator("fd-forward", path="structured")(objective)
    found = gradest.get_estimator("fd-forward", path="structured")(objective)
    assert compiled
    assert objective.function not in compiled
    assert found.value == pytest.approx(float(objective.value()), rel=1e-14)
    assert found.cost == apart.cost
    for name, gradient in found.gradient.items():
        np.testing.assert_allclose(gradient, apart.gradient[name], rtol=0, atol=1e-6)
