"""Numdifftools' gradient: central differences with Richardson extrapolation."""

from typing import Any

import numpy as np

from gradest.operations import NumpyArray
from gradest_bench.audit.adapter import Adapter, Claim, Request


def _estimate(request: Request) -> NumpyArray:
    import numdifftools

    def f(x: Any) -> float:
        return float(request.loss.value(x, np.asarray))

    return np.asarray(numdifftools.Gradient(f)(request.loss.point))


ADAPTERS = (
    Adapter(
        "numdifftools: Gradient",
        ("numdifftools",),
        Claim.EXACT,
        "docstring: calculate gradient with finite difference approximation",
        _estimate,
    ),
)
