"""One call: estimators x backends x dtypes on one problem -> accuracy and cost, as data. Prints nothing."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gradest.errors import InvalidInputError, InvalidTypeError, UnknownNameError
from gradest.estimate import Cost
from gradest.estimator import Estimator, get_estimator
from gradest.measurement.accuracy import Accuracy, ReplicateAccuracy
from gradest.measurement.outcome import Outcome, outcome_of
from gradest.measurement.session import Bound, Session
from gradest.measurement.side_by_side import time_side_by_side
from gradest.measurement.timing import Timing
from gradest.problem import Problem
from gradest.theory import Prediction


@dataclass(frozen=True)
class Combination:
    """Names one cell of a comparison: which estimator, on which backend, in which dtype and with which kernels."""

    estimator: str
    backend: str
    dtype: str
    kernel: str = "portable"


@dataclass(frozen=True)
class CellResult:
    """What was found in one cell; None where it does not apply or did not come to it.

    Attributes
    ----------
    cell, outcome, reason
        Which combination, how it ended, and why if it did not run to the end. Of a cell that ran, the reason says
        what went wrong in its prediction, if anything did.
    path
        How the estimate was computed: "native", "gradest", "batched", "structured", ...
    cost
        Evaluations of one estimate as counted while it ran, not as declared.
    accuracy
        Of one estimate against the reference.
    replicates, predicted
        Of a stochastic estimator: how independent estimates scatter, and what theory predicts.
    timing
        Binding the estimator, its first call, which may compile, and its steady time, beside that of one loss
        evaluation on the same backend and dtype.
    reference_uncertainty
        Relative error that the reference may have itself.
    """

    cell: Combination
    outcome: Outcome
    reason: str = ""
    path: str = ""
    stochastic: bool = False
    cost: Cost | None = None
    accuracy: Accuracy | None = None
    replicates: ReplicateAccuracy | None = None
    predicted: Prediction | None = None
    timing: Timing | None = None
    reference_uncertainty: float = math.nan

    @property
    def loss_units(self) -> float:
        """The steady time in units of one loss evaluation."""
        return math.nan if self.timing is None or self.timing.loss_units is None else self.timing.loss_units


Progress = Callable[[str, int, int], None]
"""`(what is done now, steps done, steps in all)`."""


def compare(
    problem: Problem,
    *,
    estimators: Mapping[str, Estimator] | Sequence[str],
    backends: Sequence[str] = ("numpy", "jax", "torch", "mxnet"),
    dtypes: Sequence[str] = ("float64", "float32"),
    kernel: str = "portable",
    replicates: int = 32,
    budget_seconds: float = 0.3,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[CellResult]:
    """Return accuracy and cost of each estimator on each backend in each dtype.

    Parameters
    ----------
    problem
        The loss, its start point and data.
    estimators
        Registered names, or a mapping from labels to estimators.
    replicates
        How many independent estimates a stochastic estimator makes to have its scatter measured; at least 2.
    budget_seconds
        How long each cell is timed, once it is warm.
    seed
        Of the estimates (seed, seed + 1, ...) and of the order of timing.
    progress
        Called as work goes on.

    Raises
    ------
    InvalidTypeError
        `problem` is no `Problem`, or `estimators` is a string.
    UnknownNameError
        A name is not registered. A cell that cannot run, whatever it raises, is an outcome and not an exception.
    InvalidInputError
        A stochastic estimator is to be measured by fewer than 2 replicates.

    Examples
    --------
    >>> import gradest
    >>> quadratic = gradest.get_problem("quadratic", size=4)
    >>> (result,) = gradest.compare(
    ...     quadratic, estimators=["fd-central"], backends=["numpy"], dtypes=["float64"], budget_seconds=0.01
    ... )
    >>> result.outcome.value, str(result.cost), result.accuracy.relative_error < 1e-8
    ('ok', '8 values', True)
    """
    chosen = _chosen(problem, estimators, replicates)
    seeds = range(seed, seed + max(replicates, 1))  # a deterministic estimator is called with the first one
    report = _counter(progress, 2 * len(chosen) * len(backends) * len(dtypes))
    results: list[CellResult] = []
    for dtype in dtypes:
        found = [
            item
            for backend in backends
            for item in _run_backend(problem, chosen, Combination("", backend, dtype, kernel), seeds, report)
        ]
        results += _timed(found, budget_seconds, seed, report)
    place = {name: k for k, name in enumerate(chosen)}
    results.sort(key=lambda r: (dtypes.index(r.cell.dtype), place[r.cell.estimator], backends.index(r.cell.backend)))
    return results


def _chosen(
    problem: Problem, estimators: Mapping[str, Estimator] | Sequence[str], replicates: int
) -> Mapping[str, Estimator]:
    """Return the estimators by their labels; refuse what would fail in every cell."""
    if not isinstance(problem, Problem):
        raise InvalidTypeError(
            f"compare takes a Problem, whose loss is written in operations; found {type(problem).__name__}; "
            "get_problem makes one, and a subclass of Problem puts a loss of your own in operations"
        )
    if isinstance(estimators, str):
        raise InvalidTypeError(f"estimators must be a sequence of names; found a string: write [{estimators!r}]")
    chosen = estimators if isinstance(estimators, Mapping) else {name: get_estimator(name) for name in estimators}
    stochastic = [name for name, estimator in chosen.items() if estimator.stochastic]
    if stochastic and replicates < 2:
        raise InvalidInputError(
            f"the scatter of {stochastic[0]!r} asks for at least 2 replicates; found {replicates}; give more, or "
            "leave stochastic estimators out"
        )
    return chosen


def _counter(progress: Progress | None, steps: int) -> Callable[[str], None]:
    done = 0

    def report(what: str) -> None:
        nonlocal done
        if progress is not None:
            progress(what, done, steps)
        done += 1

    return report


def _run_backend(
    problem: Problem,
    estimators: Mapping[str, Estimator],
    where: Combination,
    seeds: Sequence[int],
    report: Callable[[str], None],
) -> Iterator[tuple[CellResult, Session | None]]:
    """Yield what was found of each cell, and the session of those that go on to be timed."""
    cells = {name: replace(where, estimator=name) for name in estimators}
    try:
        bound = Bound(problem, backend=where.backend, dtype=where.dtype, kernel=where.kernel)
        _ = bound.reference
    except UnknownNameError:
        raise  # a mistyped backend is a mistake in the call, not something found out about a cell
    except Exception as error:  # noqa: BLE001  # a problem or a framework may raise anything; it is its cells' outcome
        outcome, reason = outcome_of(error)
        for name, cell in cells.items():
            report(f"{where.backend} {where.dtype}: {outcome}")
            yield CellResult(cell, outcome, reason, stochastic=estimators[name].stochastic), None
        return
    for name, estimator in estimators.items():
        report(f"accuracy: {name} on {where.backend}, {where.dtype}")
        try:
            session = Session(estimator, bound, seeds=seeds)
            yield _judged(cells[name], session), session
        except Exception as error:  # noqa: BLE001  # an estimator may raise anything; it is one cell's outcome
            yield CellResult(cells[name], *outcome_of(error), stochastic=estimator.stochastic), None


def _judged(cell: Combination, session: Session) -> CellResult:
    accuracy = session.accuracy(smoothed=False)
    return CellResult(
        cell=cell,
        outcome=Outcome.OK,
        reason=accuracy.prediction_fault,
        path=session.path,
        stochastic=session.estimator.stochastic,
        cost=session.counts.counted,
        accuracy=accuracy.single,
        replicates=accuracy.replicates,
        predicted=accuracy.predicted,
        reference_uncertainty=accuracy.reference.uncertainty,
    )


def _timed(
    found: Sequence[tuple[CellResult, Session | None]], budget_seconds: float, seed: int, report: Callable[[str], None]
) -> Iterator[CellResult]:
    """Yield the results, those of sessions with their times, or with what ended them while they were timed."""
    yield from (result for result, session in found if session is None)
    running = [(result, session) for result, session in found if session is not None]

    def begin(number: int) -> None:
        cell = running[number][0].cell
        report(f"cost: {cell.estimator} on {cell.backend}, {cell.dtype}")

    sessions = [session for _, session in running]
    times = time_side_by_side(sessions, budget_seconds=budget_seconds, seed=seed, begin=begin)
    for (result, _), timing in zip(running, times, strict=True):
        if isinstance(timing, Exception):
            outcome, reason = outcome_of(timing)
            yield replace(result, outcome=outcome, reason=reason)
        else:
            yield replace(result, timing=timing)
