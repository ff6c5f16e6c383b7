"""Plain, correct estimators of a few lines each: what the mutants are made from, and a control that must pass.

They share nothing with the estimators of the package but the contract.
"""

import math
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradest import Cost, Estimator, Layout, Objective, Target
from gradest.estimate import KernelResult
from gradest.estimator import PreparedKernel
from gradest.situation import Situation
from gradest.theory import LocalModel, Prediction, local_model, mean_excess, relative_mse_es

Array = np.ndarray
Shape = tuple[int, int]
LAWS: dict[str, Callable[[np.random.Generator, Shape], Array]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "rademacher": lambda rng, shape: rng.integers(0, 2, shape) * 2.0 - 1.0,
    "sphere": lambda rng, shape: (
        (v := rng.standard_normal(shape)) * (math.sqrt(shape[1]) / np.linalg.norm(v, axis=1, keepdims=True))
    ),
}


class Plain(Estimator):
    """An estimator as one function of flat NumPy parameters: `estimate(f, x, rng) -> gradient`."""

    source = "a test"
    formula = "see the class"
    cost_formula = "see the class"

    def estimate(self, f: Callable[[Array], Array], x: Array, rng: Any, executor: Executor | None) -> Array:
        """Return the gradient `(P,)` at x `(P,)`; f takes `(K, P)` to `(K,)`."""
        raise NotImplementedError

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        backend, layout = objective.backend, objective.layout

        def array(values: Array, dtype: str) -> Any:
            return backend.array(values, dtype=dtype, device=objective.device)

        def f(points: Array) -> Array:
            blocks = zip(layout.unflatten(points), objective.dtypes, strict=True)
            return backend.numpy(objective.evaluate_population(tuple(array(b, d) for b, d in blocks), objective.data))

        def kernel(leaves: Any, rng: Any) -> KernelResult:
            x = layout.flatten([backend.numpy(leaf) for leaf in leaves])
            found = self.shaped(layout.unflatten(self.estimate(f, x, rng, executor)), leaves)
            return KernelResult(None, tuple(array(b, d) for b, d in zip(found, objective.dtypes, strict=True)))

        return PreparedKernel(kernel, "plain")

    def shaped(self, blocks: tuple[Array, ...], leaves: Any) -> tuple[Array, ...]:
        """Return the gradient's blocks; mutants interfere here."""
        return blocks


@dataclass(frozen=True)
class PlainEvolution(Plain):
    """The evolution strategy of a textbook; each step is a method that a mutant may replace."""

    name = "plain-es"
    target = Target.SMOOTHED
    stochastic = True

    num_samples: int = 11
    sigma: float = 0.1
    distribution: str = "normal"
    antithetic: bool = True
    baseline: str = "none"
    chunk_size: int | None = None

    def cost(self, layout: Layout) -> Cost:
        return Cost(values=(2 if self.antithetic else 1) * self.num_samples + (self.baseline == "value"))

    def predict(self, at: Situation) -> Prediction:
        model: LocalModel = local_model(at.gradient, value=at.value, hessian=at.hessian)
        return relative_mse_es(
            self.distribution,
            baseline="antithetic" if self.antithetic else self.baseline,
            num_parameters=at.layout.num_parameters,
            num_samples=self.num_samples,
            sigma=self.sigma,
            model=model,
            direction_excess=mean_excess(self.distribution),
        )

    def chunks(self) -> list[tuple[int, int]]:
        size = self.chunk_size or self.num_samples
        return [(a, min(a + size, self.num_samples)) for a in range(0, self.num_samples, size)]

    def key(self, rng: Any) -> Any:
        """Return the root of the streams of one estimate."""
        if isinstance(rng, np.random.Generator):
            return tuple(int(word) for word in rng.integers(0, 2**63, 2))
        if isinstance(rng, np.random.SeedSequence):
            return tuple(int(word) for word in rng.generate_state(2, np.uint64))
        return np.random.SeedSequence().entropy if rng is None else int(rng)

    def draw(self, key: Any, shape: Shape) -> Array:
        """Return all directions of an estimate, `(N, P)`."""
        return LAWS[self.distribution](np.random.default_rng(key), shape)

    def block(self, directions: Array, start: int, stop: int) -> Array:
        return directions[start:stop]

    def slopes(self, f: Callable[[Array], Array], x: Array, v: Array) -> Array:
        up = f(x + self.sigma * v)
        if self.antithetic:
            return (up - f(x - self.sigma * v)) / (2 * self.sigma)
        return up / self.sigma

    def centred(self, slopes: Array, f: Callable[[Array], Array], x: Array) -> Array:
        if self.antithetic or self.baseline == "none":
            return slopes
        if self.baseline == "value":
            return slopes - f(x[None])[0] / self.sigma
        return (slopes - slopes.mean()) * len(slopes) / (len(slopes) - 1)

    def combine(self, parts: list[tuple[Array, Array]]) -> Array:
        return sum(slopes @ v for slopes, v in parts) / self.num_samples

    def estimate(self, f: Callable[[Array], Array], x: Array, rng: Any, executor: Executor | None) -> Array:
        directions = self.draw(self.key(rng), (self.num_samples, x.size))
        blocks = [self.block(directions, a, b) for a, b in self.chunks()]
        raw = [self.slopes(f, x, v) for v in blocks]
        centred = self.centred(np.concatenate(raw), f, x)
        pieces = np.split(centred, np.cumsum([len(v) for v in blocks])[:-1])
        return self.combine(list(zip(pieces, blocks, strict=True)))


@dataclass(frozen=True)
class PlainDifference(Plain):
    """Finite differences with one step for all coordinates."""

    name = "plain-fd"

    scheme: str = "central"
    step: float | None = None

    def cost(self, layout: Layout) -> Cost:
        return Cost(values=2 * layout.num_parameters if self.scheme == "central" else layout.num_parameters + 1)

    def length(self, dtype: np.dtype) -> float:
        order = 2 if self.scheme == "central" else 1
        return self.step or float(np.finfo(dtype).eps) ** (1 / (order + 1))

    def quotients(self, f: Callable[[Array], Array], x: Array, h: float) -> Array:
        moved = h * np.eye(x.size)
        if self.scheme == "central":
            return (f(x + moved) - f(x - moved)) / (2 * h)
        sign = 1 if self.scheme == "forward" else -1
        return sign * (f(x + sign * moved) - f(x[None])[0]) / h

    def estimate(self, f: Callable[[Array], Array], x: Array, rng: Any, executor: Executor | None) -> Array:
        return self.quotients(f, x, self.length(x.dtype))
