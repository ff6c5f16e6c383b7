"""What an `nn.Module` is while a loss computes with it, and after: of one thread alone, then as it was."""

import copy
import io
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import gradest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn

METHODS = ("reverse", "forward", "fd-central", "es")


def _slow(model: Any, x: Any) -> Any:
    """Use the weights twice, long enough apart that another thread would have its own in between."""
    first = model.weight.sum() * x
    time.sleep(0.002)
    return (model.weight.sum() ** 2 + first + model.bias.sum()).sum()


@pytest.mark.parametrize("method", METHODS)
def test_threads_do_not_mix_their_tensors_in_one_module(method: str) -> None:
    model = nn.Linear(2, 2).double()
    own, at = dict(model.named_parameters()), float(model.weight.detach().sum())
    points = [float(k) for k in range(4)]

    def gradient(x: float) -> Any:
        options: dict[str, Any] = {"num_samples": 4, "sigma": 0.01} if method == "es" else {}
        return gradest.grad(_slow, method=method, **options)(model, torch.tensor(x, dtype=torch.float64), rng=0)

    alone = [gradient(x) for x in points]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(gradient, points))
    for x, one, other in zip(points, alone, together, strict=True):
        for (
            name
        ) in own:  # batched or one by one, which may differ in rounding; mixed tensors are off by a half and more
            torch.testing.assert_close(other[name], one[name], rtol=1e-7, atol=1e-8)
        if method != "es":  # d/dw of (sum w)^2 + x sum w
            assert torch.allclose(other["weight"], torch.full((2, 2), 2 * at + x, dtype=torch.float64), rtol=1e-6)
    assert all(model.get_parameter(name) is parameter for name, parameter in own.items())


def test_threads_do_not_mix_their_tensors_in_a_part_that_two_models_share() -> None:
    shared = nn.Linear(2, 2).double()
    models = [nn.Sequential(shared, nn.Linear(2, 1).double()) for _ in range(2)]
    models.append(nn.Sequential(*models))  # joins what was seen apart

    def loss(model: Any, x: Any) -> Any:
        first = shared.weight.sum()
        time.sleep(0.002)
        return first * shared.weight.sum() + 0.0 * sum(p.sum() for p in model.parameters())

    def gradient(model: Any) -> Any:
        return next(iter(gradest.grad(loss)(model, None).values()))

    right = torch.full((2, 2), 2 * float(shared.weight.detach().sum()), dtype=torch.float64)
    for model in models[:2]:
        gradient(model)
    with ThreadPoolExecutor(3) as pool:
        assert all(torch.allclose(found, right) for found in pool.map(gradient, models * 4))


@pytest.mark.parametrize("method", METHODS)
def test_a_module_is_free_for_other_threads_after_an_interrupt(method: str) -> None:
    model = nn.Linear(2, 2).double()
    own = dict(model.named_parameters())

    def interrupted(model: Any, x: Any) -> Any:
        model(x).sum()
        raise KeyboardInterrupt

    x = torch.ones(1, 2, dtype=torch.float64)
    with pytest.raises(KeyboardInterrupt):
        gradest.grad(interrupted, method=method)(model, x, rng=0)
    assert all(model.get_parameter(name) is parameter for name, parameter in own.items())
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(gradest.grad(lambda m, x: m(x).sum()), model, x).result(timeout=30)
    assert torch.equal(found["weight"], torch.ones(2, 2, dtype=torch.float64))


@pytest.mark.parametrize("method", METHODS)
def test_modes_that_a_loss_sets_are_as_they_were(method: str) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1)).double()
    model[2].eval()
    x = torch.ones(2, 3, dtype=torch.float64)

    def in_evaluation(model: Any, x: Any) -> Any:
        model.eval()
        return model(x).pow(2).mean()

    gradient = gradest.grad(in_evaluation, method=method)(model, x, rng=0)
    assert [part.training for part in model.modules()] == [True, True, True, False]
    if method != "es":
        loss = model.eval()(x).pow(2).mean()  # the independent value, by PyTorch's own backward pass
        expected = dict(zip(gradient, torch.autograd.grad(loss, list(model.parameters())), strict=True))
        assert all(torch.allclose(gradient[name], expected[name], rtol=1e-6, atol=1e-9) for name in expected)


