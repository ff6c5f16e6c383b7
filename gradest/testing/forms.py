"""Small problems on which what an estimator must give is known exactly. Knows no framework and no estimator."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gradest.datasets import Dataset, from_arrays
from gradest.operations import Array, Operations
from gradest.problem import Problem
from gradest.problems.analytic_functions import CubicGraph, LogGraph, LogSumExp, Rosenbrock
from gradest.problems.least_squares import LeastSquares
from gradest.problems.mlp import MLP
from gradest.problems.quadratic import Quadratic
from gradest.problems.softmax_regression import SoftmaxRegression

Floats = NDArray[np.float64]

_ROWS, _COLUMNS, _BIAS, _TERMS = 3, 2, 2, 4


@dataclass(frozen=True, eq=False)
class Form(Problem):
    """`f(x) = offset + sum_k [b_k t_k + quadratic a_k t_k^2 / 2 + cubic c_k t_k^3 / 6]`, `t_k = <A_k, W> + <d_k, b>`.

    Parameters W `(3, 2)` and b `(2,)`, P = 8. Its gradient, Hessian and third derivative are known, so that bias and
    variance of an estimator are: with `cubic=0` it is quadratic, with `quadratic=0` linear as well.

    Attributes
    ----------
    offset
        A constant that no difference should feel.
    factor
        Multiplies the whole loss; NaN makes loss and gradient NaN.
    """

    name: ClassVar[str] = "check-form"

    quadratic: float = 1.0
    cubic: float = 0.0
    offset: float = 0.5
    factor: float = 1.0

    @cached_property
    def _terms(self) -> dict[str, Floats]:
        generator = np.random.default_rng(20_260_311)
        matrix = generator.standard_normal((_TERMS, _ROWS, _COLUMNS)) / 2
        vector = generator.standard_normal((_TERMS, _BIAS)) / 2
        first, second, third = generator.uniform(0.5, 1.5, (3, _TERMS))
        return {
            "A": matrix,
            "d": vector,
            "first": self.factor * first,
            "half": self.factor * self.quadratic * second / 2,
            "sixth": self.factor * self.cubic * third / 6,
            "offset": np.array(self.factor * self.offset),
        }

    def parameters(self) -> dict[str, Floats]:
        generator = np.random.default_rng(20_260_312)
        return {"W": generator.standard_normal((_ROWS, _COLUMNS)), "b": generator.standard_normal(_BIAS)}

    def data(self) -> dict[str, Floats]:
        return {name: values.copy() for name, values in self._terms.items()}

    def loss(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        t = _projections(ops, params, data)
        curved = data["half"] + t * data["sixth"] if self.cubic else data["half"]
        return ops.sum(t * (data["first"] + t * curved), axis=-1) + data["offset"]

    def loss_and_gradient(
        self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        t = _projections(ops, params, data)
        slope = data["first"] + t * (2.0 * data["half"] + 3.0 * t * data["sixth"])
        by_matrix = ops.sum(data["A"] * ops.reshape(slope, (_TERMS, 1, 1)), axis=-3)
        by_vector = ops.sum(data["d"] * ops.reshape(slope, (_TERMS, 1)), axis=-2)
        return self.loss(ops, params, data), {"W": by_matrix, "b": by_vector}

    # -- what theory needs ----------------------------------------------------------------------------------
    @property
    def _rows(self) -> Floats:
        """The gradients of the t_k, `(terms, P)`."""
        terms = self._terms
        return np.concatenate([terms["A"].reshape(_TERMS, -1), terms["d"]], axis=1)

    @property
    def _at(self) -> Floats:
        return np.asarray(self._rows @ np.concatenate([block.ravel() for block in self.parameters().values()]))

    @property
    def value_at_start(self) -> float:
        """f at the start point."""
        t, terms = self._at, self._terms
        return float(terms["offset"] + t @ (terms["first"] + t * (terms["half"] + t * terms["sixth"])))

    @property
    def gradient_at_start(self) -> Floats:
        """The gradient at the start point, `(P,)`."""
        t, terms = self._at, self._terms
        return np.asarray((terms["first"] + t * (2 * terms["half"] + 3 * t * terms["sixth"])) @ self._rows)

    @property
    def hessian_at_start(self) -> Floats:
        """The Hessian at the start point, `(P, P)`."""
        weights = 2 * self._terms["half"] + 6 * self._at * self._terms["sixth"]
        return np.asarray((self._rows * weights[:, None]).T @ self._rows)

    @property
    def third_derivative(self) -> Floats:
        """The third derivative, `(P, P, P)`, the same everywhere."""
        rows = self._rows
        return np.asarray(np.einsum("k,ki,kj,kl->ijl", 6 * self._terms["sixth"], rows, rows, rows))


def _projections(ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
    by_matrix = ops.sum(data["A"] * ops.expand_dims(params["W"], axis=-3), axis=(-1, -2))
    return by_matrix + ops.sum(data["d"] * ops.expand_dims(params["b"], axis=-2), axis=-1)


def network() -> Problem:
    """Return a multilayer perceptron of 14 parameters in four blocks, on made-up data."""
    return MLP(dataset=samples(), widths=(2,), batch=None)


def accuracy_problems() -> tuple[Problem, ...]:
    """Return smooth problems, of scalars, vectors and matrices, with closed-form gradients."""
    return (
        Form(cubic=1.0),
        Quadratic(size=5),
        LogSumExp(size=5),
        LeastSquares(num_samples=9, num_features=4),
        Rosenbrock(size=4),
        CubicGraph(),
        LogGraph(),
        SoftmaxRegression(dataset=samples(), batch=None),
        network(),
    )


def samples() -> Dataset:
    """Return eight made-up samples of three features in two classes."""
    generator = np.random.default_rng(20_260_313)
    return from_arrays(generator.standard_normal((8, 3)), np.arange(8) % 2, num_classes=2)
