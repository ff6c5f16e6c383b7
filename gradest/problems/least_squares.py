"""Mean squared error of models linear in their parameters: linear and polynomial regression. Knows no framework."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradest.errors import InvalidInputError
from gradest.fields import make_plain
from gradest.operations import Array, NumpyArray, Operations
from gradest.problem import EmpiricalRisk
from gradest.problems.given import given_array
from gradest.real_numbers import real_number
from gradest.whole_numbers import whole_number


class _LinearModel(EmpiricalRisk):
    """`loss = mean_n (x_n . w - y_n)^2 / 2`, gradient `X^T (X w - y) / N`; subclasses give the design matrix X."""

    per_example: ClassVar[tuple[str, ...]] = ("x", "y")

    seed: int
    start: ArrayLike | None

    def parameters(self) -> dict[str, NDArray[np.float64]]:
        size = self._samples[0].shape[1]
        if self.start is not None:
            return {"w": np.array(self.start)}
        # A stream of its own beside the data's: with more samples the start stays the same.
        return {"w": np.random.default_rng([self.seed, 1]).standard_normal(size)}

    def data(self) -> dict[str, NDArray[np.float64]]:
        design, response = self._samples
        return {"x": design.copy(), "y": response.copy()}

    @property
    @abstractmethod
    def _samples(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The design matrix `(N, P)` and the response `(N,)`."""

    def predict(self, ops: Operations, params: Mapping[str, Array], features: Array) -> Array:
        return ops.sum(ops.matmul(features, ops.expand_dims(params["w"], axis=-1)), axis=-1)

    def curvature_along(self, direction: Mapping[str, NumpyArray], data: Mapping[str, NumpyArray]) -> float:
        # X d, and no X^T X: P^2 numbers that nothing else needs, with twice the digits lost where X is ill-conditioned.
        return float(np.mean(np.square(data["x"] @ direction["w"])))

    def losses(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        # As a column: a population (K, P, 1) meets X (N, P) as K products; (K, P) would be taken for one matrix.
        residual = ops.matmul(data["x"], ops.expand_dims(params["w"], axis=-1)) - ops.expand_dims(data["y"], axis=-1)
        return 0.5 * ops.sum(ops.square(residual), axis=-1)

    def loss_and_gradient(
        self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        residual = ops.matmul(data["x"], params["w"]) - data["y"]
        gradient = ops.matmul(ops.matrix_transpose(data["x"]), residual) / residual.shape[0]
        return 0.5 * ops.mean(ops.square(residual), axis=-1), {"w": gradient}


@dataclass(frozen=True, eq=False)
class LeastSquares(_LinearModel):
    """Linear least squares on seeded Gaussian data: `(f, grad f) = (|Xw - y|^2 / 2N, X^T (Xw - y) / N)`.

    X is `(num_samples, num_features)`, N(0, 1); y is a linear function of it with noise of standard deviation
    `noise`; the start point is N(0, 1).

    Attributes
    ----------
    num_samples, num_features, noise, seed
        What is drawn, where no data are given.
    features, response
        X `(N, P)` and y `(N,)` in place of the drawn ones, both or neither.
    start
        The start point, `(P,)`.

    Examples
    --------
    >>> import gradest
    >>> problem = gradest.get_problem("least-squares")
    >>> problem.layout.names, problem.has_closed_form
    (('w',), True)
    """

    name: ClassVar[str] = "least-squares"

    num_samples: int = 100
    num_features: int = 20
    noise: float = 0.1
    seed: int = 0
    features: ArrayLike | None = field(default=None, repr=False, kw_only=True)
    response: ArrayLike | None = field(default=None, repr=False, kw_only=True)
    start: ArrayLike | None = field(default=None, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        make_plain(self)
        _require_both("features", self.features, self.response)
        if self.num_samples < 1 or self.num_features < 1:
            raise InvalidInputError(
                f"least squares asks for at least one sample and one feature; found {self.num_samples} samples, "
                f"{self.num_features} features"
            )
        _require_drawable(self.seed, self.noise)
        if self.features is not None:
            features = _keep_samples(self, "features", (None, None))
            # The repr tells a run which problem it is of: it has to state the data's own sizes, not the defaults.
            object.__setattr__(self, "num_features", features.shape[1])
        _keep_start(self, self.num_features)

    @cached_property
    def _samples(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self.features is not None:
            return np.asarray(self.features), np.asarray(self.response)
        generator = np.random.default_rng(self.seed)
        design = generator.standard_normal((self.num_samples, self.num_features))
        truth = generator.standard_normal(self.num_features)
        return design, design @ truth + self.noise * generator.standard_normal(self.num_samples)


@dataclass(frozen=True, eq=False)
class PolynomialRegression(_LinearModel):
    """Least squares in the monomials 1, t, ..., t^degree of points t in [-1, 1]: ill-conditioned as it grows.

    The response is sin(pi t) with noise of standard deviation `noise`; the start point is N(0, 1).

    Attributes
    ----------
    num_samples, noise, seed
        What is drawn, where no data are given.
    degree
        Of the polynomial; it has degree + 1 coefficients.
    points, response
        t and y, `(N,)` each, in place of the drawn ones, both or neither.
    start
        The start point, `(degree + 1,)`.

    Examples
    --------
    >>> import gradest
    >>> problem = gradest.get_problem("polynomial-regression")
    >>> problem.layout.num_parameters
    6
    """

    name: ClassVar[str] = "polynomial-regression"

    num_samples: int = 50
    degree: int = 5
    noise: float = 0.1
    seed: int = 0
    points: ArrayLike | None = field(default=None, repr=False, kw_only=True)
    response: ArrayLike | None = field(default=None, repr=False, kw_only=True)
    start: ArrayLike | None = field(default=None, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        make_plain(self)
        _require_both("points", self.points, self.response)
        if self.num_samples < 1 or self.degree < 0:
            raise InvalidInputError(
                f"polynomial regression asks for at least one sample and degree 0; found {self.num_samples} samples, "
                f"degree {self.degree}"
            )
        _require_drawable(self.seed, self.noise)
        if self.points is not None:
            _keep_samples(self, "points", (None,))
        _keep_start(self, self.degree + 1)

    @cached_property
    def _samples(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self.points is not None:
            # Increasing: w[k] is the coefficient of t^k, whatever the degree.
            return np.vander(np.asarray(self.points), self.degree + 1, increasing=True), np.asarray(self.response)
        generator = np.random.default_rng(self.seed)
        points = generator.uniform(-1, 1, self.num_samples)
        response = np.sin(np.pi * points) + self.noise * generator.standard_normal(self.num_samples)
        return np.vander(points, self.degree + 1, increasing=True), response


def _require_drawable(seed: int, noise: float) -> None:
    whole_number("seed", seed, least=0)
    real_number("noise", noise, "[0, inf)", example=0.1)


def _require_both(name: str, inputs: ArrayLike | None, response: ArrayLike | None) -> None:
    if (inputs is None) != (response is None):
        missing = name if inputs is None else "response"
        raise InvalidInputError(f"{name} and response are given together; {missing!r} is missing")


def _keep_samples(problem: Any, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    """Put copies of inputs and response that are given in their place, lest they change with the arrays; count them."""
    inputs = given_array(name, getattr(problem, name), shape)
    object.__setattr__(problem, name, inputs)
    object.__setattr__(problem, "response", given_array("response", problem.response, (len(inputs),)))
    object.__setattr__(problem, "num_samples", len(inputs))
    return inputs


def _keep_start(problem: Any, size: int) -> None:
    if problem.start is not None:
        object.__setattr__(problem, "start", given_array("start", problem.start, (size,)))
