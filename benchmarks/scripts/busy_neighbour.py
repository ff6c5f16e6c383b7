"""Reverse mode on L with one busy process beside, in the harness's default settings, and on a quiet machine.

    python benchmarks/scripts/busy_neighbour.py [--backend torch] [--rounds 7]

Frameworks with a thread per core wait for their slowest thread, and a neighbour makes one of them slow; the harness
gives each worker one thread per library and passive waiting. Each backend is measured in a process of its own with
the environment of a worker, in quiet and busy blocks that alternate. The neighbour computes without end on any core.
The bar is about a machine of two or more cores that is otherwise quiet: other work makes both blocks slow alike.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from gradest_bench.worker.process import Launch

BAR = 1.4
BACKENDS = ("numpy", "jax", "torch", "mxnet")
FEATURES, WIDTH, CLASSES, BATCH = 784, 512, 10, 100
NEIGHBOUR = "while True: pass"
BLOCK_SECONDS, SETTLING_SECONDS = 0.3, 0.3


@contextmanager
def busy_neighbour() -> Iterator[None]:
    """Keep one core busy with a process of its own; it runs for a moment before the block begins."""
    process = subprocess.Popen([sys.executable, "-c", NEIGHBOUR])
    try:
        time.sleep(SETTLING_SECONDS)
        yield
    finally:
        process.kill()
        process.wait()


def measure(backend: str, rounds: int) -> None:
    """Print both medians, their ratio and the bar; runs in a process with a worker's environment."""
    import numpy as np  # the environment of this process states the threads before any library is loaded

    import gradest
    from gradest.datasets import from_arrays

    features = np.random.default_rng(0).standard_normal((BATCH, FEATURES))
    samples = from_arrays(features, np.arange(BATCH) % CLASSES, name="L")
    problem = gradest.get_problem("mlp", dataset=samples, widths=(WIDTH,), batch=None)
    objective = gradest.bind(problem, backend=backend, dtype="float32", kernel="native")
    prepared = gradest.get_estimator("reverse").prepare(objective)

    def block() -> float:
        """Return the median seconds of single awaited calls."""
        seconds: list[float] = []
        while sum(seconds) < BLOCK_SECONDS:
            start = time.perf_counter()
            objective.backend.wait(tuple(prepared().gradient.values()))
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds)

    block()
    found: dict[str, list[float]] = {"quiet": [], "busy": []}
    for _ in range(rounds):
        for state, beside in (("quiet", nullcontext()), ("busy", busy_neighbour())):
            with beside:
                found[state].append(block())
    quiet, busy = (statistics.median(found[state]) for state in ("quiet", "busy"))
    # within a round: what else the machine does changes over minutes
    ratio = statistics.median(b / q for q, b in zip(found["quiet"], found["busy"], strict=True))
    medians = f"quiet {quiet * 1e3:7.2f} ms  busy {busy * 1e3:7.2f} ms"
    print(f"{backend:<6} {medians}  ratio {ratio:.2f}  bar {BAR:g}: {'met' if ratio <= BAR else 'NOT met'}")


def main() -> None:
    """Print bar 15 for each backend."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=BACKENDS, action="append", help="all of them by default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--measure", choices=BACKENDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.rounds)
        return
    # as the harness starts its own: what is measured is what its users get
    environment = Launch(pythons={}, logs=Path()).environment()
    for backend in options.backend or BACKENDS:
        command = [sys.executable, str(Path(__file__).resolve()), "--measure", backend, "--rounds", str(options.rounds)]
        subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()
