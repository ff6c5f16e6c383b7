"""Estimators that break the contract, and deterministic ones that are wrong."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradest import Cost, Layout
from gradest.estimate import KernelResult
from gradest.estimator import PreparedKernel
from gradest.operations import NumpyArray as Array
from gradest.testing.plain_estimators import Plain, PlainDifference, PlainEvolution

F = Callable[[Array], Array]


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
class ValueOfAnotherPoint(PlainDifference):
    """Hands out f at a perturbed point as the loss."""

    def prepare_kernel(self, objective: Any, *, executor: Executor | None = None) -> PreparedKernel:
        kernel = super().prepare_kernel(objective, executor=executor)

        def call(leaves: Any, rng: Any) -> Any:
            value = objective.prepare_value()(tuple(leaf + 1e-6 for leaf in leaves))
            return KernelResult(value, kernel.call(leaves, rng).gradient)

        return PreparedKernel(call, "plain")


@dataclass(frozen=True)
class CostUnderDeclared(PlainEvolution):
    def cost(self, layout: Layout) -> Cost:
        return Cost(values=self.num_samples)


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
    source = "a fault"
    formula = "0"

    def cost(self, layout: Layout) -> Cost:
        return Cost()

    def estimate(self, f: F, x: Array, rng: Any, executor: Executor | None) -> Array:
        return np.zeros_like(x)


@dataclass(frozen=True)
class KeepsALambda(PlainEvolution):
    """Cannot be sent to another process."""

    shaping_function: Callable[[float], float] = field(default=lambda value: value)


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
