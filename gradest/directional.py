"""The directional derivative of a loss as a quantity of its own: one number, for a few evaluations whatever P is.

It knows estimators by their names; this module knows no framework.
"""

from dataclasses import dataclass

import numpy as np

from gradest.backend import Leaves, as_float64
from gradest.binding import Bindable, bind_given
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.estimator import get_estimator
from gradest.finite_differences.analyticity import require_analytic_along, warn_of_ties
from gradest.finite_differences.complex_losses import (
    loss_at_imaginary,
    require_complex,
    require_complex_loss,
    shortest_step,
)
from gradest.lengths import root_mean_square
from gradest.objective import Objective
from gradest.operations import NumpyArray
from gradest.tangents import Dense
from gradest.tree import Tree

METHODS = ("auto", "forward", "complex-step", "fd-richardson", "fd-central", "fd-five-point")
"""How a slope may be computed; "auto" is "forward" where that works, else "fd-richardson"."""


@dataclass(frozen=True)
class DirectionalDerivative:
    """The value of a loss and its slope along a direction.

    Attributes
    ----------
    value, slope
        `f(x)` and `df(x + t v)/dt` at t = 0: the inner product of the gradient with the direction, not divided by the
        direction's length.
    error
        An estimate of the slope's absolute error where the method has one; None where it has none: forward mode and the
        complex step are exact to rounding.
    path
        "forward, native", "forward, gradest", "complex-step", or the name of the differences.
    """

    value: float
    slope: float
    error: float | None
    path: str


def directional_derivative(
    f: Bindable, params: Tree, direction: Tree, *args: object, method: str = "auto", **kwargs: object
) -> DirectionalDerivative:
    """Return the loss at `params` and its slope along a direction.

    Parameters
    ----------
    f, params, *args, **kwargs
        As `gradest.hvp` takes them.
    direction
        Of the structure, shapes and dtypes of the parameters; for a model a mapping by name.
    method
        "forward": one product by forward mode, the framework's or, for losses in operations, gradest's. "complex-step":
        the imaginary part of one value at `x + i h v`, for analytic losses that take complex parameters (Squire & Trapp
        1998, doi:10.1137/S003614459631241X); that of a user's function is held against real differences by five values
        more, unless it is bound with `verify=False`. "fd-richardson" (with an estimate of its error), "fd-central" or
        "fd-five-point": differences along the line `x + t v`, for any function that returns a number. "auto": forward
        mode where there is one for the loss, else "fd-richardson", as `path` tells.

    Raises
    ------
    InvalidInputError
        There is no such method; or the complex step was asked for of a loss that is not analytic.
    PreparationMismatchError
        The direction is of another form than the parameters.
    NonFiniteError
        The direction holds NaN or infinity.
    UnsupportedError
        "forward" was asked for, and there is no forward mode for this loss; or "complex-step", and the backend has no
        complex arrays or the function does not take them.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> found = gradest.directional_derivative(lambda x: float(x @ x), np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    >>> found.value, round(found.slope, 9), found.path
    (5.0, 4.0, 'fd-richardson')
    """
    if method not in METHODS:
        raise InvalidInputError(f"method must be one of {', '.join(METHODS)}; found {method!r}")
    objective = bind_given(f, params, (args, kwargs))
    along = objective.form.leaves_of(direction, direction=True)
    objective.form.require_finite(along, what="a direction")
    with objective.one_estimate():
        if method in ("auto", "forward"):
            try:
                return _by_forward_mode(objective, along)
            except UnsupportedError:  # no forward mode, or none for this loss: differences are the path that is told
                if method == "forward":
                    raise
        if method == "complex-step":
            return _by_complex_step(objective, along)
        return _by_differences(objective, along, "fd-richardson" if method == "auto" else method)


def _by_forward_mode(objective: Objective, along: Leaves) -> DirectionalDerivative:
    engine = objective.choose_engine("auto", "value_and_jvps")
    leaves = objective.start
    tangents = objective.scoped(lambda: tuple(objective.ops.expand_dims(v, axis=0) for v in along))()
    if engine == "native":
        value, slopes = objective.prepare_jvps()(leaves, tangents)
    else:
        evaluate = objective.scoped(lambda: objective.evaluate_jvps(leaves, [*map(Dense, tangents)], objective.data))
        value, slopes = evaluate()
    to_float = objective.backend.numpy
    return DirectionalDerivative(float(to_float(value)), float(to_float(slopes)[0]), None, f"forward, {engine}")


def _by_complex_step(objective: Objective, along: Leaves) -> DirectionalDerivative:
    """Return `Im f(x + i h v) / h`, where nothing is subtracted, so that h may be as short as its dtype has it."""
    require_complex(objective)
    backend, start = objective.backend, objective.start
    moves = [as_float64(backend, v) for v in along]
    longest = max((float(np.abs(v).max(initial=0.0)) for v in moves), default=0.0) or 1.0
    # The longest entry moves by h itself, lest a long or short direction leaves the range of its dtype.
    step = shortest_step(objective)
    found = complex(require_complex_loss(loss_at_imaginary(objective, start, [v / longest * step for v in moves])))
    slope = found.imag / step * longest
    if objective.is_users_own and objective.verifies:
        size = max(float(np.abs(as_float64(backend, x)).max(initial=0.0)) for x in start) or 1.0
        unit = [v / longest * size for v in moves]
        require_analytic_along(objective, start, unit, slope / longest * size)
        warn_of_ties(found, complex(loss_at_imaginary(objective, start, [-v / longest * step for v in moves])))
    return DirectionalDerivative(found.real, slope, None, "complex-step")


def _by_differences(objective: Objective, along: Leaves, method: str) -> DirectionalDerivative:
    backend, layout = objective.backend, objective.layout
    loss = objective.prepare_single()
    start, v = (_flat(objective, leaves) for leaves in (objective.start, along))
    length = root_mean_square(v)
    if length == 0.0:
        return DirectionalDerivative(float(backend.numpy(loss(objective.start))), 0.0, None, method)
    unit = v / length
    # Along t = 1 the parameters move by their own size, so that steps are chosen as for one parameter of size 1.
    size = max(root_mean_square(start), 1.0)
    make = objective.scoped(lambda a, dtype: backend.array(a, dtype=dtype, device=objective.device))

    def line(t: NumpyArray) -> float:
        parts = zip(layout.unflatten(start + (float(t[0]) - 1.0) * size * unit), objective.dtypes, strict=True)
        return float(backend.numpy(loss(tuple(make(part, dtype) for part, dtype in parts))))

    estimate = get_estimator(method)(line, np.ones(1))  # t = 1 is the start: steps are relative to |t|
    slope = float(estimate.gradient[0]) * (length / size)
    error = None if estimate.error is None else float(estimate.error[0]) * (length / size)
    return DirectionalDerivative(line(np.ones(1)), slope, error, method)


def _flat(objective: Objective, leaves: Leaves) -> NumpyArray:
    return np.asarray(objective.layout.flatten([as_float64(objective.backend, x) for x in leaves]), dtype=np.float64)
