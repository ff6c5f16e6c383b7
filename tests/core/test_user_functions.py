"""A user's own function: estimates come back as the parameters went in; bad input is the same error everywhere."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import gradest

REVERSE = gradest.get_estimator("reverse", engine="native")
CENTRAL = gradest.get_estimator("fd-central")


@dataclass(frozen=True)
class Framework:
    """One framework, as a user writes in it."""

    name: str
    array: Callable[[Any, str], Any]
    tanh: Callable[[Any], Any]
    estimator: gradest.Estimator
    tolerance: float

    def __str__(self) -> str:
        return self.name


def _numpy() -> Framework:
    return Framework("numpy", lambda x, dtype: np.array(x, dtype=dtype), np.tanh, CENTRAL, 1e-8)


def _jax() -> Framework:
    import jax.numpy as jnp

    backend = gradest.get_backend("jax")
    return Framework("jax", lambda x, dtype: backend.array(np.array(x), dtype=dtype), jnp.tanh, REVERSE, 1e-14)


def _torch() -> Framework:
    import torch

    return Framework("torch", lambda x, d: torch.tensor(x, dtype=getattr(torch, d)), torch.tanh, REVERSE, 1e-14)


MAKERS = {"numpy": _numpy, "jax": _jax, "torch": _torch}
frameworks = pytest.mark.parametrize("backend", MAKERS)

W = np.random.default_rng(0).standard_normal((3, 2))
B = np.array([0.3, -0.2])
X = np.random.default_rng(1).standard_normal((5, 3))


def loss_and_gradient(scale: float) -> tuple[float, Any, Any]:
    """Return the loss below and its gradient, by hand."""
    hidden = np.tanh(X @ W + B)
    delta = 2 * scale * hidden * (1 - hidden**2)
    return float(scale * (hidden**2).sum()), X.T @ delta, delta.sum(axis=0)


@frameworks
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_estimate_comes_back_as_the_parameters_went_in(backend: str, dtype: str) -> None:
    framework = MAKERS[backend]()
    params: dict[str, Any] = {"layers": [{"W": framework.array(W, dtype)}, (framework.array(B, dtype),)]}
    x = framework.array(X, dtype)

    def loss(params: Any, x: Any, scale: float, options: dict[str, str]) -> Any:
        assert options == {"reduction": "sum"}
        hidden = framework.tanh(x @ params["layers"][0]["W"] + params["layers"][1][0])
        return scale * (hidden**2).sum()

    estimate = framework.estimator(loss, params, x, 0.5, {"reduction": "sum"})
    value, in_weights, in_biases = loss_and_gradient(0.5)
    assert list(estimate.gradient) == ["layers"]
    assert isinstance(estimate.gradient["layers"], list)
    assert isinstance(estimate.gradient["layers"][1], tuple)
    found = (estimate.gradient["layers"][0]["W"], estimate.gradient["layers"][1][0])
    tolerance = framework.tolerance if dtype == "float64" else 3e-3 if backend == "numpy" else 1e-5
    for block, expected, parameter in zip(found, (in_weights, in_biases), (params["layers"][0]["W"], B), strict=True):
        assert type(block) is type(params["layers"][0]["W"])
        assert block.dtype == params["layers"][0]["W"].dtype
        assert tuple(block.shape) == tuple(parameter.shape)
        assert np.linalg.norm(np.asarray(block) - expected) <= tolerance * np.linalg.norm(expected)
    assert estimate.value is None or abs(float(estimate.value) - value) <= 1e-5 * value
    assert np.array_equal(np.asarray(params["layers"][0]["W"]), W.astype(dtype)), "parameters were written to"


@frameworks
def test_a_bare_array_is_a_set_of_parameters(backend: str) -> None:
    framework = MAKERS[backend]()
    gradient = framework.estimator(lambda w: (w * w).sum(), framework.array([1.0, -2.0], "float64")).gradient
    assert type(gradient) is type(framework.array([0.0], "float64"))
    np.testing.assert_allclose(np.asarray(gradient), [2.0, -4.0], rtol=1e-9)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_numpy_parameters_on_a_named_backend_give_numpy_gradients(backend: str) -> None:
    framework = MAKERS[backend]()

    def loss(params: Any, x: Any) -> Any:
        return (framework.tanh(x @ params["W"] + params["b"]) ** 2).sum()

    params = {"W": W.copy(), "b": B.copy()}
    gradient = REVERSE(loss, params, X, backend=backend).gradient
    _, in_weights, in_biases = loss_and_gradient(1.0)
    for key, expected in (("W", in_weights), ("b", in_biases)):
        assert type(gradient[key]) is np.ndarray
        assert gradient[key].dtype == np.float64
        assert gradient[key].flags.owndata
        assert gradient[key].flags.writeable
        assert np.linalg.norm(gradient[key] - expected) <= 1e-14 * np.linalg.norm(expected)
    prepared = REVERSE.prepare(gradest.bind(loss, params, X, backend=backend))
    params["b"][...] += 1.0  # the caller's array moves; what was prepared has its own
    assert np.array_equal(prepared().gradient["W"], gradient["W"])
    assert not np.array_equal(prepared(params).gradient["W"], gradient["W"])


def _memories(values: Any) -> dict[str, Any]:
    read_only = values.copy()
    read_only.flags.writeable = False
    views = {}
    for what, offset in (("aligned", 0), ("unaligned", 1)):
        room = np.zeros(values.size + 16)
        start = (-room.ctypes.data // 8) % 8 + offset
        views[what] = room[start : start + values.size].reshape(values.shape)
        views[what][...] = values
        assert views[what].ctypes.data % 64 == 8 * offset
    strided = np.repeat(values, 2, axis=0)[::2]
    return {
        **views,
        "read-only": read_only,
        "Fortran order": np.asfortranarray(values),
        "strided": strided,
        "reversed": values[::-1].copy()[::-1],
        "big-endian": values.astype(">f8"),
    }


@frameworks
@pytest.mark.parametrize("memory", _memories(W))
def test_the_memory_of_numpy_parameters_changes_no_bit_and_is_not_written(backend: str, memory: str) -> None:
    framework = MAKERS[backend]()
    plain, odd = W.copy(), _memories(W)[memory]
    before, writeable = odd.tobytes(), odd.flags.writeable

    def loss(w: Any) -> Any:
        return (framework.tanh(w) ** 2).sum()

    expected = framework.estimator(loss, plain, backend=backend).gradient
    assert np.array_equal(framework.estimator(loss, odd, backend=backend).gradient, expected)
    assert (odd.tobytes(), odd.flags.writeable) == (before, writeable)


@frameworks
def test_parameters_that_are_not_numbers_in_floating_point_are_refused(backend: str) -> None:
    framework = MAKERS[backend]()
    evaluated = []

    def loss(params: Any) -> Any:
        evaluated.append(1)
        return (params["w"] * params["w"]).sum()

    for integers in ("int32", "int64") if backend != "jax" else ("int32",):
        with pytest.raises(gradest.InvalidTypeError, match=r"'w'.*floating-point.*int"):
            framework.estimator(loss, {"w": framework.array([1, 2], integers)})
    for bad in (np.nan, np.inf):
        with pytest.raises(gradest.NonFiniteError, match=r"'w' has 1 of 2"):
            framework.estimator(loss, {"w": framework.array([1.0, bad], "float64")})
    with pytest.raises(gradest.InvalidTypeError):
        framework.estimator(loss, {"w": "text"})
    assert not evaluated


@frameworks
@pytest.mark.parametrize("result", ["vector", "one entry", "tuple"])
def test_a_function_that_returns_no_scalar_is_refused(backend: str, result: str) -> None:
    framework = MAKERS[backend]()
    losses: dict[str, Callable[[Any], Any]] = {
        "vector": lambda w: w * w,
        "one entry": lambda w: (w * w).sum().reshape(1),
        "tuple": lambda w: ((w * w).sum(), {}),
    }
    with pytest.raises(gradest.InvalidInputError, match="must return a scalar"):
        framework.estimator(losses[result], framework.array([1.0, 2.0], "float64"))


@frameworks
def test_parameters_survive_a_function_that_fails(backend: str) -> None:
    framework = MAKERS[backend]()
    params = framework.array([1.0, 2.0], "float64")

    def loss(w: Any) -> Any:
        raise ZeroDivisionError("the user's own")

    with pytest.raises(ZeroDivisionError, match="the user's own"):
        framework.estimator(loss, params)
    assert np.asarray(params).tolist() == [1.0, 2.0]


@frameworks
def test_half_precision_gives_a_rough_gradient_and_not_a_wrong_one(backend: str) -> None:
    if backend == "numpy":
        pytest.skip("finite differences in float16 are a matter of their step")
    framework = MAKERS[backend]()
    gradient = REVERSE(lambda w: (framework.tanh(w) ** 2).mean(), framework.array(W, "float16")).gradient
    expected = 2 * np.tanh(W) * (1 - np.tanh(W) ** 2) / W.size
    assert np.asarray(gradient).dtype == np.float16
    assert np.linalg.norm(np.asarray(gradient, dtype=float) - expected) <= 1e-2 * np.linalg.norm(expected)


def test_none_and_empty_arguments_are_passed_on() -> None:
    def loss(w: Any, nothing: None, empty: dict[str, Any]) -> Any:
        assert nothing is None
        assert empty == {}
        return (w * w).sum()

    assert CENTRAL(loss, np.array([3.0]), None, {}).gradient == pytest.approx([6.0], rel=1e-9)


def test_a_device_other_than_the_parameters_is_refused() -> None:
    with pytest.raises(gradest.InvalidInputError, match="are on 'cpu'"):
        CENTRAL(lambda w: (w * w).sum(), np.array([3.0]), device="cuda:7")


def test_inferring_the_backend_imports_no_framework() -> None:
    program = (
        "import sys, numpy as np, gradest\n"
        "gradest.get_estimator('fd-central')(lambda w: (w * w).sum(), np.ones(2))\n"
        "found = sorted({'jax', 'torch', 'mxnet'} & set(sys.modules))\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": ":".join(sys.path)}, timeout=60)
