"""A network of Flax, on JAX, under several estimators: which gradient, how right, at what cost.

    python examples/compare_flax.py
    gradest compare examples/compare_flax.py:case --json

What `init` returns is the pytree of parameters, and the loss a function of it. A key for random layers would be an
argument like the batch: every evaluation of every estimator sees the same draw, and the loss is no random one.

The reference is JAX's reverse mode in double precision, which gradest switches on for itself alone: yours stays as it
is. Time to prepare is mostly the compiler's.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import gradest

ESTIMATORS = ("reverse", "fd-central", "es", "forward-gradient")


class Network(nn.Module):
    """Two layers."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return predictions `(B,)` for inputs `(B, 3)`."""
        return nn.Dense(1)(nn.tanh(nn.Dense(6)(x)))[:, 0]


def loss(variables: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    """Return the mean squared error of a batch."""
    return jnp.mean((Network().apply(variables, x) - y) ** 2)


def case() -> gradest.Case:
    """Return the loss with fresh parameters and a batch of 16."""
    first, second = jax.random.split(jax.random.key(0))
    x = jax.random.normal(first, (16, 3))
    return gradest.Case(loss, Network().init(second, x), (x, jnp.sin(2 * x[:, 0]) * x[:, 1]))


if __name__ == "__main__":
    print(gradest.compare(case(), estimators=ESTIMATORS, budget_seconds=0.05))
