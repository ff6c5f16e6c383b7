"""A quadratic with known gradient, Hessian and conditioning: where ES theory is exact. Knows no framework."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gradest.errors import InvalidInputError
from gradest.operations import Array, Operations
from gradest.problem import Problem


@dataclass(frozen=True, eq=False)
class Quadratic(Problem):
    """`f(x) = x^T H x / 2 - b^T x + offset`, gradient `H x - b`.

    H is symmetric positive definite `(P, P)` with eigenvalues spaced geometrically from 1 to `condition` in a random
    orthonormal basis; b and the start point are N(0, 1). `condition=0` gives H = 0, a linear function. `offset`
    is a constant that no difference should feel.

    Examples
    --------
    >>> import gradest
    >>> quadratic = gradest.get_problem("quadratic", size=3)
    >>> gradest.get_estimator("analytic")(quadratic).cost
    Cost(values=0, jvps=0, vjps=1)
    """

    name: ClassVar[str] = "quadratic"

    size: int = 20
    condition: float = 10.0
    offset: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 1 or (self.condition != 0 and not self.condition >= 1):
            raise InvalidInputError(
                "a quadratic asks for size >= 1 and condition >= 1 (or 0 for a linear function); "
                f"found size {self.size}, condition {self.condition}"
            )

    @cached_property
    def hessian(self) -> NDArray[np.float64]:
        """H, `(P, P)`."""
        if self.condition == 0:
            return np.zeros((self.size, self.size))
        basis, _ = np.linalg.qr(np.random.default_rng([self.seed, 1]).standard_normal((self.size, self.size)))
        scaled = (basis * np.geomspace(1.0, self.condition, self.size)) @ basis.T
        return np.asarray(0.5 * (scaled + scaled.T), dtype=np.float64)

    def parameters(self) -> dict[str, NDArray[np.float64]]:
        return {"x": np.random.default_rng([self.seed, 2]).standard_normal(self.size)}

    def data(self) -> dict[str, NDArray[np.float64]]:
        linear = np.random.default_rng([self.seed, 3]).standard_normal(self.size)
        return {"H": self.hessian.copy(), "b": linear, "offset": np.array(self.offset)}

    def loss(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        x = params["x"]
        image = ops.sum(data["H"] * ops.expand_dims(x, axis=-2), axis=-1)
        return ops.sum(x * (0.5 * image - data["b"]), axis=-1) + data["offset"]

    def loss_and_gradient(
        self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        x = params["x"]
        image = ops.matmul(data["H"], x)
        return ops.sum(x * (0.5 * image - data["b"]), axis=-1) + data["offset"], {"x": image - data["b"]}
