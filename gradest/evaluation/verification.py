"""What a first look at a user's function tells: does it write into its inputs, is it noisy, does it draw, can it batch?

A few evaluations at the start point, made once when an estimator that only evaluates is prepared, and counted apart.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradest.backend import Backend, Leaves
from gradest.dtypes import epsilon, shortest_epsilon
from gradest.errors import GradestError, NoiseWarning
from gradest.evaluation.draws import has_drawn
from gradest.evaluation.user_function import UserFunction
from gradest.operations import Data
from gradest.user_warnings import warn_user


@dataclass(frozen=True)
class Verification:
    """What was found at the start point, and at a point near it.

    Attributes
    ----------
    noise
        How far two evaluations at one point differ; 0 for a deterministic function.
    evaluations
        How many evaluations it took.
    epsilon
        The relative distance of the numbers that the values are computed in, as their dtype says it, or as the digits
        that they fill show; 0 if they show nothing.
    level
        Whether the value is the same at both points.
    whole
        Whether both values are whole numbers, and not the same.
    """

    noise: float
    evaluations: int
    epsilon: float = 0.0
    level: bool = False
    whole: bool = False


def verify(function: UserFunction, leaves: Leaves, data: Data, *, tells_noise: bool = True) -> Verification:
    """Return what three evaluations or a few more show, two of them at the start; the random state is left as found.

    Where two evaluations differ, or have drawn, and the framework has a generator, they are made again from one state
    of it: a random layer then gives one value, and estimates hold that state fixed. What still differs is noise of
    another source. A loss of few values, a count, may draw and be the same twice by chance.

    Warns
    -----
    NoiseWarning
        Two evaluations at one point differ, and `tells_noise`; the message has the difference and what can be done.
    """
    backend = function.backend
    function.draws = False
    began = backend.random_state() if backend.reads_random_state else None
    first = function.alone(leaves, data)
    one = number_of(function, first)
    function.trusted = True
    two = number_of(function, function.alone(leaves, data))
    evaluations = 2
    noise, state = _distance(one, two), None
    drew = began is not None and has_drawn(backend, began, backend.random_state())
    if (noise or drew) and (state := backend.random_state()) is not None:
        pair = []
        for _ in range(2):
            backend.set_random_state(state)
            pair.append(number_of(function, function.alone(leaves, data)))
        evaluations += 2
        backend.set_random_state(state)
        if _distance(*pair) == 0.0:
            function.draws, noise, one = True, 0.0, pair[0]
        else:
            noise = _distance(*pair)
    near = one
    for farthest in (2.0**-10, 2.0**-4):  # the longer one where the loss may be too coarse to feel the shorter
        for side in (farthest, -farthest):  # the other one where the loss ends, as at a probability of one
            near = _number_or_nan(function, nearby(backend, leaves, side), data)
            evaluations += 1
            if state is not None:
                backend.set_random_state(state)
            if math.isfinite(near):
                break
        if near != one:
            break
    if noise and tells_noise:
        _warn_of_noise(noise, one)
    whole = _counts(backend, first, one, near)
    # Alone, the first shows nothing: it is often a round number.
    shows = math.isfinite(near) and near != one and not whole
    precision = _precision(backend, first, (one, near) if shows else ())
    return Verification(noise, evaluations, precision, level=one == near, whole=whole and one != near)


def _warn_of_noise(noise: float, value: float) -> None:
    warn_user(
        f"two evaluations of the loss at one point differ by {noise:.3g} (the value is {value:.6g}): differences of "
        "its values are partly noise; pass the random seed or key as an argument so that it is the same each time, "
        "begin anew in each call what the loss keeps from call to call (a hidden state, a counter), "
        "measure the noise with step='noise' (finite differences), or take a larger step or sigma",
        NoiseWarning,
    )


def nearby(backend: Backend, leaves: Leaves, farthest: float) -> Leaves:
    """Return leaves with each entry moved from zero by up to a part `farthest`, or by a thousandth of that.

    A negative part moves them the other way. Not all by one factor, to which a loss of normalised parameters is blind;
    and by no round number, so that the value there fills the digits of what it is computed in.
    """
    moved = []
    for leaf in leaves:
        dtype, count = backend.dtype(leaf), int(leaf.shape[-1]) if leaf.shape else 1
        # Multiples of the golden ratio less their whole parts: spread evenly, with no period.
        spread = (np.arange(1, count + 1) * 0.6180339887498949) % 1.0
        shape, most = (count,) if leaf.shape else (), math.copysign(max(abs(farthest), 8 * epsilon(dtype)), farthest)
        factor, more = (
            backend.array(values.reshape(shape), dtype=dtype, device=backend.device(leaf))
            for values in (1.0 + most * spread, 2.0**-10 * farthest * spread)
        )
        with np.errstate(over="ignore"):  # next to the largest number: whoever evaluates there again tells of it
            moved.append(leaf * factor + more)
    return tuple(moved)


def _number_or_nan(function: UserFunction, leaves: Leaves, data: Data) -> float:
    """Return a value beside the start, NaN where the function raises an error: it may end there, as `math.log` does.

    Estimators may stay inside, by a shorter step or on one side; what is raised where they evaluate is the user's to
    see, and what gradest refuses, here.
    """
    try:
        return number_of(function, function.alone(leaves, data, looks=True))
    except GradestError:
        raise
    except Exception:  # noqa: BLE001  # whatever a user's function raises
        return math.nan


def _precision(backend: Backend, value: Any, numbers: Sequence[float]) -> float:
    """Return the coarser of what the dtype of a value says and what the digits of some numbers show."""
    dtype = backend.dtype(value) if backend.owns(value) else np.asarray(value).dtype.name
    stated = epsilon(dtype) if "float" in dtype or dtype == "longdouble" else 0.0
    shown = [found for found in map(shortest_epsilon, numbers) if found]
    # The finest of them: one value may be a round number by chance, as the first often is by choice.
    return max(stated, min(shown, default=0.0))


def _counts(backend: Backend, value: Any, *numbers: float) -> bool:
    """Whether numbers are whole by choice: where a dtype has no others, as float32 from 2^23 on, they say nothing."""
    if not all(number.is_integer() for number in numbers):
        return False
    with np.errstate(over="ignore"):  # of a number that float32 does not reach
        single = all(number == float(np.float32(number)) for number in numbers)  # it may come as a Python float
    spacing = max(_precision(backend, value, ()), epsilon("float32") if single else 0.0)
    return spacing * max(map(abs, numbers)) < 1.0


def number_of(function: UserFunction, value: Any) -> float:
    """Return a value of the function as a Python float, of a complex one the real part."""
    values = function.backend.numpy(value) if function.backend.owns(value) else value
    return float(np.real(np.asarray(values, dtype=np.complex128 if np.iscomplexobj(values) else np.float64)))


def _distance(one: float, two: float) -> float:
    """Return how far two values differ: 0 where both are the same NaN or infinity, infinity where one alone is."""
    if one == two or (math.isnan(one) and math.isnan(two)):
        return 0.0
    return abs(one - two) if math.isfinite(one) and math.isfinite(two) else math.inf
