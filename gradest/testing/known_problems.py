"""Small problems on which what an estimator must return is known exactly, bias and variance included.

This module knows no framework and no estimator.
"""

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

_SAMPLES, _INPUTS, _OUTPUTS = 2, 3, 2


@dataclass(frozen=True, eq=False)
class Cubic(Problem):
    """A cubic polynomial of affine functions of the parameters; it is quadratic by default.

    `f = offset + sum_nc [first t + quadratic second t^2 / 2 + cubic third t^3 / 6]_nc`, `t = X W + b`.

    Parameters W `(3, 2)` and b `(2,)`, P = 8; data X `(2, 3)`. Gradient, Hessian and third derivative are known, so
    that bias and variance of an estimator are: with `cubic=0` f is quadratic, with `quadratic=0` linear as well.

    Attributes
    ----------
    offset
        A constant that no difference should feel.
    factor
        Multiplies the whole loss; NaN makes loss and gradient NaN.
    """

    name: ClassVar[str] = "check-cubic"

    quadratic: float = 1.0
    cubic: float = 0.0
    offset: float = 0.5
    factor: float = 1.0

    @cached_property
    def _terms(self) -> dict[str, Floats]:
        generator = np.random.default_rng(20_260_311)
        inputs = generator.standard_normal((_SAMPLES, _INPUTS))
        # Away from 0, and of one sign: slope, bend and third derivative are none of them small, whichever is asked for.
        first, second, third = generator.uniform(0.5, 1.5, (3, _SAMPLES, _OUTPUTS)) * self.factor
        return {
            "x": inputs,
            "first": first,
            "half": self.quadratic * second / 2,
            "sixth": self.cubic * third / 6,
            "offset": np.array(self.factor * self.offset),
        }

    def parameters(self) -> dict[str, Floats]:
        generator = np.random.default_rng(20_260_312)
        return {"W": generator.standard_normal((_INPUTS, _OUTPUTS)), "b": generator.standard_normal(_OUTPUTS)}

    def data(self) -> dict[str, Floats]:
        return {name: values.copy() for name, values in self._terms.items()}

    def loss(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        t = ops.affine(data["x"], params["W"], params["b"])
        curved = data["half"] + t * data["sixth"] if self.cubic else data["half"]
        return ops.sum(t * (data["first"] + t * curved), axis=(-1, -2)) + data["offset"]

    def loss_and_gradient(
        self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        t = ops.affine(data["x"], params["W"], params["b"])
        slope = data["first"] + t * (2.0 * data["half"] + 3.0 * t * data["sixth"])
        by_matrix = ops.matmul(ops.matrix_transpose(data["x"]), slope)
        return self.loss(ops, params, data), {"W": by_matrix, "b": ops.sum(slope, axis=-2)}

    # -- what theory needs ----------------------------------------------------------------------------------
    @cached_property
    def _rows(self) -> Floats:
        """The gradients of the entries of t, `(entries, P)`."""
        unit = np.eye(_OUTPUTS)
        # In another notation than the loss's closed form: the two are written apart, so that one can hold the other.
        by_matrix = np.einsum("ni,cd->ncid", self._terms["x"], unit).reshape(_SAMPLES * _OUTPUTS, -1)
        return np.concatenate([by_matrix, np.tile(unit, (_SAMPLES, 1))], axis=1)

    def _expansion(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Return t at the start point and the coefficients of t, t^2 and t^3, `(entries,)` each."""
        start, terms = self.parameters(), self._terms
        t = terms["x"] @ start["W"] + start["b"]
        return t.ravel(), terms["first"].ravel(), terms["half"].ravel(), terms["sixth"].ravel()

    @property
    def value_at_start(self) -> float:
        """f at the start point."""
        t, first, half, sixth = self._expansion()
        return float(self._terms["offset"] + t @ (first + t * (half + t * sixth)))

    @property
    def gradient_at_start(self) -> Floats:
        """The gradient at the start point, `(P,)`."""
        t, first, half, sixth = self._expansion()
        return np.asarray((first + t * (2 * half + 3 * t * sixth)) @ self._rows)

    @property
    def hessian_at_start(self) -> Floats:
        """The Hessian at the start point, `(P, P)`."""
        t, _, half, sixth = self._expansion()
        return np.asarray((self._rows * (2 * half + 6 * t * sixth)[:, None]).T @ self._rows)

    @property
    def third_derivative(self) -> Floats:
        """The third derivative, `(P, P, P)`, the same everywhere."""
        return np.asarray(np.einsum("k,ki,kj,kl->ijl", 6 * self._expansion()[3], self._rows, self._rows, self._rows))


def network() -> Problem:
    """Return a multilayer perceptron of 14 parameters in four blocks, on made-up data."""
    return MLP(dataset=samples(), widths=(2,), batch=None)


def layered() -> Problem:
    """Return a multilayer perceptron of 32 parameters in six blocks, two matrices and two vectors of equal shapes."""
    return MLP(dataset=samples(), widths=(3, 3), batch=None)


def accuracy_problems() -> tuple[Problem, ...]:
    """Return smooth problems, of scalars, vectors and matrices, with closed-form gradients."""
    return (
        Cubic(cubic=1.0),
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
