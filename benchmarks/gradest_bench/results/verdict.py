"""Judges whether a measured estimate is what its estimator claims; the verdict stands beside the numbers.

An exact or difference method is judged by its error, a stochastic one by whether its mean is where its target is: a
wrong scale or sign shows in either. This module knows no file.
"""

import math

import numpy as np

from gradest.measurement.outcome import Outcome
from gradest.target import Target
from gradest_bench.results.records import Record, number

AGREES = "agrees"
WRONG = "wrong"
UNJUDGED = "-"

DETERMINISTIC_TOLERANCE = 0.05
"""A deterministic method whose relative error exceeds this has no gradient to offer at that setting."""
DEVIATIONS = 5.0
"""How many standard errors the regression of the mean on the target may lie off 1.

A suite has hundreds of cells: at two standard errors one in twenty faultless ones would be called wrong.
"""
SMOOTHING_TOLERANCE = 0.05
"""How far smoothing by another law than the normal may move the mean: its target has no reference here."""
NORMAL_95 = 1.96
"""Half-width of a 95 % interval in standard errors."""


def verdict(record: Record) -> tuple[str, str]:
    """Return "agrees", "wrong" or "-" (not judged), and the reason of a "wrong"."""
    if record.outcome != Outcome.OK or not record.accuracy or record.facts.get("target") == Target.NOTHING.value:
        return UNJUDGED, ""
    single, scatter = record.accuracy["single"], record.accuracy.get("replicates")
    if record.facts.get("stochastic"):
        if scatter is None or record.facts.get("target") == Target.DIRECTION.value:
            return UNJUDGED, ""
        return _stochastic(scatter, record.accuracy.get("smoothed"))
    error = number(single["relative_error"])
    if record.facts.get("target") == Target.DIRECTION.value:
        return (AGREES, "") if number(single["cosine"]) > 0 else (WRONG, "points away from the gradient")
    if error <= max(DETERMINISTIC_TOLERANCE, _dtype_allowance(record.cell.dtype)):
        return AGREES, ""
    return WRONG, f"relative error {error:.2g}"


def _dtype_allowance(dtype: str) -> float:
    """Return the error that a dtype of few digits may show by itself: the square root of its rounding unit."""
    eps = {"bfloat16": 2.0**-8, "float16": 2.0**-10}.get(dtype)
    return math.sqrt(float(np.finfo(np.float32).eps) if eps is None else eps)


def _stochastic(scatter: dict[str, object], smoothed: dict[str, object] | None) -> tuple[str, str]:
    # an estimator that smooths estimates the gradient of the smoothed loss: about that one it is unbiased
    judged = scatter if smoothed is None else smoothed
    scale, half_width = number(judged["scale"]), number(judged["scale_half_width"])
    own = SMOOTHING_TOLERANCE if smoothed is None else DEVIATIONS * number(smoothed["uncertainty"])
    # `not ... <=` and not `>`: every comparison with NaN is false, and NaN is wrong
    if not abs(scale - 1.0) <= DEVIATIONS * half_width / NORMAL_95 + own:
        return WRONG, f"scale {scale:.3g} ± {half_width:.2g} (95 %), 1 for a calibrated estimator"
    return AGREES, ""
