"""The contract of an estimator that remembers: what it keeps between estimates goes in and comes out with each call.

Nothing is remembered behind the caller's back: a state is a value, so that a run can be kept, resumed and replicated.
Whoever replicates starts each replicate from a fresh state.
"""

from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Leaves
from gradest.calls import traced_call
from gradest.data_kernels import DataKernels
from gradest.directions.keys import Rng
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.estimate import Cost, Estimate, KernelResult
from gradest.estimator import Estimator, PreparedKernel, estimate_of
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.tree import Tree

State = Any
"""Nested tuples, lists and dicts of numbers, NumPy arrays, leaves and None; never written to."""

StatefulKernel = Callable[[Leaves, Rng, State], tuple[KernelResult, State]]
"""`(parameter leaves, rng, state) -> (KernelResult, the next state)`."""


@dataclass(frozen=True)
class PreparedStatefulKernel:
    """A stateful kernel, and the path it takes.

    Examples
    --------
    >>> import gradest
    >>> count = lambda leaves, rng, state: (gradest.KernelResult(None, leaves), state + 1)
    >>> kernel = gradest.PreparedStatefulKernel(count, "counting")
    >>> result, state = kernel.call((), None, 0)
    >>> kernel.path, state
    ('counting', 1)
    """

    call: StatefulKernel
    path: str


@dataclass(frozen=True)
class StatefulEstimator(Estimator):
    """States a way to get a gradient that uses what earlier estimates have found.

    Used as any other estimator, each estimate is the first of a run, so that replicates share nothing; `prepare_run`
    gives the others.

    Laws: a state is never written to; equal states, seeds and parameters give equal estimates and equal next states;
    the cost counted equals `cost_from(layout, state)`, and from the first state `cost(layout)`.

    Examples
    --------
    >>> from dataclasses import dataclass, replace
    >>> import numpy as np, gradest
    >>> @dataclass(frozen=True)
    ... class Averaged(gradest.StatefulEstimator):
    ...     family, source, formula, cost_formula = "averaged", "an example", "mean of the gradients so far", "1 VJP"
    ...     def cost(self, layout):
    ...         return gradest.Cost(vjps=1)
    ...     def cost_from(self, layout, state):
    ...         return self.cost(layout)
    ...     def init_state(self, objective):
    ...         return 0, 0.0
    ...     def prepare_stateful_kernel(self, objective, *, executor=None):
    ...         gradient, path = objective.prepare_gradient("auto")
    ...         def kernel(leaves, rng, state):
    ...             value, (block,) = gradient(leaves)
    ...             count, total = state[0] + 1, state[1] + block
    ...             return gradest.KernelResult(value, [total / count]), (count, total)
    ...         return gradest.PreparedStatefulKernel(kernel, path)
    >>> run = Averaged().prepare_run(gradest.bind(gradest.get_problem("quadratic", size=3)))
    >>> state = run.init_state()
    >>> estimate, state = run({"x": np.ones(3)}, state=state)
    >>> estimate, state = run({"x": np.zeros(3)}, state=state)
    >>> state[0], str(estimate.cost)
    (2, '1 VJP')
    """

    @abstractmethod
    def cost_from(self, layout: Layout, state: State) -> Cost:
        """Return what the estimate that starts from a state costs, before it runs."""

    @abstractmethod
    def init_state(self, objective: Objective) -> State:
        """Return the state before the first estimate; evaluates nothing."""

    @abstractmethod
    def prepare_stateful_kernel(
        self, objective: Objective, *, executor: Executor | None = None
    ) -> PreparedStatefulKernel:
        """Return the kernel for one objective, as `Estimator.prepare_kernel` does."""

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        """Return a kernel whose every estimate is the first of a run."""
        prepared = self.prepare_stateful_kernel(objective, executor=executor)

        def first(leaves: Leaves, rng: Rng) -> KernelResult:
            result, after = prepared.call(leaves, rng, self.init_state(objective))
            # Dropped, but told: what it would hand on is a part of what the method costs.
            return result._replace(state_bytes=state_bytes(after))

        return PreparedKernel(first, prepared.path)

    def prepare_run(self, objective: Objective, *, executor: Executor | None = None) -> "PreparedRun":
        """Return the estimator bound to an objective, ready to be called with a state each time."""
        return PreparedRun(
            self, objective, self.prepare_stateful_kernel(objective, executor=executor), executor=executor
        )


