"""Small analytic functions with gradients known in closed form: exact checks of every engine. Knows no framework."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gradest.errors import InvalidInputError
from gradest.fields import make_plain
from gradest.operations import Array, Operations
from gradest.problem import Problem
from gradest.real_numbers import real_number
from gradest.whole_numbers import whole_number


@dataclass(frozen=True, eq=False)
class Rosenbrock(Problem):
    """`f(x) = sum_i 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2` (Rosenbrock 1960, doi:10.1093/comjnl/3.3.175).

    The start point alternates -1.2 and 1. Shifts of x are products with constant matrices, as losses do not index.

    Examples
    --------
    >>> import gradest
    >>> estimate = gradest.get_estimator("analytic")(gradest.get_problem("rosenbrock", size=2))
    >>> round(float(estimate.value), 6), estimate.gradient["x"].round(6).tolist()
    (24.2, [-215.6, -88.0])
    """

    name: ClassVar[str] = "rosenbrock"

    size: int = 10

    def __post_init__(self) -> None:
        make_plain(self)
        if self.size < 2:
            raise InvalidInputError(f"the Rosenbrock function asks for size >= 2; found {self.size}")

    def parameters(self) -> dict[str, NDArray[np.float64]]:
        # The usual start: in two variables Rosenbrock's own, across the bend of the valley from the minimum at 1.
        return {"x": np.where(np.arange(self.size) % 2 == 0, -1.2, 1.0)}

    def data(self) -> dict[str, NDArray[np.float64]]:
        whole = np.eye(self.size)
        # Losses do not index, in which frameworks differ: columns of the identity choose the entries.
        return {"head": whole[:, :-1].copy(), "tail": whole[:, 1:].copy()}

    def loss(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        head, tail = _split(ops, params["x"], data)
        return ops.sum(100.0 * ops.square(tail - head * head) + ops.square(1.0 - head), axis=-1)

    def loss_and_gradient(
        self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        head, tail = _split(ops, params["x"], data)
        valley = tail - head * head
        value = ops.sum(100.0 * ops.square(valley) + ops.square(1.0 - head), axis=-1)
        # x_i is the head of one term and the tail of the one before: the two products put both back in place.
        by_head = -400.0 * head * valley - 2.0 * (1.0 - head)
        return value, {"x": ops.matmul(data["head"], by_head) + ops.matmul(data["tail"], 200.0 * valley)}


def _split(ops: Operations, x: Array, data: Mapping[str, Array]) -> tuple[Array, Array]:
    """Return x without its last and without its first entry, `(..., P - 1)` each."""
    row = ops.expand_dims(x, axis=-2)
    return ops.sum(ops.matmul(row, data["head"]), axis=-2), ops.sum(ops.matmul(row, data["tail"]), axis=-2)


@dataclass(frozen=True, eq=False)
class LogSumExp(Problem):
    """`f(x) = log sum_i exp(x_i)`, gradient softmax(x); the start point is N(0, scale^2).

    Examples
    --------
    >>> import gradest
    >>> gradient = gradest.get_estimator("analytic")(gradest.get_problem("logsumexp", size=4)).gradient["x"]
    >>> round(float(gradient.sum()), 6)  # softmax adds up to 1
    1.0
    """

    name: ClassVar[str] = "logsumexp"

    size: int = 10
    scale: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        make_plain(self)
        if self.size < 1:
            raise InvalidInputError(f"logsumexp asks for size >= 1; found {self.size}")
        whole_number("seed", self.seed, least=0)
        real_number("scale", self.scale, "[0, inf)", example=1.0)

    def parameters(self) -> dict[str, NDArray[np.float64]]:
        return {"x": self.scale * np.random.default_rng(self.seed).standard_normal(self.size)}

    def loss(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        return ops.logsumexp(params["x"])

    def loss_and_gradient(
        self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        return ops.logsumexp(params["x"]), {"x": ops.softmax(params["x"])}


class _TwoScalars(Problem):
    """A function of two scalars x and y, at (2, 3) by default."""

    x: float
    y: float

    def __post_init__(self) -> None:
        """Refuse a start that is no point."""
        make_plain(self)
        for name in ("x", "y"):
            real_number(name, getattr(self, name), "(-inf, inf)", example=2.0)

    def parameters(self) -> dict[str, NDArray[np.float64]]:
        return {"x": np.array(float(self.x)), "y": np.array(float(self.y))}


@dataclass(frozen=True, eq=False)
class CubicGraph(_TwoScalars):
    """`F(x, y) = x^2 (x + y)`, gradient `(3 x^2 + 2 x y, x^2)`: (24, 4) at (2, 3).

    Examples
    --------
    >>> import gradest
    >>> cubic = gradest.get_problem("cubic-graph")
    >>> cubic.layout.num_parameters
    2
    """

    name: ClassVar[str] = "cubic-graph"

    x: float = 2.0
    y: float = 3.0

    def loss(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        x, y = params["x"], params["y"]
        return x * x * (x + y)

    def loss_and_gradient(
        self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        x, y = params["x"], params["y"]
        return x * x * (x + y), {"x": x * (3.0 * x + 2.0 * y), "y": x * x}


@dataclass(frozen=True, eq=False)
class LogGraph(_TwoScalars):
    """`F(x, y) = log x + x^2 y + y^2`, gradient `(1/x + 2 x y, x^2 + 2 y)`: (12.5, 10) at (2, 3).

    Examples
    --------
    >>> import gradest
    >>> log = gradest.get_problem("log-graph")
    >>> log.layout.num_parameters
    2
    """

    name: ClassVar[str] = "log-graph"

    x: float = 2.0
    y: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.x > 0:
            raise InvalidInputError(f"log x asks for x > 0; found {self.x}")

    def loss(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        x, y = params["x"], params["y"]
        return ops.log(x) + x * x * y + y * y

    def loss_and_gradient(
        self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        x, y = params["x"], params["y"]
        return ops.log(x) + x * x * y + y * y, {"x": 1.0 / x + 2.0 * x * y, "y": x * x + 2.0 * y}
