"""PennyLane's SPSA, by the gradient that its optimiser computes for a step."""

from typing import Any

import numpy as np

from gradest.estimators import EvolutionStrategy
from gradest.operations import NumpyArray
from gradest_bench.audit.adapter import Adapter, Claim, Request


def _estimate(request: Request) -> NumpyArray:
    import pennylane

    def f(x: Any) -> Any:
        return np.asarray(request.loss.value(np.asarray(x), np.asarray))

    # It draws from NumPy's global generator, and offers no other.
    np.random.seed(request.seed)  # noqa: NPY002  # as above
    optimizer = pennylane.SPSAOptimizer(maxiter=100, c=request.sigma)
    (found,) = optimizer.compute_grad(f, (pennylane.numpy.array(request.loss.point, requires_grad=True),), {})
    return np.asarray(found)


def _law(samples: int, sigma: float) -> EvolutionStrategy:
    return EvolutionStrategy(num_samples=1, sigma=sigma, distribution="rademacher")


ADAPTERS = (
    Adapter(
        "PennyLane: SPSAOptimizer.compute_grad",
        ("pennylane",),
        Claim.SMOOTHED,
        "docstring: approximate the gradient of the objective function at the given point (one pair)",
        _estimate,
        _law,
    ),
)
