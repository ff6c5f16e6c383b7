"""One call: estimators x backends x dtypes on one problem -> accuracy and cost, as data. Prints nothing."""

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gradest.errors import InvalidTypeError, MissingDependencyError, UnsupportedError
from gradest.estimate import Cost
from gradest.estimator import Estimator, get_estimator
from gradest.measurement.accuracy import Accuracy, ReplicateAccuracy
from gradest.measurement.outcome import Outcome, outcome_of
from gradest.measurement.session import Bound, Session
from gradest.measurement.timing import Block, Timing
from gradest.problem import Problem
from gradest.theory import Prediction

BLOCK_SECONDS = 0.02
"""How long the samples of one round last at least."""
LEAST_ROUNDS = 3


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


@dataclass
class _Running:
    """A cell that ran and goes on to be timed."""

    result: CellResult
    session: Session
    blocks: list[Block] = field(default_factory=list)
    error: Exception | None = None

    @property
    def seconds(self) -> float:
        """How long its samples have lasted."""
        return sum(sum(block.wall_seconds) * block.loops for block in self.blocks)

    def finished(self) -> CellResult:
        """Return the result with its times, or the outcome of an error that the timing met."""
        if self.error is not None:
            outcome, reason = outcome_of(self.error)
            return replace(self.result, outcome=outcome, reason=reason)
        return replace(self.result, timing=self.session.timing(self.blocks, conversions=False))


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
    if not isinstance(problem, Problem):
        raise InvalidTypeError(
            f"compare takes a Problem, whose loss is written in operations; found {type(problem).__name__}; "
            "get_problem makes one, and a subclass of Problem puts a loss of your own in operations"
        )
    if isinstance(estimators, str):
        raise InvalidTypeError(f"estimators must be a sequence of names; found a string: write [{estimators!r}]")
    chosen = estimators if isinstance(estimators, Mapping) else {name: get_estimator(name) for name in estimators}
    seeds = range(seed, seed + replicates)
    report = _counter(progress, 2 * len(chosen) * len(backends) * len(dtypes))
    results: list[CellResult] = []
    for dtype in dtypes:
        found = [
            item
            for backend in backends
            for item in _run_backend(problem, chosen, Combination("", backend, dtype, kernel), seeds, report)
        ]
        running = [item for item in found if isinstance(item, _Running)]
        results += [item for item in found if isinstance(item, CellResult)]
        _time(running, budget_seconds, seed, report)
        results += [item.finished() for item in running]
    place = {name: k for k, name in enumerate(chosen)}
    results.sort(key=lambda r: (dtypes.index(r.cell.dtype), place[r.cell.estimator], backends.index(r.cell.backend)))
    return results


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
) -> Iterator[CellResult | _Running]:
    cells = {name: replace(where, estimator=name) for name in estimators}
    try:
        bound = Bound(problem, backend=where.backend, dtype=where.dtype, kernel=where.kernel)
        _ = bound.reference
    except (MissingDependencyError, UnsupportedError) as error:
        outcome, reason = outcome_of(error)
        for cell in cells.values():
            report(f"{where.backend} {where.dtype}: {outcome}")
            yield CellResult(cell, outcome, reason)
        return
    for name, estimator in estimators.items():
        report(f"accuracy: {name} on {where.backend}, {where.dtype}")
        try:
            yield _run_cell(cells[name], Session(estimator, bound, seeds=seeds))
        except Exception as error:  # noqa: BLE001  # an estimator may raise anything; it is one cell's outcome
            yield CellResult(cells[name], *outcome_of(error), stochastic=estimator.stochastic)


def _run_cell(cell: Combination, session: Session) -> _Running:
    accuracy = session.accuracy(smoothed=False)
    result = CellResult(
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
    return _Running(result, session)


def _time(running: Sequence[_Running], budget_seconds: float, seed: int, report: Callable[[str], None]) -> None:
    """Time all cells side by side: blocks alternate, in an order drawn anew each round from `seed`.

    A drift of the machine then meets all alike. A cell takes part until its samples have lasted `budget_seconds`,
    and in `LEAST_ROUNDS` rounds at least.
    """
    order = random.Random(seed)
    left = list(running)
    for round_number in itertools.count():
        if not left:
            return
        order.shuffle(left)
        for item in left:
            if round_number == 0:
                cell = item.result.cell
                report(f"cost: {cell.estimator} on {cell.backend}, {cell.dtype}")
            try:
                item.blocks.append(item.session.block(round_number=round_number, samples=1, seconds=BLOCK_SECONDS))
            except Exception as error:  # noqa: BLE001  # as above
                item.error = error
        left = [
            item
            for item in left
            if item.error is None and (len(item.blocks) < LEAST_ROUNDS or item.seconds < budget_seconds)
        ]
