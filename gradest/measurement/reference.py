"""The gradient that others are judged by: extended precision, checked by a second method, with its uncertainty.

A problem's reference is its closed form in `np.longdouble`, evaluated at the parameters and data as the judged
dtype holds them, so that what is reported as an estimator's error is not the rounding of its input. The second
method is complex-step differentiation of the loss text (Squire & Trapp 1998, doi:10.1137/S003614459631241X) in
extended precision along random directions: it shares no rule of differentiation with the first. This module
knows no framework; extended precision is NumPy's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gradest.autodiff import value_and_gradient
from gradest.backend import Leaves, as_float64, get_backend
from gradest.errors import UnsupportedError
from gradest.estimator import get_estimator
from gradest.objective import Objective
from gradest.operations import Array, Data, NumpyArray, Operations
from gradest.problem import Problem
from gradest.tree import Tree

_STEP = np.longdouble("1e-1000") if np.finfo(np.longdouble).tiny < 1e-4000 else np.longdouble("1e-150")
"""Complex step: any step whose square vanishes beside 1 serves, if products with it stay normal numbers."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A gradient to judge by.

    Attributes
    ----------
    value
        The loss.
    gradient
        Flat, `(P,)`, in the objective's layout.
    method
        How it was computed and checked, in words.
    uncertainty
        Relative L2 error that it may have itself; a measured error below this says no more than that.
    """

    value: Any
    gradient: NumpyArray
    method: str
    uncertainty: float


def reference_gradient(objective: Objective, params: Tree = None, *, num_checks: int = 4) -> Reference:
    """Return the reference gradient of an objective at `params`, its start point by default.

    A problem's is its closed form in extended precision, or reverse mode in extended precision where it has none;
    a user's function, which runs in its framework alone, gets the framework's own reverse mode in its own dtype,
    else Richardson-extrapolated central differences, with the uncertainty that these have.

    Raises
    ------
    UnsupportedError
        None of these can be had for the objective.
    """
    leaves = objective.start if params is None else objective.form.leaves_of(params)
    if objective.problem is None:
        return _of_function(objective, leaves)
    rounded = [objective.backend.numpy(leaf).astype(np.longdouble) for leaf in leaves]
    data = {name: objective.backend.numpy(array).astype(np.longdouble) for name, array in objective.data.items()}
    return reference_at(objective.problem, dict(zip(objective.layout.names, rounded, strict=True)), data, num_checks)


def reference_at(
    problem: Problem, params: Mapping[str, NumpyArray], data: Mapping[str, NumpyArray], num_checks: int = 4
) -> Reference:
    """Return the reference gradient of a problem at given parameters and data, all `np.longdouble`."""
    ops = get_backend("numpy").operations("portable")
    names = tuple(params)
    if problem.has_closed_form:
        value, gradient = problem.loss_and_gradient(ops, params, data)
        blocks, method = tuple(gradient[name] for name in names), "closed form"
    else:
        text = partial(_text, problem, names)
        value, blocks = value_and_gradient(text, ops, tuple(params.values()), data)
        method = "reverse mode"
    flat = problem.layout.flatten([np.asarray(block) for block in blocks])
    uncertainty = _disagreement(problem, params, data, flat, num_checks)
    words = f"{method} in extended precision, checked by complex-step differentiation"
    return Reference(value, flat, words, uncertainty)


def _text(problem: Problem, names: tuple[str, ...], ops: Operations, leaves: Leaves, data: Data) -> Array:
    return problem.loss(ops, dict(zip(names, leaves, strict=True)), data)


def _disagreement(
    problem: Problem,
    params: Mapping[str, NumpyArray],
    data: Mapping[str, NumpyArray],
    gradient: NumpyArray,
    num_checks: int,
) -> float:
    """Return an estimate of `||error|| / ||gradient||` from directional derivatives along random signs.

    For signs d, `E <error, d>^2 = ||error||^2`, so the root mean square of the mismatches estimates the norm. Never
    less than the rounding of one extended-precision operation.
    """
    ops = get_backend("numpy").operations("portable")
    generator = np.random.default_rng(20_260_101)
    mismatches = []
    for _ in range(num_checks):
        signs = generator.integers(0, 2, gradient.size).astype(np.longdouble) * 2 - 1
        steps: tuple[NumpyArray, ...] = problem.layout.unflatten(signs)
        shifted = {n: x + 1j * _STEP * d for (n, x), d in zip(params.items(), steps, strict=True)}
        slope = np.imag(np.asarray(problem.loss(ops, shifted, data))) / _STEP
        mismatches.append(slope - np.sum(gradient * signs))
    scale = np.sqrt(np.sum(gradient * gradient))
    error = np.sqrt(np.mean(np.square(mismatches)))
    floor = float(np.finfo(np.longdouble).eps)
    return max(float(error / scale) if scale > 0 else float(error), floor)


def _by_reverse_mode(objective: Objective, leaves: Leaves) -> tuple[Array, Leaves] | None:
    """Return value and gradient, or None of a function that cannot be followed; the reference names what it is by."""
    if "value_and_gradient" not in objective.backend.native:
        return None
    try:
        return objective.prepare_gradient("native")[0](leaves)
    except UnsupportedError:  # a simulator, values read: differences take it as it is
        return None


def _of_function(objective: Objective, leaves: Leaves) -> Reference:
    """Return the best that can be had for an opaque function, with an uncertainty from its dtype."""
    found = _by_reverse_mode(objective, leaves)
    if found is not None:
        value, gradient = found
        flat = objective.layout.flatten([as_float64(objective.backend, block) for block in gradient])
        eps = float(np.finfo(objective.dtype).eps)
        return Reference(value, flat, f"{objective.backend.name}'s reverse mode in {objective.dtype}", 16 * eps)
    richardson = get_estimator("fd-richardson").prepare(objective)
    estimate = richardson(objective.form.params_of(leaves))
    blocks, errors = (
        objective.layout.flatten([np.asarray(leaf, dtype=np.float64) for leaf in objective.backend.flatten(tree)[0]])
        for tree in (estimate.gradient, estimate.error)
    )
    uncertainty = float(np.linalg.norm(errors) / np.linalg.norm(blocks))
    return Reference(estimate.value, blocks, "Richardson-extrapolated central differences", uncertainty)
