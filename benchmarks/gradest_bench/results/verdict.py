"""Judges whether a measured estimate is what its estimator claims; the verdict stands beside the numbers.

An exact or difference method is judged by its error, a stochastic one by whether its mean is where its target is,
along the target and across it. This module knows no file.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from gradest.dtypes import epsilon
from gradest.measurement.outcome import Outcome
from gradest.measurement.sign_test import least_p_value
from gradest.target import Target
from gradest_bench.results.records import Record, number
from gradest_bench.results.scale_test import AGREES, TOO_FEW_SEEDS, WRONG, judge_scale

UNJUDGED = "-"
FALSE_WRONG = 0.01
"""The probability that a run of calibrated estimators holds any "wrong": of its scales, and again of its biases."""

DETERMINISTIC_TOLERANCE = 0.05
"""A deterministic method whose relative error exceeds this has no gradient to offer at that setting."""
SMOOTHING_TOLERANCE = 0.05
"""How far smoothing by another law than the normal may move the mean: its target has no reference here."""
_UNCERTAINTIES = 5.0
"""How many of its own standard errors the reference of a smoothed target may be off."""
_COARSE = 0.2
"""A smoothed reference less certain than this share of the mean's noise cannot show a bias."""

Judgement = tuple[str, str]
"""A verdict, and why where that needs words."""


def verdicts(records: Iterable[Record]) -> dict[str, Judgement]:
    """Return the verdict on each record of a run, by the record's key, and the reasons of those that need one.

    "agrees", "wrong", "too few seeds" to tell, or "-" for what is not judged. Together the cells of a run of calibrated
    estimators hold a "wrong" scale with a probability of at most `FALSE_WRONG`, and a bias with as little.
    """
    kept = list(records)
    family = sum(1 for record in kept if _judged_by_scatter(record))
    return {record.key: verdict(record, family=max(family, 1)) for record in kept}


def verdict(record: Record, *, family: int = 1) -> Judgement:
    """Return the verdict on one record, of a run with `family` stochastic cells that are judged."""
    if record.outcome != Outcome.OK or not record.accuracy or record.facts.get("target") == Target.NOTHING.value:
        return UNJUDGED, ""
    single = record.accuracy["single"]
    if record.facts.get("stochastic"):
        return _stochastic(record, family) if _judged_by_scatter(record) else (UNJUDGED, "")
    error = number(single["relative_error"])
    if record.facts.get("target") == Target.DIRECTION.value:
        # a direction promises no length, and its cosine no size: NaN, of no direction, is no agreement
        return (AGREES, "") if number(single["cosine"]) > 0 else (WRONG, "points away from the gradient")
    if error <= max(DETERMINISTIC_TOLERANCE, _dtype_allowance(record.cell.dtype)):
        return AGREES, ""
    return WRONG, f"relative error {error:.2g}"


def wrong_and_unexpected(records: Iterable[Record], found: dict[str, Judgement]) -> list[Record]:
    """Return the records judged wrong of which their suite does not expect it."""
    return [r for r in records if found[r.key][0] == WRONG and WRONG not in r.cell.expect]


def _judged_by_scatter(record: Record) -> bool:
    facts = record.facts
    claims = facts.get("target") not in (Target.NOTHING.value, Target.DIRECTION.value)
    scatter = record.accuracy.get("replicates")
    return bool(record.outcome == Outcome.OK and facts.get("stochastic") and claims and scatter)


def _dtype_allowance(dtype: str) -> float:
    """Return the error that a dtype of few digits may show by itself: the square root of its spacing at 1."""
    return math.sqrt(epsilon(dtype))


def _stochastic(record: Record, family: int) -> Judgement:
    # an estimator that smooths estimates the gradient of the smoothed loss: about that one it is unbiased
    smoothed = record.accuracy.get("smoothed")
    judged = smoothed or record.accuracy["replicates"]
    predicted = record.accuracy.get("predicted") or {}
    unbiased = bool(predicted) and predicted.get("bias_order") is None
    slopes = np.array([number(slope) for slope in judged.get("slopes") or ()])
    if not slopes.size:
        return UNJUDGED, "an earlier version kept no estimate of each seed; run it anew"
    # rounding moves every slope alike, which no number of seeds averages away
    own = _dtype_allowance(record.cell.dtype)
    if smoothed:
        own += _UNCERTAINTIES * number(smoothed["uncertainty"])
    elif not unbiased:
        own += SMOOTHING_TOLERANCE
    # what theory says of the slope on the gradient says nothing of that on another vector
    variation = None if smoothed or not unbiased else predicted.get("slope_variation")
    along = judge_scale(
        slopes, variation=None if variation is None else number(variation), tail=FALSE_WRONG / (2 * family), slack=own
    )
    if along[0] == WRONG:
        return along
    slack = _dtype_allowance(record.cell.dtype)
    return _bias(judged, family, slack=slack) or along if smoothed or unbiased else along


def _bias(judged: dict[str, Any], family: int, *, slack: float) -> Judgement | None:
    """Return "wrong" for a mean that lies beside the target; None where none is seen, or could be."""
    # rounding errors of one sign are a bias to a test of signs, however small
    if number(judged.get("bias")) <= slack:
        return None
    p_value = judged.get("bias_p_value")
    limit = FALSE_WRONG / family
    if p_value is None or least_p_value(len(judged["slopes"])) > limit:
        return None
    if number(judged.get("uncertainty") or 0.0) > _COARSE * number(judged["bias_noise"]):
        return None
    if number(p_value) > limit:
        return None
    return WRONG, f"a bias of {number(judged['bias']):.2g} across the target (p = {number(p_value):.1e} by signs)"


__all__ = ["AGREES", "FALSE_WRONG", "TOO_FEW_SEEDS", "UNJUDGED", "WRONG", "verdict", "verdicts", "wrong_and_unexpected"]
