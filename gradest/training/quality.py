"""How good the estimates of a run are where it stands, beside theory; and the step size that their noise allows."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gradest.backend import Leaves, as_float64
from gradest.curvature.hutchinson import hessian_trace
from gradest.directions.keys import Rng
from gradest.errors import InvalidInputError, NonFiniteError, UnsupportedError
from gradest.estimator import Estimator
from gradest.measurement.accuracy import accuracy_of_replicates, compare_gradients
from gradest.measurement.prediction import predicted_error
from gradest.measurement.reference import reference_gradient
from gradest.measurement.reference_record import Reference
from gradest.objective import Objective
from gradest.operations import NumpyArray
from gradest.training.generator import generator_kept
from gradest.training.records import Quality

Draw = Callable[[Rng], Leaves]
"""A seed -> the leaves of one estimate."""

_CHECKS = 1
"""Directions along which a reference is checked: the estimators of a run err by far more than its uncertainty."""


def objective_at(objective: Objective, leaves: Leaves) -> Objective:
    """Return an objective whose start is elsewhere, with the same data and counts of its own."""
    there = objective.separate()
    there.start = leaves
    return there


def measured_quality(
    objective: Objective, estimator: Estimator, leaves: Leaves, draw: Draw, *, seeds: Sequence[Rng]
) -> Quality:
    """Return how estimates at some leaves, on the data that are bound, scatter about the gradient.

    One estimate has no error bar: there are as many as seeds, or one of an estimator without chance.
    """
    there = objective_at(objective, leaves)
    count = len(seeds) if estimator.stochastic else 1
    try:
        reference = reference_gradient(there, num_checks=_CHECKS)
    except NonFiniteError as error:  # a loss that is NaN: its run ends at the next step, and says so; this is its log
        return Quality(math.nan, None, math.nan, None, None, None, count, f"none: {error}")
    exact = np.asarray(reference.gradient, dtype=np.float64)
    predicted, _ = predicted_error(estimator, there, reference)
    # One after another, never all in memory: replicates of a large model are as large as it is each.
    vectors = (_flat(objective, draw(seed)) for seed in (seeds if estimator.stochastic else seeds[:1]))
    found: tuple[float, float | None, float, float | None]
    try:
        found = _scatter(vectors, exact) if estimator.stochastic else _single(next(vectors), exact)
    except InvalidInputError as error:  # a gradient that is zero, about which nothing is relative
        found = (math.nan, None, math.nan, None)
        reference = Reference(reference.value, reference.gradient, f"none: {error}", reference.uncertainty)
    mse, mse_error, cosine, cosine_error = found
    return Quality(
        relative_mse=mse,
        relative_mse_error=mse_error,
        cosine=cosine,
        cosine_error=cosine_error,
        predicted_mse=None if predicted is None else predicted.relative_mse,
        predicted_cosine=None if predicted is None else predicted.cosine,
        replicates=count,
        reference=reference.method,
    )


def _scatter(vectors: Iterator[NumpyArray], exact: NumpyArray) -> tuple[float, float, float, float]:
    scatter = accuracy_of_replicates(vectors, exact)
    slopes, errors = np.array(scatter.slopes), np.array(scatter.squared_errors)
    # |v|^2 = |v - g|^2 + 2 <v, g> - |g|^2, in units of |g|
    lengths = np.sqrt(np.maximum(errors + 2.0 * slopes - 1.0, 0.0))
    cosines = np.divide(slopes, lengths, out=np.full_like(slopes, math.nan), where=lengths > 0)
    spread = float(np.std(cosines, ddof=1) / math.sqrt(len(cosines)))
    return scatter.relative_mse, scatter.relative_mse_error, scatter.cosine, spread


def _single(vector: NumpyArray, exact: NumpyArray) -> tuple[float, None, float, None]:
    found = compare_gradients(vector, exact)
    return found.relative_error**2, None, found.cosine, None


def _flat(objective: Objective, leaves: Leaves) -> NumpyArray:
    blocks = [as_float64(objective.backend, leaf) for leaf in leaves]
    return np.asarray(objective.layout.flatten(blocks), dtype=np.float64)


@dataclass(frozen=True)
class StepLimit:
    """States above which step size a step with a noisy gradient climbs on average.

    For an estimate whose covariance is alike in all directions, with r its relative MSE, a step s changes the loss by
    `-s |g|^2 + s^2/2 (g^T H g + |g|^2 r tr(H) / P)` on average. Noise decides where r is large, and the limit is then
    `2 P / (r tr H)`: 2N/tr(H) for N random directions (derived). It is not the limit of an exact gradient divided by
    P/N.

    Attributes
    ----------
    limit
        In the units of a step size; infinite where the trace is not positive; NaN where it cannot be predicted.
    trace, trace_error
        tr H by random signs (Hutchinson), and its standard error.
    relative_mse
        r, as theory predicts it at the start.

    Examples
    --------
    >>> import gradest
    >>> from gradest.training import step_limit
    >>> objective = gradest.bind(gradest.get_problem("quadratic", size=3))
    >>> found = step_limit(objective, gradest.get_estimator("es"))
    >>> abs(found.limit / (2 * 3 / (found.relative_mse * found.trace)) - 1) < 1e-12  # 2 P / (r tr H)
    True
    """

    limit: float
    trace: float
    trace_error: float
    relative_mse: float


def step_limit(objective: Objective, estimator: Estimator, *, num_probes: int = 32, rng: Rng = 0) -> StepLimit | None:
    """Return the step size that the noise of an estimator allows at an objective's start, or None without such noise.

    Parameters
    ----------
    objective
        A loss where it is asked, with its data.
    estimator
        What gives the gradient; of one without chance, or that predicts no error, there is no limit to state.
    num_probes
        Products with the Hessian, whose scatter tells the error of the trace.

    Examples
    --------
    >>> import gradest
    >>> from gradest.training import step_limit
    >>> bowl = gradest.bind(gradest.get_problem("quadratic", size=50, condition=1.0))  # tr H = 50
    >>> round(step_limit(bowl, gradest.get_estimator("forward-gradient", num_samples=10)).limit, 1)
    0.4
    """
    if not estimator.stochastic:
        return None
    beside = objective.separate()
    try:
        with generator_kept(objective):
            reference = reference_gradient(beside, num_checks=_CHECKS)
            predicted, _ = predicted_error(estimator, beside, reference)
            if predicted is None or predicted.relative_mse is None:
                return None
            found = hessian_trace(beside, num_samples=num_probes, rng=rng)
    except (UnsupportedError, NonFiniteError):  # a loss without gradients or curvature has no such limit to state
        return None
    mse = float(predicted.relative_mse)
    size = objective.layout.num_parameters
    # Where the trace is negative noise leads downhill on average, and sets no limit.
    limit = 2.0 * size / (mse * found.trace) if found.trace > 0 and mse > 0 else math.inf
    return StepLimit(limit, found.trace, found.trace_error, mse)
