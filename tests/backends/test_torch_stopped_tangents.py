"""Forward mode and products with the Hessian stop where a PyTorch loss stops its gradient, and go through its own ones.

What they are compared with is `torch.autograd` alone, twice for a Hessian.
"""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import gradest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn


def model() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


X = torch.linspace(-1.0, 1.0, 15, dtype=torch.float64).reshape(5, 3).sin()


def chases_a_target(m: Any, x: Any) -> Any:
    with torch.no_grad():
        target = m(1.1 * x)
    return ((m(x) - target) ** 2).mean()


def switches_recording(m: Any, x: Any) -> Any:
    torch.set_grad_enabled(False)
    target = m(1.1 * x)
    torch.set_grad_enabled(True)
    return ((m(x) - target) ** 2).mean()


def gradient_as_constant(m: Any, x: Any) -> Any:
    at = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(m(at).sum(), at)
    return (m(x + slope) ** 2).mean()


def inner_step(m: Any, x: Any, *, through: bool = True) -> Any:
    weight = m[0].weight
    (slope,) = torch.autograd.grad((m(x) ** 2).mean(), weight, create_graph=through)
    return (nn.functional.linear(x, weight - 0.5 * slope, m[0].bias) ** 2).mean() + m(x).mean()


def inner_step_of_first_order(m: Any, x: Any) -> Any:
    return inner_step(m, x, through=False)


def inner_step_of_squared_errors(m: Any, x: Any) -> Any:
    """PyTorch's own squared errors, whose second derivative has no forward mode: the loss of most meta-learning."""
    parameters = dict(m.named_parameters())
    first = nn.functional.mse_loss(m(x), 0.5 * x[:, :2])
    found = torch.autograd.grad(first, list(parameters.values()), create_graph=True)
    stepped = {name: p - 0.5 * g for (name, p), g in zip(parameters.items(), found, strict=True)}
    return nn.functional.mse_loss(torch.func.functional_call(m, stepped, (1.1 * x,)), x[:, 1:])


def inner_step_by_functions(m: Any, x: Any) -> Any:
    parameters = dict(m.named_parameters())

    def errors(at: Any, x: Any) -> Any:
        return nn.functional.mse_loss(torch.func.functional_call(m, at, (x,)), x[:, 1:])

    found = torch.func.grad(errors)(parameters, x)
    return errors({name: p - 0.5 * found[name] for name, p in parameters.items()}, 1.1 * x)


def residual_of_an_equation(m: Any, x: Any) -> Any:
    at = x.clone().requires_grad_()
    value = m(at)[:, :1]
    (slope,) = torch.autograd.grad(value.sum(), at, create_graph=True)
    (bend,) = torch.autograd.grad(slope[:, 0].sum(), at, create_graph=True)
    return ((bend[:, :1] + value) ** 2).mean()


def penalty(m: Any, x: Any) -> Any:
    at = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(m(at).sum(), at, create_graph=True)
    return ((slope.norm(dim=1) - 1.0) ** 2).mean()


def likelihood(m: Any, x: Any) -> Any:
    """One whose variance PyTorch clamps, here in two of five places, out of sight of what it differentiates."""
    mean, variance = m(x).unbind(1)
    return nn.functional.gaussian_nll_loss(mean, x[:, 0], variance.exp(), full=True, eps=0.8)


def chases_a_trained_copy(m: Any, x: Any) -> Any:
    target = copy.deepcopy(m)
    optimiser = torch.optim.SGD(target.parameters(), lr=0.1)
    (target(x) ** 2).mean().backward()
    optimiser.step()
    return ((m(x) - target(1.1 * x)) ** 2).mean()


LOSSES: list[Callable[[Any, Any], Any]] = [
    chases_a_target,
    switches_recording,
    gradient_as_constant,
    inner_step,
    inner_step_of_first_order,
    inner_step_of_squared_errors,
    inner_step_by_functions,
    residual_of_an_equation,
    penalty,
    likelihood,
    chases_a_trained_copy,
]


def slopes(value: Any, at: Any) -> list[Any]:
    found = torch.autograd.grad(value, at, create_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, at, strict=True)]


