"""How coarsely a user's loss computes inside, over the distance that a direction moves it.

A network under mixed precision returns float32, and its values say nothing of the half precision before them. Over a
short line through the point they do: what is left of differences of a high order is rounding.
"""

import math

import numpy as np

from gradest.backend import Leaves
from gradest.finite_differences.coarseness import noise_over
from gradest.objective import Objective

_MOST_MOVED = 2**16  # entries: of a large model a line of points would take the memory of another one

_LEAST_RADIUS = 2.0**-12  # over less few entries reach their next number of half precision, and rounding goes by stairs

_PLACES = 24.0  # of the line, one sigma away: those of the second spacing are whole numbers too


def inner_rounding(objective: Objective, leaves: Leaves, sigma: float) -> float:
    """Return how far values of the loss may be off for what is rounded inside, 0 where nothing shows.

    It takes 13 evaluations, once for each objective and radius, and none of a loss in operations, which converts
    nothing, of one that is noisy anyhow, or where preparation was asked to evaluate nothing.
    """
    look = objective.first_look
    if not objective.is_users_own or not objective.verifies or look is None or look.noise:
        return 0.0
    radius = max(sigma, _LEAST_RADIUS)
    if radius not in objective.inner_roundings:
        objective.inner_roundings[radius] = _seen(objective, leaves, radius)
    return objective.inner_roundings[radius]


def _seen(objective: Objective, leaves: Leaves, sigma: float) -> float:
    apart, backend, generator, left = objective.separate(), objective.backend, np.random.default_rng(0), _MOST_MOVED
    loss, line = apart.prepare_single(), {}
    for k, leaf in enumerate(leaves):
        size = math.prod(leaf.shape)
        if 0 < size <= left:
            left -= size
            line[k] = generator.standard_normal(leaf.shape)
    if not line:
        return 0.0

    def at(place: float) -> float:
        moved = list(leaves)
        for k, direction in line.items():
            step = np.asarray(direction * (place / _PLACES * sigma))
            moved[k] = leaves[k] + backend.array(step, dtype=objective.dtypes[k], device=objective.device)
        return float(np.real(backend.numpy(loss(tuple(moved)))))

    with np.errstate(all="ignore"):
        deviation = noise_over(at, _PLACES, objective.value_epsilon * abs(at(0.0)))
    objective.preparation_cost = objective.preparation_cost + apart.counts
    return math.sqrt(12) * deviation  # the width of what is rounded, as a spacing is
