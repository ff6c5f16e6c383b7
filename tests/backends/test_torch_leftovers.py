"""What an `nn.Module` holds beside parameters and buffers, after gradest has computed with it: caches, weights."""

import copy
import io
import warnings
from typing import Any

import pytest

import gradest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn
prune = pytest.importorskip("torch.nn.utils.prune")

X = torch.linspace(-1.0, 1.0, 12, dtype=torch.float64).reshape(4, 3).sin()
METHODS = ("reverse", "forward", "forward-gradient", "fd-central", "es", "spsa")


def estimate(method: str, loss: Any, model: Any, *args: Any, **binding: Any) -> Any:
    options: dict[str, Any] = {"num_samples": 2} if method in ("es", "spsa", "forward-gradient") else {}
    estimator = gradest.get_estimator(method, **options)
    return estimator(loss, model, *args, rng=0 if estimator.stochastic else None, **binding).gradient


class Caching(nn.Module):  # type: ignore[misc, name-defined]  # of type Any where it is not installed
    """Keeps what does not depend on its parameters from its first call on, as positions of a transformer are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2).double()
        self.cached: dict[str, Any] = {}
        self.steps: list[Any] = []

    def forward(self, x: Any) -> Any:
        if not hasattr(self, "positions"):
            self.register_buffer("positions", torch.arange(len(x), dtype=x.dtype).cos()[:, None])
        if "scale" not in self.cached:
            self.cached["scale"] = (2 * x.detach().abs().mean(), (x.mean() * 3,))
        out = self.linear(x) * self.positions * self.cached["scale"][0]
        self.steps.append(out.mean())
        self.last = (out.mean(), out.std())
        return out


@pytest.mark.parametrize("method", METHODS)
def test_a_cache_that_the_first_call_fills_is_whole_afterwards(method: str) -> None:
    model, same = Caching(), Caching()
    same.load_state_dict(model.state_dict())
    expected = same(X).detach()
    found = estimate(method, lambda m, x: m(x).square().mean(), model, X)
    kept = [model.positions, *(x for x in model.cached["scale"] if isinstance(x, torch.Tensor)), *model.steps]
    assert not any(torch._C._functorch.is_functorch_wrapped_tensor(x) for x in kept)
    torch.testing.assert_close(model.positions, same.positions)
    torch.testing.assert_close(model.cached["scale"], same.cached["scale"])
    torch.save(model.state_dict(), io.BytesIO())
    copy.deepcopy((model.positions, model.cached))
    torch.testing.assert_close(model(X).detach(), expected)
    (right,) = torch.autograd.grad(same(X).square().mean(), same.linear.weight)
    if method in ("reverse", "forward"):
        torch.testing.assert_close(found["linear.weight"], right)


def test_a_cache_of_what_differs_between_the_members_of_a_population_is_left_out() -> None:
    class Keeping(nn.Module):  # type: ignore[misc, name-defined]  # likewise
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 2).double()
            self.seen: list[Any] = []
            self.pair = (torch.zeros(()), torch.zeros(()))
            self.named: dict[str, Any] = {}

        def forward(self, x: Any) -> Any:
            out = self.linear(x)
            self.seen.append(out.mean())
            self.pair = (out.mean(), out.std())
            self.named["last"] = out
            return out.square().mean()

    model = Keeping()
    estimate("fd-central", lambda m, x: m(x), model, X, population="vmap")
    for held in (*model.seen, *model.pair, *model.named.values()):
        assert not torch._C._functorch.is_functorch_wrapped_tensor(held)
        assert torch.isfinite(held.detach()).all()


def recurrent() -> Any:
    return nn.Sequential(nn.LSTM(3, 2, batch_first=True)).double()


def of_the_older_kind(make: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # that there is a newer kind
        if make == "prune":
            return nn.Sequential(prune.l1_unstructured(nn.Linear(3, 2).double(), "weight", 0.4))
        model = nn.Sequential(getattr(torch.nn.utils, make)(nn.Linear(3, 2).double()))
    return model.eval()  # spectral_norm goes on with its iteration in training mode


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", ["weight_norm", "spectral_norm", "prune"])
def test_a_weight_that_is_computed_of_others_is_as_it_was(make: str, method: str) -> None:
    model = of_the_older_kind(make)
    model(X)
    before = model[0].weight
    values = before.detach().clone()
    found = estimate(method, lambda m, x: m(x).square().mean(), model, X)
    assert model[0].weight is before
    torch.testing.assert_close(before.detach(), values)
    if method == "reverse":
        own = dict(model.named_parameters())
        right = torch.autograd.grad(model(X).square().mean(), list(own.values()))
        torch.testing.assert_close(found, dict(zip(own, right, strict=True)))


@pytest.mark.parametrize("method", METHODS)
def test_a_recurrent_layer_lists_its_own_weights(method: str) -> None:
    model = recurrent()
    estimate(method, lambda m, x: m(x)[0].square().mean(), model, X[None])
    assert all(one is other for one, other in zip(model[0]._flat_weights, model.parameters(), strict=True))


@pytest.mark.parametrize("method", METHODS)
def test_a_module_made_in_inference_mode_has_its_estimates(method: str) -> None:
    with torch.inference_mode():
        model = nn.Linear(3, 2).double()
    plain = nn.Linear(3, 2).double()
    plain.load_state_dict(model.state_dict())

    def loss(m: Any, x: Any) -> Any:
        return m(x).square().mean() + sum(p.sum() for p in m.parameters() if p.requires_grad)

    found = estimate(method, loss, model, X)
    torch.testing.assert_close(found, estimate(method, loss, plain, X))
    assert all(p.is_inference() and p.requires_grad for p in model.parameters())
