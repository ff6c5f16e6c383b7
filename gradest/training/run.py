"""One run of training: a step after another, each a function of the number of the step and of the state before it.

Whatever a run does follows from its state, so that one that is stopped and goes on is the one that was not.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gradest.backend import Leaves, as_float64
from gradest.errors import NonFiniteError
from gradest.estimate import Cost
from gradest.lengths import norm_of
from gradest.measurement.timing import Stopwatch
from gradest.operations import NumpyArray
from gradest.training.batches import SameBatch, UsedUpError
from gradest.training.budget import Budget, Weights
from gradest.training.callbacks import looked_at
from gradest.training.optimizers import Optimizer
from gradest.training.quality import measured_quality
from gradest.training.records import NOT_FINITE, Quality, Record
from gradest.training.schedules import Schedule, factor_of
from gradest.training.state import TrainingState, as_leaves, as_numpy
from gradest.training.step import Step, placed
from gradest.training.subject import Look, number_of

_BEFORE = "the parameters are those before it"

_QUALITY = 1
"""In a seed, the word that tells replicates of a measurement from the estimate of the step."""


class Run:
    """A run from its state on; `state` is where it stands."""

    def __init__(
        self,
        step: Step,
        *,
        budget: Budget,
        schedule: Schedule,
        look: Look,
        held_out: Look | None,
        patience: int | None,
        log_every: int,
        quality: tuple[int, int] | None,
        after_step: Callable[[int, Any], None] | None,
        state: TrainingState,
    ) -> None:
        self.step = step
        self.state = state
        if state.best is not None and (patience is None or _held_out_was_watched(state) != (held_out is not None)):
            # The least loss of other data says nothing of these; of a run that watches nothing the last is returned.
            self.state = replace(state, best=None, best_step=None, best_loss=None, waited=0)
        self._budget = budget
        self._schedule = schedule
        self._look = look
        self._held_out = held_out
        self._patience = patience
        self._log_every = log_every
        self._quality = quality
        self._after_step = after_step
        self._watch = Stopwatch(state.seconds)
        objective = step.objective
        self.leaves = placed(objective, state.params)
        self._moments: tuple[Leaves, ...] = tuple(
            placed(objective, kept, dtype) for kept, dtype in zip(state.moments, objective.dtypes, strict=True)
        )
        self._kept = objective.scoped(as_leaves)(state.estimator, objective.backend)
        self._place: Any = None
        self._go_on()
        self._gradient_norm: Mapping[str, float] = state.records[-1].gradient_norm if state.records else {}
        self._gradient: Leaves = ()
        self._step_size = state.records[-1].step_size if state.records else 0.0
        self._looked = step.subject.looked

    def _go_on(self) -> None:
        """Pass over the batches of steps that were made, and draw from then on what would have been drawn."""
        subject, state = self.step.subject, self.state
        with suppress(UsedUpError):  # which the next step says
            # Before the generator is set: a loader that shuffles draws the orders of its epochs from it.
            subject.batches.pass_over(state.step)
        if state.random is not None:
            self._place = as_leaves(state.random, subject.objective.backend)
        self._rewind()

    # -- the loop -----------------------------------------------------------------------------------------
    def go(self, on_state: Callable[[TrainingState], None] | None) -> TrainingState:
        """Make steps to the end, and tell of the state at each log."""
        if not self.state.records:
            self._log()
            if on_state is not None:  # of a slow loss the first sign of life, and a place to go on from
                on_state(self._whole())
        self.state = replace(self.state, ended=self._out_of_patience())  # one that went on has no more of it
        while not self.state.ended:
            # The limit first: a run that goes on with a budget that is spent makes no step.
            ended = self._limit() or self._advance()
            due = self.state.step % self._log_every == 0 or bool(ended)
            if due and self.state.records[-1].step != self.state.step:
                self._log()
            self.state = replace(self.state, ended=ended or self._out_of_patience())
            if due and on_state is not None:
                on_state(self._whole())
        return self._whole()

    def _limit(self) -> str:
        state = self.state
        reached = self._budget.reached(steps=state.step, epochs=self._epoch(), seconds=self._watch.seconds)
        # What is counted can be told before a step, time only after it: a budget of seconds is passed by a part of one.
        exceeded = self._budget.exceeded(state.cost + self.step.cost, state.weights)
        if reached or state.step or not exceeded:
            # What a step costs is said where not one fits: else it is in the log.
            return reached or exceeded
        cost = self.step.cost
        in_losses = f", {state.weights.of(cost):.3g} losses" if cost.jvps or cost.vjps else ""
        return f"{exceeded}; one takes {cost}{in_losses}"

    def _epoch(self) -> float | None:
        per_epoch = self.step.subject.batches.per_epoch
        return None if per_epoch is None else self.state.step / per_epoch

    def _advance(self) -> str:
        """Make a step; return why it could not be made, or ""."""
        number = self.state.step
        try:
            call = self.step.subject.batches.at(number)
        except UsedUpError as error:
            return str(error)
        # Neither the loader before nor the callback after is time of the method that is measured.
        with self._watch:
            found = self._searched(number, call) if self.step.estimator is None else self._descended(number, call)
        if isinstance(found, str):
            return found
        self.leaves, cost = found
        self.state = replace(self.state, step=number + 1, cost=self.state.cost + cost, seconds=self._watch.seconds)
        if self._after_step is not None:
            looked_at(self.step.objective, "after_step", partial(self._after_step, number + 1), self.leaves)
        return ""

    def _descended(self, number: int, call: Any) -> tuple[Leaves, Cost] | str:
        step = self.step
        try:
            # A seed of the run and the step, not a generator that goes on: a run that is resumed has no past to draw.
            estimate, kept = step.estimate(self.leaves, np.random.SeedSequence([step.seed, number]), call, self._kept)
        except NonFiniteError as error:
            return self._lost(f"the estimate ({error})")
        # An infinite loss may have a finite gradient, as one with an infinite constant in it.
        if estimate.value is not None and not math.isfinite(number_of(step.objective, estimate.value)):
            return self._lost("the loss")
        gradient = step.objective.form.gradient_leaves(estimate.gradient)
        broken = step.broken(gradient)
        if broken:
            return self._lost(f"the estimate of the gradient by {broken!r}")
        size = self._step_size_of(gradient, number)
        if isinstance(size, str):
            return size
        leaves, moments = step.stepped(self.leaves, gradient, self._moments, size, number + 1)
        broken = step.broken(leaves, moments)
        if broken:
            return self._burst(step.broken(leaves), broken, number)
        # Together, after all that ends a run: the state of one that ended is whole, that before its last step.
        self._moments, self._kept, self._step_size, self._gradient = moments, kept, size, gradient
        self._gradient_norm = {}
        return leaves, estimate.cost

    def _burst(self, params: str, either: str, number: int) -> str:
        """Return that parameters are not finite any more, or what is remembered of them where they are."""
        if params:
            return f"the parameters {params!r} became {NOT_FINITE} at step {number + 1}; {_BEFORE}"
        # Adam's steps are a quotient by the root of squares: by an infinite one they are 0, and would be so for good.
        return (
            f"what {type(self.step.optimizer).__name__} remembers of {either!r} became {NOT_FINITE} at step "
            f"{number + 1}, beyond the range of {self.step.objective.dtype}; {_BEFORE}; scale the loss down, or use a "
            "dtype of a wider range"
        )

    def _lost(self, what: str) -> str:
        """Return that something is not finite where the run stands; at the start no step has made it so."""
        step, first = self.state.step, self.state.records[0].loss
        if step:
            return f"{what} became {NOT_FINITE} at step {step + 1}; {_BEFORE}"
        if not math.isfinite(first):
            return f"the loss is {NOT_FINITE} at the starting point, before any step; start where it is a number"
        batch = "" if isinstance(self.step.subject.batches, SameBatch) else " on the first batch"
        return f"{what} is {NOT_FINITE} at the starting point{batch}, where the loss is {first:.6g}; no step was made"

    def _step_size_of(self, gradient: Leaves, number: int) -> float | str:
        """Return the size of a step, or why an exact line search has none."""
        optimizer = self.step.optimizer
        assert isinstance(optimizer, Optimizer)
        size = float(optimizer.step_size) * factor_of(self._schedule, number)
        if not optimizer.searches_line:
            return size
        squared, curvature = self.step.subject.along(gradient)
        if squared == 0.0:  # at the least loss there is nothing to divide, and no way to go
            return 0.0
        if not curvature > 0.0:
            return f"the loss has no least value along its gradient (g^T H g <= 0) at step {number + 1}; {_BEFORE}"
        return size * squared / curvature

    def _searched(self, number: int, call: Any) -> tuple[Leaves, Cost] | str:
        candidate = self.step.tried(self.leaves, number)
        # The loss here is asked again at each step: the last one was on another batch.
        here, there = self.step.values(call, self.leaves, candidate)
        if not math.isfinite(here):
            return self._lost("the loss")
        # A candidate whose loss is NaN is not better; the parameters before are another array, and are as they were.
        return (candidate if there < here else self.leaves), Cost(values=2)

    # -- the log ------------------------------------------------------------------------------------------
    def _norms(self, leaves: Leaves) -> dict[str, float]:
        backend, names = self.step.objective.backend, self.step.objective.layout.names
        return {name: norm_of(as_float64(backend, leaf)) for name, leaf in zip(names, leaves, strict=True)}

    def _log(self) -> None:
        # At each log, kept or not: a framework that cannot tell draws a seed for it.
        self._place = self._random_state()
        self.state = replace(self.state, random=as_numpy(self._place, self.step.objective.backend))
        state = self.state
        loss, metrics = self._look(self.leaves)
        other, other_metrics = (None, {}) if self._held_out is None else self._held_out(self.leaves)
        if not self._gradient_norm and state.step and self.step.estimator is not None:
            self._gradient_norm = self._norms(self._gradient)
        record = Record(
            step=state.step,
            epoch=self._epoch(),
            cost=state.cost,
            losses=state.weights.of(state.cost),
            seconds=self._watch.seconds,
            step_size=self._step_size,
            loss=loss,
            metrics=metrics,
            held_out_loss=other,
            held_out_metrics=other_metrics,
            params_norm=self._norms(self.leaves),
            gradient_norm=self._gradient_norm,
            quality=self._measured(),
        )
        self.state = replace(self.state, records=(*state.records, record))  # measuring has written into the state
        self._watch_best(loss if other is None else other)
        self._rewind()

    def _random_state(self) -> Any:
        objective = self.step.objective
        return objective.backend.random_state() if objective.is_users_own else None

    def _rewind(self) -> None:
        """Put the framework's generator to its place, where the log found it: looking draws nothing that steps draw."""
        if self._place is not None:
            self.step.objective.backend.set_random_state(self._place)

    def _measured(self) -> Quality | None:
        step, state = self.step, self.state
        if self._quality is None or step.estimator is None or not self._quality_is_due(self._quality[0]):
            return None
        self._rewind()
        try:
            call = step.subject.batches.at(state.step)
        except UsedUpError:  # of the end of a run there is no next batch to measure on
            return None
        self._place = self._random_state()  # a loader that shuffles has drawn the order of an epoch, which stays
        step.renew()
        if any(call):
            step.objective.take_arguments(*call)
        form = step.objective.form

        def draw(seed: Any) -> Leaves:
            self._rewind()
            return form.gradient_leaves(step.estimate(self.leaves, seed, call, self._kept)[0].gradient)

        before = step.objective.counts
        self._rewind()  # a layer that draws (dropout) makes a loss of each draw: reference and estimates are of one
        # Seeds of their own: the estimate of the step is not among those that it is judged by, nor moved by them.
        seeds = [np.random.SeedSequence([step.seed, state.step, _QUALITY, k]) for k in range(self._quality[1])]
        found = measured_quality(step.objective, step.estimator, self.leaves, draw, seeds=seeds)
        self.state = replace(state, logging_cost=state.logging_cost + (step.objective.counts - before))
        return found

    def _quality_is_due(self, every: int) -> bool:
        """Whether a multiple of so many steps was passed since it was last measured: logs need not fall on them."""
        measured = [record.step for record in self.state.records if record.quality is not None]
        return not measured or self.state.step // every > measured[-1] // every

    def _watch_best(self, loss: float) -> None:
        if self._patience is None:
            return
        state = self.state
        # Of a log, not of each step: the loss of a batch goes up and down by chance, and the least of many is luck.
        if not math.isnan(loss) and (state.best_loss is None or loss < state.best_loss):  # NaN is no least
            best = self._to_numpy(self.leaves)
            self.state = replace(state, best=best, best_step=state.step, best_loss=loss, waited=0)
        else:
            self.state = replace(state, waited=state.waited + 1)

    def _out_of_patience(self) -> str:
        if self._patience is None or self.state.waited < self._patience:
            return ""
        watched = "training" if self._held_out is None else "held-out"
        if self.state.best_loss is None:
            return f"the {watched} loss was NaN at {self.state.waited} logs; the parameters are the last ones"
        return (
            f"the {watched} loss was not below its least, {self.state.best_loss:.6g} at step {self.state.best_step}, "
            f"at {self.state.waited} logs; the parameters are those of that step"
        )

    def _to_numpy(self, leaves: Leaves) -> tuple[NumpyArray, ...]:
        return tuple(self.step.objective.backend.numpy(leaf) for leaf in leaves)

    def _whole(self) -> TrainingState:
        """Return the state with the arrays as NumPy's."""
        looked = self.step.subject.looked
        self.state = replace(
            self.state,
            params=self._to_numpy(self.leaves),
            moments=tuple(self._to_numpy(kept) for kept in self._moments),
            estimator=as_numpy(self._kept, self.step.objective.backend),
            # Objectives count from when they were bound, a state from the start of its run: what is new is added.
            logging_cost=self.state.logging_cost + (looked - self._looked),
            seconds=self._watch.seconds,
        )
        self._looked = looked
        return self.state


def _held_out_was_watched(state: TrainingState) -> bool:
    """Return whether the least loss of a state is of data that were held out."""
    return any(record.step == state.best_step and record.held_out_loss is not None for record in state.records)


def first_state(step: Step, run: str, weights: Weights) -> TrainingState:
    """Return the state before the first step."""
    backend = step.objective.backend
    return TrainingState(
        run=run,
        step=0,
        cost=Cost(),
        seconds=0.0,
        params=tuple(backend.numpy(leaf) for leaf in step.objective.start),
        moments=tuple(tuple(backend.numpy(m) for m in kept) for kept in step.zeros()),
        weights=weights,
        records=(),
        estimator=as_numpy(step.init_state(), backend),
    )
