"""Evosax's OpenAI ES: its estimate is what it hands to its optimiser, here plain descent of step 1."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

from gradest.estimators import EvolutionStrategy
from gradest.operations import NumpyArray
from gradest_bench.audit.adapter import Adapter, AuditLoss, Claim, Request


@lru_cache(maxsize=1)
def _compiled(loss: AuditLoss, samples: int, sigma: float, *, shaped: bool) -> Callable[[Any], Any]:
    """Return the estimate by a key, compiled: traced anew for each it would take most of a second."""
    import jax
    import jax.numpy as jnp
    import optax
    from evosax.algorithms import Open_ES
    from evosax.core.fitness_shaping import identity_fitness_shaping_fn

    point = jnp.asarray(loss.point)
    options: dict[str, Any] = {} if shaped else {"fitness_shaping_fn": identity_fitness_shaping_fn}
    strategy = Open_ES(
        # N pairs: its population counts both members of each
        population_size=2 * samples,
        solution=point,
        optimizer=optax.sgd(1.0),
        std_schedule=optax.constant_schedule(sigma),
        **options,
    )

    def estimate(key: Any) -> Any:
        first, second, third = jax.random.split(key, 3)
        params = strategy.default_params
        state = strategy.init(first, point, params)
        population, state = strategy.ask(second, state, params)
        # one after the other, inside of what is compiled: AuditLoss takes one point at a time
        fitness = jnp.stack([loss.value(member, jnp.asarray) for member in population])
        state, _ = strategy.tell(third, population, fitness, state, params)
        return point - state.mean

    compiled: Callable[[Any], Any] = jax.jit(estimate)
    return compiled


def _estimate(request: Request, *, shaped: bool) -> NumpyArray:
    import jax

    run = _compiled(request.loss, request.samples, request.sigma, shaped=shaped)
    return np.asarray(run(jax.random.key(request.seed)))


def _law(samples: int, sigma: float) -> EvolutionStrategy:
    return EvolutionStrategy(num_samples=samples, sigma=sigma)


ADAPTERS = (
    Adapter(
        "evosax: Open_ES, identity shaping",
        ("evosax", "jax"),
        Claim.SMOOTHED,
        "docstring: OpenAI Evolution Strategy (Salimans et al. 2017)",
        partial(_estimate, shaped=False),
        _law,
    ),
    Adapter(
        "evosax: Open_ES, centered ranks (its default)",
        ("evosax", "jax"),
        Claim.DIRECTION,
        "docstring: OpenAI Evolution Strategy (Salimans et al. 2017), whose ranks have no length",
        partial(_estimate, shaped=True),
    ),
)
