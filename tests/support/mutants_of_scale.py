"""Estimators with a wrong expectation or variance: forgotten factors, wrong laws, wrong pairs and baselines."""

import math
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradest import Cost, Layout, Target
from gradest.estimate import KernelResult
from gradest.estimator import PreparedKernel
from gradest.estimators.evolution import EvolutionStrategy
from gradest.operations import NumpyArray as Array
from gradest.testing.plain_estimators import PlainEvolution, Shape

F = Callable[[Array], Array]
_LAST_MEAN = [0.0]


@dataclass(frozen=True, kw_only=True)
class ShrunkByAThousandth(EvolutionStrategy):
    """Too little to be seen in samples; seen when all sign vectors are summed."""

    distribution: str = "rademacher"

    def prepare_kernel(self, objective: Any, *, executor: Executor | None = None) -> PreparedKernel:
        kernel = super().prepare_kernel(objective, executor=executor)

        def call(leaves: Any, rng: Any) -> Any:
            result = kernel.call(leaves, rng)
            return KernelResult(result.value, tuple(0.999 * block for block in result.gradient))

        return PreparedKernel(call, kernel.path)


@dataclass(frozen=True)
class MissingSigma(PlainEvolution):
    def slopes(self, f: F, x: Array, v: Array) -> Array:
        return super().slopes(f, x, v) * self.sigma


@dataclass(frozen=True)
class SigmaTwice(PlainEvolution):
    def slopes(self, f: F, x: Array, v: Array) -> Array:
        return super().slopes(f, x, v) / self.sigma


@dataclass(frozen=True)
class TimesSigma(PlainEvolution):
    def slopes(self, f: F, x: Array, v: Array) -> Array:
        return super().slopes(f, x, v) * self.sigma**2


@dataclass(frozen=True)
class MeanBaselineOverN(PlainEvolution):
    antithetic: bool = False
    baseline: str = "leave-one-out"

    def centred(self, slopes: Array, f: F, x: Array) -> Array:
        return slopes - slopes.mean()


@dataclass(frozen=True)
class WrongSign(PlainEvolution):
    def slopes(self, f: F, x: Array, v: Array) -> Array:
        return -super().slopes(f, x, v)


@dataclass(frozen=True)
class DroppedRemainder(PlainEvolution):
    def chunks(self) -> list[tuple[int, int]]:
        size = self.chunk_size or self.num_samples
        return [(a, b) for a, b in super().chunks() if b - a == min(size, self.num_samples)]


@dataclass(frozen=True)
class MeanOfChunkMeans(PlainEvolution):
    def combine(self, parts: list[tuple[Array, Array]]) -> Array:
        return np.mean([slopes @ v / len(v) for slopes, v in parts], axis=0)


@dataclass(frozen=True)
class PairsCountedAsSamples(PlainEvolution):
    def combine(self, parts: list[tuple[Array, Array]]) -> Array:
        return super().combine(parts) / 2


@dataclass(frozen=True)
class HalfTheDirections(PlainEvolution):
    """N counted in evaluations: N / 2 pairs where N are stated."""

    def chunks(self) -> list[tuple[int, int]]:
        return [(0, max(1, self.num_samples // 2))]

    def combine(self, parts: list[tuple[Array, Array]]) -> Array:
        return super().combine(parts) * self.num_samples / max(1, self.num_samples // 2)

    def cost(self, layout: Layout) -> Cost:
        return Cost(values=2 * max(1, self.num_samples // 2))


@dataclass(frozen=True)
class BaselineFromAnotherBatch(PlainEvolution):
    antithetic: bool = False
    baseline: str = "leave-one-out"

    def centred(self, slopes: Array, f: F, x: Array) -> Array:
        before, _LAST_MEAN[0] = _LAST_MEAN[0], float(slopes.mean())
        return slopes - before


@dataclass(frozen=True)
class UnpairedPairs(PlainEvolution):
    """x + sigma v is paired with x - sigma u for another u."""

    def slopes(self, f: F, x: Array, v: Array) -> Array:
        return (f(x + self.sigma * v) - f(x - self.sigma * np.roll(v, 1, axis=1))) / (2 * self.sigma)


@dataclass(frozen=True)
class RademacherSoldAsNormal(PlainEvolution):
    def draw(self, key: Any, shape: Shape) -> Array:
        return PlainEvolution(distribution="rademacher").draw(key, shape)


@dataclass(frozen=True)
class UnitSphere(PlainEvolution):
    distribution: str = "sphere"

    def draw(self, key: Any, shape: Shape) -> Array:
        return super().draw(key, shape) / math.sqrt(shape[1])


@dataclass(frozen=True)
class OneSidedSoldAsAntithetic(PlainEvolution):
    def slopes(self, f: F, x: Array, v: Array) -> Array:
        f(x - self.sigma * v)
        return f(x + self.sigma * v) / self.sigma


@dataclass(frozen=True)
class SmoothingSoldAsGradient(PlainEvolution):
    """A law of another width than it states: sigma is multiplied by 1.5 inside."""

    def slopes(self, f: F, x: Array, v: Array) -> Array:
        return PlainEvolution.slopes(PlainEvolution(sigma=1.5 * self.sigma), f, x, v)


@dataclass(frozen=True)
class LowRankUnscaled(PlainEvolution):
    """A B^T of rank 4 for the weight matrices, without 1/sqrt(4); other blocks are normal."""

    def draw(self, key: Any, shape: Shape) -> Array:
        found = super().draw(key, (shape[0], shape[1] + 20))
        left, right = found[:, -20:-8].reshape(-1, 3, 4), found[:, -8:].reshape(-1, 4, 2)
        return np.concatenate([(left @ right).reshape(-1, 6), found[:, 6:-20]], axis=1)


@dataclass(frozen=True)
class OrthogonalUnscaled(PlainEvolution):
    """Orthonormal directions, without sqrt(P)."""

    def draw(self, key: Any, shape: Shape) -> Array:
        frame = np.linalg.qr(super().draw(key, (shape[1], shape[1])))[0]
        return np.resize(frame, shape)


@dataclass(frozen=True)
class WrongDirection(PlainEvolution):
    target = Target.DIRECTION

    def combine(self, parts: list[tuple[Array, Array]]) -> Array:
        return -super().combine(parts)
