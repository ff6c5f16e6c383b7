"""A quadratic with known gradient, Hessian and conditioning: where ES theory is exact. Knows no framework."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradest.errors import InvalidInputError
from gradest.fields import make_plain
from gradest.operations import Array, NumpyArray, Operations
from gradest.problem import Problem
from gradest.problems.given import given_array
from gradest.real_numbers import real_number
from gradest.whole_numbers import whole_number


@dataclass(frozen=True, eq=False)
class Quadratic(Problem):
    """`f(x) = x^T H x / 2 - b^T x + offset`, gradient `H x - b`.

    H is symmetric positive definite `(P, P)` with eigenvalues spaced geometrically from 1 to `condition` in a random
    orthonormal basis; b and the start point are N(0, 1). `condition=0` gives H = 0, a linear function.

    Attributes
    ----------
    size, condition, seed
        P, the ratio of the largest eigenvalue to the smallest, and the seed of what is random. Of a Hessian that
        is given `size` is what it has, whatever was asked for.
    offset
        A constant that no difference should feel.
    hessian
        H in place of the random one, `(P, P)` and symmetric; it may be indefinite. None for the random one, which is
        `data()["H"]`.
    linear
        b in place of the random one, `(P,)`; 0 where a Hessian is given without it.
    start
        The start point in place of the random one, `(P,)`.

    Examples
    --------
    >>> import gradest
    >>> quadratic = gradest.get_problem("quadratic", size=3)
    >>> gradest.get_estimator("analytic")(quadratic).cost
    Cost(values=0, jvps=0, vjps=1)
    >>> valley = gradest.get_problem("quadratic", hessian=[[1.0, 0.0], [0.0, 0.1]], start=[0.1, 1.0])
    >>> gradest.get_estimator("analytic")(valley).gradient["x"].tolist()
    [0.1, 0.1]
    """

    name: ClassVar[str] = "quadratic"

    size: int = 20
    condition: float = 10.0
    offset: float = 0.0
    seed: int = 0
    # As they were given, and None where they were not: `dataclasses.replace` hands the fields to the new problem, which
    # would keep what this one had made of its own size, condition and seed. The repr has no room for arrays.
    hessian: ArrayLike | None = field(default=None, repr=False, kw_only=True)
    linear: ArrayLike | None = field(default=None, repr=False, kw_only=True)
    start: ArrayLike | None = field(default=None, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        make_plain(self)
        if self.size < 1 or (self.condition != 0 and not 1 <= self.condition < math.inf):
            raise InvalidInputError(
                "a quadratic asks for size >= 1 and a finite condition >= 1 (or 0 for a linear function); "
                f"found size {self.size}, condition {self.condition}"
            )
        whole_number("seed", self.seed, least=0)
        real_number("offset", self.offset, "(-inf, inf)", example=0.0)
        if self.hessian is not None:
            hessian = _given_hessian(self.hessian)
            object.__setattr__(self, "size", len(hessian))
            object.__setattr__(self, "hessian", hessian)
        for name in ("linear", "start"):
            values = getattr(self, name)
            if values is not None:
                object.__setattr__(self, name, given_array(name, values, (self.size,)))

    @cached_property
    def _arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """H, b and the start point, given or made."""
        hessian = self._random_hessian() if self.hessian is None else np.asarray(self.hessian)
        if self.linear is not None:
            linear = np.asarray(self.linear)
        else:
            linear = self._random_vector(3) if self.hessian is None else np.zeros(self.size)
        return hessian, linear, self._random_vector(2) if self.start is None else np.asarray(self.start)

    def _random_vector(self, stream: int) -> NDArray[np.float64]:
        return np.random.default_rng([self.seed, stream]).standard_normal(self.size)

    def _random_hessian(self) -> NDArray[np.float64]:
        if self.condition == 0:
            return np.zeros((self.size, self.size))
        # Turned at random: along the axes, directions that single axes out would look better or worse than they are.
        basis, _ = np.linalg.qr(np.random.default_rng([self.seed, 1]).standard_normal((self.size, self.size)))
        scaled = (basis * np.geomspace(1.0, self.condition, self.size)) @ basis.T
        # Rounding leaves the product a little unsymmetric, and H x - b would not be the gradient of x^T H x / 2.
        return np.asarray(0.5 * (scaled + scaled.T), dtype=np.float64)

    def parameters(self) -> dict[str, NDArray[np.float64]]:
        return {"x": self._arrays[2].copy()}

    def data(self) -> dict[str, NDArray[np.float64]]:
        hessian, linear, _ = self._arrays
        return {"H": hessian.copy(), "b": linear.copy(), "offset": np.array(self.offset)}

    def curvature_along(self, direction: Mapping[str, NumpyArray], data: Mapping[str, NumpyArray]) -> float:
        return float(direction["x"] @ data["H"] @ direction["x"])

    def loss(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        x = params["x"]
        # Not matmul(H, x), which takes the axis of a population, (K, P), for H's own: rows of H times x, summed.
        image = ops.sum(data["H"] * ops.expand_dims(x, axis=-2), axis=-1)
        return ops.sum(x * (0.5 * image - data["b"]), axis=-1) + data["offset"]

    def loss_and_gradient(
        self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        x = params["x"]
        image = ops.matmul(data["H"], x)
        return ops.sum(x * (0.5 * image - data["b"]), axis=-1) + data["offset"], {"x": image - data["b"]}


def _given_hessian(values: ArrayLike) -> NDArray[np.float64]:
    found = given_array("hessian", values, (None, None))
    if found.shape[0] != found.shape[1] or not np.array_equal(found, found.T):
        raise InvalidInputError(
            f"hessian must be a symmetric matrix; found shape {found.shape}"
            + ("; use (H + H.T) / 2, which has the same quadratic form" if found.shape[0] == found.shape[1] else "")
        )
    return found
