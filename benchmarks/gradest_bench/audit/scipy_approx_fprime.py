"""SciPy's forward differences."""

from typing import Any

import numpy as np

from gradest.operations import NumpyArray
from gradest_bench.audit.adapter import Adapter, Claim, Request


def _estimate(request: Request) -> NumpyArray:
    from scipy.optimize import approx_fprime

    def f(x: Any) -> float:
        return float(request.loss.value(x, np.asarray))

    return np.asarray(approx_fprime(request.loss.point, f))


ADAPTERS = (
    Adapter(
        "SciPy: optimize.approx_fprime",
        ("scipy",),
        Claim.EXACT,
        "docstring: finite difference approximation of the derivatives",
        _estimate,
    ),
)
