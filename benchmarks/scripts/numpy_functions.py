"""Reverse mode of a plain NumPy function beside closed forms, and beside HIPS Autograd.

    python benchmarks/scripts/numpy_functions.py [--rounds 7] [--dtype float32]

S = MLP 64-32-10, batch 64; L = 784-512-10, batch 100; tanh, mean softmax cross-entropy, synthetic data. The loss is
what a user writes in NumPy, the same text for Autograd with its own `numpy`. Closed forms: the estimator "analytic" of
the suite's problem, in NumPy's native kernels; and the same mathematics by hand, without an interface. Autograd is an
optional peer (`pip install gradest[peers]`).
"""

from protocol import Call, interleave  # isort: skip  # states one thread before NumPy is loaded

import argparse
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from reverse_overhead import problem as suite_problem

import gradest

PROBLEMS = {"S": (64, 32, 10, 64), "L": (784, 512, 10, 100)}
BARS = {("L", "analytic"): 1.5, ("L", "by hand"): 1.5, ("L", "autograd"): 1.0, ("S", "autograd"): 1.0}
"""Ours / peer's that is to be reached."""

Params = tuple[Any, ...]


def problem(size: str, dtype: str) -> tuple[Params, tuple[Any, Any]]:
    """Return the parameters and data of a size."""
    features, width, classes, batch = PROBLEMS[size]
    generator = np.random.default_rng(0)
    shapes = ((features, width), (width,), (width, classes), (classes,))
    params = tuple((0.1 * generator.standard_normal(shape)).astype(dtype) for shape in shapes)
    x = generator.standard_normal((batch, features)).astype(dtype)
    return params, (x, np.eye(classes, dtype=dtype)[np.arange(batch) % classes])


def loss(xp: Any, params: Params, data: tuple[Any, Any]) -> Any:
    """Return the mean softmax cross-entropy, as one writes it in NumPy."""
    (w1, b1, w2, b2), (x, targets) = params, data
    logits = xp.tanh(x @ w1 + b1) @ w2 + b2
    # the usual guard against overflow: what is differentiated is what people write
    logits = logits - xp.max(logits, axis=1, keepdims=True)
    log_normalizer = xp.log(xp.sum(xp.exp(logits), axis=1))
    return xp.mean(log_normalizer - xp.sum(logits * targets, axis=1))


def by_hand(params: Params, data: tuple[Any, Any]) -> tuple[Any, Params]:
    """Return the loss and its gradient, derived by hand."""
    (w1, b1, w2, b2), (x, targets) = params, data
    hidden = np.tanh(x @ w1 + b1)
    logits = hidden @ w2 + b2
    logits = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(logits)
    sums = exponentials.sum(axis=1, keepdims=True)
    value = np.mean(np.log(sums[:, 0]) - np.sum(logits * targets, axis=1))
    by_logits = (exponentials / sums - targets) / np.asarray(len(x), x.dtype)
    by_hidden = (by_logits @ w2.T) * (1 - hidden * hidden)
    return value, (x.T @ by_hidden, by_hidden.sum(axis=0), hidden.T @ by_logits, by_logits.sum(axis=0))


def calls(size: str, dtype: str) -> Mapping[str, Call]:
    """Return what is timed, after seeing that all give the same gradient."""
    params, data = problem(size, dtype)
    ours = gradest.value_and_grad(partial(loss, np))  # as a user calls it, with a batch each time
    timed: dict[str, Call] = {"ours": lambda: ours(params, data), "by hand": lambda: by_hand(params, data)}
    bound = gradest.bind(suite_problem(size), dtype=dtype, kernel="native")
    timed["analytic"] = partial(gradest.get_estimator("analytic").prepare(bound), bound.start_tree)
    try:
        import autograd
        import autograd.numpy as anp
    except ImportError:
        print("autograd is not installed: its rows are left out (pip install 'gradest[peers]')")
    else:
        theirs = autograd.value_and_grad(lambda leaves: loss(anp, leaves, data))
        timed["autograd"] = lambda: theirs(params)
    wanted = by_hand(params, data)[1]
    # before the clock: a fast way to another gradient is no way
    for name in timed.keys() - {"analytic"}:  # whose parameters are the suite's, of the same shapes
        for got, want in zip(timed[name]()[1], wanted, strict=True):  # type: ignore[index]  # a pair, of autograd too
            if not np.allclose(got, want, rtol=1e-3, atol=1e-5) or got.dtype != want.dtype:
                raise AssertionError(f"{name} gives another gradient on {size}, {dtype}")
    return timed


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=("float32", "float64"), action="append", help="both by default")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    for dtype in options.dtype or ("float32", "float64"):
        for size in PROBLEMS:
            result = interleave(calls(size, dtype), rounds=options.rounds)
            for peer in ("analytic", "by hand", "autograd"):
                if peer in result.seconds:
                    print(result.line(f"{size}, {dtype}, {peer}", "ours", peer, BARS.get((size, peer))))
            print(result.probe_line())


if __name__ == "__main__":
    main()
