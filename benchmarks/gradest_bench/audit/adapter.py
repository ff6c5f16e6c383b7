"""What the audit needs to know of an estimator of another package, and the losses on which it is asked.

An adapter is a file of this room with `Adapter`s in `ADAPTERS`. It imports its package where it is called.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np

from gradest.estimators import EvolutionStrategy
from gradest.operations import NumpyArray


class Claim(StrEnum):
    """What a package's own documentation says that its estimate is.

    Examples
    --------
    >>> from gradest_bench.audit.adapter import Claim
    >>> Claim.SMOOTHED.value
    'gradient of the smoothed loss'
    """

    EXACT = "gradient, to rounding or truncation"
    SMOOTHED = "gradient of the smoothed loss"
    DIRECTION = "direction, of no stated length"


@dataclass(frozen=True, eq=False)
class AuditLoss:
    """A loss whose gradient is known, and that of the smoothed loss: `a sum x^3 + 0.5 x^T H x + c^T x + offset`.

    Attributes
    ----------
    name
        What tables call it.
    hessian, slope, point
        H `(P, P)`, symmetric; c `(P,)`; x `(P,)`, where it is asked.
    offset
        A constant, which an estimate without a baseline is noisy by.
    cubic
        a. Without it, the gradient of the loss smoothed by any symmetric law is the gradient.
    """

    name: str
    hessian: NumpyArray
    slope: NumpyArray
    point: NumpyArray
    offset: float
    cubic: float = 0.0

    def value(self, x: Any, array: Callable[[NumpyArray], Any]) -> Any:
        """Return the loss of one array `(P,)` of any framework, whose arrays `array` makes of NumPy's."""
        smooth = 0.5 * (x * (array(self.hessian) @ x)).sum() + (array(self.slope) * x).sum() + self.offset
        return smooth + self.cubic * (x * x * x).sum() if self.cubic else smooth

    @cached_property
    def gradient(self) -> NumpyArray:
        """Hx + c + 3a x^2."""
        return self.hessian @ self.point + self.slope + 3 * self.cubic * self.point**2

    def smoothed(self, sigma: float, kurtosis: float) -> NumpyArray:
        """Return what estimates from values at `x + sigma v` have for their mean: `E[f(x + sigma v) v] / sigma`.

        For independent symmetric components of variance 1 the cube adds `a sigma^2 E v^4`: 3 for normal ones, of which
        it is the gradient of the smoothed loss, and 1 for signs.
        """
        return self.gradient + self.cubic * sigma**2 * kurtosis


@dataclass(frozen=True)
class Request:
    """States one estimate: the loss, N, sigma and a seed."""

    loss: AuditLoss
    samples: int
    sigma: float
    seed: int


@dataclass(frozen=True)
class Adapter:
    """States an estimator of another package.

    Attributes
    ----------
    name
        "package: what is called".
    packages
        The distributions whose versions decide the answer.
    claim, reference
        What its documentation says that the estimate is, and where.
    estimate
        One estimate, `(P,)`.
    law
        The estimator of gradest of the same law with N samples, whose prediction stands beside, and whose law of
        directions decides the smoothed gradient of a cubic loss; None for none.
    """

    name: str
    packages: tuple[str, ...]
    claim: Claim
    reference: str
    estimate: Callable[[Request], NumpyArray]
    law: Callable[[int, float], EvolutionStrategy] | None = None


def losses() -> tuple[AuditLoss, ...]:
    """Return the losses of an audit: linear, quadratic and cubic, of 5 and of 20 parameters; the same at each call."""
    found = []
    # two sizes: a factor of P, or of its root, is seen by both
    for size in (5, 20):
        generator = np.random.default_rng(size)
        factor = generator.standard_normal((size, size))
        hessian, slope = factor @ factor.T / size, generator.standard_normal(size)
        point = generator.standard_normal(size)
        found.append(AuditLoss(f"linear, P = {size}", np.zeros((size, size)), slope, point, 2.0))
        found.append(AuditLoss(f"quadratic, P = {size}", hessian, slope, point, 2.0))
        # So strong that a law of another width, or kurtosis, than promised is seen at the wider of two sigmas.
        found.append(AuditLoss(f"cubic, P = {size}", hessian, slope, point, 2.0, cubic=2.0))
    return tuple(found)