@pytest.mark.parametrize("method", METHODS)
def test_a_buffer_that_a_loss_fills_is_empty_again(method: str) -> None:
    model = nn.Linear(2, 1).double()
    model.register_buffer("kept", None)

    def fills(model: Any, x: Any) -> Any:
        if model.kept is None:
            model.kept = model.weight.detach() * 2
        return (model(x) + model.kept.sum()).pow(2).sum()

    gradest.grad(fills, method=method)(model, torch.ones(1, 2, dtype=torch.float64), rng=0)
    assert model.kept is None


def test_what_a_module_holds_is_found_again_where_it_has_changed() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)).double()
    x = torch.ones(1, 2, dtype=torch.float64)
    gradient = gradest.grad(lambda model, x: (model(x) * getattr(model, "scale", 1.0)).sum())
    model[0].requires_grad_(False)
    model.register_buffer("scale", torch.tensor(3.0, dtype=torch.float64))
    assert list(gradient(model, x)) == ["1.weight", "1.bias"]

    model[0].requires_grad_(True)  # as training unfreezes layer after layer
    del model.scale
    found = gradient(model, x)
    assert list(found) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    torch.testing.assert_close(found["0.bias"], model[1].weight[0].detach())

    model.register_parameter("scale", nn.Parameter(torch.tensor(2.0, dtype=torch.float64)))
    torch.testing.assert_close(gradient(model, x)["scale"], model(x).sum().detach())


@pytest.mark.parametrize("method", METHODS)
def test_a_buffer_that_was_registered_since_is_copied_too(method: str) -> None:
    model = nn.Linear(2, 1).double()
    x = torch.ones(1, 2, dtype=torch.float64)
    gradest.grad(lambda model, x: model(x).sum())(model, x)
    model.register_buffer("calls", torch.zeros(1, dtype=torch.float64))

    def counts(model: Any, x: Any) -> Any:
        model.calls += 1.0
        return model(x).pow(2).sum()

    gradest.grad(counts, method=method)(model, x, rng=0)
    assert model.calls.tolist() == [0.0]


@pytest.mark.parametrize("method", METHODS)
def test_an_activation_that_a_layer_keeps_can_be_used_afterwards(method: str) -> None:
    """A batched evaluation leaves a tensor there that raises an error wherever it is touched."""

    class Keeping(nn.Module):  # type: ignore[misc, name-defined]  # of type Any where it is not installed
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2).double()
            self.seen = torch.zeros(3, 2)

        def forward(self, x: Any) -> Any:
            self.seen = self.linear(x).tanh()
            self.twice = 2 * self.seen  # an attribute that it had not before
            return self.seen.square().mean()

    model, x = Keeping(), torch.ones(3, 2, dtype=torch.float64)
    options: dict[str, Any] = {"num_samples": 4} if method == "es" else {}
    gradest.grad(lambda m, x: m(x), method=method, **options)(model, x, rng=0)
    assert model.seen.shape == (3, 2)
    assert float(model.seen.detach().abs().sum()) >= 0
    assert torch.isfinite(getattr(model, "twice", model.seen)).all()
    model(x)
    torch.testing.assert_close(model.twice, 2 * model.seen)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_prepared_for_one_module_does_not_compute_with_the_modes_and_buffers_of_another(method: str) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).double()
    other = copy.deepcopy(model).eval()
    x = torch.linspace(-1.0, 1.0, 12, dtype=torch.float64).reshape(4, 3).sin()

    def loss(model: Any, x: Any) -> Any:
        return (model(x) ** 3).sum()

    prepared = gradest.get_estimator(method).prepare(gradest.bind(loss, model, x))
    rng = 0 if method == "es" else None
    with pytest.raises(gradest.PreparationMismatchError, match="another object"):
        prepared(other, x, rng=rng)
    # Its parameters alone may be given: the modes and buffers are then said to be those bound.
    alone = prepared(dict(other.named_parameters()), x, rng=rng).gradient
    torch.testing.assert_close(alone, prepared(model, x, rng=rng).gradient)
    assert gradest.hvp(loss, model, other, x).value.keys() == alone.keys()  # a module may be a direction
    found = gradest.grad(loss, method=method)  # prepares again for another module
    found(model, x, rng=rng)
    if method != "es":
        right = torch.autograd.grad(loss(other, x), list(other.parameters()))
        torch.testing.assert_close(tuple(found(other, x, rng=rng).values()), right, rtol=1e-6, atol=1e-8)


