"""Checks of a problem, ours or a plug-in's: its loss for populations and on all backends, its closed-form gradient."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from gradest.autodiff import value_and_differences, value_and_gradient
from gradest.backend import get_backend
from gradest.binding import bind
from gradest.checking.diagnosis import likely_cause
from gradest.dtypes import epsilon
from gradest.estimator import get_estimator
from gradest.lengths import norm_of
from gradest.measurement.accuracy import compare_gradients
from gradest.measurement.reference import reference_at
from gradest.operations import NumpyArray
from gradest.problem import EmpiricalRisk, Problem
from gradest.tangents import Dense
from gradest.testing.results import CheckResult, claimed, judged, not_applicable, raised, worse
from gradest.testing.subject import finest_dtype, named_backends

_CLOSED_FORM_ROUNDING = 64  # units of extended precision: what a correct closed form differs from the complex step by
_POPULATION_ROUNDING = 1e-13
_CAUSE_FROM = 1e-8  # of a block in double precision: a cause of less is not looked for
_ENGINE_ROUNDING = 1e-11
_BACKEND_ROUNDING = 2e-14
# Members that differ, near a start where the loss is known to be finite.
_SCALES = (1.0, 0.9, 1.1)
_MOST_CANCELLED = 1e4
"""Times its value that the terms of a loss may be: a small cross-entropy is left of large logits."""

Arrays = dict[str, NumpyArray]


def check_problem(problem: Problem, *, backends: Sequence[str] = ("numpy",)) -> list[CheckResult]:
    """Return the results of all checks of a problem at its start point; none of them is statistical.

    Where the form is not that of a problem, that result is the only one: the others would say the same in riddles.

    Parameters
    ----------
    backends
        Whose losses must agree with NumPy's.

    Raises
    ------
    UnknownNameError, MissingDependencyError
        There is no backend of a name, or its framework is not installed.
    InvalidInputError, InvalidTypeError
        `backends` are none, or one string.

    Examples
    --------
    >>> import gradest
    >>> from gradest.testing import check_problem
    >>> results = check_problem(gradest.get_problem("quadratic", size=3))
    >>> [result.name for result in results if result.passed]
    ['form', 'arrays', 'population', 'examples', 'closed form', 'interpreters', 'losses']
    """
    named = named_backends(backends)
    checks: tuple[Callable[[], CheckResult], ...] = (
        partial(check_arrays, problem),
        partial(check_population, problem),
        partial(check_examples, problem),
        partial(check_closed_form, problem),
        partial(check_interpreters, problem),
        partial(check_losses, problem, named),
    )
    form = _carry_out(partial(check_form, problem))
    return [form, *(_carry_out(check) for check in checks)] if form.passed else [form]


def _carry_out(check: Callable[[], CheckResult]) -> CheckResult:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - a problem may raise anything; it is a finding, and is reported
        name = check.func.__name__.removeprefix("check_").replace("_", " ")  # type: ignore[attr-defined]  # a partial
        return CheckResult(name, False, raised(error))


def check_form(problem: Problem) -> CheckResult:
    """Check that parameters and data are arrays by name, the loss one finite number, the closed form like both.

    A failure means that the problem cannot be used at all.
    """
    with np.errstate(all="ignore"):  # what is not finite is told in words
        faults = list(_array_form_faults(problem)) or list(_loss_form_faults(problem))
    also = ", and a gradient of the parameters' names and shapes" if problem.has_closed_form else ""
    return claimed("form", faults, f"arrays by name, a loss that is one finite number{also}")


def _array_form_faults(problem: Problem) -> Iterator[str]:
    for what, found in (("parameters", problem.parameters()), ("data", problem.data())):
        if not isinstance(found, Mapping):
            yield f"{what} must return a dict of arrays by name; found {type(found).__name__}"
            continue
        for name, values in found.items():
            if not isinstance(values, np.ndarray | np.generic):
                yield f"{what} {name!r} must be a NumPy array; found {type(values).__name__}; write np.asarray(...)"


def _loss_form_faults(problem: Problem) -> Iterator[str]:
    ops, params, data = get_backend("numpy").operations(), problem.parameters(), problem.data()
    value: Any = problem.loss(ops, params, data)
    if value is None:
        yield "loss returned None: is a `return` missing?"
    elif np.shape(value) != ():
        yield f"loss must return one number for one set of parameters; found shape {np.shape(value)}"
    elif not np.isfinite(value):
        yield f"the loss is {value} at the start point; begin where it is finite"
    if not problem.has_closed_form:
        return
    answer: Any = problem.loss_and_gradient(ops, params, data)
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], Mapping)):
        yield f"loss_and_gradient must return (loss, dict of arrays by name); found {type(answer).__name__}"
        return
    asked, found = ({n: np.shape(x) for n, x in named.items()} for named in (params, answer[1]))
    for name in dict.fromkeys((*asked, *found)):
        if asked.get(name) != found.get(name):
            shapes = (f"shape {each[name]}" if name in each else "none" for each in (asked, found))
            yield "gradient {!r} of loss_and_gradient: {} asked, {} found".format(name, *shapes)


def check_arrays(problem: Problem) -> CheckResult:
    """Check that parameters and data are finite float64, equal each time, and fresh: nobody else's memory.

    A failure means that two runs of the problem do not start from the same numbers.
    """
    return claimed("arrays", _array_faults(problem), "float64, finite, equal and fresh each time")


def _array_faults(problem: Problem) -> Iterator[str]:
    for what, make in (("parameters", problem.parameters), ("data", problem.data)):
        first, second = make(), make()
        for name, values in first.items():
            if values.dtype != np.float64:
                yield f"{what} {name!r} is {values.dtype}, not float64"
            if not np.isfinite(values).all():
                yield f"{what} {name!r} holds NaN or infinity"
            if not np.array_equal(values, second[name], equal_nan=True):
                yield f"{what} {name!r} differs from one call to the next"
            # A caller may write into what it is given, and the next run would start from there.
            if np.shares_memory(values, second[name]):
                yield f"{what} {name!r} is the same memory at each call; return a copy"
    if tuple(problem.parameters()) != problem.layout.names:
        yield "the layout's names are not those of the parameters"


def check_population(problem: Problem) -> CheckResult:
    """Check that parameters with a leading axis K give the K losses of its members.

    A failure means that the loss mixes members (a sum over all axes, say), so that no batched estimator can use it.
    """
    ops, data, count = get_backend("numpy").operations(), problem.data(), len(_SCALES)
    population = _population(problem)
    losses = np.asarray(problem.loss(ops, population, data))
    if losses.shape != (count,):
        fault = f"{count} sets of parameters give a loss of shape {losses.shape}, not ({count},)"
        return claimed("population", [f"{fault}; reduce over the axes of one set alone, such as axis=(-1, -2)"], "")
    singles = np.array([problem.loss(ops, {n: x[k] for n, x in population.items()}, data) for k in range(count)])
    error = float(np.max(np.abs(losses - singles))) / _size_of_terms(singles)
    return judged(
        "population", error, _POPULATION_ROUNDING, f"losses of a population differ from single ones by {error:.2g}"
    )


def check_examples(problem: Problem) -> CheckResult:
    """Check that the losses of the examples have the loss as their mean, for one set of parameters and for K of them.

    A failure means that the noise scale and what weighs each example by itself are those of another loss.
    """
    if not isinstance(problem, EmpiricalRisk):
        return not_applicable("examples", "it is no EmpiricalRisk; where the loss is a mean over examples, write one")
    ops, data = get_backend("numpy").operations(), problem.data()
    population = _population(problem)
    single = problem.parameters()
    one, many = (np.asarray(problem.losses(ops, params, data)) for params in (single, population))
    if one.ndim != 1 or many.shape != (len(_SCALES), *one.shape):
        found = f"losses are of shape {one.shape}, and {many.shape} for {len(_SCALES)} sets of parameters"
        return claimed("examples", [f"{found}; (B,) and (K, B) were asked for"], "")
    wanted = (np.asarray(problem.loss(ops, params, data)) for params in (single, population))
    pairs = zip((one.mean(), many.mean(axis=-1)), wanted, strict=True)
    errors = [float(np.max(np.abs(mean - loss))) / _size_of_terms(loss) for mean, loss in pairs]
    error = float(np.max(errors))  # NaN where one is, which Python's max passes over
    return judged(
        "examples", error, _POPULATION_ROUNDING, f"the mean loss of {one.size} examples is {error:.2g} from the loss"
    )


def _population(problem: Problem) -> Arrays:
    """Return the start point at several scales, along a leading axis."""
    scales = np.array(_SCALES)
    return {n: x * scales.reshape((len(scales),) + (1,) * x.ndim) for n, x in problem.parameters().items()}


def _causes(problem: Problem) -> str:
    """Return what is probably wrong with the closed form, for each parameter that it is wrong of, in words."""
    objective = bind(problem, dtype="float64")
    reverse = get_estimator("reverse", engine="gradest")(objective).gradient  # of the loss's own text
    claimed = get_estimator("analytic")(objective).gradient
    causes = []
    for name, right in reverse.items():
        off, size = (norm_of(x) for x in (claimed[name] - right, right))
        if off > _CAUSE_FROM * size:
            others = {other: block.ravel() for other, block in reverse.items() if other != name}
            found, expected, at = (x.ravel() for x in (claimed[name], right, problem.parameters()[name]))
            cause = likely_cause(found, expected, at, right.shape, tolerance=_CAUSE_FROM, others=others)
            causes.append(f"{name}: {cause}")
    return "; ".join(causes)


def check_closed_form(problem: Problem) -> CheckResult:
    """Check the closed-form gradient against complex-step differentiation of the loss, in extended precision.

    A failure means that the gradient is not that of the loss, and that every accuracy measured against it is wrong.
    """
    if not problem.has_closed_form:
        return not_applicable("closed form", "the problem has none; write loss_and_gradient")
    reference = reference_at(problem, _extended(problem.parameters()), _extended(problem.data()))
    bound = _CLOSED_FORM_ROUNDING * float(np.finfo(np.longdouble).eps)
    detail = f"differs from the complex step by {reference.uncertainty:.2g} of its length"
    if not reference.uncertainty <= bound:
        causes = _causes(problem)
        detail += f"; {causes}" if causes else ""
    return judged("closed form", reference.uncertainty, bound, detail)


def check_interpreters(problem: Problem) -> CheckResult:
    """Check that reverse mode and exact differences of the loss's text give the gradient of the closed form.

    A failure means that the closed form, or an interpreter, is wrong, or that the text does what they cannot follow:
    it must keep to operators, Python numbers, and the names of `Operations`.
    """
    ops, start, data = get_backend("numpy").operations(), problem.parameters(), problem.data()
    names, leaves = tuple(start), tuple(start.values())

    def text(operations: Any, values: Any, given: Any) -> Any:
        return problem.loss(operations, dict(zip(names, values, strict=True)), given)

    expected = reference_at(problem, _extended(start), _extended(data)).gradient
    _, blocks = value_and_gradient(text, ops, leaves, data)
    error = compare_gradients(problem.layout.flatten([np.asarray(b) for b in blocks]), expected).relative_error
    # A power of two, so that to divide by it rounds nothing; exact differences lose no digits to so short a step.
    step = 2.0**-40
    signs = np.where(np.random.default_rng(1).random(expected.size) < 0.5, -1.0, 1.0)
    moved = [Dense(block[None]) for block in problem.layout.unflatten(step * signs)]
    _, difference = value_and_differences(text, ops, leaves, moved, data)
    slope = float(np.sum(signs * expected))
    # Against the length of all signs, not the slope: along random signs a slope may be next to nothing by chance.
    scale = norm_of(expected) * math.sqrt(expected.size)
    other = abs(float(np.asarray(difference)[0]) / step - slope) / scale if scale > 0 else 0.0
    error = other if worse(other, error) else error
    return judged(
        "interpreters", error, _ENGINE_ROUNDING, f"reverse mode and exact differences are {error:.2g} off at most"
    )


def check_losses(problem: Problem, backends: Sequence[str]) -> CheckResult:
    """Check that the loss is the same on all backends, to rounding in float64, or in the finest dtype that one has.

    A failure means that a comparison between backends compares different problems.
    """
    expected = float(np.asarray(problem.loss(get_backend("numpy").operations(), problem.parameters(), problem.data())))
    errors, allowed = {}, {}
    for name in backends:
        dtype = finest_dtype(get_backend(name))
        objective = bind(problem, backend=name, dtype=dtype)
        found = float(objective.backend.numpy(objective.prepare_value()(objective.start)))
        errors[name] = abs(found - expected) / _size_of_terms(np.array(expected))
        allowed[name] = _BACKEND_ROUNDING * epsilon(dtype) / epsilon("float64")
    worst = max(errors, key=lambda name: (math.isnan(errors[name]), errors[name] / allowed[name]))  # NaN is the worst
    apart = ", ".join(f"{error:.2g} on {name}" for name, error in errors.items())
    return judged("losses", errors[worst], allowed[worst], f"the loss differs from NumPy's by {apart}")


def _size_of_terms(losses: NumpyArray) -> float:
    """Return the size against which rounding of some losses is judged: theirs, and up to 1 where more may cancel.

    By 1 alone, every loss of a problem near 1e-20 would be right to rounding.
    """
    size = float(np.max(np.abs(losses)))
    return max(size, min(1.0, _MOST_CANCELLED * size)) or 1.0


def _extended(arrays: Arrays) -> Arrays:
    return {name: values.astype(np.longdouble) for name, values in arrays.items()}
