"""Losses that take a module's parameters from elsewhere than from the module they get, or write to frozen ones."""

from collections.abc import Callable
from typing import Any

import pytest

import gradest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")
nn = torch.nn

from support.torch_network import X, error, network  # noqa: E402  # which imports PyTorch

METHODS = ("reverse", "forward", "fd-central", "complex-step", "es", "spsa", "es-low-rank", "smoothed")


def of_a_list(m: Any) -> Callable[..., Any]:
    before = list(m.parameters())
    return lambda m, x: error(m, x) + sum((p**2).sum() for p in before)


def of_an_optimiser(m: Any) -> Callable[..., Any]:
    groups = torch.optim.SGD(m.parameters(), lr=0.1).param_groups
    return lambda m, x: error(m, x) + sum((p**2).sum() for group in groups for p in group["params"])


def of_an_attribute(m: Any) -> Callable[..., Any]:
    m.__dict__["kept"] = m[0].weight
    return lambda m, x: error(m, x) + (m.kept**2).sum()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", [of_a_list, of_an_optimiser, of_an_attribute])
def test_parameters_taken_from_elsewhere_are_refused_by_name(make: Callable[..., Any], method: str) -> None:
    m = network()
    with pytest.raises(
        gradest.InvalidInputError, match=r"also takes 0\.weight.* from elsewhere.*model\.parameters\(\)"
    ):
        gradest.grad(make(m), method=method)(m, X, rng=0)


@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_that_is_closed_over_too_is_refused(method: str) -> None:
    m = network()
    parameters = dict(m.named_parameters())

    def penalised(p: Any, x: Any) -> Any:
        return (torch.func.functional_call(m, p, (x,)) ** 2).mean() + (m[0].weight ** 2).sum()

    with pytest.raises(gradest.InvalidInputError, match=r"also takes 0\.weight from elsewhere"):
        gradest.grad(penalised, method=method)(parameters, X, rng=0)


def test_other_tensors_of_a_user_may_be_closed_over() -> None:
    w, scale = (torch.full((3,), value, dtype=torch.float64, requires_grad=True) for value in (1.0, 2.0))
    for method in ("reverse", "forward", "fd-central"):
        found = gradest.grad(lambda p: (scale * p**2).sum(), method=method)(w)
        torch.testing.assert_close(found, torch.full((3,), 4.0, dtype=torch.float64), rtol=1e-8, atol=0.0)
        assert not found.requires_grad
    assert w.grad is None
    assert scale.grad is None


def constant_anchor(m: Any) -> Callable[..., Any]:
    before = [p.detach().clone() + 1.0 for p in m.parameters()]
    return lambda m, x: error(m, x) + sum(((p - a) ** 2).sum() for p, a in zip(m.parameters(), before, strict=True))


def of_a_teacher(m: Any) -> Callable[..., Any]:
    teacher = network()[:1]  # which requires a gradient, and is another module
    return lambda m, x: ((m[0](x) - 2 * teacher(x)) ** 2).mean()


def closed_over(m: Any) -> Callable[..., Any]:
    return lambda given, x: error(m, x)  # the very module


@pytest.mark.parametrize("method", ["reverse", "forward", "fd-central"])
@pytest.mark.parametrize("make", [constant_anchor, of_a_teacher, closed_over])
def test_what_is_no_parameter_of_the_module_is_a_constant(make: Callable[..., Any], method: str) -> None:
    m = network()
    loss = make(m)
    found = gradest.grad(loss, method=method)(m, X)
    expected = torch.autograd.grad(loss(m, X), list(m.parameters()), allow_unused=True)
    for given, right in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(given, torch.zeros_like(given) if right is None else right, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_a_loss_that_writes_into_a_frozen_parameter_is_refused_by_name(method: str) -> None:
    m = network()
    m[2].requires_grad_(False)

    def averages(m: Any, x: Any) -> Any:
        with torch.no_grad():
            m[2].bias.mul_(0.9)
        return error(m, x)

    with pytest.raises(gradest.GradestError, match=r"2\.bias.*buffers"):
        gradest.grad(averages, method=method)(m, X, rng=0)


def test_a_lazy_layer_without_values_is_refused_in_words() -> None:
    lazy = nn.Sequential(nn.LazyLinear(2), nn.Tanh()).double()
    for method in ("reverse", "es"):
        with pytest.raises(gradest.InvalidInputError, match=r"LazyLinear.*weight, bias; run the module once"):
            gradest.grad(error, method=method)(lazy, X)
    lazy(X)
    found = gradest.grad(error)(lazy, X)
    (expected,) = torch.autograd.grad(error(lazy, X), lazy[0].weight)
    torch.testing.assert_close(found["0.weight"], expected)


def reentrant(m: Any, x: Any) -> Any:
    from torch.utils.checkpoint import checkpoint

    return (checkpoint(m[2], torch.tanh(m[0](x)), use_reentrant=True) ** 2).mean()


def reentrant_by_itself(m: Any, x: Any) -> Any:
    from torch.utils.checkpoint import checkpoint

    return (checkpoint(m, x.clone().requires_grad_(), use_reentrant=True) ** 2).mean()


def without_rule(m: Any, x: Any) -> Any:
    return torch.special.zeta(m(x) ** 2 + 2.0, m(x) ** 2).sum()


def into_a_given_tensor(m: Any, x: Any) -> Any:
    return torch.mm(x, m[0].weight.T, out=torch.zeros(5, 4, dtype=torch.float64)).sum()


def goes_backward(m: Any, x: Any) -> Any:
    loss = error(m, x)
    loss.backward()
    return loss


def freezes(m: Any, x: Any) -> Any:
    m[0].requires_grad_(False)
    return error(m, x)


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (reentrant, "use_reentrant=False"),
        (reentrant_by_itself, "use_reentrant=False"),
        (without_rule, "no derivative.*'fd-central'"),
        (into_a_given_tensor, "without out=.*'fd-central'"),
        (goes_backward, "return the loss alone.*'fd-central'"),
        (freezes, "freeze them before"),
    ],
)
def test_what_reverse_mode_cannot_do_is_told_in_words(loss: Callable[..., Any], says: str) -> None:
    m = network()
    with pytest.raises(gradest.GradestError, match=says):
        gradest.grad(loss)(m, X)
    assert all(p.requires_grad and p.grad is None for p in m.parameters())


