"""One call: estimators x backends x dtypes on one problem -> accuracy and cost, as data. Prints nothing."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.backend import as_float64
from gradest.binding import bind
from gradest.errors import MissingDependencyError, UnsupportedError
from gradest.estimate import Cost, Estimate
from gradest.estimator import Estimator, Prepared, get_estimator
from gradest.measurement.accuracy import Accuracy, ReplicateAccuracy, accuracy_of_replicates, compare_gradients
from gradest.measurement.outcome import Outcome
from gradest.measurement.reference import Reference, reference_gradient
from gradest.measurement.timing import Timing, measure, time_once
from gradest.objective import Objective
from gradest.problem import Problem
from gradest.situation import Situation
from gradest.theory import Prediction


@dataclass(frozen=True)
class Cell:
    """Names one combination: which estimator, on which backend, in which dtype and with which kernels."""

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
        Which combination, how it ended, and why if it did not run.
    path
        How the estimate was computed: "native", "gradest", "batched", "structured", ...
    cost
        Evaluations of one estimate as counted while it ran, not as declared.
    accuracy
        Of one estimate against the reference.
    replicates, predicted
        Of a stochastic estimator: how independent estimates scatter, and what theory predicts.
    preparation_seconds, first_call_seconds, timing
        Binding the estimator; its first call, which may compile; its steady time.
    value_seconds
        The steady time of one loss evaluation on the same backend and dtype.
    reference_uncertainty
        Relative error that the reference may have itself.
    """

    cell: Cell
    outcome: Outcome
    reason: str = ""
    path: str = ""
    stochastic: bool = False
    cost: Cost | None = None
    accuracy: Accuracy | None = None
    replicates: ReplicateAccuracy | None = None
    predicted: Prediction | None = None
    preparation_seconds: float = math.nan
    first_call_seconds: float = math.nan
    timing: Timing | None = None
    value_seconds: float = math.nan
    reference_uncertainty: float = math.nan

    @property
    def loss_units(self) -> float:
        """The steady time in units of one loss evaluation."""
        return self.timing.median_seconds / self.value_seconds if self.timing else math.nan


Progress = Callable[[str, int, int], None]
"""`(what is done now, steps done, steps in all)`."""


@dataclass
class _Running:
    """A cell that ran once and goes on to be timed."""

    result: CellResult
    prepared: Prepared
    objective: Objective
    reference: Reference


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
    UnknownNameError
        A name is not registered. A cell that cannot run is an outcome, not an exception.
    """
    chosen = estimators if isinstance(estimators, Mapping) else {name: get_estimator(name) for name in estimators}
    steps = 2 * len(chosen) * len(backends) * len(dtypes)
    report = _counter(progress, steps)
    results: list[CellResult] = []
    for dtype in dtypes:
        running: list[_Running] = []
        for backend in backends:
            for found in _run_backend(problem, chosen, backend, dtype, kernel, replicates, seed, report):
                if isinstance(found, _Running):
                    running.append(found)
                else:
                    results.append(found)
        results += _time(running, budget_seconds, seed, report)
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
    backend: str,
    dtype: str,
    kernel: str,
    replicates: int,
    seed: int,
    report: Callable[[str], None],
) -> Iterator[CellResult | _Running]:
    cells = {name: Cell(name, backend, dtype, kernel) for name in estimators}
    try:
        objective = bind(problem, backend=backend, dtype=dtype, kernel=kernel)
        reference = reference_gradient(objective)
    except (MissingDependencyError, UnsupportedError) as error:
        outcome = Outcome.MISSING if isinstance(error, MissingDependencyError) else Outcome.UNSUPPORTED
        for name in estimators:
            report(f"{backend} {dtype}: {outcome}")
            yield CellResult(cells[name], outcome, str(error))
        return
    for name, estimator in estimators.items():
        report(f"accuracy: {name} on {backend}, {dtype}")
        try:
            yield _run_cell(cells[name], estimator, objective, reference, replicates, seed)
        except UnsupportedError as error:
            yield CellResult(cells[name], Outcome.UNSUPPORTED, str(error))


def _run_cell(
    cell: Cell, estimator: Estimator, objective: Objective, reference: Reference, replicates: int, seed: int
) -> CellResult | _Running:
    def await_gradient(estimate: Estimate) -> None:
        objective.backend.wait(objective.backend.flatten(estimate.gradient)[0])

    preparation, prepared = time_once(lambda: estimator.prepare(objective), lambda _: None)
    before = objective.counts
    first_call, estimate = time_once(lambda: prepared(rng=seed), await_gradient)
    cost = objective.counts - before
    accuracy = compare_gradients(flat(objective, estimate), reference.gradient, layout=objective.layout)
    result = CellResult(
        cell=cell,
        outcome=Outcome.INVALID if accuracy.nonfinite else Outcome.OK,
        reason=f"{accuracy.nonfinite} entries are NaN or infinite" if accuracy.nonfinite else "",
        path=prepared.path,
        stochastic=estimator.stochastic,
        cost=cost,
        accuracy=accuracy,
        preparation_seconds=preparation,
        first_call_seconds=first_call,
        reference_uncertainty=reference.uncertainty,
    )
    if accuracy.nonfinite:
        return result
    if estimator.stochastic:
        estimates = (flat(objective, prepared(rng=seed + k)) for k in range(replicates))
        result = replace(
            result,
            replicates=accuracy_of_replicates(estimates, reference.gradient),
            predicted=estimator.predict(
                Situation(objective.layout, reference.gradient, value=float(reference.value), objective=objective)
            ),
        )
    return _Running(result, prepared, objective, reference)


def flat(objective: Objective, estimate: Estimate) -> NDArray[np.float64]:
    """Return an estimate's gradient as one float64 vector `(P,)` in the objective's layout."""
    leaves = objective.backend.flatten(estimate.gradient)[0]
    blocks = [as_float64(objective.backend, leaf) if objective.backend.owns(leaf) else leaf for leaf in leaves]
    return np.asarray(objective.layout.flatten(blocks), dtype=np.float64)


def _time(running: list[_Running], budget_seconds: float, seed: int, report: Callable[[str], None]) -> list[CellResult]:
    """Return the results with their steady times, all cells and each backend's loss timed side by side."""
    calls: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {}
    for item in running:
        objective, backend, cell = item.objective, item.objective.backend, item.result.cell
        loss = f"loss on {cell.backend}"
        if loss not in calls:
            calls[loss] = _value_call(objective)
        calls[f"{cell.estimator} on {cell.backend}"] = (
            lambda prepared=item.prepared: prepared(rng=seed),  # type: ignore[misc]  # bound now, not at the call
            lambda e, backend=backend: backend.wait(backend.flatten(e.gradient)[0]),  # type: ignore[misc]  # likewise
        )
    timings = measure(calls, budget_seconds=budget_seconds, seed=seed)
    results = []
    for item in running:
        cell = item.result.cell
        report(f"cost: {cell.estimator} on {cell.backend}, {cell.dtype}")
        results.append(
            replace(
                item.result,
                timing=timings[f"{cell.estimator} on {cell.backend}"],
                value_seconds=timings[f"loss on {cell.backend}"].median_seconds,
            )
        )
    return results


def _value_call(objective: Objective) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    value = objective.prepare_value()
    return lambda: value(objective.start), lambda result: objective.backend.wait([result])
