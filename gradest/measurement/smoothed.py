"""The gradient of the smoothed loss, which some estimators estimate, and how estimates scatter around it."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from gradest.backend import as_float64, get_backend
from gradest.binding import bind_given
from gradest.directions import Directions, as_tangents, root_key
from gradest.errors import NoiseWarning
from gradest.estimator import Estimator
from gradest.lengths import norm_of, unit_of
from gradest.measurement.accuracy import ReplicateAccuracy, accuracy_of_replicates
from gradest.measurement.reference_record import Reference
from gradest.objective import Objective
from gradest.operations import NumpyArray
from gradest.theory.moments import marginal
from gradest.user_warnings import warn_user

SMOOTHING_PAIRS = 64
"""Pairs of points over which the smoothed gradient is averaged."""
_SMOOTHING_SEED = 918_273_645
"""Of the points of the smoothed reference: another stream than any estimate's."""
_BLOCK_PAIRS = 8
_SAME = 1e-5  # of a gradient: two that are computed alike may differ by rounding, where threads add up in no order
_MEMORY_BUDGET_BYTES = 1 << 28


@dataclass(frozen=True, eq=False)
class SmoothedReference:
    """The gradient of the smoothed loss, flat `(P,)`, with the relative standard error that it has itself."""

    gradient: NDArray[np.float64]
    uncertainty: float
    method: str


def smoothed_reference(objective: Objective, *, sigma: float) -> SmoothedReference | None:
    """Return the average of exact gradients at `x + sigma v` and `x - sigma v` over normal directions v, in float64.

    `grad f_sigma(x) = E grad f(x + sigma v) = E f(x + sigma v) v / sigma`: the first form, which needs exact
    gradients, converges fast, as its variance is of order sigma^2 and not of order P. The second equality (Stein
    1981, doi:10.1214/aos/1176345632) holds for normal directions alone. None where the loss has no exact gradient that
    is the same function at each point: a black box, one that draws, or one that keeps a state from call to call.

    Warns
    -----
    NoiseWarning
        The gradient at the start point is another one when the mean is known, for such a state.
    """
    found = _exact_gradient(objective)
    if found is None:
        return None
    start, gradient_at = found
    layout, ops = objective.layout, get_backend("numpy").operations()
    directions = Directions(
        root_key(_SMOOTHING_SEED),
        layout,
        num_samples=SMOOTHING_PAIRS,
        memory_budget_bytes=_MEMORY_BUDGET_BYTES,
    )
    first = gradient_at(start)
    mean = np.zeros(layout.num_parameters)
    spread, count, unit = 0.0, 0, 0.0
    for begin in range(0, SMOOTHING_PAIRS, _BLOCK_PAIRS):
        stop = min(begin + _BLOCK_PAIRS, SMOOTHING_PAIRS)
        # A few pairs at a time: all of a large model's directions would be 64 models in memory.
        dense = [np.asarray(tangent.dense(ops)) for tangent in as_tangents(directions.block(begin, stop))]
        for k in range(stop - begin):
            sides = [
                gradient_at([leaf + sign * block[k] for leaf, block in zip(start, dense, strict=True)])
                for sign in (sigma, -sigma)
            ]
            # Both sides as one sample: odd terms in sigma cancel, and what scatters is of order sigma^2.
            pair = 0.5 * (sides[0] + sides[1])
            unit = unit or unit_of(pair)  # squares of what scatters may be out of range
            pair /= unit
            count += 1
            step = pair - mean
            mean += step / count
            spread += float(np.dot(step, pair - mean))
    error = math.sqrt(spread / (count - 1) / count)
    norm = norm_of(mean)
    if _has_moved(first, gradient_at(start)):
        return None
    words = f"mean of exact gradients at {2 * count} points drawn from the smoothing density"
    return SmoothedReference(mean * unit, error / norm if norm > 0 else math.inf, words)


def _has_moved(first: NumpyArray, last: NumpyArray) -> bool:
    """Return whether two gradients at one point differ, and warn of it."""
    moved, size = norm_of(last - first), norm_of(first)
    if not moved > _SAME * size:
        return False
    warn_user(
        f"the gradient of the smoothed loss was asked for; that of the loss moved by {moved:.3g} of {size:.3g} at one "
        "point while it was averaged, so that there is none; begin anew in each call what the loss keeps from call to "
        "call (a running mean, a hidden state, a counter)",
        NoiseWarning,
    )
    return True


Point = Sequence[NDArray[np.float64]]


def in_numpy(objective: Objective) -> Objective:
    """Return a problem's objective in NumPy's float64, where it stands and on the data that are bound."""
    assert objective.problem is not None
    backend, names = objective.backend, objective.layout.names
    at = {name: as_float64(backend, leaf) for name, leaf in zip(names, objective.start, strict=True)}
    data = {name: as_float64(backend, array) for name, array in objective.data.items()}
    given = {"data": data} if data else {}
    return bind_given(objective.problem, at, ((), given), backend="numpy", dtype="float64")


def _exact_gradient(objective: Objective) -> tuple[Point, Callable[[Point], NDArray[np.float64]]] | None:
    """Return the start in NumPy and `leaves -> flat gradient (P,)`, both in float64; None where there is none."""
    if objective.problem is not None:
        bound = in_numpy(objective)
        closed = objective.problem.has_closed_form
        gradient = bound.prepare_closed_form() if closed else bound.prepare_gradient()[0]
    elif objective.draws or _is_noisy(objective):
        return None
    else:
        # A function that holds arrays of its own dtype can be computed in no other.
        bound = next(_computable(objective), objective)
        try:
            gradient = bound.prepare_gradient()[0]
            gradient(bound.start)
        except Exception:  # noqa: BLE001  # a user's function may raise anything where it cannot be followed
            return None
    backend, layout = bound.backend, bound.layout
    make = bound.scoped(lambda values, dtype: backend.array(values, dtype=dtype, device=bound.device))

    def flat(point: Point) -> NDArray[np.float64]:
        leaves = tuple(make(np.asarray(part), dtype) for part, dtype in zip(point, bound.dtypes, strict=True))
        blocks = [as_float64(backend, block) for block in gradient(leaves)[1]]
        return np.asarray(layout.flatten(blocks), dtype=np.float64)

    return [as_float64(backend, leaf) for leaf in bound.start], flat


def _is_noisy(objective: Objective) -> bool:
    """Whether two evaluations at one point were seen to differ, of which a warning has told."""
    return objective.first_look is not None and objective.first_look.noise > 0.0


def _computable(objective: Objective) -> Iterator[Objective]:
    """Yield the function in float64 where it can be computed so."""
    try:
        finer = objective.rebound(dtype="float64")
        finer.value()
    except Exception:  # noqa: BLE001  # as above
        return
    yield finer


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
    sigma: float, objective: Objective, reference: Reference, estimates: Iterable[NumpyArray]
) -> SmoothedAccuracy | None:
    """Return how estimates scatter around the gradient of the smoothed loss, and how far that is from the gradient.

    None where the smoothed gradient cannot be had.
    """
    smoothed = smoothed_reference(objective, sigma=sigma)
    if smoothed is None:
        return None
    exact = np.asarray(reference.gradient, dtype=np.float64)
    return SmoothedAccuracy(
        **asdict(accuracy_of_replicates(estimates, smoothed.gradient)),
        method=smoothed.method,
        uncertainty=smoothed.uncertainty,
        distance=norm_of(smoothed.gradient - exact) / norm_of(exact),
    )
