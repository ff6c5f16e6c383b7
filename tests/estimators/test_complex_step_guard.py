"""What the complex step says of users' functions: half precision, losses that are not analytic, kinks at the point."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradest

X = [1.0, 2.0, 0.5]


def on(framework: str, values: Any, dtype: str) -> Any:
    """Return an array of a framework."""
    if framework == "torch":
        torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'gradest[torch]'")
        return torch.tensor(values, dtype=getattr(torch, dtype))
    if framework == "jax":
        jnp = pytest.importorskip("jax.numpy", reason="needs JAX: pip install 'gradest[jax]'")
        return jnp.asarray(values, dtype=dtype)
    return np.asarray(values, dtype=dtype)


@pytest.mark.parametrize("population", ["auto", "vmap", "loop"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_steps_do_not_vanish_in_half_precision(framework: str, dtype: str, population: str) -> None:
    """The step is 1e-19, and a float16 has nothing below 6e-8: the whole gradient was zero."""
    half = on(framework, X, dtype)
    objective = gradest.bind(lambda p: (p**3).sum(), half, population=population)
    estimate = gradest.get_estimator("complex-step")(objective)
    assert str(estimate.gradient.dtype).endswith(dtype)
    np.testing.assert_allclose([float(g) for g in estimate.gradient], [3.0, 12.0, 0.75])
    along = gradest.directional_derivative(lambda p: (p**3).sum(), half, half, method="complex-step")
    assert along.slope == pytest.approx(3 + 24 + 0.375, rel=1e-6)


def test_half_precision_beside_double() -> None:
    params = {"a": on("torch", X, "float16"), "b": on("torch", [1.0, 2.0], "float64")}
    found = gradest.grad(lambda p: (p["a"] ** 3).sum() * (p["b"] ** 2).sum(), method="complex-step")(params)
    np.testing.assert_allclose(found["a"].double().numpy(), [15.0, 60.0, 3.75])
    np.testing.assert_allclose(found["b"].numpy(), 9.125 * np.array([2.0, 4.0]), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_module_in_half_precision_with_its_batch_as_argument(dtype: str) -> None:
    """Parameters and batch are computed in single precision together: layers take no two dtypes."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'gradest[torch]'")
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))
    x = torch.randn(3, 4)
    half = getattr(torch, dtype)
    exact = torch.autograd.grad((network.to(half).float()(x.to(half).float()) ** 2).mean(), network.parameters())
    found = gradest.grad(lambda m, x: (m(x) ** 2).mean(), method="complex-step")(network.to(half), x.to(half))
    for (name, values), right in zip(found.items(), exact, strict=True):
        assert values.dtype == half
        assert float((values.float() - right).abs().max()) <= 2.0**-7 * float(right.abs().max()), name


def layer_norm(x: Any, square: Callable[[Any], Any]) -> Any:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(square(centred).mean(axis=-1, keepdims=True) + 1e-6)


def network(seed: int, dtype: str, square: Callable[[Any], Any]) -> tuple[Callable[[Any], Any], dict[str, Any]]:
    """Return a network of two layers with a layer norm between them, and its parameters."""
    random = np.random.default_rng(seed)
    x, t = random.standard_normal((16, 6)).astype(dtype), random.standard_normal((16, 3)).astype(dtype)
    params = {
        "v": random.standard_normal((6, 8)).astype(dtype) / 2,
        "w": random.standard_normal((8, 3)).astype(dtype) / 3,
    }
    return lambda p: ((layer_norm(np.tanh(x @ p["v"]), square) @ p["w"] - t) ** 2).mean(), params


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(20))
def test_a_part_that_is_not_analytic_is_told_from_curvature(seed: int, dtype: str) -> None:
    """The variance of layers that many libraries have, as |z|^2: its slope is lost, the loss's curvature is not."""
    loss, params = network(seed, dtype, lambda z: z.real**2 + z.imag**2 if np.iscomplexobj(z) else z**2)
    with pytest.raises(gradest.InvalidInputError, match="asks for an analytic loss; along one line"):
        gradest.grad(loss, method="complex-step")(params)


def test_a_step_that_is_too_long_is_among_the_causes_that_are_named() -> None:
    with pytest.raises(gradest.InvalidInputError, match="a step whose square does not vanish beside 1"):
        gradest.grad(lambda x: np.exp(x).sum(), method="complex-step", step=1e-2)(np.arange(3.0))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_analytic_networks_pass(dtype: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(20):
            loss, params = network(seed, dtype, lambda z: z**2)
            found = gradest.grad(loss, method="complex-step")(params)
            exact = gradest.grad(loss, method="reverse")(params)
            for name, values in exact.items():
                np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=1e-4 * np.abs(values).max())


TIES: dict[str, Callable[[Any, Any], Any]] = {
    "maximum": lambda np_, p: np_.maximum(p, 0.0).sum(),
    "where": lambda np_, p: np_.where(p > 0, p, 0.0 * p).sum(),
    "clip": lambda np_, p: np_.clip(p, 0.0, None).sum(),
    "minimum in a product": lambda np_, p: (np_.minimum(p, 0.0) * np_.exp(p)).sum() + (p**2).sum() + p.sum(),
}


@pytest.mark.parametrize(
    ("framework", "name"),
    [
        (f, name) for f in ("numpy", "jax") for name in TIES if (f, name) != ("jax", "clip")
    ],  # it takes no complex numbers
)
def test_a_kink_at_the_very_point_is_told(framework: str, name: str) -> None:
    """Both frameworks order complex numbers by their imaginary parts where the real ones are equal."""
    here = on(framework, [0.0, 1.0], "float32")
    module: Any = np if framework == "numpy" else pytest.importorskip("jax.numpy", reason="needs JAX")
    with pytest.warns(gradest.KinkWarning, match="a kink at this very point"):
        gradest.grad(lambda p: TIES[name](module, p), method="complex-step")(here)
    with pytest.warns(gradest.KinkWarning, match="a kink at this very point"):
        gradest.directional_derivative(lambda p: TIES[name](module, p), here, here * 0 + 1, method="complex-step")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # off the kink there is nothing to tell
        gradest.grad(lambda p: TIES[name](module, p), method="complex-step")(here + 1)


def test_a_condition_on_a_single_number_is_a_tie_too() -> None:
    with pytest.warns(gradest.KinkWarning):
        found = gradest.grad(lambda p: sum(max(x, 0) for x in p), method="complex-step")(np.array([0.0, 2.0]))
    np.testing.assert_allclose(found, [1.0, 1.0])


def test_what_the_guard_evaluates_is_counted_apart() -> None:
    objective = gradest.bind(lambda p: (p**2).sum(), np.array(X))
    estimate = gradest.get_estimator("complex-step")(objective)
    assert estimate.cost.values == 3
    assert objective.preparation_cost.values >= 3 * 5 + 2
