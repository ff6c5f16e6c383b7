"""Finite differences along all P coordinates: black box, structured, and free of cancellation, beside what others do.

    python benchmarks/scripts/finite_differences.py [--size S] [--rounds 5] [--backend numpy]

S = MLP 64-32-10, batch 64; M = 784-128-10, L = 784-512-10, batch 100; tanh, float32, mean softmax cross-entropy,
synthetic data. Peers: `scipy.optimize.approx_fprime`, `numdifftools.Gradient`, and a Python loop that perturbs a
NumPy array in place, which on M and L is timed on some coordinates and scaled to P.
"""

from protocol import Call, Interleaved, interleave  # isort: skip  # states one thread before a framework is loaded

import argparse
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numdifftools
import numpy as np
import numpy.typing as npt
from forward_mode import problem as up_to_m
from reverse_overhead import problem as large_problem
from scipy.optimize import approx_fprime

import gradest
from gradest.measurement.accuracy import compare_gradients
from gradest.measurement.reference import reference_gradient
from gradest.measurement.session import flat

BLACK_BOX_BARS = {"numpy": 1 / 3.5, "jax": 1 / 7}
STRUCTURED_BARS = {"S": 1 / 30, "M": 1 / 200, "L": 1 / 700}
EXACT_BARS = {"float32": 1e-6, "float64": 1e-14}
NUMDIFFTOOLS_BAR = 1 / 100
MEMORY_BAR_MB = 10
LOOP_SAMPLE = {"S": None, "M": 400, "L": 200}
"""How many coordinates the loop in place is timed on; None for all."""

Flat = npt.NDArray[Any]


def problem(size: str) -> gradest.Problem:
    """Return the MLP of a size on synthetic data."""
    return large_problem(size) if size == "L" else up_to_m(size)


def loss_by_hand(objective: gradest.Objective) -> Callable[[Flat], Any]:
    """Return the loss of a flat vector, as a NumPy user writes it."""
    layout, data = objective.layout, objective.data
    x, labels = data["x"], data["targets"].argmax(axis=1)
    rows = np.arange(x.shape[0])

    def loss(vector: Flat) -> Any:
        first, b1, second, b2 = layout.unflatten(vector)
        logits = np.tanh(x @ first + b1) @ second + b2
        shift = logits.max(axis=1)
        return np.mean(np.log(np.exp(logits - shift[:, None]).sum(axis=1)) + shift - logits[rows, labels])

    return loss


def start_vector(objective: gradest.Objective) -> Flat:
    """Return the start point as one vector."""
    return np.asarray(objective.layout.flatten(list(objective.start)))


def loop_in_place(objective: gradest.Objective, count: int | None) -> Call:
    """Return forward differences by a Python loop over `count` coordinates (all by default), in place."""
    loss, vector = loss_by_hand(objective), start_vector(objective)
    # in the vector's dtype: NumPy 1 computes a float32 number and one of Python's in float64
    step, places = vector.dtype.type(1e-3), range(vector.size if count is None else count)

    def gradient() -> Flat:
        base, found = loss(vector), np.empty(len(places))
        for place in places:
            kept = vector[place]  # by subtracting the step again, rounding would stay behind
            vector[place] = kept + step
            found[place] = (loss(vector) - base) / step
            vector[place] = kept
        return found

    return gradient


def ours(size: str, backend: str, **options: Any) -> Call:
    """Return gradest's forward differences, awaited."""
    objective = gradest.bind(problem(size), backend=backend, dtype="float32", kernel="native")
    prepared = gradest.get_estimator("fd-forward", step=1e-3, **options).prepare(objective)
    wait, flatten = objective.backend.wait, objective.backend.flatten
    return lambda: wait(flatten(prepared().gradient)[0])


