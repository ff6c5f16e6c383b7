"""What PyTorch losses cannot do is told in gradest's words, with the way that helps, and leaves the model as it was."""

from typing import Any

import pytest

import gradest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")
nn = torch.nn

from support.torch_network import X, error, network  # noqa: E402  # which imports PyTorch

METHODS = ("reverse", "forward", "fd-central", "complex-step", "es", "smoothed")


def kept(model: Any, before: dict[str, Any]) -> bool:
    return all(torch.equal(p, before[name]) and p.grad is None for name, p in model.named_parameters())


@pytest.mark.parametrize("method", METHODS)
def test_an_embedding_that_shortens_its_rows_is_refused_with_what_does_so_outside(method: str) -> None:
    model = nn.Sequential(nn.Embedding(5, 3, max_norm=0.1), nn.Linear(3, 2)).double()
    before, rows = copied(model), torch.tensor([0, 1, 4])
    with pytest.raises(gradest.InvalidInputError, match=r"writes into its parameters.*max_norm.*renorm_\(2, 0"):
        gradest.grad(lambda m, i: (m(i) ** 2).mean(), method=method)(model, rows, rng=0)
    assert kept(model, before)


def copied(model: Any) -> dict[str, Any]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def steps_inside(m: Any, x: Any) -> Any:
    optimiser = torch.optim.SGD(m.parameters(), lr=0.1)
    error(m, x).backward()
    optimiser.step()
    return error(m, x)


@pytest.mark.parametrize("method", METHODS)
def test_an_optimiser_inside_a_loss_may_not_step_its_parameters(method: str) -> None:
    model = network()
    before = copied(model)
    with pytest.raises(gradest.InvalidInputError, match=r"optimiser inside the loss.*detach\(\)"):
        gradest.grad(steps_inside, method=method)(model, X, rng=0)
    assert kept(model, before)
