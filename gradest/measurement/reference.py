"""The gradient that others are judged by: extended precision, checked by a second method, with its uncertainty.

A problem's reference is its closed form in `np.longdouble`, evaluated at the parameters and data as the judged
dtype holds them, so that what is reported as an estimator's error is not the rounding of its input. The second
method is complex-step differentiation of the loss text (Squire & Trapp 1998, doi:10.1137/S003614459631241X) in
extended precision along random directions: it shares no rule of differentiation with the first. This module
knows no framework; extended precision is NumPy's.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np

from gradest.autodiff import value_and_gradient
from gradest.backend import Leaves, get_backend
from gradest.lengths import unit_of
from gradest.measurement.function_reference import function_reference
from gradest.measurement.reference_record import Reference
from gradest.objective import Objective
from gradest.operations import Array, Data, NumpyArray, Operations
from gradest.problem import Problem, closed_form
from gradest.tree import Tree

_STEP = np.longdouble("1e-1000") if np.finfo(np.longdouble).tiny < 1e-4000 else np.longdouble("1e-150")
"""Complex step: any step whose square vanishes beside 1 serves, if products with it stay normal numbers."""


def reference_gradient(objective: Objective, params: Tree = None, *, num_checks: int = 4) -> Reference:
    """Return the reference gradient of an objective at `params`, its start point by default.

    A problem's is its closed form in extended precision, or reverse mode in extended precision where it has none;
    a user's function, which runs in its framework alone, gets what `function_reference` finds for it.

    Raises
    ------
    GradestError
        No method gives a finite gradient of the function.
    """
    leaves = objective.start if params is None else objective.form.leaves_of(params)
    if objective.problem is None:
        return function_reference(objective if params is None else objective.rebound(leaves=leaves))
    # From the framework's arrays, not the problem's own: those of float32 are other numbers, at which it is judged.
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
        value, blocks = closed_form(problem, ops, params, data)
        method = "closed form"
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
    # Always the same directions: a reference, and what it states of itself, are a function of the problem alone.
    generator = np.random.default_rng(20_260_101)
    mismatches = []
    for _ in range(num_checks):
        signs = generator.integers(0, 2, gradient.size).astype(np.longdouble) * 2 - 1
        steps: tuple[NumpyArray, ...] = problem.layout.unflatten(signs)
        # Along a direction one evaluation checks all entries at once; one for each would cost P of them.
        shifted = {n: x + 1j * _STEP * d for (n, x), d in zip(params.items(), steps, strict=True)}
        slope = np.imag(np.asarray(problem.loss(ops, shifted, data))) / _STEP
        mismatches.append(slope - np.sum(gradient * signs))
    unit = unit_of(gradient)  # squares may be out of range where longdouble is float64, as on some machines
    scale = np.sqrt(np.sum(np.square(gradient / unit)))
    error = np.sqrt(np.mean(np.square(np.array(mismatches) / unit)))
    floor = float(np.finfo(np.longdouble).eps)
    return max(float(error / scale) if scale > 0 else float(error * unit), floor)
