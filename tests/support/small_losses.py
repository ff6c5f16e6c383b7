"""Losses of a few parameters whose gradients, Hessians and smoothed gradients are known in closed form."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gradest import Problem, defvjp, primitive


@dataclass(frozen=True, eq=False)
class Quadratic(Problem):
    """`c + b.x + x^T A x / 2` with x a matrix `shape`; A is zero where `curvature` is."""

    name = "test-quadratic"
    shape: tuple[int, ...] = (3, 4)
    curvature: float = 1.0
    offset: float = 0.7
    seed: int = 3

    @cached_property
    def terms(self) -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(self.seed)
        size = int(np.prod(self.shape))
        matrix = generator.standard_normal((size, size))
        return self.curvature * (matrix + matrix.T) / 4, generator.standard_normal(size)

    @property
    def start(self) -> np.ndarray:
        return np.linspace(-1.0, 1.5, int(np.prod(self.shape)))

    @property
    def gradient(self) -> np.ndarray:
        matrix, slope = self.terms
        return matrix @ self.start + slope

    def parameters(self) -> dict[str, np.ndarray]:
        return {"x": self.start.reshape(self.shape)}

    def data(self) -> dict[str, np.ndarray]:
        matrix, slope = self.terms
        # One coefficient for each pair of entries, in the shape of the parameter twice.
        return {"A": matrix.reshape(*self.shape, *self.shape), "b": slope.reshape(self.shape)}

    def loss(self, ops: Any, params: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
        x = params["x"]
        axes = tuple(range(-len(self.shape), 0))
        spread = x
        for _ in self.shape:
            spread = ops.expand_dims(spread, axis=-len(self.shape) - 1)
        product = ops.sum(data["A"] * spread, axis=axes)
        return self.offset + ops.sum(data["b"] * x, axis=axes) + 0.5 * ops.sum(x * product, axis=axes)


@dataclass(frozen=True, eq=False)
class Steps(Problem):
    """`sum_j tanh(w_j x_j)`, whose smoothed gradient is a one-dimensional integral for each entry."""

    name = "test-steps"
    size: int = 4

    @property
    def frequencies(self) -> np.ndarray:
        return np.linspace(0.5, 1.5, self.size)

    def parameters(self) -> dict[str, np.ndarray]:
        return {"x": np.linspace(-0.8, 0.9, self.size)}

    def data(self) -> dict[str, np.ndarray]:
        return {"w": self.frequencies}

    def loss(self, ops: Any, params: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
        return ops.sum(ops.tanh(data["w"] * params["x"]), axis=-1)

    @property
    def gradient(self) -> np.ndarray:
        w, x = self.frequencies, self.parameters()["x"]
        return w / np.cosh(w * x) ** 2

    def smoothed_gradient(self, sigma: float) -> np.ndarray:
        w, x = self.frequencies, self.parameters()["x"]
        points, weights = np.polynomial.hermite_e.hermegauss(60)
        at = w[:, None] * (x[:, None] + sigma * points)
        return (w[:, None] / np.cosh(at) ** 2) @ (weights / weights.sum())


def differentiable_once(f: Callable[[Any], Any], slope: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the sum of a NumPy function whose rule has no derivative itself: it makes plain numbers."""
    of_each = primitive(f)
    defvjp(of_each, lambda ans, x: lambda g: np.array([float(s) for s in g * slope(x)]))
    return lambda p: np.sum(of_each(p))
