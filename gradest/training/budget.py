"""What training may cost, and what an evaluation counts: limits, and the price of derivatives in losses."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from numbers import Real

from gradest.backend import Leaves
from gradest.errors import InvalidInputError, InvalidTypeError, UnsupportedError
from gradest.estimate import Cost
from gradest.estimator import get_estimator
from gradest.fields import TypedFields, make_plain
from gradest.measurement.timing import calibrate, time_block
from gradest.objective import Objective
from gradest.operations import Array, Data
from gradest.real_numbers import real_number
from gradest.tangents import Dense
from gradest.training.generator import generator_kept

_ROUNDS = 5
"""Blocks of each of two calls, in turn, so that what slows the machine for a while slows both."""
_BLOCK_SECONDS = 0.01
"""Length of a block: far more than a step of the clock, and ten of them are a tenth of a second before a run."""
_MOST_SECONDS = 1.0
"""After so long no further round begins: a slow loss would keep a run from its first step, with nothing to show."""


@dataclass(frozen=True)
class Budget(TypedFields):
    """States what training may cost; it ends before the step that would cost more than any limit that is given.

    Attributes
    ----------
    losses
        In loss-equivalents: values, and JVPs and VJPs by their weights.
    evaluations
        Values, JVPs and VJPs, each counted as one.
    steps, epochs
        Steps of the optimiser; passes over the data.
    seconds
        Of training alone; what is logged takes none of it.
    cost
        Values, JVPs and VJPs, a limit for each kind; one that is 0 forbids it.

    Examples
    --------
    >>> from gradest.training import Budget
    >>> Budget(steps=100, seconds=60.0)
    Budget(losses=None, evaluations=None, steps=100, epochs=None, seconds=60.0, cost=None)
    """

    losses: float | None = None
    evaluations: int | None = None
    steps: int | None = None
    epochs: float | None = None
    seconds: float | None = None
    cost: Cost | None = None

    def __post_init__(self) -> None:
        """Refuse a budget without a limit, and limits that allow nothing."""
        make_plain(self)
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        if all(limit is None for limit in given.values()):
            raise InvalidInputError(f"a budget needs a limit: one of {', '.join(given)}; try Budget(steps=100)")
        for name, limit in given.items():
            # A Cost may be 0 in a kind, which forbids that kind; a limit of 0 steps asks for nothing.
            if name != "cost" and limit is not None:
                real_number(name, limit, "(0, inf)", example=100)

    def reached(self, *, steps: int, epochs: float | None, seconds: float) -> str:
        """Return which limit of steps, epochs or time is reached, or ""."""
        if self.steps is not None and steps >= self.steps:
            return f"{steps} steps were made"  # of a run that goes on, more than the limit
        if self.epochs is not None and epochs is not None and epochs >= self.epochs:
            return f"{epochs:g} epochs were passed"
        if self.seconds is not None and seconds >= self.seconds:
            return f"{self.seconds:g} s were spent"
        return ""

    def exceeded(self, cost: Cost, weights: "Weights") -> str:
        """Return which limit of evaluations a cost is beyond, or ""."""
        # Each counted as one, whatever it takes: what papers that count queries state.
        total = cost.values + cost.jvps + cost.vjps
        if self.losses is not None and weights.of(cost) > self.losses:
            return f"the next step would cost more than {self.losses:g} loss-equivalents in all"
        if self.evaluations is not None and total > self.evaluations:
            return f"the next step would take more than {self.evaluations} evaluations in all"
        if self.cost is not None and any(
            getattr(cost, each.name) > getattr(self.cost, each.name) for each in fields(cost)
        ):
            return f"the next step would take more than {self.cost} in all"
        return ""


def as_budget(budget: "Budget | Cost | float") -> Budget:
    """Return a budget; a number is one of loss-equivalents, a `Cost` one of each kind of evaluation.

    Raises
    ------
    InvalidTypeError
        It is none of these.
    """
    if isinstance(budget, Budget):
        return budget
    if isinstance(budget, Cost):
        return Budget(cost=budget)
    if isinstance(budget, bool) or not isinstance(budget, Real):
        raise InvalidTypeError(
            f"budget must be a gradest.training.Budget, a gradest.Cost or a number of losses; found {budget!r}; try "
            "gradest.training.Budget(steps=100)"
        )
    return Budget(losses=real_number("budget", budget, "(0, inf)", example=100))


def require_epochs(budget: Budget, per_epoch: int | None) -> None:
    """Refuse a number of epochs of batches that do not say how many there are: it would never be reached.

    Raises
    ------
    InvalidInputError
        Epochs were given, and cannot be counted.
    """
    if budget.epochs is not None and per_epoch is None:
        raise InvalidInputError(
            f"a budget of {budget.epochs:g} epochs was asked for; found batches that do not say how many there are in "
            "one (a function of the step, or an iterable without a length); give Budget(steps=...), or a list"
        )


def require_spent(budget: Budget, cost: Cost, *, patient: bool) -> None:
    """Refuse limits on evaluations alone for steps that take none: they would never be reached.

    `patient` says that the run ends also where it no longer improves.

    Raises
    ------
    UnsupportedError
        Nothing would ever end the run.
    """
    ends = patient or any(limit is not None for limit in (budget.steps, budget.epochs, budget.seconds))
    if cost == Cost() and not ends:
        raise UnsupportedError(
            f"{budget} limits evaluations, and a step of this estimator takes none: training would never end; give "
            "Budget(steps=...) too"
        )


@dataclass(frozen=True)
class Weights(TypedFields):
    """States what a JVP and a VJP cost in evaluations of the loss, each including the value that comes with it.

    Examples
    --------
    >>> from gradest import Cost
    >>> from gradest.training import Weights
    >>> Weights(jvp=2.0, vjp=3.0).of(Cost(values=10, vjps=2))
    16.0
    """

    jvp: float
    vjp: float

    def __post_init__(self) -> None:
        """Refuse weights by which a budget of losses would never be spent."""
        make_plain(self)
        for name in ("jvp", "vjp"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise InvalidInputError(
                    f"{name} of Weights must be positive and finite; found {getattr(self, name)}; try 2.0"
                )

    def of(self, cost: Cost) -> float:
        """Return a cost in loss-equivalents."""
        return cost.values + self.jvp * cost.jvps + self.vjp * cost.vjps

    def __str__(self) -> str:
        return f"1 value = 1, 1 JVP = {self.jvp:.3g}, 1 VJP = {self.vjp:.3g} losses"


def measured_weights(objective: Objective, cost: Cost) -> Weights:
    """Return what derivatives cost in losses on this machine, now; of kinds that a cost does not have, 1.

    Raises
    ------
    UnsupportedError
        A derivative cannot be timed by itself here; weights have to be given.
    """
    if not (cost.jvps or cost.vjps):
        return Weights(jvp=1.0, vjp=1.0)
    # How often it is evaluated depends on how fast it is today: the run would be another one each time.
    with generator_kept(objective):
        return Weights(
            jvp=_measured(objective, "forward mode", _one_jvp) if cost.jvps else 1.0,
            vjp=_measured(objective, "reverse mode", _one_vjp) if cost.vjps else 1.0,
        )


def _measured(objective: Objective, mode: str, prepare: Callable[[Objective], Callable[[], object]]) -> float:
    """Return the median over rounds of what a derivative takes in evaluations of the loss."""
    beside = objective.separate()  # it counts for itself
    try:
        derivative, value = prepare(beside), beside.prepare_value()
    except UnsupportedError as error:
        raise UnsupportedError(
            f"the cost of a derivative in losses was to be measured by {mode}, which cannot run here ({error}); state "
            "it: weights=gradest.training.Weights(jvp=2.0, vjp=3.0)"
        ) from error
    # The median of quotients, each of two blocks side by side: what slows the machine for a round slows both.
    ratios = sorted(_rounds(derivative, lambda: (value(beside.start),), beside.backend.wait))
    return ratios[len(ratios) // 2]


def _one_vjp(objective: Objective) -> Callable[[], object]:
    """Return an estimate by reverse mode, which is one VJP and what surrounds it."""
    prepared, start = get_estimator("reverse").prepare(objective), objective.start
    return lambda: objective.form.gradient_leaves(prepared.at(start, 0).gradient)


def _one_jvp(objective: Objective) -> Callable[[], object]:
    """Return one JVP along a direction that is there: an estimate would draw it, which costs a small loss many times.

    Of evolution strategies, whose values are counted alone, that is not counted either.
    """
    ops, start = objective.ops, objective.start
    native = objective.choose_engine("auto", "value_and_jvps") == "native"
    along = objective.scoped(lambda: tuple(ops.expand_dims(ops.zeros_like(x) + 1.0, axis=0) for x in start))()
    if native:
        jvps = objective.prepare_jvps()
        return lambda: jvps(start, along)

    def step(leaves: Leaves, tangents: Leaves, data: Data) -> tuple[Array, Array]:
        return objective.evaluate_jvps(leaves, [*map(Dense, tangents)], data)

    run = objective.stepped(step)
    return lambda: run(start, along)


def _rounds(first: Callable[[], object], second: Callable[[], object], wait: Callable[..., None]) -> Iterator[float]:
    # Calibration is the warm-up too: it calls each before it is timed, and compiles it where a framework does.
    counts = [calibrate(call, wait, _BLOCK_SECONDS) for call in (first, second)]
    spent = 0.0
    for _ in range(_ROUNDS):
        dear, plain = (time_block(call, wait, n)[0] for call, n in zip((first, second), counts, strict=True))
        yield (dear / counts[0]) / (plain / counts[1])
        spent += dear + plain
        if spent > _MOST_SECONDS:
            break
