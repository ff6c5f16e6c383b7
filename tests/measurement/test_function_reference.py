"""The reference of a user's function knows how good it is, whatever the function is, and is right within that."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradest
from gradest import bind
from gradest.measurement.function_reference import function_reference
from gradest.measurement.reference_record import Reference

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
X = np.linspace(0.2, 1.4, 6)
EXTENDED = X.astype(np.longdouble)


def error_of(reference: Reference, exact: np.ndarray) -> float:
    return float(np.sqrt(np.sum((reference.gradient - exact) ** 2) / np.sum(exact**2)))


def half_way(x: Any) -> Any:
    """Return a loss that goes through single precision and comes back to double."""
    return np.sum(np.sin(x).astype(np.float32).astype(np.float64) ** 2) + 0 * np.sum(x)


def branching(x: Any) -> Any:
    return np.sum(np.sin(x)) if x[0] > 0.1 else np.sum(x)


def kinked_beside(x: Any) -> float:
    """Return a loss with a kink at a distance of 1e-5, within reach of the steps that suit smooth losses."""
    return float(np.sum(np.sin(x)) + 30.0 * max(float(x[0]) - 0.20001, 0.0))


NUMPY: dict[str, tuple[Callable[[Any], Any], np.ndarray, str, float]] = {
    "arithmetic": (lambda x: np.sum(np.sin(x)), np.cos(EXTENDED), "longdouble, compared with complex-step", 1e-17),
    "not analytic": (lambda x: np.abs(np.sin(x)).sum(), np.cos(EXTENDED), "longdouble, compared with forward", 1e-17),
    "a branch": (branching, np.cos(EXTENDED), "reverse mode in longdouble", 1e-17),
    "single precision inside": (lambda x: np.sum(np.sin(x.astype(np.float32))), np.cos(EXTENDED), "float64", 1e-5),
    "half way": (half_way, np.sin(2 * EXTENDED), "float64", 1e-5),
    "a number of Python's": (lambda x: float(np.sum(np.sin(x))), np.cos(EXTENDED), "Richardson", 1e-9),
    "a kink near by": (kinked_beside, np.cos(EXTENDED), "Richardson", 1e-6),
}


@pytest.mark.parametrize("kind", NUMPY)
def test_of_numpy_it_is_right_within_its_uncertainty(kind: str) -> None:
    f, exact, words, bound = NUMPY[kind]
    reference = function_reference(bind(f, X))
    assert words in reference.method
    assert reference.uncertainty <= bound
    # A coarse loss has another gradient than the one by hand, by the rounding on its way.
    assert error_of(reference, exact) <= 4 * reference.uncertainty + 8 * np.finfo(np.longdouble).eps


@pytest.mark.parametrize("backend", ["jax", "torch", "mxnet"])
def test_single_precision_is_judged_by_double(backend: str) -> None:
    found = gradest.get_backend(backend)
    with found.scope("float32") or np.errstate():
        point = found.array(X, dtype="float32")
        scale = found.array(np.array([3.0]), dtype="float32")
    rounded = X.astype(np.float32).astype(np.longdouble)
    reference = function_reference(bind(lambda x, c: (c * x * x * x).sum(), point, scale))
    assert f"{backend}'s reverse mode in float64" in reference.method
    assert error_of(reference, 9 * rounded**2) <= reference.uncertainty < 1e-13


def test_a_loss_that_holds_arrays_of_its_own_dtype_is_judged_in_it() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")
    weight = torch.linspace(0.5, 1.0, 6)
    point = torch.tensor(X, dtype=torch.float32)
    reference = function_reference(bind(lambda x: weight @ torch.sin(x), point))
    exact = weight.numpy().astype(np.longdouble) * np.cos(X.astype(np.float32).astype(np.longdouble))
    assert "in float32" in reference.method
    assert error_of(reference, exact) <= reference.uncertainty < 1e-5


def test_a_finer_dtype_in_which_the_loss_is_another_is_named() -> None:
    """In float32 with its key a loss draws one mask, in float64 another: their gradients have nothing to do with it."""
    jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'gradest[jax]'")
    key = jax.random.PRNGKey(7)

    def masked(x: Any, key: Any) -> Any:
        return (jax.numpy.where(jax.random.bernoulli(key, 0.5, x.shape), x, 0.0) ** 2).sum()

    point = jax.numpy.linspace(1.0, 2.0, 40, dtype="float32")
    reference = function_reference(bind(masked, point, key))
    mask = np.asarray(jax.random.bernoulli(key, 0.5, point.shape))
    assert error_of(reference, 2 * np.where(mask, np.asarray(point), 0.0)) <= reference.uncertainty
    assert "reverse mode in float32 (not in float64: the loss differs there by " in reference.method


# -- a derivative that is wrong -----------------------------------------------------------------------------
def wrong_in_torch() -> tuple[Any, Any]:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")
    function: Any = torch.autograd.Function

    class Cube(function):  # type: ignore[misc]  # the checker sees no class where PyTorch may not be installed
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, outer: Any) -> Any:
            return outer * 2 * ctx.saved_tensors[0] ** 2  # 2 for 3

    return lambda x: Cube.apply(x).sum(), torch.tensor(X)


def detached_in_torch() -> tuple[Any, Any]:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")
    return lambda x: (x * (x * x).detach()).sum(), torch.tensor(X)


def wrong_in_jax() -> tuple[Any, Any]:
    jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'gradest[jax]'")

    cube: Any = jax.custom_vjp(lambda x: x**3)
    cube.defvjp(lambda x: (x**3, x), lambda x, outer: (outer * 2 * x**2,))
    return lambda x: cube(x).sum(), jax.numpy.asarray(X, dtype="float32")


@pytest.mark.parametrize("made", [wrong_in_torch, detached_in_torch, wrong_in_jax])
def test_reverse_mode_that_the_values_contradict_is_set_aside(made: Callable[[], tuple[Any, Any]]) -> None:
    f, point = made()
    reference = function_reference(bind(f, point))
    assert "reverse mode: values of the loss contradict it" in reference.method
    start = np.asarray(point).astype(np.longdouble)
    assert error_of(reference, 3 * start**2) <= 4 * reference.uncertainty < 1e-3


def test_the_row_of_a_wrong_rule_says_how_wrong_it_is() -> None:
    f, point = wrong_in_torch()
    found = gradest.compare(f, point, estimators=["reverse", "fd-central"], budget_seconds=1e-3)
    assert found[0].accuracy.relative_error == pytest.approx(1 / 3, rel=1e-6)
    assert found[1].accuracy.relative_error < 1e-8


# -- random layers ------------------------------------------------------------------------------------------
def test_of_a_loss_that_draws_all_see_one_draw_and_the_generator_stays_where_it_was() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Dropout(0.5), torch.nn.Linear(7, 1)).double()
        x = torch.randn(9, 5).double()
        state = torch.get_rng_state()

        def loss(model: Any, x: Any) -> Any:
            return (model(x) ** 2).mean()

        found = gradest.compare(
            loss, network, x, estimators=["reverse", "fd-central", "es"], budget_seconds=1e-3, replicates=4
        )
        assert torch.equal(torch.get_rng_state(), state)
        network.zero_grad()
        loss(network, x).backward()  # the draw that was compared on
        own = torch.cat([p.grad.ravel() for p in network.parameters()]).numpy()
        torch.set_rng_state(state)
        reference = function_reference(bind(loss, network, x))
        assert torch.equal(torch.get_rng_state(), state)
    assert "draws random numbers" in found.loss.notes[0]
    assert found[0].relative_error < 1e-12
    assert found[1].relative_error < 1e-7
    assert error_of(reference, own) < 1e-12


@pytest.mark.parametrize("backend", ["mxnet"])
@pytest.mark.parametrize("hybrid", [False, True])
def test_a_block_with_running_means_is_computed_in_double(hybrid: bool, backend: str) -> None:
    case = gradest.Case.load(str(EXAMPLES / "compare_gluon.py") + ":case")
    if hybrid:
        case.params.hybridize()
    reference = function_reference(bind(case))
    assert f"{backend}'s reverse mode in float64" in reference.method
    assert reference.uncertainty < 1e-13
    means = case.params[1].running_mean.data()
    assert str(means.dtype) == str(np.float32)  # the block's own are as they were
