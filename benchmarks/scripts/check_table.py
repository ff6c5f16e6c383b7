"""Measures `gradest.check`: false alarms on right gradients, and planted defects that it misses; prints a table."""

import argparse
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

import gradest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from support import mistaken_gradients  # found by the path set above
from support import right_gradients as cases

SOURCES = {
    "closed forms": cases.closed_forms,
    "torch": cases.torch_layers,
    "jax": cases.jax_functions,
    "mxnet": cases.mxnet_blocks,
}


def right(seeds: int) -> None:
    """Print the verdicts on right gradients; a false alarm by name."""
    print(f"{'right gradients':<16}{'number':>8}{'right':>8}{'cannot tell':>13}{'false alarms':>14}")
    for name, make in SOURCES.items():
        found: Counter[str] = Counter()
        for seed in range(seeds):
            for case, f, params, gradient, args in make(seed):
                result = gradest.check(f, params, gradient, *args, seed=seed)
                found[str(result.verdict)] += 1
                if result.verdict == "wrong":
                    print(f"  FALSE ALARM {case}\n{result}")
        print(f"{name:<16}{found.total():>8}{found['right']:>8}{found['cannot tell']:>13}{found['wrong']:>14}")


def network(p: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Return the loss of a small network, whose gradient is `network_gradient`."""
    return np.mean((np.tanh(x @ p["w"] + p["b"]) @ p["v"]) ** 2)


def network_gradient(p: dict[str, np.ndarray], x: np.ndarray) -> dict[str, np.ndarray]:
    """Return the gradient of `network`, by hand."""
    hidden = np.tanh(x @ p["w"] + p["b"])
    out = hidden @ p["v"]
    by_out = 2 * out / out.size
    by_hidden = (by_out @ p["v"].T) * (1 - hidden**2)
    return {"w": x.T @ by_hidden, "b": by_hidden.sum(axis=0), "v": hidden.T @ by_out}


def defects() -> None:
    """Print how many defects of ten printed resolutions are found, by kind."""
    print(f"\n{'planted defects':<32}{'tried':>7}{'found':>7}   (of ten times the printed resolution of their block)")
    tried: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for dtype in ("float64", "float32"):
        r = np.random.default_rng(0)
        params = {"w": (6, 5), "b": (5,), "v": (5, 3)}
        at = {k: (r.standard_normal(s) / 2).astype(dtype) for k, s in params.items()}
        x = r.standard_normal((8, 6)).astype(dtype)
        truth = network_gradient(at, x)
        resolution = {block.name: block.resolution for block in gradest.check(network, at, truth, x).blocks}
        for size_of in sorted(resolution.items()):
            size = 10 * size_of[1]
            for kind, block, wrong in (*cases.planted(truth, at, size), *mistaken_gradients.mistaken(at, x, size)):
                if block == size_of[0]:
                    tried[kind] += 1
                    seen[kind] += gradest.check(network, at, wrong, x).verdict == "wrong"
    for kind, number in tried.items():
        print(f"{kind:<32}{number:>7}{seen[kind]:>7}")
    print(f"{f'all {len(tried)} kinds':<32}{tried.total():>7}{seen.total():>7}")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sources", nargs="*", default=list(SOURCES))
    chosen = parser.parse_args()
    for name in set(SOURCES) - set(chosen.sources):
        del SOURCES[name]
    # what is planted is wrong on purpose, and warns of it
    warnings.simplefilter("ignore")
    right(chosen.seeds)
    defects()


if __name__ == "__main__":
    main()
