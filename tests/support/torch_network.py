"""A small network of PyTorch, its inputs and its error, for tests of losses that handle a module's parameters."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'gradest[torch]'")

X = torch.linspace(-1.0, 1.0, 15, dtype=torch.float64).reshape(5, 3).sin()


def network() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)
        return torch.nn.Sequential(*layers).double()


def error(m: Any, x: Any) -> Any:
    return (m(x) ** 2).mean()
