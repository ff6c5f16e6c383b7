"""What the audit needs to know of an estimator of another package, and the losses on which it is asked.

An adapter is a file of this room with `Adapter`s in `ADAPTERS`. It imports its package where it is called.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np

from gradest.estimator import Estimator
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
    """A loss whose gradient is known, and is that of the smoothed loss too: `0.5 x^T H x + c^T x + offset`.

    Attributes
    ----------
    name
        What tables call it.
    hessian, slope, point
        H `(P, P)`, symmetric; c `(P,)`; x `(P,)`, where it is asked.
    offset
        A constant, which an estimate without a baseline is noisy by.
    """

    name: str
    hessian: NumpyArray
    slope: NumpyArray
    point: NumpyArray
    offset: float

    def value(self, x: Any, array: Callable[[NumpyArray], Any]) -> Any:
        """Return the loss of one array `(P,)` of any framework, whose arrays `array` makes of NumPy's."""
        return 0.5 * (x * (array(self.hessian) @ x)).sum() + (array(self.slope) * x).sum() + self.offset

    @cached_property
    def gradient(self) -> NumpyArray:
        """Hx + c."""
        return self.hessian @ self.point + self.slope


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
        The estimator of gradest of the same law with N samples, whose prediction stands beside; None for none.
    """

    name: str
    packages: tuple[str, ...]
    claim: Claim
    reference: str
    estimate: Callable[[Request], NumpyArray]
    law: Callable[[int, float], Estimator] | None = None


def losses() -> tuple[AuditLoss, ...]:
    """Return the losses of an audit: a linear and a quadratic one, of 5 and of 20 parameters; the same at each call."""
    found = []
    for size in (5, 20):
        generator = np.random.default_rng(size)
        factor = generator.standard_normal((size, size))
        hessian, slope = factor @ factor.T / size, generator.standard_normal(size)
        point = generator.standard_normal(size)
        found.append(AuditLoss(f"linear, P = {size}", np.zeros((size, size)), slope, point, 2.0))
        found.append(AuditLoss(f"quadratic, P = {size}", hessian, slope, point, 2.0))
    return tuple(found)
