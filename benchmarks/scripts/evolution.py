"""Evolution strategies beside evosax's Open_ES: time, memory, and how well the estimates point along the gradient.

    python benchmarks/scripts/evolution.py [--samples 200] [--rounds 5] [--backend jax] [--only "low rank"]

L = MLP 784-512-10, batch 100, tanh, float32, mean softmax cross-entropy, synthetic data. The peer is one jitted
generation of evosax: ask, evaluate (`vmap`), tell, with N antithetic pairs (a population of 2 N). The bars are stated
for N = 1000, where the peer takes some seconds and 4 GB; time is linear in N on both sides, and the default here is
less. Memory is measured at N = 1000, in a fresh process each, without the peer.
"""

from protocol import Call, interleave, peak_extra_mb  # isort: skip  # states one thread before a framework is loaded

import argparse
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from reverse_overhead import problem

import gradest

SIGMA = 0.01
MEMORY_SAMPLES = 1000
MEMORY_BAR_MB = 32
COSINE_SEEDS = 4
LOW_RANK_COSINE_BAR, ROW_SPACE_COSINE_BAR = 0.97, 2.0  # over full-rank Gaussian's, over evosax's, at equal N


@dataclass(frozen=True)
class Variant:
    """One estimator, and ours / evosax's time that is to be reached on each backend."""

    estimator: str
    options: dict[str, Any]
    bars: dict[str, float]


VARIANTS = {
    "low rank": Variant("es", {"distribution": "low-rank"}, {"jax": 1 / 60, "numpy": 1 / 40}),
    "normal": Variant("es", {"distribution": "normal"}, {"jax": 1 / 3.5, "numpy": 1 / 3.5}),
    "Rademacher": Variant("es", {"distribution": "rademacher"}, {"jax": 1 / 12, "numpy": 1 / 7}),
    "row space": Variant("es-row-space", {}, {"jax": 0.06, "numpy": 0.06}),
}


def ours(name: str, backend: str, samples: int) -> Callable[[int], gradest.Estimate]:
    """Return the estimate by seed, awaited."""
    objective = gradest.bind(problem("L"), backend=backend, dtype="float32", kernel="native")
    variant = VARIANTS[name]
    estimator = gradest.get_estimator(variant.estimator, num_samples=samples, sigma=SIGMA, **variant.options)
    prepared, params, wait = estimator.prepare(objective), objective.start_tree, objective.backend.wait

    def estimate(seed: int) -> gradest.Estimate:
        result = prepared(params, rng=seed)
        wait(tuple(result.gradient.values()))
        return result

    return estimate


def evosax_peer(samples: int) -> Callable[[int], npt.NDArray[Any]]:
    """Return minus the step of one jitted generation of Open_ES by seed: its estimate of the gradient's direction."""
    import jax
    import jax.numpy as jnp
    import optax
    from evosax.algorithms import Open_ES

    objective = gradest.bind(problem("L"), backend="jax", dtype="float32")
    start, data = objective.start_tree, objective.data

    def loss(params: dict[str, Any]) -> Any:
        logits = jnp.tanh(data["x"] @ params["W1"] + params["b1"]) @ params["W2"] + params["b2"]
        return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * data["targets"], axis=-1))

    schedule = optax.constant_schedule(SIGMA)
    strategy = Open_ES(2 * samples, start, optimizer=optax.sgd(1.0), std_schedule=schedule)
    settings = strategy.default_params
    first = strategy.init(jax.random.key(0), start, settings)

    @jax.jit
    def generation(key: Any, state: Any) -> Any:
        asked, told = jax.random.split(key)
        population, state = strategy.ask(asked, state, settings)
        state, _ = strategy.tell(told, population, jax.vmap(loss)(population), state, settings)
        return state.mean

    def step(seed: int) -> npt.NDArray[Any]:
        return np.asarray(first.mean - generation(jax.random.key(seed), first))

    return step


def seeded(estimate: Callable[[int], Any]) -> Call:
    """Return the estimate as a call that takes the next seed each time."""
    seeds = iter(range(1 << 30))
    return lambda: estimate(next(seeds))


