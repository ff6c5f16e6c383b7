"""Reverse mode through gradest beside the framework's own call: what the interface costs.

    python benchmarks/scripts/reverse_overhead.py [--backend jax] [--rounds 7]

S = MLP 64-32-10, batch 64; L = 784-512-10, batch 100; tanh, float32, mean softmax cross-entropy, synthetic data.
The peer is what a user writes: the same loss in the framework's operations, its own reverse mode, compiled where
it compiles, parameters as a dict. Ours is `get_estimator("reverse").prepare(objective)` called with that dict.
"""

from protocol import Call, interleave  # isort: skip  # states one thread before a framework is loaded

import argparse
from typing import Any

import numpy as np

import gradest
from gradest.datasets import from_arrays

PROBLEMS = {"S": (64, 32, 10, 64), "L": (784, 512, 10, 100)}
BARS = {("jax", "L"): 1.05, ("torch", "L"): 1.03, ("jax", "S"): 1.25, ("torch", "S"): 1.25}
"""Ours / peer's that is to be reached."""


def problem(size: str) -> gradest.Problem:
    """Return the MLP of a size on synthetic data."""
    features, width, classes, batch = PROBLEMS[size]
    generator = np.random.default_rng(0)
    samples = from_arrays(generator.standard_normal((batch, features)), np.arange(batch) % classes, name=size)
    return gradest.get_problem("mlp", dataset=samples, widths=(width,), batch=None)


def jax_peer(objective: gradest.Objective) -> Call:
    """Return JAX's own jitted gradient of the objective's loss, awaited."""
    import jax
    import jax.numpy as jnp

    def loss(params: dict[str, Any], x: Any, targets: Any) -> Any:
        logits = jnp.tanh(x @ params["W1"] + params["b1"]) @ params["W2"] + params["b2"]
        return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * targets, axis=-1))

    gradient = jax.jit(jax.value_and_grad(loss))
    params, data = objective.start_tree, objective.data
    return lambda: jax.block_until_ready(gradient(params, data["x"], data["targets"]))


def torch_peer(objective: gradest.Objective) -> Call:
    """Return PyTorch's own gradient of the objective's loss."""
    import torch
    from torch.nn import functional

    # copies: the start at which gradest evaluates must not begin to record
    params = {name: tensor.clone().requires_grad_() for name, tensor in objective.start_tree.items()}
    x, targets = objective.data["x"], objective.data["targets"]

    def gradient() -> Any:
        logits = torch.tanh(x @ params["W1"] + params["b1"]) @ params["W2"] + params["b2"]
        loss = functional.cross_entropy(logits, targets)
        return loss, torch.autograd.grad(loss, tuple(params.values()))

    return gradient


PEERS = {"jax": jax_peer, "torch": torch_peer}


def measure(backend: str, size: str, rounds: int) -> None:
    """Print both medians, their ratio and the bar."""
    objective = gradest.bind(problem(size), backend=backend, dtype="float32", kernel="native")
    prepared = gradest.get_estimator("reverse", engine="native").prepare(objective)
    params, wait = objective.start_tree, objective.backend.wait

    def ours() -> None:
        estimate = prepared(params)
        wait((estimate.value, *estimate.gradient.values()))

    result = interleave({"ours": ours, "peer": PEERS[backend](objective)}, rounds=rounds)
    print(result.line(f"reverse, {backend}, {size}", "ours", "peer", BARS[backend, size]))
    print(result.probe_line())


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=sorted(PEERS), action="append", help="all of them by default")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    for backend in options.backend or sorted(PEERS):
        for size in PROBLEMS:
            measure(backend, size, options.rounds)


if __name__ == "__main__":
    main()