class PreparedRun:
    """A stateful estimator bound to one objective; holds no state itself.

    Used as `estimate, state = run(params, state=state, rng=seed)`, beginning with `state = run.init_state()`.
    """

    def __init__(
        self,
        estimator: StatefulEstimator,
        objective: Objective,
        kernel: PreparedStatefulKernel,
        *,
        executor: Executor | None = None,
    ) -> None:
        self.estimator = estimator
        self.objective = objective
        self.path = kernel.path
        self._executor = executor
        first = objective.scoped(kernel.call)
        self._kernels = DataKernels(objective, self._prepare_anew, first, reads_data=estimator.reads_data)

    def _prepare_anew(self) -> StatefulKernel:
        kernel = self.estimator.prepare_stateful_kernel(self.objective)
        self.path = kernel.path
        return self.objective.scoped(kernel.call)

    def init_state(self) -> State:
        """Return the state before the first estimate."""
        return self.estimator.init_state(self.objective)

    def __call__(
        self, params: Tree = None, *args: object, state: State, rng: Rng = None, **kwargs: object
    ) -> tuple[Estimate, State]:
        """Return the estimate at `params` (the start point by default), and the next state.

        Arguments replace the function's, and stay, as `Prepared` has it. The estimate says how much memory the
        next state takes.

        Raises
        ------
        PreparationMismatchError
            `params` or `args` differ from what was prepared for.
        UnsupportedError
            Arguments were given with an executor, or a transformation of the framework is tracing the call: a state
            is values, which it has none of.
        """
        objective = self.objective
        leaves = objective.leaves_at(params)
        if (args or kwargs) and self._executor is not None:
            raise UnsupportedError("new arguments were given with an executor; prepare again with them")
        before = objective.take_arguments(args, kwargs) if args or kwargs else None
        if before is not None or any(map(objective.backend.is_abstract, leaves)):
            # What is being traced means nothing after this call, and must not stay bound.
            objective.data = objective.data if before is None else before
            raise traced_call(self.estimator.name, objective.backend, "it keeps a state; call it outside")
        if args or kwargs:
            self._kernels.follow_data()
        # Of the state that goes in: a first estimate may cost more, or less, than those that have a last one.
        cost = self.estimator.cost_from(objective.layout, state)
        result, after = self._kernels.of_one_draw(leaves, rng, state, elsewhere=self._executor is not None)
        estimate = estimate_of(result, objective, cost, self.path)
        return replace(estimate, state_bytes=state_bytes(after)), after


def state_of_size(state: State, size: int, *, holds: str) -> NDArray[np.float64] | None:
    """Return a state that is one array of numbers, `(size,)`, or None before the first estimate.

    Raises
    ------
    InvalidInputError
        It is of another shape, as the state of another run may be; `holds` says what was asked for.

    Examples
    --------
    >>> from gradest.stateful import state_of_size
    >>> state_of_size([1.0, 2.0], 2, holds="two values").tolist()
    [1.0, 2.0]
    """
    if state is None:
        return None
    shape = np.shape(state)
    if shape != (size,):
        raise InvalidInputError(
            f"a state of {holds} was asked for, an array of shape ({size},); found one of shape {shape}; is it that of "
            "another run? Begin with init_state()"
        )
    return np.asarray(state, dtype=np.float64)


def state_bytes(state: State) -> int:
    """Return the memory that a state takes: its arrays and numbers, in bytes.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> gradest.state_bytes({"last gradient": np.zeros(100), "last value": None})
    800
    """
    if isinstance(state, dict):
        return sum(state_bytes(item) for item in state.values())
    if isinstance(state, tuple | list):
        return sum(state_bytes(item) for item in state)
    if state is None:
        return 0
    # A framework's array says it without being copied to the host.
    nbytes = getattr(state, "nbytes", None)
    return int(np.asarray(state).nbytes if nbytes is None else nbytes)