def flat(estimate: gradest.Estimate) -> npt.NDArray[Any]:
    """Return an estimate as one vector, in the order of the keys that JAX's trees have."""
    return np.concatenate([np.asarray(estimate.gradient[name]).ravel() for name in sorted(estimate.gradient)])


def cosines(peer: Callable[[int], npt.NDArray[Any]], backend: str, names: list[str], samples: int) -> None:
    """Print how each estimate points along the gradient, and bars 9 and 12 of it."""
    objective = gradest.bind(problem("L"), dtype="float32")
    exact = flat(gradest.get_estimator("analytic").prepare(objective)())

    def each_cosine(estimate: Callable[[int], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        found = (estimate(seed) for seed in range(COSINE_SEEDS))
        return np.array([g @ exact / np.linalg.norm(g) / np.linalg.norm(exact) for g in found])

    found = {"evosax": each_cosine(peer)}
    for name in {"normal": None} | dict.fromkeys(names):
        estimate = ours(name, backend, samples)
        found[name] = each_cosine(lambda seed, estimate=estimate: flat(estimate(seed)))  # type: ignore[misc]  # the default binds it now
    listed = ", ".join(f"{name} {each.mean():.4f}" for name, each in found.items())
    print(f"cosine to the gradient, N={samples}, {COSINE_SEEDS} seeds: {listed}")
    for name, other, bar in (
        ("low rank", "normal", LOW_RANK_COSINE_BAR),
        ("row space", "evosax", ROW_SPACE_COSINE_BAR),
    ):
        if name in found:
            ratio = found[name].mean() / found[other].mean()
            # A random direction's cosine is about 1 / sqrt(P): relative to sqrt(N / P), 1 / sqrt(N seeds) on each side.
            error = ratio * np.sqrt(2 / (samples * COSINE_SEEDS))
            verdict = "met" if ratio >= bar else "NOT met"
            print(f"cosine, {name} / {other}: {ratio:.3f}, standard error {error:.3f}  bar {bar:g}: {verdict}")


def speed(names: list[str], backends: list[str], samples: int, rounds: int) -> None:
    """Print the times of bars 9, 10 and 12, then the cosines."""
    peer = evosax_peer(samples)
    calls: dict[str, Call] = {"evosax": seeded(peer)}
    for name in names:
        for backend in backends:
            calls[f"{name}, {backend}"] = seeded(ours(name, backend, samples))
    found = interleave(calls, rounds=rounds)
    for call in list(calls)[1:]:
        name, backend = call.split(", ")
        print(found.line(f"N={samples} {call}", call, "evosax", VARIANTS[name].bars.get(backend)))
    print(found.probe_line())
    cosines(peer, backends[0], names, samples)


def memory(names: list[str], backends: list[str]) -> None:
    """Print bar 11: what one estimate adds to the peak of a fresh process that has made a small one."""
    for name in names:
        for backend in backends:
            # sys.argv tells the child what to do; a parent's pages do not count in it, as they would after a fork
            command = [sys.executable, str(Path(__file__).resolve()), "--measure-memory", name, backend]
            extra = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            verdict = f"  bar {MEMORY_BAR_MB}: {'met' if extra <= MEMORY_BAR_MB else 'NOT met'}"
            line = f"N={MEMORY_SAMPLES} {name}, {backend}: peak extra {extra:.1f} MB"
            print(line + (verdict if backend == "numpy" else ""))


def main() -> None:
    """Print the figures of bars 9 to 12 beside the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backend", choices=("numpy", "jax", "torch", "mxnet"), action="append", help="numpy and jax")
    parser.add_argument("--only", choices=tuple(VARIANTS), action="append", help="all of them by default")
    parser.add_argument("--measure-memory", nargs=2, metavar=("VARIANT", "BACKEND"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure_memory:
        estimate = ours(*options.measure_memory, MEMORY_SAMPLES)
        print(peak_extra_mb(lambda: estimate(0)))
        return
    names, backends = options.only or list(VARIANTS), options.backend or ["numpy", "jax"]
    memory(names, backends)
    speed(names, backends, options.samples, options.rounds)


if __name__ == "__main__":
    main()
