"""The gradient of the smoothed loss, which some estimators estimate, and how estimates scatter around it."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from gradest.binding import bind
from gradest.directions import Directions, as_tangents, root_key
from gradest.estimator import Estimator
from gradest.measurement.accuracy import ReplicateAccuracy, accuracy_of_replicates
from gradest.measurement.reference import Reference
from gradest.operations import NumpyArray
from gradest.problem import Problem
from gradest.theory.moments import marginal

SMOOTHING_PAIRS = 64
"""Pairs of points over which the smoothed gradient is averaged."""
_SMOOTHING_SEED = 918_273_645
"""Of the points of the smoothed reference: another stream than any estimate's."""
_BLOCK_PAIRS = 8
_MEMORY_BUDGET_BYTES = 1 << 28


@dataclass(frozen=True, eq=False)
class SmoothedReference:
    """The gradient of the smoothed loss, flat `(P,)`, with the relative standard error that it has itself."""

    gradient: NDArray[np.float64]
    uncertainty: float
    method: str


def smoothed_reference(problem: Problem, *, sigma: float) -> SmoothedReference:
    """Return the average of exact gradients at `x + sigma v` and `x - sigma v` over normal directions v, in float64.

    `grad f_sigma(x) = E grad f(x + sigma v) = E f(x + sigma v) v / sigma`: the first form, which needs exact
    gradients, converges fast, as its variance is of order sigma^2 and not of order P. The second equality (Stein
    1981, doi:10.1214/aos/1176345632) holds for normal directions alone.
    """
    objective = bind(problem, backend="numpy", dtype="float64")
    gradient = objective.prepare_closed_form() if problem.has_closed_form else objective.prepare_gradient()[0]
    layout, ops = objective.layout, objective.ops
    directions = Directions(
        root_key(_SMOOTHING_SEED),
        layout,
        num_samples=SMOOTHING_PAIRS,
        memory_budget_bytes=_MEMORY_BUDGET_BYTES,
    )
    mean = np.zeros(layout.num_parameters)
    spread, count = 0.0, 0
    for start in range(0, SMOOTHING_PAIRS, _BLOCK_PAIRS):
        stop = min(start + _BLOCK_PAIRS, SMOOTHING_PAIRS)
        dense = [tangent.dense(ops) for tangent in as_tangents(directions.block(start, stop))]
        for k in range(stop - start):
            sides: list[NDArray[np.float64]] = []
            for sign in (sigma, -sigma):
                at = tuple(leaf + sign * block[k] for leaf, block in zip(objective.start, dense, strict=True))
                blocks = [np.asarray(block) for block in gradient(at)[1]]
                sides.append(np.asarray(layout.flatten(blocks), dtype=np.float64))
            pair = 0.5 * (sides[0] + sides[1])
            count += 1
            step = pair - mean
            mean += step / count
            spread += float(np.dot(step, pair - mean))
    error = math.sqrt(spread / (count - 1) / count)
    norm = float(np.linalg.norm(mean))
    words = f"mean of exact gradients at {2 * count} points drawn from the smoothing density"
    return SmoothedReference(mean, error / norm if norm > 0 else math.inf, words)


def smooths_normally(estimator: Estimator) -> bool:
    """Whether the estimator's target is the gradient of the loss smoothed by a normal density."""
    return estimator.smoothing is not None and marginal(estimator.smoothing.law) == "normal"


@dataclass(frozen=True, kw_only=True)
class SmoothedAccuracy(ReplicateAccuracy):
    """How estimates scatter around the gradient of the smoothed loss.

    Attributes
    ----------
    method, uncertainty
        How the smoothed gradient was found, and its own relative standard error.
    distance
        How far it is from the gradient, relative to the gradient's length.
    """

    method: str
    uncertainty: float
    distance: float


def smoothed_accuracy(
    sigma: float, problem: Problem, reference: Reference, estimates: Iterable[NumpyArray]
) -> SmoothedAccuracy:
    """Return how estimates scatter around the gradient of the smoothed loss, and how far that is from the gradient."""
    smoothed = smoothed_reference(problem, sigma=sigma)
    exact = np.asarray(reference.gradient, dtype=np.float64)
    return SmoothedAccuracy(
        **asdict(accuracy_of_replicates(estimates, smoothed.gradient)),
        method=smoothed.method,
        uncertainty=smoothed.uncertainty,
        distance=float(np.linalg.norm(smoothed.gradient - exact) / np.linalg.norm(exact)),
    )
