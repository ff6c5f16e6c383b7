"""The contract of an estimator: hyper-parameters in, a prepared callable out.

An estimator author sees only `Objective`. This module knows no framework and no problem.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, ClassVar

from numpy.typing import NDArray

from gradest.backend import Leaves
from gradest.binding import bind
from gradest.errors import PreparationMismatchError, UnsupportedError
from gradest.estimate import Cost, Estimate, KernelResult
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.registry import construct
from gradest.theory import Prediction

Kernel = Callable[[Leaves, Any], KernelResult]
"""`(parameter leaves, rng) -> KernelResult`; deterministic estimators ignore `rng`."""


class Target(Enum):
    """What an estimator's expectation is; the value is the wording for people."""

    GRADIENT = "gradient"
    SMOOTHED = "gradient of the smoothed loss"
    DIRECTION = "direction of the gradient only"
    NOTHING = "nothing (a control)"


@dataclass(frozen=True)
class PreparedKernel:
    """A kernel, and the path it takes ("native", "gradest", "batched", "loop", "structured", ...)."""

    call: Kernel
    path: str


@dataclass(frozen=True)
class Estimator(ABC):
    """States one way to get a gradient: a frozen dataclass whose fields are the hyper-parameters.

    Laws, checked by `gradest.testing.check_estimator`: the cost counted equals `cost(layout)`; inputs are never
    written to; equal `rng` seeds give equal estimates on every backend, for every chunk size and number of
    workers; the expectation is `target`.
    """

    name: ClassVar[str]
    stochastic: ClassVar[bool] = False

    @property
    @abstractmethod
    def source(self) -> str:
        """Author, year and DOI or arXiv id; a class attribute where it does not depend on the hyper-parameters."""

    @property
    @abstractmethod
    def formula(self) -> str:
        """The estimate on one line, such as "(f(x + h e_i) - f(x)) / h"; a class attribute likewise."""

    @property
    @abstractmethod
    def cost_formula(self) -> str:
        """The cost in terms of P and N, such as "P + 1 values"; a class attribute likewise."""

    @property
    def target(self) -> Target:
        """What the expectation is; it may depend on the hyper-parameters."""
        return Target.GRADIENT

    @abstractmethod
    def cost(self, layout: Layout) -> Cost:
        """Return what one estimate costs for parameters of the layout, before anything runs."""

    @abstractmethod
    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        """Return the kernel for one objective: check the mode, compile, reserve buffers; evaluate nothing.

        Raises
        ------
        UnsupportedError
            The backend or the objective lacks what the estimator needs; the message says what can be used.
        """

    def predict(
        self,
        layout: Layout,
        gradient: NDArray[Any],
        *,
        value: float | None = None,
        hessian: NDArray[Any] | None = None,
        objective: Objective | None = None,
    ) -> Prediction | None:
        """Return the error that theory predicts where the gradient is `gradient` `(P,)`, or None where it states none.

        Parameters
        ----------
        value, hessian
            The loss there and its curvature `(P, P)`, where known.
        objective
            The loss, whose start point is that place, where known. An estimator whose error does not follow from the
            layout (it depends on the batch, on activations) reads it, runs no estimate, and returns None without it.

        Raises
        ------
        UnsupportedError
            The estimator cannot run on the objective.
        """
        return None

    def prepare(self, objective: Objective, *, executor: Executor | None = None) -> "Prepared":
        """Return the estimator bound to an objective; everything that can be done once is done here."""
        return Prepared(self, objective, self.prepare_kernel(objective, executor=executor), executor=executor)

    def __call__(self, f: Any, params: Any = None, *args: Any, rng: Any = None, **binding: Any) -> Estimate:
        """Return the estimate of the gradient of `f` at `params`.

        Parameters
        ----------
        f
            An `Objective`, a `Problem`, or a function `f(params, *args) -> scalar` of one framework.
        params
            A pytree of arrays, an `nn.Module` or a Gluon `Block`; the start point of the objective by default.
        rng
            SPEC 7: an int, a `SeedSequence`, a `Generator`, or None for fresh entropy.
        **binding
            Passed to `gradest.bind` where `f` is not an objective: `backend`, `dtype`, `device`, `kernel`.

        Raises
        ------
        NonFiniteError
            The parameters hold NaN or infinity.
        """
        objective = f if isinstance(f, Objective) else bind(f, params, *args, **binding)
        at = objective.start_tree if params is None or not isinstance(f, Objective) else params
        objective.form.require_finite(at)
        return self.prepare(objective)(at, rng=rng)

    def value_and_grad(self, f: Any, **binding: Any) -> Callable[..., tuple[Any, Any]]:
        """Return `g(params, *args, rng=None) -> (value, gradient)`, in the manner of `jax.value_and_grad`.

        The value is evaluated where the method does not give it. It prepares at its first call, and again where
        parameters or arguments change their form; a new batch of the same form is not prepared for again.
        """
        latest = self._prepare_once(f, binding)

        def value_and_gradient(params: Any = None, *args: Any, rng: Any = None) -> tuple[Any, Any]:
            prepared, estimate = latest(params, args, rng)
            value = prepared.value(params) if estimate.value is None else estimate.value
            return value, estimate.gradient

        return value_and_gradient

    def grad(self, f: Any, **binding: Any) -> Callable[..., Any]:
        """Return `g(params, *args, rng=None) -> gradient`; see `value_and_grad`."""
        latest = self._prepare_once(f, binding)

        def gradient(params: Any = None, *args: Any, rng: Any = None) -> Any:
            return latest(params, args, rng)[1].gradient

        return gradient

    def _prepare_once(
        self, f: Any, binding: dict[str, Any]
    ) -> Callable[[Any, tuple[Any, ...], Any], tuple["Prepared", Estimate]]:
        kept = threading.local()  # a prepared estimator holds its batch: one for each thread

        def estimate(params: Any, args: tuple[Any, ...], rng: Any) -> tuple[Prepared, Estimate]:
            prepared: Prepared | None = getattr(kept, "prepared", None)
            if prepared is not None and prepared.objective.bound_to(params):
                prepared.objective.form.require_finite(prepared.objective.start_tree if params is None else params)
                try:
                    return prepared, prepared(params, *args, rng=rng)
                except PreparationMismatchError:
                    kept.prepared = None  # another form: prepare again below
            fresh = kept.prepared = self.prepare(bind(f, params, *args, **binding))
            return fresh, fresh(params, rng=rng)

        return estimate


