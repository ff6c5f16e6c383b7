"""The calls of a gradient function such as `gradest.grad(f)`: what is prepared once, and what each call brings.

It knows estimators only as something that prepares for an objective, so that their contract can be built on it.
"""

import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, ClassVar, Protocol

from gradest.backend import Backend, Leaves
from gradest.binding import BINDING, Bindable, bind_given, tracing_backend, with_values
from gradest.case import Case
from gradest.closed_over import ClosedOver
from gradest.directions.keys import Rng
from gradest.errors import GradestError, InvalidInputError, PreparationMismatchError, UnsupportedError
from gradest.estimate import Estimate
from gradest.objective import Objective
from gradest.problem import Problem
from gradest.signature import Argnums, Differentiated, WithoutAuxiliary
from gradest.tree import Tree


class Preparation(Protocol):
    """A prepared estimator, as far as a call needs it; `gradest.Prepared` is one."""

    objective: Objective

    def expect_another_look(self) -> None:
        """Have each estimate note what it draws, for an evaluation after it that is to draw the same."""

    def __call__(self, params: Tree = None, *args: object, rng: Rng = None, **kwargs: object) -> Estimate:
        """Return the estimate at `params` with the arguments of this call."""

    def at(self, leaves: Leaves, rng: Rng, args: tuple[object, ...], kwargs: dict[str, object]) -> Estimate:
        """Return the estimate at leaves, with the arguments that were bound where none are given."""

    def value(self, params: Tree = None) -> Any:
        """Return the loss, with the arguments of the last call."""

    def plain_value(self, params: Tree, args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
        """Return the loss by one evaluation that nothing transforms or compiles."""


class Preparer(Protocol):
    """What prepares: an estimator, as far as a call needs to know it."""

    composable: ClassVar[bool]

    @property
    def name(self) -> str:
        """What it is called in a message."""

    def prepare(self, objective: Objective) -> Preparation:
        """Return what is prepared for an objective."""


def traced_call(name: str, backend: Backend, why: str = "") -> UnsupportedError:
    """Return the error for a call that a transformation of the framework is tracing, and why that cannot be."""
    reads = "it reads values of the loss; call it outside, or use 'reverse'"
    detached = (
        "its result is not connected to what is differentiated around it; take the inner gradient by "
        f"{backend.own_gradient}, or the outer one by 'fd-central' or 'es', which evaluate it"
    )
    return UnsupportedError(
        f"{name!r} was called inside a transformation of {backend.name} (jit, vmap or grad), which it cannot "
        f"be traced by: {why or (reads if backend.composes else detached)}"
    )


def tell_of_arrays(error: Exception, backend: Backend) -> None:
    """Raise what a framework says of arrays, which no loss and no estimator can help, in gradest's words."""
    told = None if isinstance(error, GradestError) else backend.told_of_arrays(error)
    if told is not None:
        raise told from error


class Calls:
    """Calls of a gradient function: prepared for at the first one, and again for another form.

    Inside a transformation of the framework arrays have no values to prepare at: it prepares at stand-ins of the same
    shapes and dtypes, and keeps nothing of what is being traced.
    """

    def __init__(
        self,
        estimator: Preparer,
        f: Bindable,
        binding: dict[str, Any],
        argnums: Argnums = 0,
        has_aux: bool = False,
    ) -> None:
        self._estimator = estimator
        self._own: Any = f.f if isinstance(f, Case) else f
        self._order = None if argnums == 0 else Differentiated(argnums)
        self._aux = WithoutAuxiliary(_function(f, "has_aux=True")) if has_aux else None
        f = f if self._aux is None else self._aux
        self._f = f if self._order is None else self._order.of(_function(f, f"argnums={argnums}"))
        self._holds_arguments = isinstance(f, Objective | Case)
        self._binding = binding
        self._kept = threading.local()  # a prepared estimator holds its batch: one for each thread

    def __getstate__(self) -> dict[str, Any]:
        """Pickle what is called; what is prepared belongs to a thread, and is prepared again on arrival."""
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _kept=threading.local())

    def __call__(self, params: Tree, args: tuple[object, ...], kwargs: dict[str, object], rng: Rng) -> Estimate:
        """Return the estimate."""
        return self.call(params, args, kwargs, rng)[0]

    def call(
        self, params: Tree, args: tuple[object, ...], kwargs: dict[str, object], rng: Rng, *, valued: bool = False
    ) -> tuple[Estimate, Any, Any]:
        """Return the estimate, the value where it is asked for, and what the function returns beside it."""
        if self._order is not None:
            params, args = self._order.first((params, *args))
        prepared, estimate = self._prepared(params, args, kwargs, rng)
        value, auxiliary = estimate.value, None
        if self._aux is None and not (valued and value is None):
            return estimate, value, auxiliary
        with prepared.objective.last_estimate():  # the loss of the mask that the gradient is of
            if self._aux is None:
                return estimate, prepared.value(params), auxiliary
            # Of a plain evaluation: inside a transformation what is beside the loss would be the framework's own.
            plain = prepared.plain_value(params, args, kwargs)
            value, auxiliary = plain if value is None else value, self._aux.taken()
        return estimate, value, auxiliary

    def returned(self, result: Any, auxiliary: Any) -> Any:
        """Return a result, with what the function returns beside the loss where that was asked for."""
        return result if self._aux is None else (result, auxiliary)

    def _prepared(
        self, params: Tree, args: tuple[object, ...], kwargs: dict[str, object], rng: Rng
    ) -> tuple[Preparation, Estimate]:
        prepared: Preparation | None = getattr(self._kept, "prepared", None)
        if prepared is not None and prepared.objective.bound_to(params) and self._continues(prepared, args, kwargs):
            try:
                return prepared, self._looked(prepared(params, *args, rng=rng, **kwargs))
            except PreparationMismatchError:
                self._kept.prepared = None  # another form: prepare again below
        f = self._f
        tracing = None if isinstance(f, Objective) else tracing_backend((params, args, kwargs))
        if tracing is not None:
            return self._traced(tracing, params, args, kwargs, rng)
        if isinstance(f, Objective):
            leaves = f.leaves_at(params)
            f.form.require_finite(leaves)
            objective = bind_given(f, None, ((), {}), **self._binding)
        else:
            objective = bind_given(
                f, params, (args, kwargs), **self._binding
            )  # takes `params` apart, and looks at them
            leaves, args, kwargs = objective.start, (), {}
        prepared = self._kept.prepared = self._estimator.prepare(objective)
        if self._aux is not None:
            prepared.expect_another_look()
        constants = "compile" in objective.backend.native and not isinstance(self._own, Objective | Problem)
        self._kept.closed_over = ClosedOver(self._own) if constants else None
        return prepared, self._looked(prepared.at(leaves, rng, args, kwargs))

    def _looked(self, estimate: Estimate) -> Estimate:
        """Note what a compiled function holds as constants; after the call, as a loss may count its own calls."""
        closed_over: ClosedOver | None = self._kept.closed_over
        self._kept.constants = None if closed_over is None else closed_over.values()
        return estimate

    def _continues(self, prepared: Preparation, args: tuple[object, ...], kwargs: dict[str, object]) -> bool:
        """Return whether a call goes on with what is prepared.

        One without arguments must not find the last ones, and one after what the function closes over has changed must
        not find what was compiled of it.
        """
        closed_over: ClosedOver | None = self._kept.closed_over
        if closed_over is not None and closed_over.values() != self._kept.constants:
            return False
        return bool(args or kwargs) or self._holds_arguments or not prepared.objective.has_arguments

    def _traced(
        self, backend: Backend, params: Tree, args: tuple[object, ...], kwargs: dict[str, object], rng: Rng
    ) -> tuple[Preparation, Estimate]:
        """Return both for one trace; not kept, as a later call without parameters or batch would be at stand-ins."""
        if not (self._estimator.composable and backend.composes):
            raise traced_call(self._estimator.name, backend)
        with backend.computing_now() or nullcontext():
            at, given, named = with_values((params, args, kwargs), backend)
            prepared = self._estimator.prepare(bind_given(self._f, at, (given, named), **self._binding))
        return prepared, prepared(params, *args, rng=rng, **kwargs)


