"""Evolution strategies as the model grows: the suite's MLP 784-H-H-10, batch 100, float32, at up to 1.6e8 parameters.

    python benchmarks/scripts/growth.py [--rounds 3] [--backend jax] [--parameters 2e7] [--device cuda] [--noise native]

Time is that of one estimate with default settings per evaluation of the loss that it makes, in losses: 1 where all
else costs nothing. What drawing, writing and adding up cost shows as the rest; where the loss is quick (large
products in XLA) it weighs more. Memory is what the first estimate, its preparation included, adds to the peak of a
fresh process that has evaluated the loss, in models of 4 P bytes; on a GPU it is the peak of PyTorch's allocator there.
"""

from protocol import RETURNING, Call, interleave, peak_extra_mb  # isort: skip  # states one thread before a framework is loaded

import argparse
import math
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import gradest
from gradest.datasets import from_arrays

FEATURES, CLASSES, BATCH = 784, 10, 100
PARAMETERS = (1e5, 1.9e6, 2e7, 1.6e8)
SAMPLES = {"es-low-rank": 20, "spsa": 4, "es": 4}
BARS = {"es-low-rank": 1.1, "spsa": 1.7, "es": 2.3}
LARGEST_HELD = {"es-low-rank": 1, "spsa": 1, "es": 2}  # parameters beside the one copy of the model
FRAMEWORK_MB = 64  # what compiled code, activations and blocks that fit the cache take at any P


Place = tuple[str, str | None]
"""A backend and one of its devices; None stands for its default."""


@cache
def objective(place: Place, parameters: float) -> gradest.Objective:
    """Return the MLP with about so many parameters on synthetic data."""
    backend, device = place
    rest = FEATURES + CLASSES + 2
    # H of P = H^2 + H (784 + 10 + 2) + 10
    width = round((math.sqrt(rest**2 + 4 * (parameters - CLASSES)) - rest) / 2)
    generator = np.random.default_rng(0)
    samples = from_arrays(generator.standard_normal((BATCH, FEATURES)), np.arange(BATCH) % CLASSES, name="synthetic")
    problem = gradest.get_problem("mlp", dataset=samples, widths=(width, width), batch=None)
    return gradest.bind(problem, backend=backend, device=device, dtype="float32", kernel="native")


def estimates(name: str, place: Place, parameters: float, noise: str) -> Callable[[int], Any]:
    """Return the estimate by seed, awaited; all settings are the defaults but the number of directions."""
    bound = objective(place, parameters)
    prepared = gradest.get_estimator(name, num_samples=SAMPLES[name], noise=noise).prepare(bound)

    def estimate(seed: int) -> None:
        bound.backend.wait(tuple(prepared(rng=seed).gradient.values()))

    return estimate


def loss(place: Place, parameters: float) -> Call:
    """Return one evaluation, awaited."""
    bound = objective(place, parameters)
    value = bound.prepare_value()
    return lambda: bound.backend.wait((value(bound.start),))


def speed(place: Place, parameters: float, rounds: int, noise: str) -> None:
    """Print the time of each estimator, per evaluation, in losses."""
    calls: dict[str, Call] = {"loss": loss(place, parameters)}
    for name in SAMPLES:
        estimate, seeds = estimates(name, place, parameters, noise), iter(range(1 << 30))
        calls[name] = lambda estimate=estimate, seeds=seeds: estimate(next(seeds))  # type: ignore[misc]  # bound now
    found = interleave(calls, rounds=rounds)
    bound = objective(place, parameters)
    print(
        f"P = {bound.layout.num_parameters}, {place[0]} on {bound.device}: "
        f"a loss takes {1e3 * found.median('loss'):.2f} ms, {found.probe_line()}"
    )
    for name, count in SAMPLES.items():
        each = [ratio / (2 * count) for ratio in found.ratios(name, "loss")]
        # two values for each direction
        middle, bar = found.ratio(name, "loss") / (2 * count), BARS[name]
        verdict = "met" if middle <= bar else f"NOT met: the rest takes {middle - 1:.2f} losses an evaluation"
        print(f"  {name}, N={count}: {middle:.2f} losses ({min(each):.2f} to {max(each):.2f})  bar {bar:g}: {verdict}")


def memory(place: Place, parameters: float, noise: str) -> None:
    """Print what one estimate adds to the peak of a fresh process."""
    command = [sys.executable, str(Path(__file__).resolve()), "--measure-memory"]
    sizes = sorted((size * 4 / 2**20 for size in objective(place, parameters).layout.sizes), reverse=True)
    env = {**os.environ, **RETURNING}
    for name, held in LARGEST_HELD.items():
        # sys.argv tells the child what to do; a parent's pages do not count in it, as they would after a fork
        asked = [*command, name, place[0], place[1] or "", str(parameters), noise]
        extra = float(subprocess.run(asked, check=True, capture_output=True, text=True, env=env).stdout)
        bar = sum(sizes) + sum(sizes[:held]) + FRAMEWORK_MB
        verdict = "met" if extra <= bar else "NOT met"
        print(
            f"  {name}: peak extra {extra:.0f} MB, {extra / sum(sizes):.2f} models  bar {bar:.0f} MB "
            f"(a copy, the {held} largest parameters, {FRAMEWORK_MB} MB): {verdict}"
        )


def measured(name: str, backend: str, device: str, parameters: str, noise: str) -> float:
    """Return the rise of this process's peak by a first estimate, after one evaluation of the loss."""
    place, size = (backend, device or None), float(parameters)
    loss(place, size)()
    bound = objective(place, size)
    bound.backend.reset_peak_memory(bound.device)
    before = bound.backend.peak_memory_bytes(bound.device)
    if before is None:
        return peak_extra_mb(lambda: estimates(name, place, size, noise)(0))
    estimates(name, place, size, noise)(0)
    return ((bound.backend.peak_memory_bytes(bound.device) or 0) - before) / 2**20


def main() -> None:
    """Print the figures of bar 22 beside the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backend", choices=("numpy", "jax", "torch", "mxnet"), action="append", help="numpy and jax")
    parser.add_argument("--device", help="of each backend; its default where this is left out")
    parser.add_argument("--noise", choices=("portable", "native"), default="portable", help="who draws directions")
    parser.add_argument("--parameters", type=float, action="append", help="1e5, 1.9e6, 2e7 and 1.6e8 by default")
    parser.add_argument(
        "--measure-memory", nargs=5, metavar=("ESTIMATOR", "BACKEND", "DEVICE", "P", "NOISE"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.measure_memory:
        print(measured(*options.measure_memory))
        return
    for parameters in options.parameters or PARAMETERS:
        for backend in options.backend or ("numpy", "jax"):
            place = (backend, options.device)
            speed(place, parameters, options.rounds, options.noise)
            memory(place, parameters, options.noise)
            objective.cache_clear()  # a model of 1.6e8 parameters is there once, not once for each backend


if __name__ == "__main__":
    main()
