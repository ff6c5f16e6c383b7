"""The contract of a problem: a start point, data, a loss in one text, and its gradient derived by hand.

A problem is framework-neutral: it gives its parameters and data as NumPy arrays and writes its loss in
`Operations`. This module knows no framework, backend or estimator.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gradest.class_name import class_name
from gradest.errors import InvalidEstimateError, InvalidInputError, InvalidTypeError, UnsupportedError
from gradest.example_order import checked_rows, epoch_of_batches
from gradest.fields import TypedFields
from gradest.layout import Layout
from gradest.operations import Array, NumpyArray, Operations
from gradest.registry import construct

Arrays = Mapping[str, NumpyArray]
_PLAIN = (bool, int, float, str, tuple)
Metric = Callable[[Operations, Mapping[str, Array], Mapping[str, Array]], Array]
"""`(ops, params, data) -> number`, written in operations as a loss is; no derivative is taken of it."""


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

    name: ClassVar[str] = class_name()
    """What tables, reports and messages call it; the class's own name where it states none."""
    per_example: ClassVar[tuple[str, ...]] = ()
    """Names of the data whose first axis counts examples, of which the loss is the mean; batches are rows of these."""

    def __repr__(self) -> str:
        """Return the class and what it was made with, of a class that is no dataclass as far as that is plain.

        By its address, which Python's own has, a run that is kept would be another in the next process.
        """
        plain = {name: value for name, value in vars(self).items() if name[:1] != "_" and isinstance(value, _PLAIN)}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in plain.items())})"

    @abstractmethod
    def parameters(self) -> dict[str, NDArray[np.float64]]:
        """Return the start point, block by block in declared order, float64."""

    def data(self) -> dict[str, NDArray[np.float64]]:
        """Return the arrays that the loss reads beside its parameters, float64; none by default."""
        return {}

    @cached_property
    def _whole(self) -> dict[str, NDArray[np.float64]]:
        """The data, made once: batches are taken out of them."""
        return self.data()

    @property
    def num_examples(self) -> int:
        """The number of examples that the loss is the mean of.

        Raises
        ------
        UnsupportedError
            The loss is no mean of examples.
        """
        self._require_examples()
        return len(self._whole[self.per_example[0]])

    def _require_examples(self) -> None:
        if not self.per_example:
            raise UnsupportedError(
                f"batches of problem {self.name!r} were asked for, whose loss is no mean of examples; use all of its "
                "data, or name the data whose first axis counts examples in `per_example` of its class"
            )

    def batch_of(self, rows: Sequence[int] | NDArray[np.intp]) -> dict[str, NDArray[np.float64]]:
        """Return data of the same form that hold some of the examples: `prepared(params, data=problem.batch_of(rows))`.

        Raises
        ------
        UnsupportedError
            The loss is no mean of examples.
        InvalidInputError
            There are no rows, or no whole numbers, or a row is not there.

        Examples
        --------
        >>> import gradest
        >>> problem = gradest.get_problem("mlp", dataset="iris", batch=None)
        >>> {name: values.shape for name, values in problem.batch_of([0, 5, 7]).items()}
        {'x': (3, 4), 'targets': (3, 3)}
        """
        chosen = checked_rows(rows, self.num_examples)
        return {name: values[chosen] if name in self.per_example else values for name, values in self._whole.items()}

    def batches(
        self, size: int, *, seed: int = 0, epoch: int = 0, replace: bool = False, drop_last: bool = False
    ) -> Iterator[dict[str, NDArray[np.float64]]]:
        """Yield the batches of one epoch; which examples they hold follows from seed and epoch alone.

        Parameters
        ----------
        size
            Examples in a batch.
        seed, epoch
            What decides the order, the same on every backend and with every release of NumPy.
        replace
            Whether examples are drawn with replacement; else each is in one batch of the epoch.
        drop_last
            Whether the last batch is left out where it is short; with replacement none is.

        Raises
        ------
        UnsupportedError
            The loss is no mean of examples.
        InvalidInputError
            `size` is not between 1 and the number of examples.

        Examples
        --------
        >>> import gradest
        >>> problem = gradest.get_problem("mlp", dataset="iris", batch=None)  # 150 examples
        >>> [len(batch["x"]) for batch in problem.batches(64, seed=0, epoch=3)]
        [64, 64, 22]
        """
        orders = epoch_of_batches(self.num_examples, size, seed=seed, epoch=epoch, replace=replace, drop_last=drop_last)
        return map(self.batch_of, orders)

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
        # By what the class states, not by trying: a trial would compute a gradient to learn of its existence.
        return type(self).loss_and_gradient is not Problem.loss_and_gradient

    @property
    def differentiable(self) -> bool:
        """Whether the loss has a gradient almost everywhere that says how it changes; where not, none is given."""
        return True

    def predict(self, ops: Operations, params: Mapping[str, Array], features: Array) -> Array:
        """Return what the model says of features `(N, D)`: scores `(..., N, C)` of classes, or numbers `(..., N)`.

        Raises
        ------
        UnsupportedError
            The problem has no model: its parameters predict nothing.
        """
        raise UnsupportedError(f"problem {self.name!r} predicts nothing: it is a loss of its parameters alone")

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """What is worth knowing of parameters beside the loss, by name, such as "accuracy"; none by default."""
        return {}

    def curvature_along(self, direction: Mapping[str, NumpyArray], data: Mapping[str, NumpyArray]) -> float:
        """Return `d^T H d` of a loss that is quadratic in its parameters, whose Hessian H is the same everywhere.

        Raises
        ------
        UnsupportedError
            The loss is not quadratic.
        """
        raise UnsupportedError(f"problem {self.name!r} is not quadratic in its parameters")

    @property
    def is_quadratic(self) -> bool:
        """Whether `curvature_along` is there."""
        return type(self).curvature_along is not Problem.curvature_along

    @cached_property
    def layout(self) -> Layout:
        """The names and shapes of the parameters.

        Raises
        ------
        InvalidTypeError
            They are no arrays by name.
        """
        # Of the start itself: a problem states shapes once, by the arrays that it gives.
        start: Any = self.parameters()
        if not isinstance(start, Mapping) or not all(hasattr(block, "shape") for block in start.values()):
            raise InvalidTypeError(
                f"parameters of problem {self.name!r} must be a dict of NumPy arrays by name; found {start!r}"
            )
        return Layout(tuple(start), tuple(block.shape for block in start.values()))


