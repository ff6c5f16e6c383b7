"""Exact forward mode, all P tangents, beside what a user picks: `jax.jit(jax.jacfwd)` and `torch.func.jacfwd`.

    python benchmarks/scripts/forward_mode.py [--size S] [--rounds 5] [--backend jax]

S = MLP 64-32-10, batch 64; M = 784-128-10, batch 100; tanh, float32, mean softmax cross-entropy, synthetic data. On M a
dense basis would take 41 GB, so there is no peer: the rate is compared with that of the matrix products alone,
the memory with 64 MB. Structured tangents are compared with the best dense run.
"""

from protocol import Call, interleave  # isort: skip  # states one thread before a framework is loaded

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from reverse_overhead import PROBLEMS as SIZES
from reverse_overhead import problem as synthetic

import gradest
from gradest.datasets import from_arrays

M = (784, 128, 10, 100)
DENSE_BARS = {"jax": 0.85, "torch": 0.30}  # ours / jit(jacfwd), ours / torch.func.jacfwd
STRUCTURED_BARS = {"S": 1 / 4, "M": 1 / 80}
MEMORY_BAR_MB, RATE_BAR = 64, 0.70


def problem(size: str) -> gradest.Problem:
    """Return the MLP of a size on synthetic data."""
    if size in SIZES and size != "M":
        return synthetic(size)
    features, width, classes, batch = M
    samples = from_arrays(np.random.default_rng(0).standard_normal((batch, features)), np.arange(batch) % classes)
    return gradest.get_problem("mlp", dataset=samples, widths=(width,), batch=None)


def ours(size: str, backend: str, **options: Any) -> Call:
    """Return gradest's forward mode, awaited."""
    objective = gradest.bind(problem(size), backend=backend, dtype="float32")
    prepared = gradest.get_estimator("forward", **options).prepare(objective)
    wait, flatten = objective.backend.wait, objective.backend.flatten
    return lambda: wait(flatten(prepared().gradient)[0])


def jax_peer(size: str) -> Call:
    """Return the gradient by `jax.jit(jax.jacfwd(loss))`, awaited."""
    import jax
    import jax.numpy as jnp

    objective = gradest.bind(problem(size), backend="jax", dtype="float32")

    def loss(params: dict[str, Any], x: Any, targets: Any) -> Any:
        logits = jnp.tanh(x @ params["W1"] + params["b1"]) @ params["W2"] + params["b2"]
        return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * targets, axis=-1))

    jacobian = jax.jit(jax.jacfwd(loss))
    params, data = objective.start_tree, objective.data
    return lambda: jax.block_until_ready(jacobian(params, data["x"], data["targets"]))


def torch_peer(size: str) -> Call:
    """Return the gradient by `torch.func.jacfwd`."""
    import torch
    from torch.nn import functional

    objective = gradest.bind(problem(size), backend="torch", dtype="float32")
    x, targets = objective.data["x"], objective.data["targets"]

    def loss(params: dict[str, Any]) -> Any:
        logits = torch.tanh(x @ params["W1"] + params["b1"]) @ params["W2"] + params["b2"]
        return functional.cross_entropy(logits, targets)

    jacobian, params = torch.func.jacfwd(loss), objective.start_tree
    return lambda: jacobian(params)


def small(backends: list[str], rounds: int) -> None:
    """Print the bars on S: dense beside both peers, structured beside the best dense run."""
    calls = {"jit(jacfwd)": jax_peer("S"), "torch jacfwd": torch_peer("S")}
    for backend in backends:
        calls[f"{backend} dense"] = ours("S", backend)
        calls[f"{backend} dense, dual numbers"] = ours("S", backend, engine="gradest")
        calls[f"{backend} structured"] = ours("S", backend, path="structured")
    found = interleave(calls, rounds=rounds)
    dense = [name for name in calls if " dense" in name]
    for name in dense:
        print(found.line(f"S {name} / jit(jacfwd)", name, "jit(jacfwd)", DENSE_BARS["jax"]))
        print(found.line(f"S {name} / torch", name, "torch jacfwd", DENSE_BARS["torch"]))
    best = min(dense, key=found.median)
    for name in calls:
        if name.endswith("structured"):
            print(found.line(f"S {name} / {best}", name, best, STRUCTURED_BARS["S"]))
    print(found.probe_line())


def large(backends: list[str]) -> None:
    """Print the bars on M: memory and rate of a dense run, once, and the structured one beside it."""
    for backend in backends:
        objective = gradest.bind(problem("M"), backend=backend, dtype="float32")
        product_seconds = _products(objective)
        call, structured = ours("M", backend), ours("M", backend, path="structured")
        _reset_peak()
        before = _resident_mb("VmRSS")
        seconds = _timed(call)  # compilation, of some seconds, included: it is 1 part in 10
        extra = _resident_mb("VmHWM") - before
        structured()
        quick = min(_timed(structured) for _ in range(3))
        rate = product_seconds / seconds
        print(f"M {backend} dense: {seconds:.1f} CPU seconds, {extra:.0f} MB above the start (bar {MEMORY_BAR_MB})")
        print(f"M {backend} dense: {rate:.0%} of the rate of its matrix products alone (bar {RATE_BAR:.0%})")
        print(f"M {backend} structured: {quick * 1e3:.1f} ms, 1/{seconds / quick:.0f} of dense (bar 1/80)")


def _products(objective: gradest.Objective) -> float:
    """Return the seconds of the P products `x @ tangent of W1` alone, from some of them."""
    ops, shape = objective.ops, objective.layout.shapes[0]
    # four at a time, and times one, which makes an array of what is a view
    tangents = ops.broadcast_to(objective.start[0], (4, *shape)) * 1.0
    step = objective.backend.compile(ops.matmul)
    call = _awaited(objective, lambda: step(objective.data["x"], tangents))
    call()
    return min(_timed(call) for _ in range(20)) / 4 * objective.layout.sizes[0]


def _awaited(objective: gradest.Objective, call: Call) -> Call:
    return lambda: objective.backend.wait([call()])


def _timed(call: Call) -> float:
    """Return processor seconds: a run of minutes on a shared machine is disturbed, and cannot be interleaved."""
    start = time.process_time()
    call()
    return time.process_time() - start


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again from what is resident now


def _resident_mb(field: str) -> float:
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith(field))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Print the figures of bars 3, 4 and 5 beside the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("S", "M"), action="append")
    parser.add_argument("--backend", choices=("numpy", "jax", "torch", "mxnet"), action="append")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    backends = asked.backend or ["numpy", "jax"]
    sizes = asked.size or ["S", "M"]
    if "S" in sizes:
        small(backends, asked.rounds)
    if "M" in sizes:
        large(backends)


if __name__ == "__main__":
    main()
