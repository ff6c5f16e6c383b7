"""Wrong estimators, each by one fault that published code has had or could have. Checks must reject every one."""

import math
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from reference_estimators import Array, Plain, PlainDifference, PlainEvolution, Shape

from gradest import Cost, Estimator, Layout, Target
from gradest.estimate import KernelResult
from gradest.estimator import PreparedKernel

F = Callable[[Array], Array]


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
class SharedNoiseInChunks(PlainEvolution):
    def block(self, directions: Array, start: int, stop: int) -> Array:
        return directions[: stop - start]


@dataclass(frozen=True)
class SharedNoiseInAll(PlainEvolution):
    def draw(self, key: Any, shape: Shape) -> Array:
        return np.repeat(super().draw(key, (1, shape[1])), shape[0], axis=0)


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


_LAST_MEAN = [0.0]


@dataclass(frozen=True)
class BaselineFromAnotherBatch(PlainEvolution):
    antithetic: bool = False
    baseline: str = "leave-one-out"

    def centred(self, slopes: Array, f: F, x: Array) -> Array:
        before, _LAST_MEAN[0] = _LAST_MEAN[0], float(slopes.mean())
        return slopes - before


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
class HalfPrecisionNoise(PlainEvolution):
    def draw(self, key: Any, shape: Shape) -> Array:
        return super().draw(key, shape).astype(np.float16).astype(np.float64)


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
class WritesToItsInput(PlainDifference):
    def prepare_kernel(self, objective: Any, *, executor: Executor | None = None) -> PreparedKernel:
        kernel = super().prepare_kernel(objective, executor=executor)

        def call(leaves: Any, rng: Any) -> Any:
            leaves[0][...] += 1e-3
            leaves[0][...] -= 1e-3  # restored by adding back: off by rounding
            return kernel.call(leaves, rng)

        return PreparedKernel(call, "plain")


@dataclass(frozen=True)
class CostUnderDeclared(PlainEvolution):
    def cost(self, layout: Layout) -> Cost:
        return Cost(values=self.num_samples)


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
            rng = np.random.default_rng(rng.bit_generator.seed_seq)
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
class DoubleValuedDtype(PlainEvolution):
    """Returns float64 whatever was asked at."""

    def prepare_kernel(self, objective: Any, *, executor: Executor | None = None) -> PreparedKernel:
        kernel = super().prepare_kernel(objective, executor=executor)

        def call(leaves: Any, rng: Any) -> Any:
            result = kernel.call(leaves, rng)
            return KernelResult(result.value, tuple(g.astype(np.float64) for g in result.gradient))

        return PreparedKernel(call, "plain")


@dataclass(frozen=True)
class TransposedWeight(PlainDifference):
    def shaped(self, blocks: tuple[Array, ...], leaves: Any) -> tuple[Array, ...]:
        return tuple(b.T.reshape(b.shape) if b.ndim == 2 else b for b in blocks)


@dataclass(frozen=True)
class FlatGradient(PlainDifference):
    def shaped(self, blocks: tuple[Array, ...], leaves: Any) -> tuple[Array, ...]:
        return tuple(b.reshape(-1) for b in blocks)


@dataclass(frozen=True)
class LastCoordinateSkipped(PlainDifference):
    def quotients(self, f: F, x: Array, h: float) -> Array:
        found = super().quotients(f, x, h)
        found[-1] = 0.0
        return found


@dataclass(frozen=True)
class ForwardSoldAsCentral(PlainDifference):
    scheme: str = "central"

    def quotients(self, f: F, x: Array, h: float) -> Array:
        return (f(x + h * np.eye(x.size)) - f(np.repeat(x[None], x.size, axis=0))) / h


@dataclass(frozen=True)
class StepNotDoubled(PlainDifference):
    def quotients(self, f: F, x: Array, h: float) -> Array:
        return super().quotients(f, x, h) * 2


@dataclass(frozen=True)
class StepTooLong(PlainDifference):
    def length(self, dtype: Any) -> float:
        return 30 * super().length(dtype) if self.step is None else self.step


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
class ReturnsNan(PlainEvolution):
    def combine(self, parts: list[tuple[Array, Array]]) -> Array:
        found = super().combine(parts)
        found[0] = np.nan
        return found


@dataclass(frozen=True)
class HidesNan(PlainEvolution):
    def combine(self, parts: list[tuple[Array, Array]]) -> Array:
        return np.nan_to_num(super().combine(parts))


@dataclass(frozen=True)
class ZeroSoldAsGradient(Plain):
    name = "zero"

    def cost(self, layout: Layout) -> Cost:
        return Cost()

    def estimate(self, f: F, x: Array, rng: Any, executor: Executor | None) -> Array:
        return np.zeros_like(x)


@dataclass(frozen=True)
class KeepsALambda(PlainEvolution):
    """Cannot be sent to another process."""

    shaping_function: Callable[[float], float] = field(default=lambda value: value)


@dataclass(frozen=True)
class RandomSoldAsDeterministic(PlainEvolution):
    stochastic = False


