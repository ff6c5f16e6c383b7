"""Torchzero's gradient approximators; an estimate is what a step of plain descent with learning rate 1 subtracts."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

from gradest.estimators import EvolutionStrategy
from gradest.operations import NumpyArray
from gradest_bench.audit.adapter import Adapter, AuditLoss, Claim, Request


@lru_cache(maxsize=1)
def _descent(loss: AuditLoss, samples: int, sigma: float, module: str) -> tuple[Any, Callable[[], None]]:
    """Return the parameters and a step; kept, as MeZO draws by the number of the step alone."""
    import torch
    import torchzero

    point = torch.nn.Parameter(torch.tensor(loss.point))
    given = {} if module == "MeZO" else {"seed": 0}
    approximator = getattr(torchzero.m, module)(h=sigma, n_samples=samples, **given)
    optimizer = torchzero.Optimizer([point], approximator, torchzero.m.LR(1.0))

    def closure(backward: bool = True) -> Any:  # as torchzero calls it
        return loss.value(point, torch.as_tensor)

    return point, lambda: optimizer.step(closure)


def _estimate(request: Request, *, module: str) -> NumpyArray:
    import torch

    point, step = _descent(request.loss, request.samples, request.sigma, module)
    with torch.no_grad():
        # in place: the optimiser steps this very parameter, and the step before has moved it
        point.copy_(torch.as_tensor(request.loss.point))
    step()
    return np.asarray(request.loss.point - point.detach().numpy())


def _law(samples: int, sigma: float, *, distribution: str, forward: bool) -> EvolutionStrategy:
    baseline = "value" if forward else "none"
    return EvolutionStrategy(
        num_samples=samples, sigma=sigma, distribution=distribution, antithetic=not forward, baseline=baseline
    )


_MODULES: dict[str, dict[str, Any]] = {
    "SPSA": {"distribution": "rademacher", "forward": False},
    "RDSA": {"distribution": "normal", "forward": False},
    "GaussianSmoothing": {"distribution": "normal", "forward": True},
    "MeZO": {"distribution": "rademacher", "forward": False},
}
ADAPTERS = tuple(
    Adapter(
        f"torchzero: {module}",
        ("torchzero", "torch"),
        Claim.SMOOTHED,
        f"docstring of {module}: gradient approximation",
        partial(_estimate, module=module),
        partial(_law, **law),
    )
    for module, law in _MODULES.items()
)