def black_box(backends: list[str], rounds: int) -> None:
    """Print bar 6: whole evaluations on S beside SciPy's and numdifftools'."""
    objective = gradest.bind(problem("S"), dtype="float32")
    loss, vector = loss_by_hand(objective), start_vector(objective)
    calls: dict[str, Call] = {"approx_fprime": lambda: approx_fprime(vector, loss, 1e-3)}
    calls |= {backend: ours("S", backend, path="black-box") for backend in backends}
    found = interleave(calls, rounds=rounds)
    for backend in backends:
        print(
            found.line(f"S {backend} black box / approx_fprime", backend, "approx_fprime", BLACK_BOX_BARS.get(backend))
        )
    # once, and not in turns: at the bar it takes a hundred times as long as ours
    seconds = _timed(lambda: numdifftools.Gradient(loss)(vector))
    for backend in backends:
        share = found.median(backend) / seconds
        print(
            f"S {backend} black box / numdifftools: {seconds:.2f} s there, ratio {share:.4f}, bar {NUMDIFFTOOLS_BAR:g}"
        )
    print(found.probe_line())


def structured(size: str, backends: list[str], rounds: int) -> None:
    """Print bar 7: structured differences beside the loop in place, and NumPy's peak of memory."""
    count = LOOP_SAMPLE[size]
    objective = gradest.bind(problem(size), dtype="float32")
    calls = {"loop": loop_in_place(objective, count)}
    for backend in backends:
        calls[f"{backend} plain"] = ours(size, backend)
        calls[f"{backend} exact"] = ours(size, backend, differences="exact")
    found = interleave(calls, rounds=rounds)
    # each coordinate costs the same: the rest of the loop is not waited for
    scale = 1.0 if count is None else objective.layout.num_parameters / count
    for name in list(calls)[1:]:
        _print_scaled(size, name, found, scale)
    # NumPy alone, whose buffers tracemalloc sees; after a first call, whose caches are no part of the others
    call = ours(size, "numpy")
    call()
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    print(f"{size} numpy plain: {peak:.1f} MB at its peak, bar {MEMORY_BAR_MB}")


def _print_scaled(size: str, name: str, found: Interleaved, scale: float) -> None:
    loop, each = found.median("loop") * scale, [ratio / scale for ratio in found.ratios(name, "loop")]
    bar = STRUCTURED_BARS[size]
    ratio = float(np.median(each))
    verdict = "met" if ratio <= bar else "NOT met"
    print(f"{size} {name} / loop in place: {found.median(name) * 1e3:.2f} ms, loop {loop:.3f} s, ", end="")
    print(f"{1 / ratio:.0f} times faster ({1 / max(each):.0f} to {1 / min(each):.0f}); bar {1 / bar:.0f}: {verdict}")


def accuracy(backends: list[str]) -> None:
    """Print bar 8: central differences free of cancellation against extended precision."""
    for backend in backends:
        for dtype, bar in EXACT_BARS.items():
            objective = gradest.bind(problem("S"), backend=backend, dtype=dtype)
            estimate = gradest.get_estimator("fd-exact", step=1e-6).prepare(objective)()
            automatic = gradest.get_estimator("fd-exact").prepare(objective)()
            reference = reference_gradient(objective).gradient
            errors = [compare_gradients(flat(objective, e), reference).relative_error for e in (estimate, automatic)]
            print(
                f"S {backend} {dtype} exact, central: {errors[0]:.1e} at 1e-6, {errors[1]:.1e} by default; bar {bar:g}"
            )


def _timed(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    """Print the figures of bars 6, 7 and 8 beside the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=tuple(LOOP_SAMPLE), action="append")
    parser.add_argument("--backend", choices=("numpy", "jax", "torch", "mxnet"), action="append")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    backends, sizes = asked.backend or ["numpy", "jax"], asked.size or ["S", "M"]
    if "S" in sizes:
        black_box(backends, asked.rounds)
        accuracy(backends)
    for size in sizes:
        structured(size, backends, asked.rounds)


if __name__ == "__main__":
    main()
