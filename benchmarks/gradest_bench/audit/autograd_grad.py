"""HIPS Autograd's reverse mode."""

from typing import Any

from gradest.operations import NumpyArray
from gradest_bench.audit.adapter import Adapter, Claim, Request


def _estimate(request: Request) -> NumpyArray:
    import autograd
    import autograd.numpy as anp

    def f(x: Any) -> Any:
        return request.loss.value(x, anp.asarray)

    found: NumpyArray = autograd.grad(f)(request.loss.point)
    return found


ADAPTERS = (
    Adapter(
        "Autograd: grad", ("autograd",), Claim.EXACT, "docstring: a function which computes the gradient", _estimate
    ),
)
