"""A user's own function through gradest beside the framework's own call, and the one-line form beside the prepared one.

    python benchmarks/scripts/own_code.py [--rounds 7]

A tiny `nn.Module` (8-3, batch 16), where a call takes as long as its Python, and L = 784-512-10, batch 100, as a plain
function of JAX arrays, where a copy of the parameters to the host would show.
"""

from protocol import Call, interleave  # isort: skip  # states one thread before a framework is loaded

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

import gradest

REVERSE_BAR, ONE_LINE_BAR, ARRAYS_BAR = 1.4, 1.1, 1.05
"""To be reached: prepared / the framework's own, and the one-line form / prepared, of the module and of JAX arrays."""


def module_calls() -> dict[str, Call]:
    """Return three ways to the gradient of a tiny module: PyTorch's own, prepared, and the one-line form."""
    import torch
    from torch.nn import functional

    torch.manual_seed(0)
    module, x, y = torch.nn.Linear(8, 3), torch.randn(16, 8), torch.arange(16) % 3

    def loss(m: Any, x: Any, y: Any) -> Any:
        return functional.cross_entropy(m(x), y)

    parameters = tuple(module.parameters())

    def peer() -> Any:
        value = loss(module, x, y)
        return value.detach(), torch.autograd.grad(value, parameters)

    return _ours(loss, module, (x, y), peer)


def jax_calls() -> dict[str, Call]:
    """Return the same three of a plain function of JAX arrays, awaited."""
    import jax
    import jax.numpy as jnp

    generator = np.random.default_rng(0)
    sizes = {"W1": (784, 512), "b1": (512,), "W2": (512, 10), "b2": (10,)}
    params = {name: jnp.asarray(generator.standard_normal(size) * 0.05, jnp.float32) for name, size in sizes.items()}
    x, targets = jnp.asarray(generator.standard_normal((100, 784)), jnp.float32), jnp.eye(10)[jnp.arange(100) % 10]

    def loss(p: dict[str, Any], x: Any, targets: Any) -> Any:
        logits = jnp.tanh(x @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
        return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * targets, axis=-1))

    gradient = jax.jit(jax.value_and_grad(loss))
    calls = _ours(loss, params, (x, targets), lambda: gradient(params, x, targets))
    # JAX returns before it has computed
    return {name: _awaited(call, jax.block_until_ready) for name, call in calls.items()}


def _ours(loss: Callable[..., Any], params: Any, args: tuple[Any, ...], peer: Call) -> dict[str, Call]:
    """Return a peer's call, the prepared one at parameters and batch, and the one-line form's with the same."""
    prepared = gradest.get_estimator("reverse").prepare(gradest.bind(loss, params, *args))
    one_line = gradest.value_and_grad(loss)

    def with_preparation() -> Any:
        estimate = prepared(params, *args)
        return estimate.value, estimate.gradient

    return {"peer": peer, "prepared": with_preparation, "one line": lambda: one_line(params, *args)}


def _awaited(call: Call, wait: Callable[[Any], object]) -> Call:
    return lambda: wait(call())


def main() -> None:
    """Measure both, each in interleaved blocks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    found = interleave(module_calls(), rounds=rounds)
    print(found.line("nn.Module 8-3, prepared", "prepared", "peer", REVERSE_BAR))
    print(found.line("nn.Module 8-3, one line", "one line", "prepared", ONE_LINE_BAR))
    found = interleave(jax_calls(), rounds=rounds)
    print(found.line("JAX arrays L, prepared", "prepared", "peer"))
    print(found.line("JAX arrays L, one line", "one line", "prepared", ARRAYS_BAR))
    print(found.probe_line())


if __name__ == "__main__":
    main()