class Prepared:
    """An estimator bound to one objective, ready to be called many times.

    It checks names, shapes, dtypes and devices of what it is given, and not whether the numbers are finite:
    that would wait for the device at each call.
    """

    def __init__(
        self, estimator: Estimator, objective: Objective, kernel: PreparedKernel, *, executor: Executor | None = None
    ) -> None:
        self.estimator = estimator
        self._executor = executor
        self.objective = objective
        self.path = kernel.path
        self.cost = estimator.cost(objective.layout)
        self._kernel = objective.scoped(kernel.call)

    def __reduce__(self) -> tuple[Callable[..., "Prepared"], tuple[Objective]]:
        """Pickle the estimator and the objective; it is prepared again on arrival."""
        if self._executor is not None:
            raise TypeError("an estimator prepared with an executor cannot be pickled; prepare it where it is used")
        return self.estimator.prepare, (self.objective,)

    @cached_property
    def _value(self) -> Callable[[Leaves], Any]:
        return self.objective.prepare_value()

    def value(self, params: Any = None) -> Any:
        """Return the loss at `params` (the start point by default), with the arguments of the last call."""
        return self._value(self.objective.start if params is None else self.objective.leaves_of(params))

    def __call__(self, params: Any = None, *args: Any, rng: Any = None) -> Estimate:
        """Return the estimate at `params` (the objective's start point by default).

        `args`, if there are any, replace the arguments that the user's function was bound with, and stay for later
        calls: the next batch.

        Raises
        ------
        PreparationMismatchError
            `params` or `args` differ from what was prepared for in names, shapes, dtype or device.
        UnsupportedError
            Arguments were given with an executor, whose workers hold those of the binding.
        """
        objective = self.objective
        if args:
            if self._executor is not None:
                raise UnsupportedError("new arguments were given with an executor; prepare again with them")
            objective.take_arguments(args)
        leaves = objective.start if params is None else objective.form.leaves_of(params)
        with objective.one_estimate():
            result = self._kernel(leaves, rng)
        gradient = objective.form.tree_of(result.gradient)
        error = None if result.error is None else objective.form.tree_of(result.error)
        return Estimate(result.value, gradient, self.cost, self.path, error)


def get_estimator(name: str, **hyperparameters: Any) -> Estimator:
    """Return a new estimator of a name, of "module:Class" or of "file.py:Class", with the given hyper-parameters.

    Raises
    ------
    UnknownNameError
        There is no such estimator, or no such hyper-parameter beside those that the name fixes.
    InvalidInputError
        A hyper-parameter is out of range.
    """
    estimator: Estimator = construct("estimators", name, hyperparameters, Estimator)
    return estimator
