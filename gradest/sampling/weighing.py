"""From the function values of one estimate to the weights of its directions, and to what the user is told of them."""

import itertools
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Leaves
from gradest.evaluation import ValuesSeen
from gradest.objective import Objective
from gradest.operations import Array, NumpyArray
from gradest.sampling.cancellation import could_be_half_precision, rounding_matters, warn_if_cancelled
from gradest.sampling.inner_rounding import inner_rounding
from gradest.sampling.shaping import centred_weights, mean_within, shaped_weights


class Strategy(Protocol):
    """The hyper-parameters that the kernels read of an estimator; `EvolutionStrategy` documents each."""

    @property
    def num_samples(self) -> int:
        """N."""

    @property
    def single_entry(self) -> bool:
        """Whether a direction moves one entry alone."""

    @property
    def sigma(self) -> float:
        """The smoothing radius."""

    @property
    def antithetic(self) -> bool:
        """Whether values come in pairs."""

    @property
    def baseline(self) -> str:
        """What one-sided values are compared with."""

    @property
    def shaping(self) -> str | None:
        """What utilities replace values, if any."""

    @property
    def differences(self) -> str:
        """How the kernel subtracts values: "exact", or any other name for plain subtraction."""


Watched = tuple[tuple[Array, ...], Array]
"""The values of each side, and their differences, of a block of directions."""


def needs_all_values(strategy: Strategy) -> bool:
    """Return whether the weight of a direction depends on the values along all of them."""
    return strategy.shaping is not None or strategy.baseline in ("leave-one-out", "mean")


def needs_value(strategy: Strategy) -> bool:
    """Return whether f(x) is evaluated for itself."""
    # Exact differences come from f(x) by themselves, without the baseline's evaluation.
    return strategy.baseline == "value" and strategy.differences != "exact"


def plain_weights(
    strategy: Strategy, fitness: NDArray[np.float64], value: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return `slope / N` and the differences that slopes are made of, where each depends on its own values alone.

    Parameters
    ----------
    fitness
        `(2, N)` with both sides of pairs, or `(1, N)`.
    value
        f(x), where it is the baseline.
    """
    with np.errstate(invalid="ignore"):  # of values that are not finite, which are warned of
        if strategy.antithetic:
            differences: NDArray[np.float64] = (fitness[0] - fitness[1]) * 0.5
        else:
            differences = fitness[0] - (0.0 if value is None else value)
        return differences / (strategy.sigma * strategy.num_samples), differences


def joint_weights(
    strategy: Strategy, fitness: NDArray[np.float64], value: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights of directions, and differences of values, where a weight depends on all values.

    `value` is f(x) where it was evaluated, and None where values are differences from it.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # of values that are not finite, which are warned of
        centre = mean_within(fitness[0])
        differences = fitness[0] - (fitness[1] if len(fitness) > 1 else centre)
        if strategy.shaping is None:
            return centred_weights(fitness, strategy.baseline, strategy.sigma), differences
    if strategy.baseline == "value":  # exact differences are from f(x) already
        centre = 0.0 if value is None else value
    return shaped_weights(fitness, strategy.shaping, centre), differences


def warn_of_values(objective: Objective, strategy: Strategy, watched: Sequence[Watched], leaves: Leaves) -> None:
    """Warn where values are not finite, never differ, or differ by little more than their rounding.

    Where none differs, and not for its rounding, the loss at the point itself, one evaluation more, tells a loss that
    changes in steps (an accuracy) from one that is the same at points that lie alike about a symmetric one.
    """

    def read(array: Any) -> NumpyArray:
        return array if isinstance(array, np.ndarray) else objective.backend.numpy(array)

    exact = strategy.differences == "exact"
    sides = [tuple(map(read, values)) for values, _ in watched]
    seen = ValuesSeen()
    for side in itertools.chain.from_iterable(sides):
        seen.see(side)
    told = seen.warn(objective.first_look, remedy="try a smaller sigma")
    if exact or told:
        return
    values = [pair[0] for pair in sides]
    differences = [read(difference) for _, difference in watched]
    if not (strategy.antithetic or needs_value(strategy) or needs_all_values(strategy)):
        centre = mean_within(np.concatenate(values))  # one-sided values without a baseline differ from their mean
        differences = [difference - centre for difference in differences]
    inner = 0.0
    if could_be_half_precision(values, differences):
        inner = inner_rounding(objective, leaves, strategy.sigma)
    if inner or rounding_matters(objective.value_epsilon, strategy.sigma):
        warn_if_cancelled(values, differences, objective.value_epsilon, strategy.sigma, inner)
    elif seen.level and objective.first_look is not None and not strategy.single_entry:
        seen.warn_if_level_at(float(read(objective.separate().prepare_single()(leaves))))
