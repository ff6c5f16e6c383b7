"""Estimators whose random numbers are wrong: shared, shifted, cut short, coarse, or not asked for."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gradest import Objective
from gradest.estimator import PreparedKernel
from gradest.estimators.evolution import EvolutionStrategy
from gradest.estimators.forward_gradient import ForwardGradient
from gradest.operations import NumpyArray as Array
from gradest.testing.plain_estimators import PlainEvolution, Shape

F = Callable[[Array], Array]


@dataclass(frozen=True)
class SeedPlusWorker(PlainEvolution):
    """Each worker seeds with seed + index: streams of neighbouring seeds overlap."""

    def draw(self, key: Any, shape: Shape) -> Array:
        base = sum(key) if isinstance(key, tuple) else key
        return np.concatenate([super(SeedPlusWorker, self).draw(base + i, (1, shape[1])) for i in range(shape[0])])


@dataclass(frozen=True)
class NoisePerWorker(PlainEvolution):
    """Draws as many streams as the executor has workers."""

    def estimate(self, f: F, x: Array, rng: Any, executor: Executor | None) -> Array:
        key = self.key(rng)
        workers = getattr(executor, "_max_workers", 1)
        return super().estimate(
            f, x, key if workers == 1 else np.random.SeedSequence([hash(key) % 2**31, workers]), executor
        )


@dataclass(frozen=True)
class StreamsByBackend(PlainEvolution):
    """Draws other directions where the framework is another one."""

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        other = replace(self, distribution="normal" if objective.backend.name == "numpy" else "sphere")
        return PlainEvolution.prepare_kernel(PlainEvolution(**vars(other)), objective, executor=executor)


@dataclass(frozen=True)
class HalfPrecisionNoise(PlainEvolution):
    def draw(self, key: Any, shape: Shape) -> Array:
        return super().draw(key, shape).astype(np.float16).astype(np.float64)


@dataclass(frozen=True)
class SeedModulo32Bits(PlainEvolution):
    def key(self, rng: Any) -> Any:
        key = super().key(rng)
        return key % 2**32 if isinstance(key, int) else key


@dataclass(frozen=True)
class SeedModulo64Bits(PlainEvolution):
    def key(self, rng: Any) -> Any:
        key = super().key(rng)
        return key % 2**64 if isinstance(key, int) else key


@dataclass(frozen=True)
class ShiftedStream(PlainEvolution):
    """Seed s + 1 is the stream of seed s, moved on by one number."""

    def draw(self, key: Any, shape: Shape) -> Array:
        high, shift = divmod(sum(key) if isinstance(key, tuple) else key, 1000)
        count = shape[0] * shape[1]
        return np.random.default_rng(high).standard_normal(1000 + count)[shift : shift + count].reshape(shape)


@dataclass(frozen=True)
class IgnoresRng(PlainEvolution):
    def key(self, rng: Any) -> Any:
        return 0


@dataclass(frozen=True)
class UsesGlobalRng(PlainEvolution):
    def key(self, rng: Any) -> Any:
        np.random.seed(int(rng) % 2**32 if isinstance(rng, int) else 0)  # noqa: NPY002 - the fault
        return int(np.random.randint(0, 2**31))  # noqa: NPY002 - the fault


@dataclass(frozen=True)
class GeneratorNotAdvanced(PlainEvolution):
    def key(self, rng: Any) -> Any:
        if isinstance(rng, np.random.Generator):
            seeds: Any = rng.bit_generator.seed_seq
            rng = np.random.default_rng(seeds)
        return super().key(rng)


@dataclass(frozen=True)
class NoneIsZero(PlainEvolution):
    def key(self, rng: Any) -> Any:
        return super().key(0 if rng is None else rng)


@dataclass(frozen=True)
class CorrelatedReplicates(PlainEvolution):
    """Half of the directions of seeds 2k and 2k + 1 are the same."""

    def draw(self, key: Any, shape: Shape) -> Array:
        found = super().draw(key, shape)
        if isinstance(key, int):
            found[::2] = super().draw(key // 2, shape)[::2]
        return found


@dataclass(frozen=True)
class AlwaysTheSameFirstDirection(PlainEvolution):
    def draw(self, key: Any, shape: Shape) -> Array:
        found = super().draw(key, shape)
        found[0] = super().draw(0, shape)[0]
        return found


@dataclass(frozen=True)
class RandomSoldAsDeterministic(PlainEvolution):
    stochastic = False


@dataclass(frozen=True)
class SharedNoiseInChunks(PlainEvolution):
    def block(self, directions: Array, start: int, stop: int) -> Array:
        return directions[: stop - start]


@dataclass(frozen=True)
class SharedNoiseInAll(PlainEvolution):
    def draw(self, key: Any, shape: Shape) -> Array:
        return np.repeat(super().draw(key, (1, shape[1])), shape[0], axis=0)


class _Blocks:
    """Directions whose blocks are made from those of another source by a fault."""

    def __init__(self, source: Any, fault: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> None:
        self._source = source
        self._fault = fault

    def block(self, start: int, stop: int) -> tuple[Any, ...]:
        return self._fault(self._source.block(start, stop))


def one_noise_a_shape(noise: tuple[Any, ...]) -> tuple[Any, ...]:
    """Keep noise by its shape, as a cache does whose key has forgotten the name."""
    kept: dict[Any, Any] = {}
    return tuple(kept.setdefault(values.shape, values) for values in noise)


def one_stream_for_all(noise: tuple[Any, ...]) -> tuple[Any, ...]:
    """Begin the same stream anew for every block, of whatever shape."""
    longest = max((values.reshape(len(values), -1) for values in noise), key=lambda rows: int(rows.shape[1]))
    return tuple(longest[:, : values[0].size].reshape(values.shape) for values in noise)


@dataclass(frozen=True, kw_only=True)
class OneNoiseAShape(EvolutionStrategy):
    def directions(self, key: Any, objective: Objective, **layout: Any) -> Any:
        return _Blocks(super().directions(key, objective, **layout), one_noise_a_shape)


@dataclass(frozen=True, kw_only=True)
class OneStreamForAllBlocks(EvolutionStrategy):
    def directions(self, key: Any, objective: Objective, **layout: Any) -> Any:
        return _Blocks(super().directions(key, objective, **layout), one_stream_for_all)


@dataclass(frozen=True, kw_only=True)
class OneNoiseAShapeForward(ForwardGradient):
    """Evaluates no plain values: only its estimates can tell."""

    def directions(self, key: Any, objective: Objective, **layout: Any) -> Any:
        return _Blocks(super().directions(key, objective, **layout), one_noise_a_shape)


@dataclass(frozen=True)
class OneStreamOfLeaves(PlainEvolution):
    """As users write it: `default_rng(seed).standard_normal(leaf.shape)` for each leaf, of W (3, 2) and b (2,)."""

    num_samples: int = 20

    def draw(self, key: Any, shape: Shape) -> Array:
        found = super().draw(key, shape)
        sizes = {8: (6, 2), 32: (9, 3, 9, 3, 6, 2)}.get(shape[1], (shape[1],))
        start = 0
        for size in sizes:
            found[:, start : start + size] = found[:, :size]
            start += size
        return found