@pytest.mark.parametrize("outer", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("loss", LOSSES)
def test_forward_mode_is_the_gradient_of_autograd(loss: Callable[[Any, Any], Any], outer: Any) -> None:
    network = model()
    expected = slopes(loss(network, X), list(network.parameters()))
    with outer():
        found = gradest.grad(loss, method="forward")(network, X)
    for given, right in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(given, right.detach(), rtol=1e-9, atol=1e-12)
        assert not given.requires_grad
    assert torch._C._is_fwd_grad_enabled()
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("loss", LOSSES)
def test_products_with_the_hessian_are_those_of_autograd_twice(loss: Callable[[Any, Any], Any]) -> None:
    network = model()
    at = list(network.parameters())
    direction = {name: torch.cos(torch.arange(p.numel()).double()).reshape(p.shape) for name, p in
                 network.named_parameters()}  # fmt: skip
    first = slopes(loss(network, X), at)
    along = sum((g * v).sum() for g, v in zip(first, direction.values(), strict=True))
    expected = slopes(along, at)
    found = gradest.hvp(loss, network, direction, X)
    assert found.path == "forward over reverse"
    for given, right in zip(found.value.values(), expected, strict=True):
        torch.testing.assert_close(given, right.detach(), rtol=1e-9, atol=1e-12)


def test_an_inner_step_without_a_forward_mode_is_refused_by_what_has_none() -> None:
    """And not by the first way's error, that there is no record to differentiate."""

    def loss(m: Any, x: Any) -> Any:
        huber = nn.functional.huber_loss(m(x), x[:, :2])
        (slope,) = torch.autograd.grad(huber, m[0].weight, create_graph=True)
        return (slope**2).sum()

    with pytest.raises(gradest.UnsupportedError, match="forward AD with huber_loss_backward"):
        gradest.grad(loss, method="forward")(model(), X)


def implicit_layer(m: Any, x: Any) -> Any:
    """A fixed point found outside of the graph, whose derivative a hook solves for."""
    with torch.no_grad():
        fixed = x
        for _ in range(60):
            fixed = torch.tanh(m(fixed))
    at = fixed.clone().requires_grad_()
    around, once_more = torch.tanh(m(at)), torch.tanh(m(fixed))

    def solved(g: Any) -> Any:
        found = g
        for _ in range(60):
            found = torch.autograd.grad(around, at, found, retain_graph=True)[0] + g
        return found

    if once_more.requires_grad:  # not where it is only evaluated
        once_more.register_hook(solved)
    return (once_more**2).mean()


def test_where_reverse_mode_is_hooked_into_forward_mode_is_refused() -> None:
    layer = nn.Linear(3, 3, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-0.3, 0.4, 9).reshape(3, 3))
        layer.bias.copy_(torch.linspace(0.1, 0.5, 3))
    exact = gradest.grad(implicit_layer)(layer, X)
    found = gradest.grad(implicit_layer, method="fd-central")(layer, X)
    torch.testing.assert_close(found, exact, rtol=1e-6, atol=1e-8)
    for method in ("forward", "forward-gradient"):
        with pytest.raises(gradest.UnsupportedError, match="hooks into the backward pass"):
            gradest.grad(implicit_layer, method=method)(layer, X, rng=0)
    product = gradest.hvp(implicit_layer, layer, exact, X)
    assert product.path == "difference of gradients"

    def unrolled(m: Any, x: Any) -> Any:
        at = x
        for _ in range(60):
            at = torch.tanh(m(at))
        return (at**2).mean()

    torch.testing.assert_close(product.value, gradest.hvp(unrolled, layer, exact, X).value, rtol=1e-6, atol=1e-8)
    assert gradest.check(implicit_layer, layer, exact, X).verdict == "right"


def test_a_recurrent_layer_has_products_with_its_hessian_in_float32() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = nn.LSTM(3, 2, batch_first=True)

    def loss(m: Any, x: Any) -> Any:
        return (m(x)[0] ** 2).mean()

    direction = {name: torch.ones_like(p) for name, p in layer.named_parameters()}
    fine = gradest.hvp(loss, layer, direction, X[None].float()).value
    at = list(layer.parameters())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="TF32")  # of the flags themselves
        with torch.backends.mkldnn.flags(enabled=False):
            expected = slopes(sum(g.sum() for g in slopes(loss(layer, X[None].float()), at)), at)
    for given, right in zip(fine.values(), expected, strict=True):
        torch.testing.assert_close(given, right.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.5])  # all directions at once, and one after another
@pytest.mark.parametrize("padding", [0, -1, None])
def test_the_row_of_the_padding_has_no_tangent(padding: int | None, dropout: float) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Embedding(4, 2, padding_idx=padding), nn.Dropout(dropout)).double()
        nn.init.normal_(network[0].weight)
        index = torch.tensor([[0, 1, 3], [2, 3, 0]])

        def loss(m: Any) -> Any:
            return (m(index).sum(1) ** 3).mean()

        start = torch.get_rng_state()
        (expected,) = torch.autograd.grad(loss(network), network[0].weight)
        torch.set_rng_state(start)
        found = gradest.grad(loss, method="forward")(network)["0.weight"]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert padding is None or not found[padding].any()


def test_a_negative_variance_is_refused_in_forward_mode_too() -> None:
    def loss(p: Any) -> Any:
        return nn.functional.gaussian_nll_loss(p, torch.zeros_like(p), -p.abs())

    for method in ("reverse", "forward"):
        with pytest.raises(ValueError, match="var has negative"):
            gradest.grad(loss, method=method)(torch.ones(2, dtype=torch.float64))


def test_a_loss_with_dual_tensors_of_its_own_is_refused_in_forward_mode_alone() -> None:
    import torch.autograd.forward_ad as forward_ad

    def loss(m: Any, x: Any) -> Any:
        with forward_ad.dual_level():
            along = forward_ad.make_dual(x, torch.ones_like(x))
            return forward_ad.unpack_dual(m(along)).tangent.square().sum()

    def same(m: Any, x: Any) -> Any:  # of a network with one hidden layer: W2 diag(1 - h^2) W1 1
        slope = 1 - torch.tanh(m[0](x)).square()
        return ((slope * m[0].weight.sum(1)) @ m[2].weight.T).square().sum()

    network = model()
    right = torch.autograd.grad(same(network, X), network[0].weight)[0]
    for method in ("reverse", "fd-central"):
        found = gradest.grad(loss, method=method)(network, X)["0.weight"]
        torch.testing.assert_close(found, right, rtol=1e-6, atol=1e-8)
    with pytest.raises(gradest.UnsupportedError, match="forward mode was asked for"):
        gradest.grad(loss, method="forward")(network, X)
