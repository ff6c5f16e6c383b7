"""The closed form in NumPy beside JAX's compiled reverse mode: what an interpreter can reach without a compiler.

    OPENBLAS_CORETYPE=SkylakeX python benchmarks/scripts/analytic_numpy.py [--rounds 7]

S = MLP 64-32-10, batch 64, float32; L = 784-512-10, batch 100, float32 and float64; tanh, mean softmax
cross-entropy. The peer is `jax.jit(jax.value_and_grad)` of the same loss. NumPy's wheels carry an OpenBLAS that may not
know a new processor and then runs at half speed: `OPENBLAS_CORETYPE`, read before NumPy is imported, names the kernels
to use; the L bars are stated with it.
"""

from protocol import interleave  # isort: skip  # states one thread before a framework is loaded

import argparse
import os
from functools import partial

from reverse_overhead import jax_peer, problem

import gradest

BARS = {("S", "float32"): 1.25, ("L", "float32"): 1.15, ("L", "float64"): 0.75}
"""Ours / peer's that is to be reached."""


def measure(size: str, dtype: str, rounds: int) -> None:
    """Print the ratio for one size and dtype."""
    bound = partial(gradest.bind, problem(size), dtype=dtype)
    prepared = gradest.get_estimator("analytic").prepare(bound(backend="numpy", kernel="native"))
    params = prepared.objective.start_tree
    theirs = bound(backend="jax")
    # in the objective's own scope, where float64 is float64 to JAX
    peer = theirs.scoped(jax_peer(theirs))
    result = interleave({"ours": partial(prepared, params), "peer": peer}, rounds=rounds)
    print(result.line(f"analytic, {size}, {dtype}", "ours", "peer", BARS[size, dtype]))
    print(result.probe_line())


def main() -> None:
    """Read the options and measure each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print(f"OPENBLAS_CORETYPE={os.environ.get('OPENBLAS_CORETYPE', '(not set)')}")
    for size, dtype in BARS:
        measure(size, dtype, rounds)


if __name__ == "__main__":
    main()
