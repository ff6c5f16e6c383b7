"""Nothing global differs after a call, an exception included: modes, default dtypes, generators, threads."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradest

PROBLEM = gradest.get_problem("mlp", dataset="digits", widths=(8,), batch=16)
ESTIMATORS: dict[str, Any] = {
    "reverse": {"engine": "native"},
    "analytic": {},
    "forward": {"engine": "native"},
    "es": {"num_samples": 4},
}


def _estimate(backend: str, name: str) -> Any:
    """Return the gradient in float64 of an estimator, as NumPy arrays."""
    estimator = gradest.get_estimator(name, **ESTIMATORS[name])
    gradient = estimator(PROBLEM, backend=backend, dtype="float64", rng=0).gradient
    return {key: gradest.get_backend(backend).numpy(block) for key, block in gradient.items()}


def _numpy_state() -> Any:
    state: Any = np.random.get_state()  # noqa: NPY002  # the global generator is what must not move
    kind, keys, *rest = state
    return (kind, keys.tolist(), *rest, np.geterr(), np.get_printoptions())


def _jax_state() -> Any:
    import jax

    draw = jax.random.uniform(jax.random.key(0), (3,))
    config = {name: getattr(jax.config, name) for name in ("jax_enable_x64", "jax_default_matmul_precision")}
    return (config, jax.numpy.ones(1).dtype, draw.tolist(), _numpy_state())


def _torch_state() -> Any:
    import torch

    return (
        torch.get_default_dtype(),
        torch.get_rng_state().tolist(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
        torch.tensor([1e-40]).mul(1.0).item(),  # subnormals are not flushed to zero
        _numpy_state(),
    )


STATES: dict[str, Callable[[], Any]] = {"numpy": _numpy_state, "jax": _jax_state, "torch": _torch_state}
CASES = [(b, e) for b in STATES for e in ESTIMATORS if b != "numpy" or not ESTIMATORS[e].get("engine")]


@pytest.mark.parametrize(("backend", "estimator"), CASES)
def test_an_estimate_changes_no_global_setting(backend: str, estimator: str) -> None:
    before = STATES[backend]()
    gradient = _estimate(backend, estimator)
    assert STATES[backend]() == before
    assert {block.dtype for block in gradient.values()} == {np.dtype("float64")}


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_function_that_fails_changes_no_global_setting(backend: str) -> None:
    before = STATES[backend]()

    def loss(params: Any) -> Any:
        raise ZeroDivisionError("the user's own")

    with pytest.raises(ZeroDivisionError):
        gradest.get_estimator("reverse", engine="native")(loss, np.ones(2), backend=backend)
    assert STATES[backend]() == before


def test_the_snapshots_notice_a_change() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    torch_before, jax_before = _torch_state(), _jax_state()
    with torch.random.fork_rng():
        torch.rand(1)
        assert _torch_state() != torch_before
    with torch.no_grad():
        assert _torch_state() != torch_before
    with gradest.get_backend("jax").scope("float64"):
        assert _jax_state() != jax_before
        assert jax.config.jax_enable_x64
    assert (_torch_state(), _jax_state()) == (torch_before, jax_before)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_threads_get_what_one_thread_gets(backend: str) -> None:
    before, alone = STATES[backend](), _estimate(backend, "reverse")
    prepared = gradest.get_estimator("reverse", engine="native").prepare(
        gradest.bind(PROBLEM, backend=backend, dtype="float64")
    )
    prepared()
    wrong: list[str] = []

    def work() -> None:
        for _ in range(20):
            gradient = prepared().gradient
            if any(not np.array_equal(np.asarray(gradient[key]), alone[key]) for key in alone):
                wrong.append(threading.current_thread().name)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert STATES[backend]() == before