@dataclass(frozen=True)
class WrongDirection(PlainEvolution):
    target = Target.DIRECTION

    def combine(self, parts: list[tuple[Array, Array]]) -> Array:
        return -super().combine(parts)


_BUFFER: dict[int, Array] = {}


@dataclass(frozen=True)
class ReusesItsResult(PlainEvolution):
    """Hands out one buffer again and again."""

    def prepare_kernel(self, objective: Any, *, executor: Executor | None = None) -> PreparedKernel:
        kernel = super().prepare_kernel(objective, executor=executor)
        buffers = [objective.backend.numpy(leaf) for leaf in objective.start]

        def call(leaves: Any, rng: Any) -> Any:
            result = kernel.call(leaves, rng)
            for buffer, part in zip(buffers, result.gradient, strict=True):
                buffer[...] = part
            return KernelResult(result.value, tuple(buffers))

        return PreparedKernel(call, "plain")


MUTANTS: dict[str, tuple[Estimator, str]] = {
    "1/sigma is missing": (MissingSigma(), "scale"),
    "divided by sigma twice": (SigmaTwice(), "scale"),
    "multiplied by sigma": (TimesSigma(), "scale"),
    "mean baseline divided by N": (MeanBaselineOverN(), "scale"),
    "wrong sign": (WrongSign(), "scale"),
    "the same noise in each chunk": (SharedNoiseInChunks(), "chunks"),
    "the same noise in each chunk, seen from outside": (SharedNoiseInChunks(), "distinct directions"),
    "the same noise in each direction": (SharedNoiseInAll(), "variance"),
    "remainder chunk dropped": (DroppedRemainder(), "chunks"),
    "mean of the means of unequal chunks": (MeanOfChunkMeans(), "chunks"),
    "pairs counted as samples": (PairsCountedAsSamples(), "scale"),
    "N counted in evaluations": (HalfTheDirections(), "variance"),
    "baseline from another batch": (BaselineFromAnotherBatch(), "preparation"),
    "seed + worker": (SeedPlusWorker(), "independence"),
    "seed + worker, seen from outside": (SeedPlusWorker(), "streams"),
    "streams by the number of workers": (NoisePerWorker(), "workers"),
    "float16 noise": (HalfPrecisionNoise(), "resolution"),
    "pairs of different noise": (UnpairedPairs(), "pairs"),
    "pairs of different noise, by their scatter": (UnpairedPairs(), "unbiasedness"),
    "Rademacher sold as normal": (RademacherSoldAsNormal(), "variance"),
    "Rademacher sold as normal, by its bias": (RademacherSoldAsNormal(), "smoothing"),
    "sphere of radius 1": (UnitSphere(), "scale"),
    "seed modulo 2^32": (SeedModulo32Bits(), "seeds"),
    "seed modulo 2^64": (SeedModulo64Bits(), "seeds"),
    "stream of the next seed is shifted": (ShiftedStream(), "streams"),
    "writes to its input": (WritesToItsInput(), "inputs"),
    "cost declared too low": (CostUnderDeclared(), "cost"),
    "rng ignored": (IgnoresRng(), "rng"),
    "the global generator": (UsesGlobalRng(), "rng"),
    "a Generator that is not advanced": (GeneratorNotAdvanced(), "rng"),
    "rng=None means 0": (NoneIsZero(), "rng"),
    "correlated replicates": (CorrelatedReplicates(), "independence"),
    "one direction never changes": (AlwaysTheSameFirstDirection(), "unbiasedness"),
    "one-sided sold as antithetic": (OneSidedSoldAsAntithetic(), "offset"),
    "another sigma inside": (SmoothingSoldAsGradient(), "smoothing"),
    "float64 whatever was asked": (DoubleValuedDtype(), "result"),
    "transposed weight": (TransposedWeight(), "accuracy"),
    "flat gradient": (FlatGradient(), "result"),
    "last coordinate skipped": (LastCoordinateSkipped(), "accuracy"),
    "forward difference sold as central": (ForwardSoldAsCentral(), "order"),
    "divided by h in place of 2h": (StepNotDoubled(), "accuracy"),
    "step thirty times too long": (StepTooLong(), "accuracy"),
    "low rank without 1/sqrt(r)": (LowRankUnscaled(), "unbiasedness"),
    "orthogonal without sqrt(P)": (OrthogonalUnscaled(), "scale"),
    "NaN in the gradient": (ReturnsNan(), "result"),
    "NaN in the gradient, statistically": (ReturnsNan(), "unbiasedness"),
    "NaN hidden": (HidesNan(), "non-finite"),
    "zero sold as the gradient": (ZeroSoldAsGradient(), "accuracy"),
    "random sold as deterministic": (RandomSoldAsDeterministic(), "rng"),
    "a direction that leads away": (WrongDirection(), "direction"),
    "a lambda among the hyper-parameters": (KeepsALambda(), "configuration"),
    "one buffer for all results": (ReusesItsResult(), "fresh results"),
}
"""What is wrong -> the wrong estimator, and the name of a check that must reject it."""
