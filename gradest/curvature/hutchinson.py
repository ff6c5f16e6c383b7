"""Hutchinson's estimates of the trace and the diagonal of a Hessian, with their standard errors.

`E v^T H v = tr H` and `E v * (H v) = diag H` for independent signs v (Hutchinson 1989, doi:10.1080/03610918908812806;
Bekas, Kokiopoulou, Saad 2007, doi:10.1016/j.apnum.2007.01.003). With N probes the variance of the trace is
`2 (|H|_F^2 - |diag H|^2) / N`, and of entry i of the diagonal `sum_{j != i} H_ij^2 / N`.
"""

import math
from dataclasses import dataclass

import numpy as np

from gradest.binding import Bindable, bind_given
from gradest.curvature.products import Products
from gradest.directions.keys import Rng, generator_of
from gradest.lengths import unit_of
from gradest.operations import NumpyArray
from gradest.tree import Tree
from gradest.whole_numbers import whole_number


@dataclass(frozen=True, eq=False)
class HessianTrace:
    """What probes say of a Hessian.

    Attributes
    ----------
    trace, trace_error
        The trace, and its standard error.
    diagonal, diagonal_error
        Flat `(P,)` in the layout of the parameters, and the standard error of each entry.
    num_samples, path
        How many probes, and how a product was computed.
    """

    trace: float
    trace_error: float
    diagonal: NumpyArray
    diagonal_error: NumpyArray
    num_samples: int
    path: str


def hessian_trace(
    f: Bindable, params: Tree = None, *args: object, num_samples: int = 64, rng: Rng = None, **kwargs: object
) -> HessianTrace:
    """Return the trace and the diagonal of the Hessian of a loss by random signs, with standard errors.

    Parameters
    ----------
    f, params, *args, **kwargs
        As `gradest.hvp` takes them.
    num_samples
        N, the number of probes, each one Hessian-vector product; at least 2.
    rng
        SPEC 7: an int, a `Generator`, or None for fresh entropy.

    Raises
    ------
    InvalidInputError
        There are fewer than two probes, whose scatter tells the error.

    Examples
    --------
    >>> import gradest
    >>> found = gradest.hessian_trace(gradest.bind(gradest.get_problem("quadratic", size=3)), rng=0)
    >>> found.diagonal.shape, found.num_samples
    ((3,), 64)
    """
    num_samples = whole_number("num_samples", num_samples, least=2)
    objective = bind_given(f, params, (args, kwargs))
    product = Products(objective)
    generator = generator_of(rng)
    size = objective.layout.num_parameters
    mean, spread = np.zeros(size), np.zeros(size)
    traces, unit = [], 0.0
    with objective.one_estimate():
        for count in range(1, num_samples + 1):
            probe = generator.integers(0, 2, size) * 2.0 - 1.0
            found = probe * product(probe)
            unit = unit or unit_of(found)  # squares of what scatters may be out of range
            found /= unit
            traces.append(float(found.sum()))
            step = found - mean
            mean += step / count
            spread += step * (found - mean)
    return HessianTrace(
        trace=float(np.mean(traces)) * unit,
        trace_error=float(np.std(traces, ddof=1) / math.sqrt(num_samples)) * unit,
        diagonal=mean * unit,
        diagonal_error=np.sqrt(spread / (num_samples - 1) / num_samples) * unit,
        num_samples=num_samples,
        path=product.path,
    )