# Functions of a module, of which `grad` gives partial ones: another process can be sent these, and no closure.
def gradient_at(calls: Calls, /, params: Tree = None, *args: object, rng: Rng = None, **kwargs: object) -> Any:
    """Return the gradient of a call, with what the function returns beside the loss where that was asked for."""
    estimate, _, auxiliary = calls.call(params, args, kwargs, rng)
    return calls.returned(estimate.gradient, auxiliary)


def value_and_gradient_at(
    calls: Calls, /, params: Tree = None, *args: object, rng: Rng = None, **kwargs: object
) -> tuple[Any, Any]:
    """Return value and gradient of a call, with what the function returns beside the loss likewise."""
    estimate, value, auxiliary = calls.call(params, args, kwargs, rng, valued=True)
    return calls.returned(value, auxiliary), estimate.gradient


def _function(f: Bindable, asked: str) -> Callable[..., Any]:
    """Return a plain function, which alone has a place or a second result to choose."""
    if isinstance(f, Objective | Problem | Case):
        raise InvalidInputError(f"{asked} is for a function f(params, *args); found {type(f).__name__}")
    return f


def bind_options(binding: dict[str, Any]) -> dict[str, Any]:
    """Return options of `bind`, refusing others, which would reach the user's function as arguments."""
    unknown = sorted(set(binding) - set(BINDING))
    if unknown:
        raise InvalidInputError(f"options of gradest.bind were asked for ({', '.join(BINDING)}); found {unknown}")
    return binding
