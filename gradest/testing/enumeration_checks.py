"""An exact check of expectations, for Rademacher directions: the mean over all 2^P sign vectors, without chance."""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.estimator import Estimator
from gradest.layout import Layout
from gradest.target import Target
from gradest.testing.known_problems import Cubic
from gradest.testing.results import CheckResult, judged, not_applicable, worse
from gradest.testing.subject import Subject
from gradest.theory import smoothing_bias

_SIGMA = 0.5
_CUBIC = 1.5
_ROUNDING = 1e-11


@dataclass(frozen=True)
class AllSigns:
    """All sign vectors in place of random directions: direction i has the signs of the bits of i."""

    layout: Layout

    def block(self, start: int, stop: int) -> tuple[NDArray[np.float64], ...]:
        """Return the sign vectors start, ..., stop - 1, one array `(K, *shape)` for each parameter."""
        # By their numbers, so that chunks of any size give each of the 2^P vectors once.
        bits = np.arange(start, stop)[:, None] >> np.arange(self.layout.num_parameters)
        return tuple(np.ascontiguousarray(part) for part in self.layout.unflatten(1.0 - 2.0 * (bits & 1)))


def check_enumeration(subject: Subject) -> CheckResult:
    """Check the mean over all sign vectors, which is the expectation to rounding, on a quadratic and a cubic.

    A failure means a bias or a wrong factor. It sees errors of 1e-11, which no average over random directions does.
    """
    estimator = subject.estimator
    fits = subject.option("distribution") == "rademacher" and subject.has("num_samples")
    # A baseline over the samples is of the whole set, whose mean over all signs is another than the expectation.
    fits = fits and subject.option("baseline", "none") in ("none", "value") and subject.option("shaping") is None
    if not fits or not subject.judged_by_length or not callable(getattr(estimator, "directions", None)):
        return not_applicable(
            "enumeration",
            "its directions are no signs that can be given to it; with distribution='rademacher' they are",
        )
    worst = 0.0
    for cubic in (0.0, _CUBIC):
        problem = Cubic(cubic=cubic)
        layout = problem.layout
        fed = _fed(subject.varied(num_samples=2**layout.num_parameters, sigma=_SIGMA))
        target = problem.gradient_at_start
        if estimator.target is Target.SMOOTHED and estimator.cost(layout).values:
            target = target + smoothing_bias("rademacher", problem.third_derivative, sigma=_SIGMA)
        found = subject.estimates(fed, problem, [subject.seed])[0]
        error = float(np.linalg.norm(found - target) / np.linalg.norm(target))
        worst = error if worse(error, worst) else worst
    shown = "NaN" if math.isnan(worst) else f"{worst:.2g}"
    return judged(
        "enumeration",
        worst,
        subject.rounding(_ROUNDING),
        f"the mean over all {2**layout.num_parameters} sign vectors is {shown} off",
    )


def _fed(estimator: Estimator) -> Estimator:
    """Return the estimator with `directions` replaced by all sign vectors."""
    kind = type(estimator)
    fed: Any = type(kind.__name__, (kind,), {"directions": lambda self, key, objective: AllSigns(objective.layout)})
    return fed(**{f.name: getattr(estimator, f.name) for f in fields(estimator)})  # type: ignore[no-any-return]  # a class made here
