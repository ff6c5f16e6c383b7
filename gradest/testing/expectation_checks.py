"""Checks of what a stochastic estimator does on average: its expectation, its scale, its variance.

Figures of what a check can see are for 1000 replicates of 5 directions on 8 parameters, at the default false-alarm
probability. The tests are made on problems whose gradient, Hessian and third derivative are known; see `Cubic`.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gradest.directions import LAWS
from gradest.errors import UnsupportedError
from gradest.measurement.reference import reference_gradient
from gradest.problem import Problem
from gradest.problems.quadratic import Quadratic
from gradest.situation import Situation
from gradest.target import Target
from gradest.testing.factors import OTHER_SIZE, Setting, explain_factor
from gradest.testing.known_problems import Cubic
from gradest.testing.results import DETERMINISTIC, NO_LENGTH, CheckResult, judged, not_applicable, resolved
from gradest.testing.statistics import ROUNDING, deviations_allowed, hotelling_test, lag_correlation, ratio_bounds
from gradest.testing.subject import REPLICATES, WIDE_SIGMA, Subject
from gradest.theory import (
    Prediction,
    low_rank_bias,
    relative_mse_linear,
    smoothing_bias,
    unbiasedness_statistic,
)

Floats = NDArray[np.float64]

_LAGS = (1, 2, 3)
_CUBIC = 1.5
_SMOOTHING_SIGMA = 0.8
_LEAST_COSINE = 0.9
_NO_COVARIANCE = (
    "it has no known law, number and prediction; name a law of gradest.directions.LAWS in a field distribution, how "
    "many directions there are in a field num_samples, and return the error by predict"
)


# A check that could not see a fault of these sizes has nothing to say: the commonest wrong scales are 1/2 and 2.
_SCALE_RESOLVED = 0.35
_NOISE_RESOLVED = 0.4
_VARIANCE_RESOLVED = 1.0
_MORE_DIRECTIONS = "take less noise (antithetic pairs, a baseline), or more directions at a smaller cost"


def check_unbiasedness(subject: Subject) -> CheckResult:
    """Check that the mean of many estimates is the gradient of a quadratic, by Hotelling's test.

    A failure means that the estimator is biased where it claims not to be. It sees a mean that is off, in any
    direction, by about a fifth of the standard deviation of one estimate; not a wrong variance.
    """
    if not (subject.scatters and subject.judged_by_length):
        return not_applicable("unbiasedness", NO_LENGTH)
    target = Cubic().gradient_at_start
    estimates = subject.enough_estimates(lambda some: _noise(some, target), _NOISE_RESOLVED)
    return _mean_test("unbiasedness", subject, estimates, target)


def _mean_test(name: str, subject: Subject, estimates: Floats, target: Floats) -> CheckResult:
    if not np.isfinite(estimates).all():
        return judged(name, math.nan, 0.0, "estimates hold NaN or infinity")
    test = hotelling_test(estimates, target, rounding=subject.rounding(ROUNDING))
    off = float(np.linalg.norm(estimates.mean(axis=0) - target) / np.linalg.norm(target))
    noise = _noise(estimates, target)
    detail = f"the mean of {len(estimates)} estimates is {off:.2g} |g| from its target, with noise of {noise:.2g} |g|: "
    detail += f"p = 10^-{test.surprise:.3g}"
    bound = -math.log10(subject.false_alarm)
    result = judged(name, test.surprise, bound, detail, false_alarm=subject.false_alarm)
    return resolved(result, noise, _NOISE_RESOLVED, _MORE_DIRECTIONS)


def _noise(estimates: Floats, target: Floats) -> float:
    """Return the standard deviation of the mean of estimates, relative to the target."""
    return float(np.sqrt(np.var(estimates, axis=0).sum() / len(estimates)) / np.linalg.norm(target))


def check_covariance(subject: Subject) -> CheckResult:
    """Check the mean against the covariance that theory predicts, where the law of the directions is known.

    A failure means a bias or a wrong scale. It sees what "unbiasedness" sees, is not misled by a spread that is wrong
    as well, and in directions that should not scatter at all sees anything beyond rounding.
    """
    law, number = subject.option("distribution"), subject.statistical.__dict__.get("num_samples")
    target = Cubic().gradient_at_start
    prediction = _prediction(subject)
    predicted = None if prediction is None else prediction.relative_mse
    if law not in LAWS or law == "low-rank" or predicted is None or not isinstance(number, int):
        return not_applicable("covariance", _NO_COVARIANCE)
    # The covariance that theory has is of linear estimates: one that predicts more has another, and would fail.
    linear = relative_mse_linear(law, num_parameters=target.size, num_samples=number)
    if not (subject.judged_by_length and math.isclose(predicted, linear, rel_tol=1e-9, abs_tol=1e-12)):
        return not_applicable(
            "covariance",
            "its prediction holds more than the covariance of linear estimates; that of antithetic pairs does not",
        )
    test = unbiasedness_statistic(subject.quadratic_estimates, target=target, distribution=law, num_samples=number)
    surprise = -math.log10(test.p_value) if test.p_value > 0 else math.inf
    detail = f"chi-square of {test.degrees_of_freedom} degrees: {test.statistic:.3g}, p = {test.p_value:.2g}"
    bound = -math.log10(subject.false_alarm)
    return judged("covariance", surprise, bound, detail, false_alarm=subject.false_alarm)


def check_scale(subject: Subject) -> CheckResult:
    """Check that the mean of many estimates is 1 times the gradient, not sigma times it or 1/N of it.

    A failure means a forgotten or a superfluous factor; the detail names the likeliest. It sees a scale that is wrong
    by 10 to 15 %; "enumeration" sees smaller factors where it applies.
    """
    if not (subject.scatters and subject.judged_by_length):
        return not_applicable("scale", NO_LENGTH)
    target, allowed = Cubic().gradient_at_start, deviations_allowed(subject.false_alarm)
    estimates = subject.enough_estimates(lambda some: allowed * _scale(some, target)[1], _SCALE_RESOLVED)
    found, error = _scale(estimates, target)
    bound = max(allowed * error, subject.rounding(ROUNDING))
    number = subject.statistical.__dict__.get("num_samples")
    hint = explain_factor(
        found,
        3 * error,
        subject,
        at=Setting(WIDE_SIGMA if subject.has("sigma") else None, number, target.size),
        scale_at=lambda setting: _scale_at(subject, setting),
        # the mean is what the scale says of it, and no other vector that has this component along the gradient
        straight=hotelling_test(estimates, found * target, rounding=subject.rounding(ROUNDING)).surprise
        < -math.log10(subject.false_alarm),
    )
    detail = f"found {found:.4g} +- {error:.2g} times the gradient, expected 1{hint}"
    result = judged("scale", abs(found - 1), bound, detail, false_alarm=subject.false_alarm)
    return resolved(result, bound, _SCALE_RESOLVED, _MORE_DIRECTIONS)


def _scale(estimates: Floats, target: Floats) -> tuple[float, float]:
    """Return how many times the gradient estimates are on average, and the standard error of it."""
    slopes = estimates @ target / float(target @ target)
    return float(np.mean(slopes)), float(np.std(slopes, ddof=1) / math.sqrt(len(slopes)))


def _scale_at(subject: Subject, setting: Setting) -> tuple[float, float] | None:
    """Return the scale in another setting, and three standard errors of it."""
    problem: Problem = Cubic() if setting.size != OTHER_SIZE else Quadratic(size=OTHER_SIZE)
    estimator = subject.varied(num_samples=setting.number, sigma=setting.sigma)
    try:
        estimates = subject.estimates(estimator, problem, range(subject.seed, subject.seed + REPLICATES))
    except UnsupportedError:  # it asks for layers, which the second problem has not
        return None
    objective = subject.objective(problem)
    found, error = _scale(estimates, np.asarray(reference_gradient(objective).gradient, dtype=np.float64))
    return found, 3 * error


def check_variance(subject: Subject) -> CheckResult:
    """Check that the mean squared error is what `predict` says, on a quadratic whose curvature it is told.

    A failure means that the directions are of another law or number than stated, that they depend on each other, or
    that the prediction is wrong. It sees an error that is 11 % (Rademacher) to 16 % (normal) off, and only one about
    half as large again for low-rank directions of rank 1, whose tails are heavy.
    """
    prediction = _prediction(subject) if subject.scatters else None
    if prediction is None or prediction.relative_mse is None or not subject.judged_by_length:
        return not_applicable("variance", "it predicts no mean squared error here; return one by predict")
    target = Cubic().gradient_at_start
    squares = np.sum((subject.quadratic_estimates - target) ** 2, axis=1) / float(target @ target)
    measured, predicted = float(squares.mean()), float(prediction.relative_mse)
    # A full set of orthogonal directions has no error at all: of a ratio to 0 nothing could be said.
    if predicted < subject.rounding(ROUNDING):
        return judged("variance", measured, subject.rounding(ROUNDING), f"relative MSE {measured:.3g}, predicted 0")
    low, high = ratio_bounds(squares, subject.false_alarm)
    ratio = measured / predicted
    detail = (
        f"relative MSE {measured:.4g}, predicted {predicted:.4g}: ratio {ratio:.3f}, allowed {low:.3f} to {high:.3f}"
    )
    result = judged("variance", ratio, high, detail, false_alarm=subject.false_alarm)
    result = result if low <= ratio else replace(result, passed=False)
    return resolved(result, high - 1, _VARIANCE_RESOLVED, _MORE_DIRECTIONS)


def _prediction(subject: Subject, *, by_layout: bool = False) -> Prediction | None:
    """Return what the estimator predicts for the quadratic: from the layout alone if asked, else knowing all."""
    form = Cubic()
    try:
        return subject.statistical.predict(
            Situation(
                form.layout,
                form.gradient_at_start,
                value=form.value_at_start,
                hessian=form.hessian_at_start,
                objective=None if by_layout else subject.objective(form),
            )
        )
    except UnsupportedError:
        return None


def check_smoothing(subject: Subject) -> CheckResult:
    """Check on a cubic that the mean is the gradient of the loss smoothed by the law of the directions.

    A failure means that the loss is smoothed by another law, or at another radius, than the one stated. The bias of
    each law differs in order sigma^2 by fourth moments, so that it tells normal from Rademacher. It sees a mean
    that is off by about a fifth of the standard deviation of one estimate.
    """
    law = subject.option("distribution")
    smoothed = subject.scatters and subject.estimator.target is Target.SMOOTHED
    # Where the layout alone predicts the error, the law is one of directions of the parameters, not of something else.
    if not (smoothed and law in LAWS and subject.has("sigma") and _prediction(subject, by_layout=True)):
        return not_applicable(
            "smoothing",
            "it is for Target.SMOOTHED by a known law; name that in a field distribution, the radius in a field sigma, "
            "and return a prediction by predict",
        )
    problem = Cubic(cubic=_CUBIC)
    estimator = subject.with_few_samples(sigma=_SMOOTHING_SIGMA)
    estimates = subject.estimates(estimator, problem, range(subject.seed, subject.seed + REPLICATES))
    target = problem.gradient_at_start + _bias(subject, problem, law)
    return _mean_test("smoothing", subject, estimates, target)


def _bias(subject: Subject, problem: Cubic, law: str) -> Floats:
    """Return the bias that theory predicts on a cubic, E g_hat - g."""
    third = problem.third_derivative
    if subject.estimator.cost(problem.layout).values == 0:
        # A mean of gradients at x + sigma v sees second moments of v alone, which all laws share.
        return smoothing_bias("normal", third, sigma=_SMOOTHING_SIGMA)
    if law != "low-rank":
        return smoothing_bias(law, third, sigma=_SMOOTHING_SIGMA)
    bias = smoothing_bias("normal", third, sigma=_SMOOTHING_SIGMA)
    shape, size = problem.layout.shapes[0], problem.layout.sizes[0]
    within = third[:size, :size, :size]
    extra = low_rank_bias(within, sigma=_SMOOTHING_SIGMA, shape=(shape[0], shape[1]), rank=subject.option("rank", 1))
    bias[:size] += extra - smoothing_bias("normal", within, sigma=_SMOOTHING_SIGMA)
    return bias


def check_independence(subject: Subject) -> CheckResult:
    """Check that estimates of successive seeds are uncorrelated, at distances 1, 2 and 3.

    A failure means that seeds s and s + 1 share random numbers, so that averages over seeds are less accurate than
    they look. It sees a correlation of 0.1 or more; not one between seeds further apart.
    """
    if not subject.scatters:
        return not_applicable("independence", DETERMINISTIC)
    found = {
        lag: lag_correlation(subject.quadratic_estimates, lag, rounding=subject.rounding(ROUNDING)) for lag in _LAGS
    }
    # NaN is the worst: of estimates that are not finite no independence is known.
    lag = max(found, key=lambda k: abs(found[k]) if not math.isnan(found[k]) else math.inf)
    detail = f"estimates {lag} seeds apart correlate by {found[lag]:.2f} standard deviations"
    # Three distances are looked at, any of which may raise the alarm by chance.
    bound = deviations_allowed(subject.false_alarm / len(_LAGS))
    return judged("independence", abs(found[lag]), bound, detail, false_alarm=subject.false_alarm)


def check_direction(subject: Subject) -> CheckResult:
    """Check that the mean of direction-only estimates of a linear function points along its gradient.

    A failure means that following the estimate does not lead along the gradient: the mean has a cosine below 0.9 with
    it. This is not a test at a stated probability, but a bound that a working estimator keeps by far.
    """
    if subject.estimator.target is not Target.DIRECTION:
        return not_applicable(
            "direction", "it claims more than a direction; one that does not has target = Target.DIRECTION"
        )
    # Linear: what theory says of direction alone (signs, ranks) holds where the loss does not bend.
    problem = Cubic(quadratic=0.0)
    target = problem.gradient_at_start
    seeds = range(subject.seed, subject.seed + REPLICATES)
    mean = subject.estimates(subject.statistical, problem, seeds).mean(axis=0)
    length = float(np.linalg.norm(mean))
    cosine = float(mean @ target) / (length * float(np.linalg.norm(target))) if length > 0 else math.nan
    hint = "; the sign is wrong" if cosine < -_LEAST_COSINE else ""
    return judged("direction", -cosine, -_LEAST_COSINE, f"the mean's cosine with the gradient is {cosine:.4f}{hint}")
