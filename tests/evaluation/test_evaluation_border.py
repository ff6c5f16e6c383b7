"""A user's own function crosses one border: its inputs stay, its answer is judged, or the error says why."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import InvalidInputError, NoiseWarning, UnsupportedError
from gradest.operations import NumpyArray

BLACK_BOX = ["fd-forward", "fd-central", "es", "es-rank", "spsa", "es-low-rank"]
FRAMEWORKS = ["numpy", "jax", "torch", "mxnet"]
POINT = np.array([1.0, 2.0])


def array(framework: str, values: NumpyArray, dtype: str = "float64") -> Any:
    backend = gradest.get_backend(framework)
    with backend.scope(dtype) or warnings.catch_warnings():
        return backend.array(np.asarray(values), dtype=dtype)


def numbers(framework: str, value: Any) -> NumpyArray:
    return np.asarray(gradest.get_backend(framework).numpy(value), dtype=np.float64)


def gradient(loss: Callable[..., Any], method: str, params: Any, *args: Any, **options: Any) -> Any:
    estimator = gradest.get_estimator(method)
    rng = {"rng": 0} if estimator.stochastic else {}
    return estimator(loss, params, *args, **rng, **options)


def plain(framework: str, method: str) -> NumpyArray:
    """Return the estimate of the same method for the same loss in plain operations of the framework."""
    return numbers(framework, gradient(lambda p: (p * p).sum(), method, array(framework, POINT)).gradient)


# -- a black box is a black box --------------------------------------------------------------------------------
BLACK_BOXES: dict[str, Callable[[Any], Any]] = {
    "a number of Python's": lambda p: float((p * p).sum()),
    "a branch on values": lambda p: (p * p).sum() if float(p[0]) > 0 else p.sum(),
    "NumPy inside": lambda p: float(np.sum(np.asarray(p.asnumpy() if hasattr(p, "asnumpy") else p) ** 2)),
}


@pytest.mark.parametrize("method", BLACK_BOX)
@pytest.mark.parametrize("loss", BLACK_BOXES.values(), ids=BLACK_BOXES)
@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_any_function_that_returns_a_number_is_evaluated(backend: str, loss: Callable[[Any], Any], method: str) -> None:
    found = gradient(loss, method, array(backend, POINT))
    assert found.path == "loop"
    assert np.allclose(numbers(backend, found.gradient), plain(backend, method), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_way_to_evaluate_a_population_is_an_option(backend: str) -> None:
    point = array(backend, POINT)
    paths = {
        asked: gradient(lambda p: (p * p).sum(), "fd-central", point, population=asked).path
        for asked in ("auto", "vmap", "loop")
    }
    assert paths == {"auto": "vmap", "vmap": "vmap", "loop": "loop"}
    with pytest.raises(UnsupportedError, match=r"cannot batch.*population='loop'"):
        gradient(BLACK_BOXES["a number of Python's"], "fd-central", point, population="vmap")
    with pytest.raises(InvalidInputError, match="auto, vmap, loop"):
        gradient(lambda p: (p * p).sum(), "fd-central", point, population="batch")


def test_batching_that_lies_is_not_taken() -> None:
    """One number drawn by NumPy would serve a whole population of PyTorch's vmap, and look like no noise at all."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")
    generator = np.random.default_rng(0)
    with pytest.warns(NoiseWarning):
        found = gradient(lambda p: (p**2).sum() + generator.standard_normal(), "fd-central", torch.tensor(POINT))
    assert found.path == "loop"


# -- inputs ------------------------------------------------------------------------------------------------------
def writes(p: Any) -> Any:
    p *= 2
    return (p**2).sum()


