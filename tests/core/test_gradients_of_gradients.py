"""A gradient inside a function that is differentiated: right, or refused; never detached without a word."""

import contextlib
import importlib.util
import itertools
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import GradestError, UnsupportedError

METHODS = ("reverse", "forward", "fd-central", "es")
START = np.array([1.0, -2.0])
EXACT = 36 * START**3  # of |grad sum x^3|^2 = sum 9 x^4


needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed: pip install 'gradest[torch]'"
)


def cubes(x: Any) -> Any:
    return (x**3).sum()


def start(backend: str) -> Any:
    return gradest.get_backend(backend).array(START, dtype="float32" if backend == "jax" else "float64")


def options(method: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields and the arguments of the call with which a method is right but for its bias."""
    # A full frame of orthogonal directions leaves no sampling error: as a function, such an estimate is smooth.
    frame = {"num_samples": 2, "distribution": "orthogonal", "sigma": 0.01}
    return (frame, {"rng": 1}) if method == "es" else ({}, {})


def squared_norm(backend: str, inner: str, *, beside: float = 0.0) -> Any:
    """Return the squared norm of the gradient of `cubes`, and `beside` times `cubes` itself."""
    fields, given = options(inner)
    gradient = gradest.grad(cubes, method=inner, **fields)

    def loss(x: Any) -> Any:
        found = gradient(x, **given)
        return (found * found).sum() + beside * cubes(x)

    return loss


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
@pytest.mark.parametrize(("inner", "outer"), list(itertools.product(METHODS, METHODS)), ids=str)
def test_every_pair_is_right_or_refused(backend: str, inner: str, outer: str) -> None:
    fields, given = options(outer)
    gradient = gradest.grad(squared_norm(backend, inner), method=outer, **fields)
    differentiable = {"reverse", "forward"}
    if backend == "numpy" and differentiable & {inner, outer}:  # of NumPy functions that it has rules for, if any
        with contextlib.suppress(GradestError):
            np.testing.assert_allclose(gradient(start(backend), **given), EXACT, rtol=0.01)
        return
    if outer in differentiable and (backend, inner) != ("jax", "reverse"):
        with pytest.raises(UnsupportedError, match=r"'fd-central'|'reverse'"):
            gradient(start(backend), **given)
        return
    found = gradest.get_backend(backend).numpy(gradient(start(backend), **given))
    np.testing.assert_allclose(found, EXACT, rtol=0.05 if backend == "jax" else 0.01)


def test_on_jax_reverse_mode_is_differentiated_again() -> None:
    for outer in ("reverse", "forward"):
        found = gradest.grad(squared_norm("jax", "reverse"), method=outer)(start("jax"))
        np.testing.assert_allclose(found, EXACT, rtol=1e-5)


@needs_torch
@pytest.mark.parametrize("inner", METHODS)
@pytest.mark.parametrize("outer", ["reverse", "forward", "forward-gradient"])
def test_on_torch_a_detached_gradient_is_no_constant_without_a_word(inner: str, outer: str) -> None:
    """A term that is connected hides that the other one is not: the number would be 3 x^2, and look like one."""
    loss = squared_norm("torch", inner, beside=1.0)
    with pytest.raises(UnsupportedError, match=r"not connected to what is differentiated.*torch\.func\.grad"):
        gradest.grad(loss, method=outer)(start("torch"))


def test_on_torch_prepared_estimators_models_and_arguments_are_refused_alike() -> None:
    torch = pytest.importorskip("torch", reason="asks for tensors that are being recorded")
    model, x = torch.nn.Linear(2, 1).double(), torch.ones(2, dtype=torch.float64)

    def through_a_model(at: Any) -> Any:
        return gradest.grad(lambda m: (m(x) ** 2).sum())(at)["bias"].sum() + (at.weight**2).sum()

    prepared = gradest.get_estimator("reverse").prepare(gradest.bind(cubes, start("torch")))
    sampled = gradest.get_estimator("es", num_samples=3).prepare(gradest.bind(cubes, start("torch")))
    by_argument = gradest.grad(lambda p, a: (p * a).sum())
    cases: list[tuple[Any, Any]] = [
        (through_a_model, model),
        (lambda p: prepared(p).gradient.sum() + p.sum(), start("torch")),
        (lambda p: sampled(p, rng=0).gradient.sum() + p.sum(), start("torch")),
        (lambda p: by_argument(x, p).sum() + p.sum(), start("torch")),
    ]
    for loss, at in cases:
        with pytest.raises(UnsupportedError, match=r"torch\.func\.grad"):
            gradest.grad(loss)(at)


def test_on_torch_what_is_detached_by_hand_or_not_differentiated_is_a_constant() -> None:
    torch = pytest.importorskip("torch", reason="detaches by hand")
    inner = gradest.grad(cubes)
    found = gradest.grad(lambda p: (p * inner(p.detach())).sum())(start("torch"))
    np.testing.assert_allclose(found, 3 * START**2)
    leaf = start("torch").requires_grad_()  # a parameter as models have them, outside any recording
    np.testing.assert_allclose(inner(leaf), 3 * START**2)
    with pytest.raises(UnsupportedError, match="torch"):
        torch.func.vmap(inner)(torch.stack([start("torch")] * 2))
    with pytest.raises(UnsupportedError, match="torch"):
        torch.func.grad(lambda p: inner(p).sum())(start("torch"))


@needs_torch
def test_on_torch_forward_mode_inside_forward_mode_does_not_wait_for_itself() -> None:
    inner, constant = gradest.grad(cubes, method="forward"), start("torch")
    for loss in (lambda p: (p * inner(p)).sum(), lambda p: (p * inner(constant)).sum()):
        with pytest.raises(UnsupportedError, match=r"torch\.func\.grad"):
            gradest.grad(loss, method="forward")(constant)
