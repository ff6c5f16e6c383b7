"""The contract of a problem: a start point, data, a loss in one text, and its gradient derived by hand.

A problem is framework-neutral: it gives its parameters and data as NumPy arrays and writes its loss in
`Operations`. This module knows no framework, backend or estimator.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gradest.errors import UnsupportedError
from gradest.fields import TypedFields
from gradest.layout import Layout
from gradest.operations import Array, NumpyArray, Operations
from gradest.registry import construct

Arrays = Mapping[str, NumpyArray]


class Problem(TypedFields, ABC):
    """States a loss `f: R^P -> R`, frozen: subclasses are frozen dataclasses whose fields say everything.

    Laws, checked by `gradest.testing.check_problem`: `loss` is population-polymorphic (parameters with a leading
    axis K give a loss `(K,)` equal to K single losses); the closed form equals AD and extended-precision
    differences; `parameters()` and `data()` give equal, fresh arrays each time.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> class Bowl(gradest.Problem):
    ...     name = "bowl"
    ...     def parameters(self):
    ...         return {"x": np.array([1.0, 2.0])}
    ...     def loss(self, ops, params, data):
    ...         return ops.sum(params["x"] * params["x"], axis=-1)
    >>> gradest.get_estimator("reverse")(Bowl()).gradient
    {'x': array([2., 4.])}
    """

    name: ClassVar[str]

    @abstractmethod
    def parameters(self) -> dict[str, NDArray[np.float64]]:
        """Return the start point, block by block in declared order, float64."""

    def data(self) -> dict[str, NDArray[np.float64]]:
        """Return the arrays that the loss reads beside its parameters, float64; none by default."""
        return {}

    @abstractmethod
    def loss(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        """Return the loss; parameters with leading axes give a loss with those axes."""

    def loss_and_gradient(
        self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        """Return the loss and its gradient by the closed form, for parameters without leading axes.

        Raises
        ------
        UnsupportedError
            The problem has no closed form.
        """
        raise UnsupportedError(f"problem {self.name!r} has no closed-form gradient; use reverse or forward mode")

    @property
    def has_closed_form(self) -> bool:
        """Whether `loss_and_gradient` is there."""
        return type(self).loss_and_gradient is not Problem.loss_and_gradient

    @property
    def differentiable(self) -> bool:
        """Whether the loss has a gradient almost everywhere that says how it changes."""
        return True

    @cached_property
    def layout(self) -> Layout:
        """The names and shapes of the parameters."""
        start = self.parameters()
        return Layout(tuple(start), tuple(block.shape for block in start.values()))


class EmpiricalRisk(Problem):
    """States a loss that is the mean over B examples of a loss of each: `f = (1/B) sum_b l_b`.

    What knows the examples apart needs it: node perturbation by example, the gradient noise scale.

    Laws: `losses` gives `(B,)`, and for parameters with a leading axis K `(K, B)`; its mean over the last axis is
    `loss`. A problem whose loss has a quicker form of its own may state that too; `check_problem` holds them together.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> class Mean(gradest.EmpiricalRisk):
    ...     name = "mean"
    ...     def parameters(self):
    ...         return {"x": np.zeros(1)}
    ...     def data(self):
    ...         return {"points": np.array([1.0, 3.0])}
    ...     def losses(self, ops, params, data):
    ...         return ops.square(params["x"] - data["points"])
    >>> objective = gradest.bind(Mean())
    >>> float(objective.value()), objective.prepare_losses()(objective.start).tolist()
    (5.0, [1.0, 9.0])
    """

    @abstractmethod
    def losses(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        """Return the loss of each example, `(B,)`; parameters with leading axes give `(..., B)`."""

    def loss(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        return ops.mean(self.losses(ops, params, data), axis=-1)


def get_problem(name: str, **fields: Any) -> Problem:
    """Return a new problem of a name or of "module:Class", with the given fields; raises as `get_estimator` does.

    Examples
    --------
    >>> import gradest
    >>> problem = gradest.get_problem("rosenbrock", size=4)
    >>> problem.layout.num_parameters, problem.has_closed_form
    (4, True)
    """
    problem: Problem = construct("problems", name, fields, Problem)
    return problem
