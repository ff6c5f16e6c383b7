"""The contract of an estimator: hyper-parameters in, a prepared callable out.

An estimator author sees only `Objective`. This module knows no framework and no problem.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from gradest.backend import Leaves
from gradest.binding import BINDING, Bindable
from gradest.calls import Calls, bind_options, gradient_at, tell_of_arrays, traced_call, value_and_gradient_at
from gradest.data_kernels import DataKernels
from gradest.directions.keys import Rng
from gradest.errors import InvalidEstimateError, InvalidTypeError, UnsupportedError
from gradest.estimate import Cost, Estimate, KernelResult
from gradest.fields import TypedFields
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.registry import construct, describe
from gradest.signature import Argnums
from gradest.situation import Situation
from gradest.target import Smoothing, Target
from gradest.theory import Prediction
from gradest.tree import Tree

Kernel = Callable[[Leaves, Rng], KernelResult]
"""`(parameter leaves, rng) -> KernelResult`; deterministic estimators ignore `rng`."""


@dataclass(frozen=True)
class PreparedKernel:
    """A kernel, and the path it takes ("native", "gradest", "batched", "loop", "structured", ...).

    Examples
    --------
    >>> import numpy as np, gradest
    >>> double = lambda leaves, rng: gradest.KernelResult(None, [2 * x for x in leaves])  # of f(x) = sum x^2
    >>> kernel = gradest.PreparedKernel(double, "closed form")
    >>> kernel.path, kernel.call((np.array([1.0, 2.0]),), None).gradient[0].tolist()
    ('closed form', [2.0, 4.0])
    """

    call: Kernel
    path: str


@dataclass(frozen=True)
class Estimator(TypedFields, ABC):
    """States one way to get a gradient: a frozen dataclass whose fields are the hyper-parameters.

    Laws, checked by `gradest.testing.check_estimator`: the cost counted equals `cost(layout)`; inputs are never
    written to; equal `rng` seeds give equal estimates on every backend, for every chunk size and number of
    workers; the expectation is `target`.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np, gradest
    >>> @dataclass(frozen=True)
    ... class AlongOnes(gradest.Estimator):
    ...     family = "along-ones"
    ...     source, formula, cost_formula = "an example", "(f(x + h 1) - f(x - h 1)) / (2 h P) everywhere", "2 values"
    ...     step: float = 1e-6
    ...     def cost(self, layout):
    ...         return gradest.Cost(values=2)
    ...     def prepare_kernel(self, objective, *, executor=None):
    ...         loss = objective.prepare_value()
    ...         def kernel(leaves, rng):
    ...             up, down = (loss(tuple(x + h for x in leaves)) for h in (self.step, -self.step))
    ...             slope = (up - down) / (2 * self.step * objective.layout.num_parameters)
    ...             return gradest.KernelResult(None, [np.full_like(x, slope) for x in leaves])
    ...         return gradest.PreparedKernel(kernel, "black-box")
    >>> AlongOnes()(lambda x: (x * x).sum(), np.array([1.0, 2.0])).gradient.round(6).tolist()
    [3.0, 3.0]
    """

    family: ClassVar[str] = ""
    """What estimators of this class are called, whatever their hyper-parameters."""
    stochastic: ClassVar[bool] = False
    reads_data: ClassVar[bool] = False
    """Whether what is prepared depends on the numbers of a problem's data: then it is prepared anew for each batch."""
    random_step: ClassVar[bool] = False
    """Whether a step length is all that `rng` decides: estimates scatter as its error does, and draw no directions."""
    composable: ClassVar[bool] = False
    """Whether JAX's own jit, vmap and grad can trace a call: it branches on no number, and gives the value too."""

    @property
    def name(self) -> str:
        """The registered name that says most of the hyper-parameters ("spsa", "fd-central"), else the family.

        A class of a plug-in may state `name` itself, as an attribute.
        """
        return describe("estimators", self) or self.family or type(self).__name__

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
    def needs(self) -> str:
        """What it asks of a loss; a class attribute where that does not depend on the hyper-parameters."""
        return "values of the loss"

    @property
    def target(self) -> Target:
        """What the expectation is; it may depend on the hyper-parameters."""
        return Target.GRADIENT

    @property
    def smoothing(self) -> "Smoothing | None":
        """The density that the target is smoothed by, where the target is the gradient of a smoothed loss."""
        return None

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

    def predict(self, at: Situation) -> Prediction | None:
        """Return the error that theory predicts at a point of a loss, or None where it states none.

        An estimator whose error does not follow from the layout (it depends on the batch, on activations) reads
        `at.objective`, runs no estimate, and returns None without it.

        Raises
        ------
        UnsupportedError
            The estimator cannot run on the objective.
        """
        return None

    def prepare(self, objective: Objective, *, executor: Executor | None = None) -> "Prepared":
        """Return the estimator bound to an objective; everything that can be done once is done here."""
        try:
            kernel = self.prepare_kernel(objective, executor=executor)
        except Exception as error:
            tell_of_arrays(error, objective.backend)
            raise
        return Prepared(self, objective, kernel, executor=executor)

    def __call__(self, f: Bindable, params: Tree = None, *args: object, rng: Rng = None, **binding: Any) -> Estimate:
        """Return the estimate of the gradient of `f` at `params`, once.

        Each call binds and prepares anew, which on JAX compiles; `prepare(gradest.bind(f, params))` and `gradest.grad`
        keep what they prepared.

        Parameters
        ----------
        f
            An `Objective`, a `Problem`, a `Case`, or a function of one framework,
            `f(params, *args, **kwargs) -> scalar`.
        params
            A pytree of arrays, an `nn.Module` or a Gluon `Block`; by default where the objective or case is asked.
        *args
            Further arguments of the function, not differentiated.
        rng
            SPEC 7: an int, a `SeedSequence`, a `Generator`, or None for fresh entropy.
        **binding
            Passed to `gradest.bind` where `f` is not an objective: its options, and the function's own keyword
            arguments.

        Raises
        ------
        NonFiniteError
            The parameters hold NaN or infinity.
        UnsupportedError
            The backend or the objective lacks what the estimator needs, or a transformation of the framework is
            tracing the call and the estimator is not `composable`.
        """
        options = {name: value for name, value in binding.items() if name in BINDING}
        arguments = {name: value for name, value in binding.items() if name not in BINDING}
        return Calls(self, f, options)(params, args, arguments, rng)

    def value_and_grad(
        self, f: Bindable, *, argnums: Argnums = 0, has_aux: bool = False, **binding: Any
    ) -> Callable[..., tuple[Any, Any]]:
        """Return `g(*args, rng=None, **kwargs) -> (value, gradient)`, in the manner of `jax.value_and_grad`.

        The value is evaluated where the method does not give it. It prepares at its first call, and again where
        parameters or arguments change their form; a new batch of the same form is not prepared for again. Whether the
        parameters are finite is checked when it prepares, and not at later calls: that would wait for the device.

        With a `composable` estimator (reverse mode, the closed form) `jax.jit(g)`, `jax.vmap(g)` and `jax.grad` of a
        function that calls `g` work, the first call included. The others read values of the loss as they go; inside
        a transformation they raise `UnsupportedError`.

        Parameters
        ----------
        argnums
            Which positional argument is differentiated; for a tuple of places the gradient is a tuple.
        has_aux
            Whether `f` returns `(loss, auxiliary)`: then `g` returns `((value, auxiliary), gradient)`, the auxiliary
            of one evaluation more, which no derivative is taken of.
        **binding
            Options of `gradest.bind`.
        """
        return partial(value_and_gradient_at, Calls(self, f, bind_options(binding), argnums, has_aux))

    def grad(self, f: Bindable, *, argnums: Argnums = 0, has_aux: bool = False, **binding: Any) -> Callable[..., Any]:
        """Return `g(*args, rng=None, **kwargs) -> gradient`, or `(gradient, auxiliary)`; see `value_and_grad`."""
        return partial(gradient_at, Calls(self, f, bind_options(binding), argnums, has_aux))


