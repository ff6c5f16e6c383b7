"""Checks of what a deterministic estimator returns: against extended precision, and with the order it states."""

import math

import numpy as np

from gradest.errors import InvalidInputError
from gradest.measurement.accuracy import Accuracy, compare_gradients
from gradest.measurement.reference import reference_gradient
from gradest.measurement.session import flat
from gradest.problem import Problem
from gradest.problems.analytic_functions import LogSumExp
from gradest.problems.quadratic import Quadratic
from gradest.target import Target
from gradest.testing.factors import Setting, explain_factor
from gradest.testing.known_problems import accuracy_problems
from gradest.testing.results import CheckResult, judged, not_applicable, worse
from gradest.testing.subject import Subject
from gradest.theory import difference_rule

_EXACT_ROUNDING = 1000  # units of eps: differentiation in the working precision
_DIFFERENCE_FACTOR = 100  # times the truncation and rounding of a loss of size one
_STEPS = (0.2, 0.1)
_ORDER_TOLERANCE = 0.3
_COARSE_ORDER = 2  # of what is left of the error in dtypes with fewer digits than float64
_STRAIGHT = 0.999


def check_accuracy(subject: Subject) -> CheckResult:
    """Check a deterministic estimator against references in extended precision, in float64 and float32.

    A failure means that the gradient is wrong by more than rounding and the step account for; the detail names the
    problem, and the forgotten factor where the numbers tell it.
    """
    estimator = subject.estimator
    if subject.scatters or not subject.judged_by_length:
        return not_applicable(
            "accuracy",
            "it is random, or does not claim the gradient; a deterministic one with Target.GRADIENT is compared",
        )
    worst, detail = 0.0, "exact on every problem"
    for problem in accuracy_problems():
        for dtype in subject.dtypes:
            objective = subject.objective(problem, dtype=dtype)
            found = flat(objective, estimator.prepare(objective)(rng=subject.seed))
            accuracy = compare_gradients(found, reference_gradient(objective).gradient)
            share = accuracy.relative_error / _tolerance(subject, dtype)
            if worse(share, worst):
                worst = share
                detail = f"{problem.name} in {dtype}: relative error {accuracy.relative_error:.3g}, "
                detail += f"allowed {_tolerance(subject, dtype):.3g}"
                detail += _explained(subject, accuracy, problem)
                # The first failure is told: of those behind it the cause is mostly the same.
                if not share <= 1 or math.isnan(share):
                    return judged("accuracy", share, 1.0, detail)
    return judged("accuracy", worst, 1.0, f"at worst, {detail}")


def _explained(subject: Subject, accuracy: Accuracy, problem: Problem) -> str:
    """Return the factor that the length of a gradient suggests, if the direction is right and other problems agree."""
    found = accuracy.norm_ratio * math.copysign(1, accuracy.cosine)
    straight = found == 0 or abs(accuracy.cosine) > _STRAIGHT

    def scale_at(setting: Setting) -> tuple[float, float] | None:
        objective = subject.objective(Quadratic(size=setting.size))
        gradient = flat(objective, subject.estimator.prepare(objective)(rng=subject.seed))
        there = compare_gradients(gradient, reference_gradient(objective).gradient)
        return there.norm_ratio * math.copysign(1, there.cosine), 1e-3

    at = Setting(None, None, problem.layout.num_parameters)
    return explain_factor(found, 1e-3, subject, at=at, scale_at=scale_at, straight=straight)


def _tolerance(subject: Subject, dtype: str) -> float:
    """Return the relative error allowed: rounding for methods that differentiate, more where values are subtracted."""
    eps = float(np.finfo(dtype).eps)
    if subject.estimator.cost(accuracy_problems()[0].layout).values == 0:
        return _EXACT_ROUNDING * eps
    order = _order(subject) or 1
    step = subject.option("step")
    # A step that it chooses itself balances truncation h^p against rounding eps / h, as that of h = eps^(1/(p+1)).
    chosen = float(step) if isinstance(step, int | float) else eps ** (1 / (order + 1))
    return _DIFFERENCE_FACTOR * (chosen**order + eps / chosen)


def check_order(subject: Subject) -> CheckResult:
    """Check that halving the step of a difference scheme divides its error by 2^order.

    A failure means that the scheme is not the one stated: its weights do not cancel what they should. Steps are long
    enough that rounding does not show.
    """
    order = _order(subject)
    if order is None or not subject.has("step") or subject.estimator.target is not Target.GRADIENT:
        return not_applicable(
            "order", "it has no difference scheme with a step; name its fields scheme, order and step"
        )
    if subject.scatters or subject.option("scheme") == "complex-step":
        return not_applicable(
            "order", "its error is not all truncation; that of a deterministic scheme of real steps is"
        )
    if order > _COARSE_ORDER and subject.dtype != "float64":
        return not_applicable("order", f"its truncation drowns in the rounding of {subject.dtype}; float64 shows it")
    errors = []
    for step in _STEPS:
        # Smooth, with derivatives of every order: on a quadratic central differences have no error to fall.
        objective = subject.objective(LogSumExp(size=5))
        prepared = subject.varied(step=step).prepare(objective)
        errors.append(flat(objective, prepared(rng=subject.seed)) - reference_gradient(objective).gradient)
    sizes = [float(np.linalg.norm(error)) for error in errors]
    slope = math.log(sizes[0] / sizes[1]) / math.log(_STEPS[0] / _STEPS[1]) if all(sizes) else math.nan
    detail = (
        f"the error falls with the power {slope:.2f} of the step; scheme {subject.option('scheme')!r} has order {order}"
    )
    return judged("order", abs(slope - order), _ORDER_TOLERANCE, detail)


def _order(subject: Subject) -> int | None:
    """Return the order that the difference scheme states, or None where it is none that is known."""
    scheme, order = subject.option("scheme"), subject.option("order")
    if not isinstance(scheme, str):
        return None
    try:
        return difference_rule(scheme, order=order).order
    except InvalidInputError:
        return None
