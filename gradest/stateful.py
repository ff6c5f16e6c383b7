"""The contract of an estimator that remembers: what it keeps between estimates goes in and comes out with each call.

Nothing is remembered behind the caller's back: a state is a value, so that a run can be kept, resumed and replicated.
Whoever replicates starts each replicate from a fresh state.
"""

from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradest.backend import Leaves
from gradest.directions.keys import Rng
from gradest.errors import UnsupportedError
from gradest.estimate import Cost, Estimate, KernelResult
from gradest.estimator import Estimator, PreparedKernel
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.tree import Tree

State = Any
"""Nested tuples, lists and dicts of numbers, NumPy arrays, leaves and None; never written to."""

StatefulKernel = Callable[[Leaves, Any, State], tuple[KernelResult, State]]
"""`(parameter leaves, rng, state) -> (KernelResult, the next state)`."""


@dataclass(frozen=True)
class PreparedStatefulKernel:
    """A stateful kernel, and the path it takes."""

    call: StatefulKernel
    path: str


@dataclass(frozen=True)
class StatefulEstimator(Estimator):
    """States a way to get a gradient that uses what earlier estimates have found.

    Used as any other estimator, each estimate is the first of a run; `prepare_run` gives the others.

    Laws: a state is never written to; equal states, seeds and parameters give equal estimates and equal next states;
    the cost counted equals `cost(layout)` for the first estimate and `later_cost(layout)` for the others.
    """

    @abstractmethod
    def later_cost(self, layout: Layout) -> Cost:
        """Return what each estimate after the first one costs."""

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
            return prepared.call(leaves, rng, self.init_state(objective))[0]

        return PreparedKernel(first, prepared.path)

    def prepare_run(self, objective: Objective, *, executor: Executor | None = None) -> "PreparedRun":
        """Return the estimator bound to an objective, ready to be called with a state each time."""
        return PreparedRun(self, objective, self.prepare_stateful_kernel(objective, executor=executor))


class PreparedRun:
    """A stateful estimator bound to one objective; holds no state itself.

    Examples
    --------
    `estimate, state = run(params, state=state, rng=seed)`, beginning with `state = run.init_state()`.
    """

    def __init__(self, estimator: StatefulEstimator, objective: Objective, kernel: PreparedStatefulKernel) -> None:
        self.estimator = estimator
        self.objective = objective
        self.path = kernel.path
        self._kernel = objective.scoped(kernel.call)

    def init_state(self) -> State:
        """Return a fresh state."""
        return self.estimator.init_state(self.objective)

    def __call__(self, params: Tree = None, *args: object, state: State, rng: Rng = None) -> tuple[Estimate, State]:
        """Return the estimate at `params` (the start point by default), and the next state.

        Raises
        ------
        PreparationMismatchError
            `params` or `args` differ from what was prepared for.
        UnsupportedError
            The parameters are being traced by a transformation of the framework.
        """
        objective = self.objective
        if args:
            objective.take_arguments(args)
        leaves = objective.start if params is None else objective.form.leaves_of(params)
        if any(map(objective.backend.is_abstract, leaves)):
            raise UnsupportedError(f"{self.estimator.name!r} keeps a state, and cannot be traced by a transformation")
        before = objective.counts
        result, after = self._kernel(leaves, rng, state)
        gradient = objective.form.tree_of(result.gradient)
        return Estimate(result.value, gradient, objective.counts - before, self.path), after


def state_bytes(state: State) -> int:
    """Return the memory that a state takes: its arrays and numbers, in bytes."""
    if isinstance(state, dict):
        return sum(state_bytes(item) for item in state.values())
    if isinstance(state, tuple | list):
        return sum(state_bytes(item) for item in state)
    if state is None:
        return 0
    nbytes = getattr(state, "nbytes", None)
    return int(np.asarray(state).nbytes if nbytes is None else nbytes)
