"""From the function values of one estimate to the weights of its directions, and to what the user is told of them."""

import itertools
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Leaves
from gradest.dtypes import count_non_finite
from gradest.errors import NonFiniteWarning
from gradest.evaluation import ValuesSeen
from gradest.objective import Objective
from gradest.operations import Array, NumpyArray
from gradest.sampling.cancellation import could_be_half_precision, rounding_matters, warn_if_cancelled
from gradest.sampling.inner_rounding import inner_rounding
from gradest.sampling.sampler import summed_in
from gradest.sampling.shaping import centred_weights, mean_within, shaped_weights
from gradest.user_warnings import warn_user


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


_LONGEST_ENTRY = 16.0  # of a direction; a normal number is never as large

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
        with np.errstate(over="ignore"):  # of values near the largest number; what becomes of them is told apart
            centre = mean_within(np.concatenate(values))  # one-sided values without a baseline differ from their mean
            differences = [difference - centre for difference in differences]
    inner = 0.0
    if could_be_half_precision(values, differences):
        inner = inner_rounding(objective, leaves, strategy.sigma)
    if inner or rounding_matters(objective.value_epsilon, strategy.sigma):
        warn_if_cancelled(values, differences, objective.value_epsilon, strategy.sigma, inner)
    elif seen.level and objective.first_look is not None and not strategy.single_entry:
        seen.warn_if_level_at(float(read(objective.separate().prepare_single()(leaves))))


def warn_if_overflowed(objective: Objective, strategy: Strategy, watched: Sequence[Watched], total: Leaves) -> None:
    """Warn where a sum over directions has left the range of its dtype, though all values are finite.

    Slopes are added up before they are divided by their number: of a loss near the largest number there is, one slope
    fits, and their sum does not. The gradient is looked at where the slopes are large enough alone, as that would wait
    for the device.

    Warns
    -----
    NonFiniteWarning
        The message has the number of entries.
    """
    dtype = summed_in(objective.dtype)
    read = objective.backend.numpy
    with np.errstate(over="ignore"):
        slopes = sum(float(np.sum(np.abs(np.asarray(read(each), dtype=np.float64)))) for _, each in watched)
        if slopes / strategy.sigma * _LONGEST_ENTRY < float(np.finfo(dtype).max):
            return
    if any(count_non_finite(read(side)) for sides, _ in watched for side in sides):
        return  # which is told already
    bad, size = sum(count_non_finite(read(leaf)) for leaf in total), objective.layout.num_parameters
    if bad:
        warn_user(
            f"{bad} of {size} sums of slopes over {strategy.num_samples} directions leave the range of {dtype}, and so "
            "does the gradient; divide the loss by a constant",
            NonFiniteWarning,
        )