@pytest.mark.parametrize("method", ["fd-forward", "es", "complex-step"])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_loss_that_writes_into_its_parameters_is_refused_and_they_stay(backend: str, method: str) -> None:
    point = array(backend, POINT)
    with pytest.raises(InvalidInputError, match=r"writes into its parameters.*copy"):
        gradient(writes, method, point)
    assert numbers(backend, point).tolist() == POINT.tolist()


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_loss_that_writes_into_its_arguments_is_refused(backend: str) -> None:
    def loss(p: Any, x: Any) -> Any:
        x += 1
        return (p * x).sum()

    batch = array(backend, POINT)
    with pytest.raises(InvalidInputError, match="arguments"):
        gradient(loss, "fd-central", array(backend, POINT), batch)
    assert numbers(backend, batch).tolist() == POINT.tolist()


def test_a_loss_that_fills_and_returns_one_buffer_is_right() -> None:
    out = np.zeros(())

    def loss(p: NumpyArray) -> NumpyArray:
        out[...] = np.sum(p**2)
        return out

    assert gradient(loss, "fd-central", POINT).gradient.round(6).tolist() == [2.0, 4.0]


# -- answers -------------------------------------------------------------------------------------------------------
ANSWERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "None": (lambda p: None, "`return` missing"),
    "text": (lambda p: "0.5", "string"),
    "a boolean": (lambda p: bool(float(p[0]) > 0), "boolean"),
    "a complex number": (lambda p: (p * 1j).sum() if hasattr(p, "dtype") else 1j, "complex"),
    "a tuple": (lambda p: ((p * p).sum(), p), "tuple"),
    "an object with a loss": (lambda p: type("Out", (), {"loss": (p * p).sum()})(), "return out.loss"),
    "a vector": (lambda p: p * p, r"shape \(2,\)"),
}


@pytest.mark.parametrize("method", ["fd-central", "es"])
@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
def test_what_is_no_real_number_is_refused_with_what_was_found(backend: str, kind: str, method: str) -> None:
    loss, message = ANSWERS[kind]
    with pytest.raises(InvalidInputError, match=message):
        gradient(loss, method, array(backend, POINT, "float32"))


# -- noise ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_noisy_loss_is_told_of_once_with_the_difference_and_can_be_taken_as_it_is(backend: str) -> None:
    generator = np.random.default_rng(0)

    def loss(p: Any) -> Any:
        return (p * p).sum() + 1e-3 * generator.standard_normal()

    with pytest.warns(NoiseWarning, match="differ by .*seed or key.* hidden state"):
        gradient(loss, "fd-central", array(backend, POINT))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradient(loss, "fd-central", array(backend, POINT), verify=False)


def test_what_preparation_evaluates_is_counted_apart() -> None:
    objective = gradest.bind(lambda p: float((p * p).sum()), POINT)
    prepared = gradest.get_estimator("fd-central").prepare(objective)
    assert objective.preparation_cost.values == 3 + 15  # the first look, and a line through the start point
    assert prepared().cost == gradest.Cost(values=4)
    assert objective.counts == gradest.Cost(values=4)
    unverified = gradest.bind(lambda p: float((p * p).sum()), POINT, verify=False)
    gradest.get_estimator("fd-central").prepare(unverified)
    assert unverified.preparation_cost == gradest.Cost()


# -- connection ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("backend", ["jax", "torch", "mxnet"])
def test_a_loss_connected_to_other_arrays_alone_is_refused(backend: str) -> None:
    other = array(backend, POINT, "float32")
    if backend == "torch":
        other.requires_grad_()
    if backend == "mxnet":
        other.attach_grad()
    with pytest.raises(InvalidInputError, match=r"parameters was asked for; (the result|none of them)"):
        gradient(lambda p: (other * other).sum(), "reverse", array(backend, POINT, "float32"))


@pytest.mark.parametrize("backend", ["jax", "torch", "mxnet"])
def test_a_parameter_without_influence_has_slope_zero(backend: str) -> None:
    params = {"used": array(backend, POINT, "float32"), "not": array(backend, POINT, "float32")}
    found = gradient(lambda p: (p["used"] * p["used"]).sum(), "reverse", params).gradient
    assert numbers(backend, found["used"]).tolist() == [2.0, 4.0]
    assert numbers(backend, found["not"]).tolist() == [0.0, 0.0]
