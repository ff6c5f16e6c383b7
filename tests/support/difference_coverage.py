"""How often the errors that differences state hold, over closed forms of known gradients."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from support.closed_forms import FORMS, KINKED, SINES, Form, reference
from support.further_closed_forms import FURTHER

import gradest

ESTIMATORS: dict[str, gradest.Estimator] = {
    "forward": gradest.get_estimator("fd-forward", error=True),
    "backward": gradest.get_estimator("fd-backward", error=True),
    "central": gradest.get_estimator("fd-central", error=True),
    "five-point": gradest.get_estimator("fd-five-point"),
    "order 6": gradest.get_estimator("fd-central", order=6),
    "order 8": gradest.get_estimator("fd-central", order=8),
    "richardson": gradest.get_estimator("fd-richardson"),
    "forward, noise": gradest.get_estimator("fd-forward", error=True, step="noise"),
    "central, noise": gradest.get_estimator("fd-central", error=True, step="noise"),
}


@dataclass(frozen=True)
class Coverage:
    """What one estimator stated in one dtype.

    Attributes
    ----------
    covered
        The share of entries whose true error is within the stated one, or which are flagged.
    flagged
        The share of well-scaled smooth entries that are flagged.
    generosity
        The median of stated / true error over the same, of those that are not exact.
    entries
        How many entries there are in all.
    """

    covered: float
    flagged: float
    generosity: float
    entries: int


def _in_own_dtype(f: Callable[[Any], Any], x: np.ndarray) -> Any:
    """Return a loss rounded to the dtype of its parameters: NumPy 1 makes float64 of a float32 times a number."""
    return x.dtype.type(f(x))


def moved(form: Form, generator: np.random.Generator) -> Form:
    """Return a form asked at another point: each entry is moved by up to five parts in a hundred."""
    x = np.array(form.x, dtype=float)
    return replace(form, x=tuple(x * (1 + 0.05 * generator.uniform(-1, 1, x.size))))


GROUPS: dict[str, tuple[Form, ...]] = {"literature": (*FORMS, *SINES, *KINKED), "further": FURTHER}
"""The closed forms by where they come from: each group has to hold by itself."""


def coverage(
    estimator: gradest.Estimator,
    dtype: str,
    *,
    group: str = "literature",
    draws: tuple[int, ...] = (),
    shrunk: float = 1.0,
) -> Coverage:
    """Return how an estimator's stated errors, divided by `shrunk`, hold over a group of forms in a dtype.

    They are asked at their points, or with `draws` at points moved at random, all of them once for each seed.
    """
    forms = GROUPS[group]
    if draws:
        forms = tuple(moved(form, g) for g in map(np.random.default_rng, draws) for form in forms)
    covered: list[bool] = []
    flagged: list[bool] = []
    ratios: list[float] = []
    for form in forms:
        true, stated, status = _asked(estimator, form, dtype)
        covered += ((true <= stated / shrunk) | (status != 0)).tolist()
        if form.well_scaled:
            flagged += (status != 0).tolist()
            known = (true > 0) & np.isfinite(stated)
            ratios += (stated[known] / true[known]).tolist()
    return Coverage(float(np.mean(covered)), float(np.mean(flagged)), float(np.median(ratios)), len(covered))


def _asked(estimator: gradest.Estimator, form: Form, dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the true errors, the stated ones and the statuses of one form's entries."""
    x = np.array(form.x, dtype=dtype)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what warnings say is read off the statuses
        estimate = estimator(partial(_in_own_dtype, form.f), x, rng=0)
        true = np.abs(np.asarray(estimate.gradient, dtype=np.longdouble) - reference(form, x)).astype(np.float64)
    assert estimate.status is not None
    return true, np.asarray(estimate.error, dtype=np.float64), estimate.status
