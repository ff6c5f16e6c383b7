"""A new batch of a Problem beside a further call on the same one, on every backend.

    python benchmarks/scripts/new_batch.py [--rounds 7] [--backends numpy,jax,torch,mxnet]

Reverse mode of L = 784-512-10 in float32, batch 100, and of S = 64-32-10, batch 64. A new batch comes as NumPy arrays
that were taken out of the data before, so that what is measured is the way to the framework and through `prepared`;
"gathered" takes the rows out too. Data are random: the time does not depend on the numbers.
"""

from protocol import Call, interleave  # isort: skip  # states one thread before a framework is loaded

import argparse
from itertools import cycle
from typing import Any

import numpy as np

import gradest
from gradest.datasets import from_arrays

BAR = 1.2
"""To be reached: a new batch / a further call."""

SIZES = {"L": (784, (512,), 100), "S": (64, (32,), 64)}
"""Name -> features, hidden widths, examples in a batch."""


def calls(size: str, backend: str) -> dict[str, Call]:
    """Return three ways to the next gradient: on the same batch, on a new one, on one that is taken out of the data."""
    width, hidden, batch = SIZES[size]
    generator = np.random.default_rng(0)
    data = from_arrays(generator.standard_normal((1000, width)), generator.integers(0, 10, 1000), num_classes=10)
    problem = gradest.get_problem("mlp", dataset=data, widths=hidden, batch=None)
    objective = gradest.bind(problem, backend=backend, dtype="float32", data=problem.batch_of(range(batch)))
    prepared = gradest.get_estimator("reverse").prepare(objective)
    params, wait = objective.start_tree, objective.backend.wait
    # converted before: the clock is to see the copy to the backend, and not the cast
    batches = cycle([{name: x.astype(np.float32) for name, x in each.items()} for each in problem.batches(batch)])
    rows = cycle([list(range(start, start + batch)) for start in range(0, 1000 - batch, batch)])

    def awaited(**data: Any) -> None:
        wait(list(prepared(params, **data).gradient.values()))

    return {
        "same": awaited,
        "new": lambda: awaited(data=next(batches)),
        "gathered": lambda: awaited(data=problem.batch_of(next(rows))),
    }


def main() -> None:
    """Measure each backend, in interleaved blocks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--backends", default="numpy,jax,torch,mxnet")
    options = parser.parse_args()
    for size in SIZES:
        for backend in options.backends.split(","):
            found = interleave(calls(size, backend), rounds=options.rounds)
            print(found.line(f"{backend} {size}, new batch", "new", "same", BAR))
            print(found.line(f"{backend} {size}, gathered", "gathered", "same"))
    print(found.probe_line())


if __name__ == "__main__":
    main()