class Prepared:
    """An estimator bound to one objective, ready to be called many times.

    It checks names, shapes, dtypes and devices of what it is given, and not whether the numbers are finite:
    that would wait for the device at each call.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> objective = gradest.bind(lambda x: (x * x).sum(), np.array([1.0, 2.0]))
    >>> prepared = gradest.get_estimator("fd-central").prepare(objective)
    >>> prepared(np.array([3.0, 4.0])).gradient.round(6).tolist()
    [6.0, 8.0]
    >>> problem = gradest.get_problem("least-squares")  # of 100 examples
    >>> prepared = gradest.get_estimator("reverse").prepare(gradest.bind(problem))
    >>> prepared(data=problem.batch_of(range(32))).gradient["w"].shape
    (20,)
    """

    def __init__(
        self, estimator: Estimator, objective: Objective, kernel: PreparedKernel, *, executor: Executor | None = None
    ) -> None:
        self.estimator = estimator
        self._executor = executor
        self.objective = objective
        if not hasattr(kernel, "call"):  # a method that is being written returns None
            raise InvalidTypeError(
                f"a PreparedKernel was asked for of {type(estimator).__name__}.prepare_kernel; found "
                f"{type(kernel).__name__}; end it by: return PreparedKernel(kernel, 'how it computes')"
            )
        self.path = kernel.path
        self.cost = estimator.cost(objective.layout)
        if not isinstance(self.cost, Cost):
            raise InvalidTypeError(
                f"a Cost was asked for of {type(estimator).__name__}.cost; found {self.cost!r}; end it by: "
                "return Cost(values=...), with jvps= and vjps= for derivatives"
            )
        first = objective.scoped(kernel.call)
        self._kernels = DataKernels(objective, self._prepare_anew, first, reads_data=estimator.reads_data)
        # Asked at each call, so asked of nobody who cannot say yes.
        self._stays_outside = not estimator.composable and objective.backend.traces
        self._may_draw = objective.is_users_own and not estimator.composable  # those evaluate once
        self._looked_at_again = False

    def __reduce__(self) -> tuple[Callable[..., "Prepared"], tuple[Objective]]:
        """Pickle the estimator and the objective; it is prepared again on arrival."""
        if self._executor is not None:
            raise TypeError("an estimator prepared with an executor cannot be pickled; prepare it where it is used")
        return self.estimator.prepare, (self.objective,)

    def _prepare_anew(self) -> Kernel:
        kernel = self.estimator.prepare_kernel(self.objective)
        self.path = kernel.path
        return self.objective.scoped(kernel.call)

    def expect_another_look(self) -> None:
        """Have each estimate note what it draws, for an evaluation after it that is to draw the same."""
        self._looked_at_again = self.objective.is_users_own

    def value(self, params: Tree = None) -> Any:
        """Return the loss at `params` (the start point by default), with the arguments of the last call."""
        return self.objective.value(params)

    def plain_value(self, params: Tree, args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
        """Return the loss of a user's function by one evaluation that nothing transforms or compiles."""
        objective = self.objective
        before = objective.take_arguments(args, kwargs) if args or kwargs else None
        try:
            return objective.plain_value(objective.leaves_at(params))
        finally:
            if before is not None:
                objective.data = before

    def __call__(self, params: Tree = None, *args: object, rng: Rng = None, **kwargs: object) -> Estimate:
        """Return the estimate at `params` (the objective's start point by default).

        Arguments, if there are any, replace those that the user's function was bound with, and stay for later calls:
        the next batch. They are not copied: what changes in them in place is seen by a later call without arguments.
        A problem takes `data=`, data of the form of its own, likewise; nothing is compiled again for the same shapes.

        Raises
        ------
        PreparationMismatchError
            `params`, `args` or `data` differ from what was prepared for in names, shapes, dtype or device.
        UnsupportedError
            Arguments were given with an executor, whose workers hold those of the binding; or a transformation of
            the framework is tracing the call, and the estimator is not `composable`.
        """
        return self.at(self.objective.leaves_at(params), rng, args, kwargs)

    def at(
        self, leaves: Leaves, rng: Rng = None, args: tuple[object, ...] = (), kwargs: Mapping[str, object] | None = None
    ) -> Estimate:
        """Return the estimate at leaves of the objective's form, which are not looked at again; raises likewise."""
        if not (args or kwargs):
            return self._estimate(leaves, rng)
        if self._executor is not None:
            raise UnsupportedError("new arguments were given with an executor; prepare again with them")
        before = self.objective.take_arguments(args, kwargs or {})
        if before is None:
            self._kernels.follow_data()
            return self._estimate(leaves, rng)
        try:
            return self._estimate(leaves, rng, traced=True)
        finally:
            # What a trace has lent means nothing after it.
            self.objective.data = before

    def _estimate(self, leaves: Leaves, rng: Rng, *, traced: bool = False) -> Estimate:
        objective = self.objective
        if self._stays_outside and (traced or any(map(objective.backend.is_abstract, leaves))):
            raise traced_call(self.estimator.name, objective.backend)
        try:
            # One draw for all evaluations of an estimate: differences between two masks of dropout are no derivative.
            if self._may_draw:
                result = self._kernels.of_one_draw(leaves, rng, elsewhere=self._executor is not None)
            elif self._looked_at_again:  # reverse mode is one evaluation, whatever it goes through
                with objective.one_estimate(), objective.common_random_numbers():
                    result = self._kernels.current(leaves, rng)
            else:
                result = self._kernels.current(leaves, rng)
        except Exception as error:
            tell_of_arrays(error, objective.backend)
            raise
        return estimate_of(result, objective, self.cost, self.path)


def estimate_of(result: KernelResult, objective: Objective, cost: Cost, path: str) -> Estimate:
    """Return what a kernel found as a user gets it, in the structure of the parameters.

    Raises
    ------
    InvalidTypeError, InvalidEstimateError
        The kernel, which may be one that is being written, returned something else, or not one array a parameter.
    """
    form = objective.form
    if not isinstance(result, KernelResult):
        raise InvalidTypeError(
            f"a KernelResult was asked for of the kernel; found {type(result).__name__}; end it by: "
            "return KernelResult(value, gradient), with None for a value that was not evaluated"
        )
    value, gradient, error, crossings, status, state_bytes = result
    names = form.layout.names
    if not isinstance(gradient, tuple | list) or len(gradient) != len(names):
        found = len(gradient) if isinstance(gradient, tuple | list) else type(gradient).__name__
        raise InvalidEstimateError(
            f"a tuple of {len(names)} arrays was asked for as the gradient of a KernelResult, one for each parameter "
            f"({', '.join(names)}); found {found}"
        )
    errors = None if error is None else form.tree_of(error)
    return Estimate(value, form.tree_of(gradient), cost, path, errors, crossings, state_bytes, status)


def get_estimator(name: str, **hyperparameters: Any) -> Estimator:
    """Return a new estimator of a name, of "module:Class" or of "file.py:Class", with the given hyper-parameters.

    Raises
    ------
    UnknownNameError
        There is no such estimator, or no such hyper-parameter beside those that the name fixes.
    InvalidInputError
        A hyper-parameter is out of range.

    Examples
    --------
    >>> import gradest
    >>> spsa = gradest.get_estimator("spsa", num_samples=20)
    >>> spsa.name, spsa.cost_formula, spsa.target.value
    ('spsa', '2N values', 'gradient of the smoothed loss')
    """
    estimator: Estimator = construct("estimators", name, hyperparameters, Estimator)
    return estimator
