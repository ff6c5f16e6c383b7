"""Parameters as one vector, and back: what optimisers of SciPy's kind take, whatever the parameters are.

This module knows no framework by name.
"""

from collections.abc import Callable

import numpy as np

from gradest.backend import as_float64
from gradest.binding import bind
from gradest.errors import InvalidInputError
from gradest.operations import NumpyArray
from gradest.tree import Tree


def ravel(params: Tree) -> tuple[NumpyArray, Callable[[NumpyArray], Tree]]:
    """Return all parameters as one float64 vector `(P,)`, and the function that makes parameters of such a vector.

    Parameters
    ----------
    params
        A pytree of floating-point arrays, an `nn.Module` or a Gluon `Block` (its trainable parameters, tied ones once).

    Returns
    -------
    vector
        A new NumPy array `(P,)`, the leaves one after another in C order. float64 holds each number of float32 and
        the smaller dtypes exactly, so that nothing is lost on the way to and fro; NumPy's longdouble is rounded.
    unravel
        `unravel(vector)` gives the structure, shapes, dtypes and device of `params`: for a model the mapping by name
        that `gradest.grad` and `gradest.assign` use.

    Raises
    ------
    InvalidTypeError, NonFiniteError
        A leaf is not a floating-point array, or holds NaN or infinity.
    InvalidInputError
        `unravel` is given a vector of another length.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> vector, unravel = gradest.ravel({"w": np.ones((2, 2), dtype=np.float32), "b": np.zeros(1)})
    >>> vector, unravel(2 * vector)["w"].dtype
    (array([1., 1., 1., 1., 0.]), dtype('float32'))
    """
    # Bound, as that takes models, scalars and nested trees apart, and knows the way back.
    objective = bind(_nothing, params)
    form, backend = objective.form, objective.backend

    def blocks_of(vector: NumpyArray) -> Tree:
        flat = np.asarray(vector, dtype=np.float64)
        if flat.shape != (form.layout.num_parameters,):
            raise InvalidInputError(
                f"a vector of shape {(form.layout.num_parameters,)} was asked for, as ravel gave it; found {flat.shape}"
            )
        parts = zip(form.layout.unflatten(flat), form.dtypes, strict=True)
        return form.params_of([backend.array(part, dtype=dtype, device=form.device) for part, dtype in parts])

    blocks = [as_float64(backend, leaf) for leaf in objective.start]
    return np.asarray(form.layout.flatten(blocks), dtype=np.float64), objective.scoped(blocks_of)


def _nothing(params: Tree) -> float:
    """Stand for the loss that parameters are bound with; it is never evaluated."""
    return 0.0
