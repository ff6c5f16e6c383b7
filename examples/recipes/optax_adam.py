"""Train a pytree of JAX arrays by optax, under any estimator: the gradient is handed to it as it is."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

import gradest


def loss(params: dict[str, jax.Array], x: jax.Array, y: jax.Array) -> jax.Array:
    """Return the mean squared error of one hidden layer."""
    return jnp.mean((jnp.tanh(x @ params["w"]) @ params["v"] - y) ** 2)


def train(params: Any, x: jax.Array, y: jax.Array, *, steps: int, method: str = "reverse") -> Any:
    """Return the parameters after steps of Adam."""
    gradient_of = gradest.grad(loss, method=method)
    optimizer = optax.adam(0.05)
    state = optimizer.init(params)
    for step in range(steps):
        updates, state = optimizer.update(gradient_of(params, x, y, rng=step), state, params)
        params = optax.apply_updates(params, updates)
    return params