def closed_form(
    problem: Problem, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]
) -> tuple[Array, tuple[Array, ...]]:
    """Return the loss and its gradient by `loss_and_gradient`, block by block in the order of the parameters.

    Raises
    ------
    InvalidEstimateError
        What the problem returns is no loss beside a gradient of each parameter.
    """
    found: Any = problem.loss_and_gradient(ops, params, data)
    if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], Mapping)):
        raise InvalidEstimateError(f"{_asked_of(problem)}; found {type(found).__name__}")
    value, gradient = found
    # Further entries are let be: a closed form may give what else it has at hand.
    if not params.keys() <= gradient.keys():
        missing = ", ".join(name for name in params if name not in gradient)
        raise InvalidEstimateError(f"{_asked_of(problem)}, of each parameter; there is none of {missing}")
    return value, tuple([gradient[name] for name in params])


def _asked_of(problem: Problem) -> str:
    return f"loss_and_gradient of problem {problem.name!r} must return (loss, dict of arrays by name)"


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
        losses = self.losses(ops, params, data)
        if getattr(losses, "shape", None) == ():  # a symbol of MXNet's has none
            raise InvalidInputError(
                f"{type(self).__name__}.losses must return the loss of each example, (B,); found one number; leave out "
                "the mean or sum over examples, or write a Problem with that as its loss"
            )
        return ops.mean(losses, axis=-1)


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
