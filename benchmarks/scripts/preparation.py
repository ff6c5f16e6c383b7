"""How long a first gradient takes on JAX, where programs are compiled: preparation and first call, less a further call.

    python benchmarks/scripts/preparation.py [--rounds 3] [--backend jax]

S = MLP 64-32-10, batch 64, float32. Each figure is that of a fresh process, after one product in the framework; what
importing takes is left out. Processor time is printed beside: XLA compiles in several threads, and a busy machine
lengthens the wall time alone.
"""

from protocol import interleave  # isort: skip  # states one thread before a framework is loaded

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from forward_mode import problem

import gradest

BARS = {"fd-central": 0.8, "forward": 0.8}
"""Seconds on JAX."""


def measured(name: str, backend: str) -> tuple[float, float]:
    """Return the seconds, and the processor's, that a first gradient takes in this process beyond a further one."""
    objective = gradest.bind(problem("S"), backend=backend, dtype="float32", kernel="native")
    objective.backend.wait(objective.backend.array(objective.backend.numpy(objective.start[0]), dtype="float32"))
    wait, flatten = objective.backend.wait, objective.backend.flatten
    estimator = gradest.get_estimator(name)  # which imports its module
    started = time.perf_counter(), time.process_time()
    prepared = estimator.prepare(objective)
    wait(flatten(prepared().gradient)[0])
    wall, processor = time.perf_counter() - started[0], time.process_time() - started[1]
    # a call that is warm, as a user's second would be: what is left of the first is what it prepared
    again = interleave({"again": lambda: wait(flatten(prepared().gradient)[0])}, rounds=1).median("again")
    return wall - again, processor - again


def main() -> None:
    """Print the figures beside the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backend", choices=("numpy", "jax", "torch", "mxnet"), default="jax")
    parser.add_argument("--measure", choices=tuple(BARS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(*measured(options.measure, options.backend))
        return
    for name, bar in BARS.items():
        command = [sys.executable, str(Path(__file__).resolve()), "--backend", options.backend, "--measure", name]
        found = [
            [
                float(figure)
                for figure in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            ]
            for _ in range(options.rounds)
        ]
        wall, processor = (statistics.median(figures) for figures in zip(*found, strict=True))
        verdict = "" if options.backend != "jax" else f"  bar {bar:g} s: {'met' if wall <= bar else 'NOT met'}"
        print(f"S {options.backend} {name}: {wall:.2f} s, {processor:.2f} s of the processor{verdict}", flush=True)


if __name__ == "__main__":
    main()
