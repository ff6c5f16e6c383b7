"""What is trained: a loss with its batches, and what of it is looked at beside the steps. Knows no optimiser."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from gradest.arguments import Given
from gradest.backend import Leaves, as_float64
from gradest.binding import Bindable, bind_given
from gradest.case import Case
from gradest.closed_over import ClosedOver
from gradest.errors import InvalidInputError
from gradest.estimate import Cost
from gradest.objective import Objective
from gradest.operations import Array, Operations
from gradest.problem import Metric, Problem
from gradest.training.batches import Batches, GivenBatches, ProblemBatches, SameBatch, Source
from gradest.training.callbacks import Metrics, as_metrics, metric_of
from gradest.tree import Tree

Scores = tuple[float, dict[str, float]]
"""A loss, and metrics by name."""

Look = Callable[[Leaves], Scores]
"""What is looked at: parameter leaves -> scores."""


class Subject:
    """A loss bound for steps, and its looks at the training data and at those held out.

    Attributes
    ----------
    objective
        Whose data are the batch of the step.
    batches
        The batches.
    problem
        The problem, or None for a user's function.
    """

    def __init__(
        self,
        f: Bindable,
        params: Tree,
        *,
        batches: Source | None,
        batch_size: int | None,
        order: Mapping[str, Any],
        binding: Mapping[str, Any],
        metrics: Metrics | None = None,
    ) -> None:
        if not isinstance(f, Problem | Case):
            raise InvalidInputError(
                f"train takes a Problem, or gradest.Case(f, params, args) for a function; found {type(f).__name__}"
            )
        self.problem = f if isinstance(f, Problem) else None
        if self.problem is not None and metrics is not None:
            raise InvalidInputError("metrics were given with a problem, which has its own")
        self._metrics = as_metrics(metrics)
        self._named = dict(f.kwargs) if isinstance(f, Case) else {}
        self.batches = _batches(self.problem, batches, batch_size, order, self._named)
        whole = f.args if isinstance(f, Case) else ()
        if isinstance(f, Case) and batches is not None and not whole:
            whole = self.batches.at(0)[0]  # a function needs arguments to be bound with
        # With the first batch, whose shapes the kernels are prepared for; all of the data may be far larger.
        call: Any = self.batches.at(0) if self.problem is not None else (whole, self._named)
        self.objective = bind_given(f, params, call, **binding)
        self._bind: Callable[[Given], Objective] = lambda given: bind_given(f, params, given, **binding)
        self._looks: list[Objective] = []
        self._past = Cost()
        compiles = isinstance(f, Case) and "compile" in self.objective.backend.native
        self._closed_over = ClosedOver(f.f) if isinstance(f, Case) and compiles else None
        self._times_bound = 1
        self.note()

    def note(self) -> None:
        """Note what the function closes over; after an evaluation, in which a loss may count its own calls."""
        self._constants = None if self._closed_over is None else self._closed_over.values()

    def renewed(self) -> int:
        """Bind the function again if what it closes over was replaced since the last evaluation; return how often.

        A callback that anneals a temperature replaces it between steps. What JAX has compiled holds the old one as a
        constant, and does so whenever the same bound function is compiled once more: it takes a new binding.
        """
        if self._closed_over is not None and self._closed_over.values() != self._constants:
            self.objective = self.objective.rebound()
            self._times_bound += 1
            self.note()
        return self._times_bound

    @property
    def looked(self) -> Cost:
        """What the looks have evaluated; the metrics, which are forward passes too, count one value each."""
        return sum((objective.counts for objective in self._looks), self._past)

    def training(self) -> Look:
        """Return the look at the training data: all of a problem's, for a function those it was given with."""
        if self.problem is not None:
            return self._problem_look(self.problem, None)
        # Separate: it keeps the case's own arguments while those of the steps are replaced, and counts apart.
        return self._function_look(self.objective.separate(), self._metrics)

    def held_out(self, data: Any) -> Look:
        """Return the look at other data: another problem of the same form, its data, or arguments of a function.

        Raises
        ------
        InvalidInputError
            They are of another kind.
        """
        if self.problem is not None:
            if isinstance(data, Problem) and data.layout != self.problem.layout:
                raise InvalidInputError(
                    f"data that are held out must be of the same form; the parameters are {self.problem.layout}, there "
                    f"{data.layout}"
                )
            return self._problem_look(self.problem, data.data() if isinstance(data, Problem) else data)
        if not isinstance(data, tuple):
            raise InvalidInputError(
                f"held_out must be a tuple of the function's arguments, such as (x, y); found {type(data).__name__}"
            )
        other = self.objective.separate()
        other.take_arguments(data, self._named)
        # No metrics: they are functions of the parameters alone, the same whatever data are held out.
        return self._function_look(other, {})

    def _problem_look(self, problem: Problem, data: Mapping[str, Any] | None) -> Look:
        objective = self._bind(((), {} if data is None else {"data": data}))
        self._looks.append(objective)
        value = objective.prepare_value()
        metrics = {name: self._metric(objective, metric) for name, metric in problem.metrics.items()}

        def look(leaves: Leaves) -> Scores:
            loss = number_of(objective, value(leaves))
            scores = {name: number_of(objective, metric(leaves, objective.data)) for name, metric in metrics.items()}
            # A metric is a forward pass that the objective does not see.
            objective.count(Cost(values=len(scores)))
            return loss, scores

        return look

    def _metric(self, objective: Objective, metric: Metric) -> Callable[..., Array]:
        names, backend = objective.layout.names, objective.backend

        def text(ops: Operations, leaves: Leaves, data: Mapping[str, Array]) -> Array:
            return metric(ops, dict(zip(names, leaves, strict=True)), data)

        return objective.scoped(backend.compile(backend.compile_loss(partial(text, objective.ops))))

    def _function_look(self, objective: Objective, metrics: Metrics) -> Look:
        self._looks.append(objective)
        value, times_bound = objective.prepare_value(), self._times_bound

        def look(leaves: Leaves) -> Scores:
            nonlocal objective, value, times_bound
            if times_bound != self.renewed():
                # The old one is let go, with what was compiled of it: a run may anneal at each of its steps.
                self._past += objective.counts
                self._looks.remove(objective)
                # With the arguments of its own, which are not those of the step; without what binding has evaluated.
                objective, times_bound = objective.rebound().separate(), self._times_bound
                self._looks.append(objective)
                value = objective.prepare_value()
            loss = number_of(objective, value(leaves))
            self.note()
            return loss, {name: metric_of(objective, name, metric, leaves) for name, metric in metrics.items()}

        return look

    def along(self, gradient: Leaves) -> tuple[float, float]:
        """Return `d^T d` and `d^T H d` of a quadratic problem on the batch that is bound, d a multiple of the gradient.

        Their quotient is that of the gradient itself, whose squares may be out of range.
        """
        assert self.problem is not None
        backend = self.objective.backend
        blocks = [as_float64(backend, leaf) for leaf in gradient]
        # Of size one, whatever H is: 1e80 may be squared, and times an H of 1e180 may not.
        largest = max((float(np.max(np.abs(block), initial=0.0)) for block in blocks), default=0.0)
        unit = math.ldexp(1.0, math.frexp(largest)[1] - 1)  # a power of two, by which division rounds nothing
        direction = {name: block / unit for name, block in zip(self.objective.layout.names, blocks, strict=True)}
        data = {name: as_float64(backend, x) for name, x in self.objective.data.items()}
        squared = sum(float(np.vdot(block, block)) for block in direction.values())
        return squared, self.problem.curvature_along(direction, data)


def number_of(objective: Objective, value: Array) -> float:
    """Return a loss as a number of Python's; this waits for the device."""
    return float(as_float64(objective.backend, value))


def _batches(
    problem: Problem | None,
    batches: Source | None,
    batch_size: int | None,
    order: Mapping[str, Any],
    named: dict[str, Any],
) -> Batches:
    if batches is not None and batch_size is not None:
        raise InvalidInputError("batches and batch_size were both given; keep one")
    if batches is not None:
        return GivenBatches(batches, of_problem=problem is not None, named=named)
    if batch_size is None:
        return SameBatch(per_epoch=1)
    if problem is None:
        raise InvalidInputError(
            "batch_size was given with a function, whose arguments say nothing of examples; pass batches: an iterable "
            "of its arguments, such as a DataLoader, or a function of the step"
        )
    return ProblemBatches(problem, batch_size, **order)
