"""TorchOpt's zero-order differentiation, by its three methods."""

from functools import partial
from typing import Any

import numpy as np

from gradest.estimators import EvolutionStrategy
from gradest.operations import NumpyArray
from gradest_bench.audit.adapter import Adapter, Claim, Request


def _estimate(request: Request, *, method: str) -> NumpyArray:
    import torch
    import torchopt

    # a generator of its own: PyTorch's global one is the user's
    generator = torch.Generator().manual_seed(request.seed)

    def sample(shape: Any) -> Any:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    zero_order = torchopt.diff.zero_order.zero_order(
        distribution=sample, method=method, argnums=0, num_samples=request.samples, sigma=request.sigma
    )
    f = zero_order(lambda x: request.loss.value(x, torch.as_tensor))
    point = torch.tensor(request.loss.point, requires_grad=True)
    return np.asarray(torch.autograd.grad(f(point), point)[0].numpy())


def _law(samples: int, sigma: float, *, antithetic: bool, baseline: str) -> EvolutionStrategy:
    return EvolutionStrategy(num_samples=samples, sigma=sigma, antithetic=antithetic, baseline=baseline)


_LAWS: dict[str, dict[str, Any]] = {
    "naive": {"antithetic": False, "baseline": "none"},
    "forward": {"antithetic": False, "baseline": "value"},
    "antithetic": {"antithetic": True, "baseline": "none"},
}
ADAPTERS = tuple(
    Adapter(
        f"TorchOpt: zero_order, {method}",
        ("torchopt", "torch"),
        Claim.SMOOTHED,
        "docstring of zero_order: estimated gradient, sigma the standard deviation of the perturbation",
        partial(_estimate, method=method),
        partial(_law, **law),
    )
    for method, law in _LAWS.items()
)
