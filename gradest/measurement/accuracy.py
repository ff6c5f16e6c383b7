"""Compares gradients with a reference, as numbers: never pass or fail alone.

Vectors are flat, in a layout's order. Comparisons are made in extended precision, so that the measure adds no
error of its own; NaN and infinity are reported, never averaged away. This module knows NumPy alone.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradest.dtypes import epsilon
from gradest.errors import InvalidInputError
from gradest.layout import Layout
from gradest.lengths import norm_of, unit_of
from gradest.measurement.sign_test import sign_test
from gradest.operations import NumpyArray

Vector = NumpyArray

_MOST_KEPT_ENTRIES = 1 << 22
"""Entries of all estimates together up to which they are kept, for what needs them side by side."""


@dataclass(frozen=True)
class Accuracy:
    """How one gradient differs from a reference.

    Attributes
    ----------
    relative_error
        `||found - reference|| / ||reference||` (L2); the absolute error where the reference is zero.
    cosine
        Of the angle between the two; NaN where either is zero.
    norm_ratio
        `||found|| / ||reference||`: 1 for a calibrated gradient.
    max_abs_error
        The largest absolute difference of an entry.
    sign_agreement
        The share of entries with the reference's sign.
    nonfinite
        How many entries are NaN or infinite; if any, the other numbers are NaN.
    blocks
        The relative error of each parameter block by name.
    """

    relative_error: float
    cosine: float
    norm_ratio: float
    max_abs_error: float
    sign_agreement: float
    nonfinite: int = 0
    blocks: dict[str, float] = field(default_factory=dict)

    @property
    def digits(self) -> float:
        """Correct decimal digits, `-log10(relative_error)`."""
        return -math.log10(self.relative_error) if self.relative_error > 0 else math.inf


def compare_gradients(found: Vector, reference: Vector, *, layout: Layout | None = None) -> Accuracy:
    """Return how `found` `(P,)` differs from `reference` `(P,)`, overall and for each block of the layout.

    Raises
    ------
    InvalidInputError
        The two differ in shape.
    """
    if found.shape != reference.shape or found.ndim != 1:
        raise InvalidInputError(
            f"comparing asks for two vectors of one length; found shapes {found.shape} and {reference.shape}"
        )
    nonfinite = int(found.size - np.isfinite(found).sum())
    if nonfinite:
        blocks = {} if layout is None else dict.fromkeys(layout.names, math.nan)
        return Accuracy(math.nan, math.nan, math.nan, math.nan, math.nan, nonfinite, blocks)
    # In units of the reference, as squares may be out of range where longdouble is float64, as on some machines.
    unit = unit_of(reference)
    exact = reference.astype(np.longdouble) / unit
    value = found.astype(np.longdouble) / unit
    difference = value - exact
    blocks = {}
    if layout is not None:
        parts = zip(layout.names, layout.unflatten(difference), layout.unflatten(exact), strict=True)
        blocks = {name: _relative(part, true) for name, part, true in parts}
    norms = _norm(value) * _norm(exact)
    return Accuracy(
        relative_error=_relative(difference, exact),
        cosine=float(np.vdot(value, exact) / norms) if norms > 0 else math.nan,
        norm_ratio=float(_norm(value) / _norm(exact)) if _norm(exact) > 0 else math.nan,
        max_abs_error=float(np.abs(difference).max(initial=0) * unit),
        sign_agreement=float(np.mean(np.sign(value) == np.sign(exact))),
        blocks=blocks,
    )


@dataclass(frozen=True)
class ReplicateAccuracy:
    """How R independent estimates of one gradient scatter around a target, relative to the target's norm.

    Attributes
    ----------
    replicates
        R.
    relative_mse
        Mean of `||estimate - target||^2 / ||target||^2`, with its standard error `relative_mse_error`.
    bias
        `||mean - target|| / ||target||`; `bias_noise` is its root mean square if there were no bias, so a bias is
        seen only where `bias` is well above `bias_noise`.
    scale
        The regression of the mean on the target, `<mean, target> / ||target||^2`, which is 1 for a calibrated
        estimator, and the half-width of its 95 % confidence interval, by the normal law: of few replicates Student's is
        wider (4 % of 32, six times of 2).
    cosine
        The mean cosine of a single estimate with the target.
    nonfinite
        How many estimates held NaN or infinity; if any, the other numbers are NaN.
    slopes
        `<estimate, target> / ||target||^2` of each estimate, of which `scale` is the mean.
    squared_errors
        `||estimate - target||^2 / ||target||^2` of each, of which `relative_mse` is the mean.
    bias_p_value
        Of there being no bias across the target (`gradest.measurement.sign_test`); None where the estimates are too
        large to be kept together.
    """

    replicates: int
    relative_mse: float
    relative_mse_error: float
    bias: float
    bias_noise: float
    scale: float
    scale_half_width: float
    cosine: float
    nonfinite: int = 0
    slopes: tuple[float, ...] = ()
    squared_errors: tuple[float, ...] = ()
    bias_p_value: float | None = None


@np.errstate(over="ignore", invalid="ignore")  # a square that is out of range is infinite, and told so
def accuracy_of_replicates(estimates: Iterable[Vector], target: Vector) -> ReplicateAccuracy:
    """Return how independent estimates, each `(P,)`, scatter around a target `(P,)`.

    It holds R vectors while these have few entries together, and else two.

    Raises
    ------
    InvalidInputError
        There are fewer than two estimates, or the target is zero.
    """
    unit = unit_of(target)
    exact = target.astype(np.float64) / unit
    norm = float(np.linalg.norm(exact))
    if not norm > 0:
        raise InvalidInputError("relative accuracy asks for a target that is not zero; found a zero (or NaN) target")
    mean = np.zeros_like(exact)
    across: list[Vector] | None = []
    spread, errors, slopes, cosines, nonfinite = 0.0, [], [], [], 0
    for count, estimate in enumerate(estimates, start=1):
        nonfinite += int(not np.isfinite(estimate).all())
        value = (_or_nan(estimate).astype(np.float64) / unit) / norm  # the product of both may be out of range
        step = value - mean
        mean += step / count
        spread += float(np.dot(step, value - mean))  # Welford 1962, doi:10.1080/00401706.1962.10490022, summed
        errors.append(float(np.sum((value - exact / norm) ** 2)))
        slopes.append(float(np.dot(value, exact) / norm))
        if across is not None:
            across.append(value - slopes[-1] * exact / norm)  # of the part along the target the scale tells
            if count * exact.size > _MOST_KEPT_ENTRIES:
                across = None
        length = norm_of(value)  # a direction of another length than the target's has a cosine all the same
        cosines.append(slopes[-1] / length if length > 0 else math.nan)
    replicates = len(errors)
    if replicates < 2:
        raise InvalidInputError(f"scatter asks for at least 2 estimates; found {replicates}")
    return ReplicateAccuracy(
        replicates=replicates,
        relative_mse=float(np.mean(errors)),
        relative_mse_error=float(np.std(errors, ddof=1) / math.sqrt(replicates)),
        bias=float(np.linalg.norm(mean - exact / norm)),
        bias_noise=math.sqrt(max(spread, 0.0) / (replicates - 1) / replicates) if not nonfinite else math.nan,
        scale=float(np.mean(slopes)),
        scale_half_width=float(1.96 * np.std(slopes, ddof=1) / math.sqrt(replicates)),
        cosine=float(np.mean(cosines)),
        nonfinite=nonfinite,
        slopes=tuple(slopes),
        squared_errors=tuple(errors),
        bias_p_value=_bias_p_value(across),
    )


def _or_nan(estimate: Vector) -> Vector:
    """Return an estimate, all NaN where any of it is not finite: of infinity some numbers would be infinite."""
    return estimate if np.isfinite(estimate).all() else np.full_like(estimate, math.nan)


def _bias_p_value(across: "list[Vector] | None") -> float | None:
    if across is None:
        return None
    stacked = np.stack(across)
    return sign_test(stacked @ stacked.T)


def _norm(vector: Vector) -> Any:
    return np.sqrt(np.sum(vector * vector))


def _relative(difference: Vector, exact: Vector) -> float:
    scale = _norm(exact)
    return float(_norm(difference) / scale) if scale > 0 else float(_norm(difference))


def z_score(measured: float, error: float, predicted: float, *, dtype: str) -> float:
    """Return how many standard errors a measured relative MSE lies above the predicted one; NaN where nobody can say.

    Where theory says that no error is left, what is left is rounding, which is not by chance: its standard error over
    seeds measures nothing.

    Examples
    --------
    >>> from gradest.measurement.accuracy import z_score
    >>> z_score(1.5, 0.25, 1.0, dtype="float64"), z_score(1e-29, 1e-30, 0.0, dtype="float64")
    (2.0, nan)
    """
    # these are squares: one predicted below the square of the spacing is none, and what is measured beside it may be
    # rounding that cancellation has enlarged
    spacing = epsilon(dtype)
    rounding = predicted <= spacing**2 and measured <= spacing
    return math.nan if rounding or not error > 0 else (measured - predicted) / error
