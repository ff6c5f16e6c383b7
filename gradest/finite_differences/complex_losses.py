"""What the complex step shares, along coordinates and along one direction: losses at complex parameters.

A backend without complex arrays, a function that fails on them and a loss that comes back real are refused here. This
module knows no estimator.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np

from gradest.backend import Leaves, as_float64
from gradest.dtypes import HALF
from gradest.errors import GradestError, InvalidInputError, UnsupportedError
from gradest.lengths import root_mean_square
from gradest.objective import Objective
from gradest.operations import Array, Data, NumpyArray
from gradest.refusals import usable_estimators


def require_complex(objective: Objective) -> None:
    """Refuse an objective whose loss has no derivative, or whose backend has no complex arrays.

    Raises
    ------
    UnsupportedError
        The message says which, and what to use.
    """
    objective.require_derivative("the complex step")
    backend = objective.backend
    if "complex" not in backend.native:
        raise UnsupportedError(
            f"the complex step was asked for; backend {backend.name!r} has no complex arrays; "
            f"use backend 'numpy', or {usable_estimators(backend)}"
        )


def shortest_step(objective: Objective) -> float:
    """Return the least step whose square, which the loss may form, is still a normal number."""
    narrow = set(objective.dtypes) & {"float32", *HALF}  # half precision is computed in complex64
    # A step is a number of Python's, in which those that longdouble has beyond double precision are zero.
    return math.sqrt(np.finfo(np.float32 if narrow else np.float64).tiny)


def longer_step(objective: Objective) -> float:
    """Return a step that is long, and yet so short that its square beside a parameter is nothing in any dtype."""
    sizes = [root_mean_square(as_float64(objective.backend, leaf)) for leaf in objective.start]
    return objective.parameter_epsilon * min([1.0, *(size for size in sizes if size > 0)])


def underflows(losses: NumpyArray, step: float) -> bool:
    """Whether slopes of the size of the loss itself would lose digits, or all, times a step: of losses near 1e-180.

    A loss of zero tells no size; at a minimum of zero the square of the step is what is left of it.
    """
    real = losses.real
    least = float(np.finfo(real.dtype).tiny / np.finfo(real.dtype).eps)
    size = float(np.abs(real).max())
    return size > least and size * step < least


def complex_leaves(objective: Objective, leaves: Leaves) -> Leaves:
    """Return leaves as complex ones; half precision, of which there are no complex numbers, as complex64."""
    cast, each = objective.backend.cast, zip(leaves, objective.dtypes, strict=True)
    return tuple((cast(leaf, "float32") if dtype in HALF else leaf) + 0j for leaf, dtype in each)


def complex_data(objective: Objective, data: Data) -> Data:
    """Return data with floating-point arrays as complex ones: torch multiplies no real matrix by a complex one."""

    def cast(array: Array) -> Array:
        return array + 0j if objective.backend.dtype(array).startswith("float") else array

    return _each(cast, single_data(objective, data))


def single_data(objective: Objective, data: Data) -> Data:
    """Return data with arrays in half precision in single, as the parameters are computed in beside them."""
    backend = objective.backend
    return _each(lambda array: backend.cast(array, "float32") if backend.dtype(array) in HALF else array, data)


def _each(change: Callable[[Array], Array], data: Data) -> Data:
    if isinstance(data, dict):
        return {name: change(array) for name, array in data.items()}
    return tuple(change(array) for array in data)


def loss_at_imaginary(objective: Objective, leaves: Leaves, imaginary: Sequence[NumpyArray]) -> NumpyArray:
    """Return the loss, of shape `()`, at leaves as real parts and arrays of the host as imaginary ones.

    Raises
    ------
    UnsupportedError
        The function does not take them.
    """
    backend = objective.backend

    def evaluate() -> Array:
        wide = complex_leaves(objective, leaves)
        narrow = zip(leaves, objective.dtypes, imaginary, strict=True)
        parts = [
            objective.ops.constant(h, like=backend.cast(x, "float32") if dtype in HALF else x) for x, dtype, h in narrow
        ]
        at = tuple(x + 1j * h for x, h in zip(wide, parts, strict=True))
        with backend.keeping_imaginary() or nullcontext():
            return objective.evaluate(at, complex_data(objective, objective.data))

    return np.asarray(backend.numpy(explained(objective, objective.scoped(evaluate))))


def explained(objective: Objective, evaluate: Callable[[], Array]) -> Array:
    """Return what an evaluation at complex parameters gives; where a user's function fails on them, say so.

    Raises
    ------
    UnsupportedError
        It failed, with whatever error.
    """
    if objective.text is not None:
        return evaluate()
    try:
        return evaluate()
    except GradestError:
        raise
    except Exception as error:  # the user's function may raise anything
        raise _cannot_take_complex(objective.backend.explain(error)) from error


def _cannot_take_complex(explained: str) -> UnsupportedError:
    return UnsupportedError(
        f"the complex step evaluates the loss at complex parameters, and the function given does not take them "
        f"({explained}); give its arrays as arguments, which become complex too, or use "
        "reverse mode or finite differences"
    )


def require_complex_loss(losses: NumpyArray) -> NumpyArray:
    """Return losses that are complex, refusing others: a real loss has lost the derivative on its way."""
    if not np.iscomplexobj(losses):
        raise InvalidInputError(
            f"the complex step asks for an analytic loss; complex parameters gave a loss of dtype {losses.dtype} "
            "(a magnitude, a real part or a conversion to float on its way?); use forward mode or finite differences"
        )
    return losses
