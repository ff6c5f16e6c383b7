"""Checks of a stochastic estimator at its own number of directions, where defects of its chunks live.

Statistics with few directions see one chunk, whatever its size. Here an estimator is asked for as many as it is given
with, and for a number that no usual chunk divides, without a word about `chunk_size`: it may have none.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gradest.errors import UnsupportedError
from gradest.estimator import Estimator
from gradest.situation import Situation
from gradest.testing.known_problems import Cubic
from gradest.testing.results import NO_LENGTH, CheckResult, judged, not_applicable
from gradest.testing.statistics import ROUNDING, ratio_bounds
from gradest.testing.subject import FEW_SAMPLES, REPLICATES, Subject

_EVALUATIONS = 25_000  # of directions in all: more of them an estimate, fewer estimates
_FEWEST, _MOST = 100, 500  # estimates


def check_own_number(subject: Subject) -> CheckResult:
    """Check the mean squared error at the estimator's own number of directions, at 31 and at 33.

    A failure means that directions are not as many, or not weighted alike, as the number says: the noise of one chunk
    is that of another, a smaller last chunk is dropped, or means of unequal chunks are averaged. It sees a mean squared
    error that is a fifth too large; one that is too small only where the estimator predicts it.
    """
    if not (subject.scatters and subject.judged_by_length):
        return not_applicable("own number", NO_LENGTH)
    numbers = subject.larger_numbers
    if not numbers:
        return not_applicable("own number", "its number of directions cannot be set; name that field num_samples")
    # the probability is shared by the numbers that are tried
    shared = replace(subject, false_alarm=subject.false_alarm / len(numbers))
    results = [_judged_at(shared, number) for number in numbers]
    worst = max(results, key=lambda result: (not result.passed, result.figure / result.bound))
    return replace(worst, false_alarm=subject.false_alarm)


def _judged_at(subject: Subject, number: int) -> CheckResult:
    estimator = replace(subject.statistical, num_samples=number)  # type: ignore[call-arg]  # it has one
    errors = _errors(subject, estimator, max(_FEWEST, min(_MOST, _EVALUATIONS // number)))
    squares = np.sum(np.square(errors), axis=1)
    measured, predicted = float(squares.mean()), _predicted(subject, estimator)
    said = f"with {number} directions: relative MSE {measured:.4g}"
    if not math.isfinite(measured):
        return judged("own number", math.nan, 1.0, f"{said}; estimates hold NaN or infinity")
    rounding = subject.rounding(ROUNDING)
    # Errors that all estimates have in common do not shrink with their number, and say nothing of chunks.
    biased = float(np.sum(np.square(errors.mean(axis=0)))) > measured / 2
    if predicted is not None and predicted < rounding:
        return judged("own number", measured, rounding, f"{said}, predicted 0")
    low, high = ratio_bounds(squares, subject.false_alarm if predicted is None else subject.false_alarm / 2)
    if predicted is not None:
        ratio = measured / predicted
        detail = f"{said}, predicted {predicted:.4g}: ratio {ratio:.3f}, allowed {low:.3f} to {high:.3f}"
        result = judged("own number", ratio, high, detail + _hint(ratio, high, biased), false_alarm=subject.false_alarm)
        return result if low <= ratio else replace(result, passed=False)
    few = np.sum(np.square(_errors(subject, subject.statistical, REPLICATES)), axis=1)
    expected = float(few.mean()) * min(subject.option("num_samples"), FEW_SAMPLES) / number
    if expected < rounding:
        return judged("own number", measured, rounding, f"{said}, with fewer directions 0")
    # both are measured: each may be off by its own share of the probability
    high *= 1 / ratio_bounds(few, subject.false_alarm)[0]
    ratio = measured / expected
    detail = f"{said}, {ratio:.3f} times what {FEW_SAMPLES} directions give, averaged; allowed up to {high:.3f}"
    return judged("own number", ratio, high, detail + _hint(ratio, high, biased), false_alarm=subject.false_alarm)


def _hint(ratio: float, high: float, biased: bool) -> str:
    """Return what too large an error suggests; what is one of the two, "distinct directions" tells."""
    if ratio <= high:
        return ""
    if biased:
        return '; most of it is the mean of the estimates, which is off: see "unbiasedness" and "scale"'
    return "; chunks share their noise, are dropped, or count alike whatever their size"


def _errors(subject: Subject, estimator: Estimator, replicates: int) -> NDArray[np.float64]:
    """Return the errors of independent estimates of the quadratic, relative to the gradient's length, `(K, P)`."""
    target = Cubic().gradient_at_start
    seeds = range(subject.seed, subject.seed + replicates)
    return np.asarray((subject.estimates(estimator, Cubic(), seeds) - target) / float(np.sqrt(target @ target)))


def _predicted(subject: Subject, estimator: Estimator) -> float | None:
    form = Cubic()
    at = Situation(
        form.layout,
        form.gradient_at_start,
        value=form.value_at_start,
        hessian=form.hessian_at_start,
        objective=subject.objective(form),
    )
    try:
        prediction = estimator.predict(at)
    except UnsupportedError:
        return None
    return None if prediction is None or prediction.relative_mse is None else float(prediction.relative_mse)
