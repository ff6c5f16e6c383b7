"""Users' PyTorch code: random layers, recurrent and attention layers, no graph kept, forward mode where it can be."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import gradest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")
nn, F = torch.nn, torch.nn.functional


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def batch() -> tuple[Any, Any]:
    return torch.randn(6, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])


def cross_entropy(model: Any, x: Any, y: Any) -> Any:
    return F.cross_entropy(model(x), y)


def dropout() -> Any:
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, 3)).double().train()


def distance(one: Any, other: Any) -> float:
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.parametrize("method", ["fd-central", "forward"])
def test_all_evaluations_of_an_estimate_see_one_mask_and_the_state_is_left_as_after_one(method: str) -> None:
    model, (x, y) = dropout(), batch()
    torch.manual_seed(3)
    exact = gradest.get_estimator("reverse")(cross_entropy, model, x, y).gradient
    after = torch.get_rng_state()
    torch.manual_seed(3)
    found = gradest.get_estimator(method)(cross_entropy, model, x, y).gradient
    assert distance(found, exact) < 1e-8
    assert torch.equal(torch.get_rng_state(), after)


@pytest.mark.parametrize("method", ["reverse", "fd-central", "es", "spsa"])
def test_the_value_beside_a_gradient_is_of_its_mask_and_moves_the_generator_no_further(method: str) -> None:
    model, (x, y) = dropout(), batch()
    value_and_gradient = gradest.value_and_grad(cross_entropy, method=method)
    for _ in range(2):  # the first call, which prepares, and the next one
        start = torch.get_rng_state()
        expected, after = cross_entropy(model, x, y), torch.get_rng_state()
        torch.set_rng_state(start)
        value, _ = value_and_gradient(model, x, y, rng=0)
        torch.testing.assert_close(value, expected.detach())
        assert torch.equal(torch.get_rng_state(), after)


@pytest.mark.parametrize("name", ["momentum-guided-es", "residual-feedback"])
def test_an_estimate_of_a_run_sees_one_mask_and_leaves_the_state_as_after_one_evaluation(name: str) -> None:
    model, (x, y), starts = dropout(), batch(), []

    def loss(model: Any, x: Any, y: Any) -> Any:
        starts.append(torch.get_rng_state())
        return cross_entropy(model, x, y)

    estimator = gradest.get_estimator(name, num_samples=3)
    assert isinstance(estimator, gradest.StatefulEstimator)
    run = estimator.prepare_run(gradest.bind(loss, model, x, y))
    state = run.init_state()
    for k in range(2):
        starts.clear()
        _, state = run(model, x, y, state=state, rng=k)
        assert len(starts) > 1
        assert all(torch.equal(start, starts[0]) for start in starts)
        after = torch.get_rng_state()
        torch.set_rng_state(starts[0])
        cross_entropy(model, x, y)
        assert torch.equal(torch.get_rng_state(), after)


@pytest.mark.parametrize("method", ["fd-central", "es", "momentum-guided-es"])
def test_a_layer_that_draws_since_has_one_mask_too(method: str) -> None:
    """Prepared in eval mode, where dropout draws nothing, and called in training mode."""
    model, (x, y) = dropout().eval(), batch()
    estimator = gradest.get_estimator(method, **({} if method == "fd-central" else {"num_samples": 3}))

    def first_of(prepared: Any) -> Any:
        torch.manual_seed(3)
        if isinstance(prepared, gradest.PreparedRun):
            return prepared(model, x, y, state=prepared.init_state(), rng=0)[0], run_state()
        return prepared(model, x, y, rng=0), run_state()

    run_state = torch.get_rng_state
    prepare: Any = estimator.prepare_run if isinstance(estimator, gradest.StatefulEstimator) else estimator.prepare
    prepared = prepare(gradest.bind(cross_entropy, model, x, y))
    assert first_of(prepared)[0].path == prepared.path
    model.train()
    afresh = prepare(gradest.bind(cross_entropy, model, x, y))
    for _ in range(2):
        (found, after), (expected, expected_after) = first_of(prepared), first_of(afresh)
        assert distance(found.gradient, expected.gradient) < 1e-8
        assert found.path == expected.path == "loop"
        assert torch.equal(after, expected_after)


@pytest.mark.parametrize("method", ["reverse", "es"])
def test_what_comes_beside_the_loss_is_of_its_mask_and_moves_the_generator_no_further(method: str) -> None:
    model, (x, y) = dropout(), batch()

    def with_outputs(model: Any, x: Any, y: Any) -> Any:
        outputs = model(x)
        return F.cross_entropy(outputs, y), outputs

    value_and_gradient = gradest.value_and_grad(with_outputs, method=method, has_aux=True)
    for _ in range(2):
        start = torch.get_rng_state()
        expected, after = model(x).detach(), torch.get_rng_state()
        torch.set_rng_state(start)
        (value, outputs), _ = value_and_gradient(model, x, y, rng=0)
        torch.testing.assert_close(outputs, expected)
        torch.testing.assert_close(value, F.cross_entropy(expected, y))
        assert torch.equal(torch.get_rng_state(), after)


def penalised(model: Any, x: Any, y: Any) -> Any:
    """A loss that differentiates by its inputs, as a gradient penalty or a differential equation does."""
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
    return cross_entropy(model, x, y) + slope.square().mean()


@pytest.mark.parametrize("method", ["fd-central", "es", "spsa"])
def test_a_loss_that_differentiates_by_itself_can_be_evaluated(method: str) -> None:
    model, (x, y) = dropout().eval(), batch()
    exact = gradest.grad(penalised)(model, x, y)
    options: dict[str, Any] = {} if method == "fd-central" else {"num_samples": 4000, "sigma": 1e-3}
    value, found = gradest.value_and_grad(penalised, method=method, **options)(model, x, y, rng=0)
    torch.testing.assert_close(value, penalised(model, x, y).detach())
    assert not value.requires_grad
    length = sum(float(leaf.square().sum()) for leaf in exact.values()) ** 0.5
    off = sum(float((found[name] - leaf).square().sum()) for name, leaf in exact.items()) ** 0.5
    assert off < (1e-8 if method == "fd-central" else 0.3) * length  # about sqrt(P / N) = 0.1 for random directions
    assert gradest.check(penalised, model, exact, x, y)


def test_a_loss_that_does_not_is_evaluated_without_a_graph() -> None:
    seen = []

    def loss(p: Any) -> Any:
        seen.append(torch.is_grad_enabled())
        return (p**2).sum()

    gradest.grad(loss, method="fd-central", population="loop")(torch.ones(2))
    assert seen
    assert not any(seen)


def test_a_sampled_estimate_of_a_random_layer_is_that_of_its_mask() -> None:
    model, (x, y) = dropout(), batch()
    torch.manual_seed(3)
    exact = gradest.get_estimator("reverse")(cross_entropy, model, x, y).gradient
    torch.manual_seed(3)
    found = gradest.get_estimator("es", num_samples=2000, sigma=1e-4)(cross_entropy, model, x, y, rng=0).gradient
    whole = torch.cat([g.reshape(-1) for g in exact.values()])
    error = torch.cat([(found[n] - exact[n]).reshape(-1) for n in exact])
    # (P + 1) / N of the squared length, P = 43: 5 standard deviations above are 1.4 times
    assert float(error.square().sum() / whole.square().sum()) < 1.6 * 44 / 2000


@pytest.mark.filterwarnings("ignore::gradest.FlatLossWarning")  # a count has no slope
def test_a_count_that_draws_has_one_mask_though_two_draws_may_count_alike() -> None:
    x = torch.linspace(-1.0, 1.0, 12, dtype=torch.float64)

    def kept(w: Any, x: Any) -> Any:  # a whole number of few values
        return (F.dropout(w * x.abs(), 0.9) > 0).double().sum()

    counts = set()
    for seed in range(8):
        torch.manual_seed(seed)
        counted, after = kept(torch.tensor(1.0), x), torch.get_rng_state()
        torch.manual_seed(seed)
        estimate = gradest.get_estimator("es", num_samples=4)(kept, torch.ones((), dtype=torch.float64), x, rng=0)
        assert float(estimate.gradient) == 0.0, seed  # of one mask all evaluations count alike
        assert torch.equal(torch.get_rng_state(), after)
        counts.add(float(counted))
    assert 1 < len(counts) < 8


def test_losses_that_take_a_gradient_by_an_argument_are_given_it_as_it_is() -> None:
    model = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    x = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None].requires_grad_()

    def residual(m: Any, at: Any) -> Any:  # of u' = u
        u = m(at["x"])
        (slope,) = torch.autograd.grad(u.sum(), at["x"], create_graph=True)
        return ((slope - u) ** 2).mean()

    exact = dict(zip(dict(model.named_parameters()), torch.autograd.grad(residual(model, {"x": x}), model.parameters()),
                     strict=True))  # fmt: skip
    for method in ("reverse", "forward", "fd-central"):
        assert distance(gradest.grad(residual, method=method)(model, {"x": x}), exact) < 1e-8, method
    prepared = gradest.get_estimator("fd-central").prepare(gradest.bind(residual, model, {"x": x}))
    assert distance(prepared(model, {"x": x}).gradient, exact) < 1e-8  # given again
    directions = gradest.get_estimator("es", num_samples=8)
    closed = directions(lambda m: residual(m, {"x": x}), model, rng=0).gradient
    assert distance(directions(residual, model, {"x": x}, rng=0).gradient, closed) == 0.0
    assert x.grad is None
    with pytest.raises(gradest.InvalidInputError, match=r"x\.requires_grad_\(\) of an argument"):
        gradest.grad(residual)(model, {"x": x.detach()})


@pytest.mark.parametrize("trained", ["attention", "head"])
def test_values_of_attention_are_those_that_are_differentiated(trained: str) -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    model = nn.Sequential(nn.TransformerEncoder(layer, 1), nn.Linear(4, 2)).double().eval()
    model[0].requires_grad_(trained == "attention")
    x, padding = torch.randn(2, 3, 4, dtype=torch.float64), torch.tensor([[False, False, True], [False] * 3])

    def everywhere(m: Any, x: Any) -> Any:  # at the place of padding too, which the fused path leaves out
        return (m[1](m[0](x, src_key_padding_mask=padding)) ** 3).mean()

    fused = torch.backends.mha.get_fastpath_enabled()
    value, exact = gradest.value_and_grad(everywhere)(model, x)
    for method in ("forward", "fd-central"):
        found, gradient = gradest.value_and_grad(everywhere, method=method)(model, x)
        torch.testing.assert_close(found, value, rtol=1e-12, atol=0.0)
        assert distance(gradient, exact) < 1e-7, method
    assert torch.backends.mha.get_fastpath_enabled() is fused
    if trained == "attention":
        torch.testing.assert_close(value, everywhere(model, x).detach())


def test_recurrent_and_attention_layers_are_evaluated_one_by_one() -> None:
    x, y = torch.randn(2, 3, 4, dtype=torch.float64), torch.tensor([0, 1])
    lstm = nn.LSTM(4, 3, batch_first=True).double()
    encoder = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True).double()
    for model, loss in (
        (lstm, lambda m, x, y: F.cross_entropy(m(x)[0][:, -1], y)),
        (encoder, lambda m, x, y: F.cross_entropy(m(x)[:, -1], y)),
    ):
        exact = gradest.get_estimator("reverse")(loss, model, x, y).gradient
        found = gradest.get_estimator("fd-central")(loss, model, x, y)
        assert found.path == "loop"
        assert distance(found.gradient, exact) < 1e-7


@pytest.mark.parametrize("training", [True, False])
def test_forward_mode_goes_through_attention(training: bool) -> None:
    encoder = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True).double().train(training)
    x, y = torch.randn(2, 3, 4, dtype=torch.float64), torch.tensor([0, 1])

    def loss(m: Any, x: Any, y: Any) -> Any:
        return F.cross_entropy(m(x)[:, -1], y)

    exact = gradest.get_estimator("reverse")(loss, encoder, x, y).gradient
    fast = torch.backends.mha.get_fastpath_enabled()
    assert distance(gradest.get_estimator("forward")(loss, encoder, x, y).gradient, exact) < 1e-12
    assert torch.backends.mha.get_fastpath_enabled() is fast


@pytest.mark.parametrize("method", ["es", "fd-central", "forward-gradient", "reverse"])
def test_what_comes_back_is_in_no_graph(method: str) -> None:
    critic, model, (x, _) = nn.Linear(3, 1).double(), nn.Linear(4, 3).double(), batch()
    rng = {"rng": 0} if gradest.get_estimator(method).stochastic else {}
    found = gradest.get_estimator(method)(lambda m, x: critic(m(x)).mean(), model, x, **rng)
    assert all(g.grad_fn is None and not g.requires_grad for g in found.gradient.values())


def test_one_direction_at_a_time_is_not_batched() -> None:
    shapes: list[tuple[int, ...]] = []

    def loss(p: Any) -> Any:
        shapes.append(tuple(p.shape))
        return (p * p).sum()

    gradest.get_estimator("es", num_samples=3, chunk_size=1)(loss, torch.ones(2), rng=0, population="loop")
    assert set(shapes) == {(2,)}
    assert np.isfinite(len(shapes))


def test_an_argument_that_the_loss_has_require_a_gradient_requires_none_afterwards() -> None:
    def slope(m: Any, x: Any, y: Any) -> Any:
        value = m(x.requires_grad_()).sum()
        return torch.autograd.grad(value, x, create_graph=True)[0].square().sum()

    model, (x, y) = dropout().eval(), batch()
    gradient = gradest.grad(slope)
    for _ in range(2):  # the first call, which binds, and the next one
        gradient(model, x, y)
        assert not x.requires_grad
    gradest.hvp(slope, model, dict(model.named_parameters()), x, y)
    gradest.grad(slope, method="fd-central")(model, x, y)
    assert not x.requires_grad
