"""What a first look at a user's function tells: does it write into its inputs, is it noisy, does it draw, can it batch?

A few evaluations at the start point, made once when an estimator that only evaluates is prepared, and counted apart.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradest.backend import Leaves
from gradest.errors import NoiseWarning
from gradest.evaluation.user_function import UserFunction
from gradest.operations import Data
from gradest.user_warnings import warn_user


@dataclass(frozen=True)
class Verification:
    """What was found at the start point.

    Attributes
    ----------
    noise
        How far two evaluations at one point differ; 0 for a deterministic function.
    evaluations
        How many evaluations it took.
    """

    noise: float
    evaluations: int


def verify(function: UserFunction, leaves: Leaves, data: Data) -> Verification:
    """Return what two evaluations at the start point show; the framework's random state is left as it was found.

    Where two evaluations differ and the framework has a generator, they are made again from one state of it: a random
    layer then gives one value, and estimates hold that state fixed. What still differs is noise of another source.

    Warns
    -----
    NoiseWarning
        Two evaluations at one point differ; the message has the difference and what can be done.
    """
    backend = function.backend
    function.draws = False
    one = number_of(function, function.alone(leaves, data))
    function.trusted = True
    two = number_of(function, function.alone(leaves, data))
    evaluations = 2
    noise = _distance(one, two)
    if noise and (state := backend.random_state()) is not None:
        pair = []
        for _ in range(2):
            backend.set_random_state(state)
            pair.append(number_of(function, function.alone(leaves, data)))
        evaluations += 2
        backend.set_random_state(state)
        if _distance(*pair) == 0.0:
            function.draws, noise = True, 0.0
        else:
            noise = _distance(*pair)
    if noise:
        warn_user(
            f"two evaluations of the loss at one point differ by {noise:.3g} (the value is {one:.6g}): differences of "
            "its values are partly noise; pass the random seed or key as an argument so that it is the same each time, "
            "measure the noise with step='noise' (finite differences), or take a larger step or sigma",
            NoiseWarning,
        )
    return Verification(noise, evaluations)


def number_of(function: UserFunction, value: Any) -> float:
    """Return a value of the function as a Python float, of a complex one the real part."""
    values = function.backend.numpy(value) if function.backend.owns(value) else value
    return float(np.real(np.asarray(values, dtype=np.complex128 if np.iscomplexobj(values) else np.float64)))


def _distance(one: float, two: float) -> float:
    """Return how far two values differ: 0 where both are the same NaN or infinity, infinity where one alone is."""
    if one == two or (math.isnan(one) and math.isnan(two)):
        return 0.0
    return abs(one - two) if math.isfinite(one) and math.isfinite(two) else math.inf
