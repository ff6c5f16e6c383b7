"""Losses of PyTorch that ask which parameters require a gradient, or differentiate by them, however they are evaluated.

What they are compared with is `torch.autograd` alone, of the user's own module or tensors.
"""

from collections.abc import Callable
from typing import Any

import pytest

import gradest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")
nn = torch.nn

from support.torch_network import X, error, network  # noqa: E402  # which imports PyTorch


def penalty_of_what_requires_a_gradient(m: Any, x: Any) -> Any:
    return error(m, x) + sum((p**2).sum() for p in m.parameters() if p.requires_grad)


def penalty_of_parameters(m: Any, x: Any) -> Any:
    held = [value for layer in (m[0], m[2]) for value in layer._parameters.values()]
    return error(m, x) + sum((p**2).sum() for p in held if isinstance(p, nn.Parameter))


def asserts(m: Any, x: Any) -> Any:
    assert all(p.requires_grad for p in m.parameters())
    return error(m, x)


def ties_in_its_forward_pass(m: Any, x: Any) -> Any:
    m[2].weight = m[2].weight  # which a module takes of an nn.Parameter alone
    return error(m, x)


ASK = (penalty_of_what_requires_a_gradient, penalty_of_parameters, asserts, ties_in_its_forward_pass)


def gradient_penalty(m: Any, x: Any) -> Any:
    slopes = torch.autograd.grad(error(m, x), list(m.parameters()), create_graph=True)
    return error(m, x) + sum((g**2).sum() for g in slopes)


def retains(m: Any, x: Any) -> Any:
    hidden = torch.tanh(m[0](x))
    hidden.retain_grad()
    return (m[2](hidden) ** 2).mean()


def hooks(m: Any, x: Any) -> Any:
    hidden = torch.tanh(m[0](x))
    hidden.register_hook(lambda g: None)
    return (m[2](hidden) ** 2).mean()


def goes_backward(m: Any, x: Any) -> Any:
    loss = error(m, x)
    loss.backward(retain_graph=True)
    return loss


DIFFERENTIATE = (gradient_penalty, retains, hooks, goes_backward)


def right(loss: Callable[..., Any], m: Any) -> list[Any]:
    found: list[Any] = list(torch.autograd.grad(loss(m, X), list(m.parameters())))
    m.zero_grad()
    return found


@pytest.mark.parametrize("population", ["auto", "loop"])
@pytest.mark.parametrize("method", ["reverse", "forward", "fd-central", "complex-step"])
@pytest.mark.parametrize("loss", ASK)
def test_a_loss_finds_the_parameters_that_require_a_gradient(
    loss: Callable[..., Any], method: str, population: str
) -> None:
    m = network()
    found = gradest.grad(loss, method=method, population=population)(m, X)
    tolerance = 1e-6 if method == "fd-central" else 1e-12
    for given, expected in zip(found.values(), right(loss, m), strict=True):
        torch.testing.assert_close(given, expected, rtol=tolerance, atol=tolerance)
        assert not given.requires_grad
    assert all(type(p) is nn.Parameter and p.grad is None for p in m.parameters())


def test_what_is_frozen_poses_as_no_parameter() -> None:
    m = network()
    m[0].requires_grad_(False)
    found = gradest.grad(penalty_of_what_requires_a_gradient, method="fd-central")(m, X)
    trainable = [p for p in m.parameters() if p.requires_grad]
    expected = torch.autograd.grad(penalty_of_what_requires_a_gradient(m, X), trainable)
    assert tuple(found) == ("2.weight", "2.bias")
    for given, one in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(given, one, rtol=1e-6, atol=1e-6)


def test_the_penalty_is_in_a_batched_population_as_in_a_loop() -> None:
    estimates = [
        gradest.get_estimator("es", num_samples=5)(
            gradest.bind(penalty_of_what_requires_a_gradient, network(), X, population=population), rng=0
        )
        for population in ("vmap", "loop")
    ]
    assert [estimate.path for estimate in estimates] == ["vmap", "loop"]
    one, other = (estimate.gradient["0.weight"] for estimate in estimates)
    torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("outer", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("loss", DIFFERENTIATE)
def test_a_loss_that_differentiates_by_its_parameters_can_be_evaluated(loss: Callable[..., Any], outer: Any) -> None:
    m = network()
    with outer():
        found = gradest.grad(loss, method="fd-central")(m, X)
    assert all(p.grad is None for p in m.parameters())
    for given, expected in zip(found.values(), right(loss, m), strict=True):
        torch.testing.assert_close(given, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("outer", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_an_inner_step_on_a_dict_of_tensors_can_be_evaluated(outer: Any) -> None:
    def stepped(p: Any, x: Any) -> Any:
        slopes = torch.autograd.grad((torch.tanh(x @ p["w"]) ** 2).mean(), list(p.values()), create_graph=True)
        return (torch.tanh(x @ (p["w"] - 0.5 * slopes[0])) ** 2).mean()

    at = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(stepped({"w": at}, X), at)
    with outer():
        found = gradest.grad(stepped, method="fd-central")({"w": at.detach().clone()}, X)
    torch.testing.assert_close(found["w"], expected, rtol=1e-6, atol=1e-8)
