"""A network of Flax, on JAX, trained by four estimators on the same batches.

    python examples/flax_network.py [--steps 60]

What `model.init` returns is the pytree of parameters, and `model.apply` the function: nothing is wrapped. A key for
random layers is an argument like the batch, so that all evaluations of one estimate see the same numbers.

Which estimator for such a loss:

- Reverse mode: exact, and as dear as a few forward passes.
- The forward gradient takes one product per direction, keeps no activations, and is right on average; its error is
  sqrt((P + 1) / N) of the gradient's length, so that the rate has to be smaller for the same steps.
- Evolution strategies do the same from values alone, for losses that cannot be differentiated. Directions of low rank
  draw far fewer random numbers for large matrices; on small ones they are no better.
- Ranks (`es-rank`) keep the direction and forget the length: the step no longer depends on the scale of the loss, nor
  on a few large values among many. The rate then has another meaning.
"""

import argparse
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import gradest

RUNS: dict[str, tuple[dict[str, Any], float]] = {
    "reverse": ({}, 0.3),
    "forward-gradient": ({"num_samples": 60}, 0.1),
    "es-low-rank": ({"num_samples": 60, "sigma": 0.02}, 0.1),
    "es-rank": ({"num_samples": 60, "sigma": 0.02}, 0.2),
}
"""Each estimator with its hyper-parameters and the rate of its steps."""


class Network(nn.Module):
    """Two layers with dropout between them."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return predictions `(B,)` for inputs `(B, 2)`."""
        hidden = nn.Dropout(0.1, deterministic=False)(nn.tanh(nn.Dense(8)(x)))
        return nn.Dense(1)(hidden)[:, 0]


def loss(variables: Any, x: jax.Array, y: jax.Array, key: jax.Array) -> jax.Array:
    """Return the mean squared error, with dropout drawn from the key."""
    found = Network().apply(variables, x, rngs={"dropout": key})
    return jnp.mean((found - y) ** 2)


def train(name: str, steps: int) -> tuple[float, float]:
    """Return the loss before and after."""
    options, rate = RUNS[name]
    key = jax.random.key(0)
    x = jax.random.normal(key, (64, 2))
    y = jnp.sin(2 * x[:, 0]) * x[:, 1]
    params = Network().init({"params": key, "dropout": key}, x)
    first = float(loss(params, x, y, key))
    gradient_of = gradest.grad(loss, method=name, **options)
    for step in range(steps):
        # The next key takes the place of the one before, as a new batch would: nothing is compiled again.
        gradient = gradient_of(params, x, y, jax.random.fold_in(key, step), rng=step)
        params = jax.tree_util.tree_map(lambda p, g: p - rate * g, params, gradient)
    return first, float(loss(params, x, y, key))


def main() -> None:
    """Print what each estimator makes of the network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    steps = parser.parse_args().steps
    print(f"{'estimator':<17} {'loss at first':>14} {f'after {steps} steps':>16}")
    for name in RUNS:
        first, last = train(name, steps)
        print(f"{name:<17} {first:>14.3f} {last:>16.3f}")


if __name__ == "__main__":
    main()