def beside_a_head(m: Any, x: Any) -> Any:
    """All but the last layer in a checkpoint, of an input that requires a gradient so that it works by `backward`."""
    from torch.utils.checkpoint import checkpoint

    return (m[2](checkpoint(m[:2], x.clone().requires_grad_(), use_reentrant=True)) ** 2).mean()


def once_inside_and_once_outside(m: Any, x: Any) -> Any:
    return beside_a_head(m, x) + error(m, x)


@pytest.mark.parametrize("loss", [beside_a_head, once_inside_and_once_outside])
def test_parameters_inside_a_reentrant_checkpoint_are_not_given_zeros(loss: Callable[..., Any]) -> None:
    m = network()
    for derivative in (
        gradest.grad(loss),
        gradest.grad(loss, method="forward"),
        lambda m, x: gradest.hvp(loss, m, dict(m.named_parameters()), x),
    ):
        with pytest.raises(gradest.UnsupportedError, match="use_reentrant=False"):
            derivative(m, X)
    found = gradest.grad(loss, method="fd-central")(m, X)
    loss(m, X).backward()
    for name, p in m.named_parameters():
        torch.testing.assert_close(found[name], p.grad, rtol=1e-6, atol=1e-8)


class OwnBackward(torch.autograd.Function):  # type: ignore[misc, name-defined]  # PyTorch may be missing
    """Goes backward through a layer in its own backward pass, as reversible layers do."""

    @staticmethod
    def forward(ctx: Any, x: Any, layer: Any) -> Any:
        ctx.layer = layer
        ctx.save_for_backward(x)
        return layer(x)

    @staticmethod
    def backward(ctx: Any, slope: Any) -> Any:
        x = ctx.saved_tensors[0].detach().requires_grad_()
        with torch.enable_grad():
            torch.autograd.backward(ctx.layer(x), slope)
        return x.grad, None


def test_gradients_that_a_function_leaves_elsewhere_are_not_left_out() -> None:
    def loss(m: Any, x: Any) -> Any:
        return (OwnBackward.apply(torch.tanh(m[0](x)), m[2]) ** 2).mean()

    m = network()
    with pytest.raises(gradest.UnsupportedError, match="calls backward in its own backward pass"):
        gradest.grad(loss)(m, X)
    assert all(p.grad is None for p in m.parameters())


def freezes_for_a_while(m: Any, x: Any) -> Any:
    for p in m[0].parameters():
        p.requires_grad = False
    loss = error(m, x)
    m[0].requires_grad_(True)
    return loss


@pytest.mark.parametrize("loss", [freezes, freezes_for_a_while])
def test_parameters_frozen_inside_have_values_and_no_tangents(loss: Callable[..., Any]) -> None:
    m = network()
    for method in ("forward", "forward-gradient"):
        with pytest.raises(gradest.InvalidInputError, match="freeze them before"):
            gradest.grad(loss, method=method)(m, X, rng=0)
    plain = gradest.grad(error, method="fd-central")(m, X)
    torch.testing.assert_close(gradest.grad(loss, method="fd-central")(m, X), plain)
    assert all(p.requires_grad for p in m.parameters())