def _squares(model: Any, x: Any) -> Any:
    return (model(x) ** 2).mean()


@pytest.mark.parametrize("method", METHODS[:3])
def test_weights_that_were_untied_and_parameters_put_in_place_of_frozen_ones_are_found(method: str) -> None:
    model, x = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).double(), torch.ones(3, 2, dtype=torch.float64)
    model[1].weight = model[0].weight
    model[1].bias.requires_grad_(False)

    def is_right() -> bool:
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        expected = dict(zip(named, torch.autograd.grad(_squares(model, x), list(named.values())), strict=True))
        found = gradest.grad(_squares, method=method)(model, x)
        assert found.keys() == expected.keys()
        return all(torch.allclose(found[name], expected[name], rtol=1e-6, atol=1e-8) for name in named)

    assert is_right()  # what is found out about the module here is old hereafter
    model[1].weight = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64))
    assert is_right()
    model[1].bias = nn.Parameter(torch.tensor([5.0, 6.0], dtype=torch.float64))
    assert is_right()


class _GrowsAtFirst(nn.Module):  # type: ignore[misc, name-defined]  # imported where it is installed: of type Any
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.first, self.kind = nn.Linear(2, 2).double(), kind
        if kind == "empty":
            self.register_parameter("made", None)
        else:
            self.made: Any = None

    def forward(self, x: Any) -> Any:
        if self.made is None:
            self.made = nn.Linear(2, 2).double() if self.kind == "layer" else nn.Parameter(torch.ones(2).double())
        return self.made(self.first(x)) if self.kind == "layer" else self.first(x) * self.made


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["empty", "parameter", "layer"])
def test_parameters_that_the_first_call_makes_are_told_of_and_nothing_is_taken_without_them(
    kind: str, method: str
) -> None:
    model, x = _GrowsAtFirst(kind), torch.ones(3, 2, dtype=torch.float64)
    with pytest.raises(gradest.InvalidInputError, match=r"had not: made .*run the module once before"):
        gradest.grad(_squares, method=method)(model, x, rng=0)
    model(x)
    found = gradest.grad(_squares, method=method)(model, x, rng=0)
    assert found.keys() == dict(model.named_parameters()).keys()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("of", ["module", "array"])
