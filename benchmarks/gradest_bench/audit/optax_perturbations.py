"""Optax's perturbed functions, whose gradient is a score-function estimate."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

from gradest.estimators import EvolutionStrategy
from gradest.operations import NumpyArray
from gradest_bench.audit.adapter import Adapter, AuditLoss, Claim, Request


@lru_cache(maxsize=1)  # estimates of one loss come one after the other; programs of those before are let go
def _compiled(loss: AuditLoss, samples: int, sigma: float, *, use_baseline: bool) -> Callable[[Any], Any]:
    import jax
    import jax.numpy as jnp
    from optax import perturbations

    noisy = perturbations.make_perturbed_fun(
        lambda x: loss.value(x, jnp.asarray),
        num_samples=samples,
        sigma=sigma,
        noise=perturbations.Normal(),
        use_baseline=use_baseline,
    )
    point = jnp.asarray(loss.point)
    # traced once: hundreds of estimates are asked of each
    compiled: Callable[[Any], Any] = jax.jit(lambda key: jax.grad(noisy, argnums=1)(key, point))
    return compiled


def _estimate(request: Request, *, use_baseline: bool) -> NumpyArray:
    import jax

    run = _compiled(request.loss, request.samples, request.sigma, use_baseline=use_baseline)
    return np.asarray(run(jax.random.key(request.seed)))


def _law(samples: int, sigma: float, *, baseline: str) -> EvolutionStrategy:
    return EvolutionStrategy(num_samples=samples, sigma=sigma, antithetic=False, baseline=baseline)


_REFERENCE = "docstring of make_perturbed_fun: derivatives are unbiased Monte-Carlo estimates of those of f_sigma"
ADAPTERS = (
    Adapter(
        "Optax: make_perturbed_fun, normal noise",
        ("optax", "jax"),
        Claim.SMOOTHED,
        _REFERENCE,
        partial(_estimate, use_baseline=True),
        partial(_law, baseline="value"),
    ),
    Adapter(
        "Optax: make_perturbed_fun, normal noise, no baseline",
        ("optax", "jax"),
        Claim.SMOOTHED,
        _REFERENCE,
        partial(_estimate, use_baseline=False),
        partial(_law, baseline="none"),
    ),
)