def test_a_module_among_the_arguments_is_as_it_was(of: str, method: str) -> None:
    """As a teacher or a discriminator in training mode, through which the gradient of something else goes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        judge, model = (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).double() for _ in range(2))
        x = torch.randn(5, 2, dtype=torch.float64)

    def loss(params: Any, judge: Any, x: Any) -> Any:
        found = (judge(params(x)) if of == "module" else judge(x * params)).sin().mean()
        judge.eval()
        return found

    params = model if of == "module" else torch.tensor([1.0, 2.0], dtype=torch.float64)
    before = [b.clone() for b in judge.buffers()]
    found = gradest.grad(loss, method=method)(params, judge, x, rng=0)
    assert judge.training
    assert judge[1].training
    assert all(map(torch.equal, before, judge.buffers()))
    if method != "es":
        leaves = list(model.parameters()) if of == "module" else [params.requires_grad_()]
        expected = torch.autograd.grad(loss(params, judge, x), leaves)
        for given, right in zip(found.values() if of == "module" else [found], expected, strict=True):
            torch.testing.assert_close(given, right, rtol=1e-6, atol=1e-8)


def test_two_threads_with_each_others_modules_as_arguments_do_not_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from gradest_torch import module

    copied = module._copied_buffers

    def slowly(*args: Any) -> Any:  # long enough for the other thread to have taken its first lock too
        time.sleep(0.01)
        return copied(*args)

    monkeypatch.setattr(module, "_copied_buffers", slowly)
    models = [nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).double() for _ in range(2)]
    x = torch.ones(3, 2, dtype=torch.float64)
    for model in models:  # each has a lock of its own from here on
        gradest.grad(_squares)(model, x)

    def both(params: Any, other: Any, x: Any) -> Any:
        return (params(x) * other(x)).mean()

    def descend(own: int) -> None:
        for _ in range(5):
            gradest.grad(both)(models[own], models[1 - own], x)

    threads = [threading.Thread(target=descend, args=(own,), daemon=True) for own in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20.0)
    assert not any(thread.is_alive() for thread in threads)


class Holder(nn.Module):  # type: ignore[name-defined,misc]  # torch is imported by the test
    """Keeps what is prepared for it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)


def of_holder(model: Any) -> Any:
    return (model.layer.weight**2).sum() + model.layer.bias.sum()


@pytest.mark.parametrize("kept", ["prepared", "objective"])
def test_a_model_that_keeps_its_own_prepared_gradient_is_copied_and_not_pickled(kept: str) -> None:
    """Both ended in a RecursionError: what is prepared is pickled with its model, which holds it."""
    model = Holder()
    objective = gradest.bind(of_holder, model)
    prepared = gradest.get_estimator("reverse").prepare(objective)
    model.own = prepared if kept == "prepared" else objective
    copied = copy.deepcopy(model)
    with torch.no_grad():
        copied.layer.weight.fill_(2.0)
    assert not torch.equal(model.layer.weight, copied.layer.weight)
    torch.testing.assert_close(gradest.grad(of_holder)(copied)["layer.weight"], torch.full((2, 3), 4.0))
    torch.testing.assert_close(prepared(model).gradient["layer.weight"], 2 * model.layer.weight.detach())
    asked: Any = copied.own if kept == "prepared" else gradest.get_estimator("reverse").prepare(copied.own)
    with pytest.raises(gradest.PreparationMismatchError, match="prepare again for it"):
        asked(copied)
    for write in (pickle.dumps, lambda each: torch.save(each, io.BytesIO())):
        with pytest.raises(gradest.UnsupportedError, match=r"keep gradest.grad\(loss\) there"):
            write(model)
    assert set(model.state_dict()) == {"layer.weight", "layer.bias"}


def test_a_checkpointed_layer_computes_again_with_copies_in_a_product_with_the_hessian() -> None:
    from torch.utils.checkpoint import checkpoint

    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()
    x, direction = torch.randn(5, 3, dtype=torch.float64), {}
    for name, p in model.named_parameters():
        direction[name] = torch.full_like(p, 0.3)
    before = copy.deepcopy(model.state_dict())

    def plain(m: Any, x: Any) -> Any:
        return m(x).sin().square().mean()

    found = gradest.hvp(lambda m, x: checkpoint(m, x, use_reentrant=False).sin().square().mean(), model, direction, x)
    torch.testing.assert_close(dict(model.state_dict()), dict(before), rtol=0.0, atol=0.0)
    expected = gradest.hvp(plain, model, direction, x).value
    torch.testing.assert_close(found.value, expected, rtol=1e-6, atol=1e-8)
