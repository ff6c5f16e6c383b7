"""`gradest.graph`: the computation of a loss, with what a sweep of differentiation leaves at each of its steps."""

from contextlib import nullcontext
from typing import Any

import numpy as np

from gradest.backend import Backend, get_backend
from gradest.binding import Bindable, bind
from gradest.errors import InvalidInputError
from gradest.graphs import Computation
from gradest.objective import Objective
from gradest.operations import Array, NumpyArray
from gradest.tree import Tree
from gradest.whole_numbers import whole_number

MODES = ("reverse", "forward")
MOST_NODES = 400
"""A drawing of more is nothing that anybody reads."""


def graph(
    f: Bindable,
    params: Tree = None,
    *args: Any,
    mode: str = "reverse",
    direction: Tree = None,
    max_nodes: int = MOST_NODES,
    **binding: Any,
) -> Computation:
    """Return the steps of one evaluation with their values, and the adjoint or the tangent of each.

    Print the result for a table in the order of the steps; `svg()` and `dot()` draw it, and a notebook shows it. NumPy
    functions and losses in gradest's operations (drawn in NumPy whatever the backend) are followed by gradest's own
    engines, PyTorch's and JAX's by the calls that those frameworks are seen to make.

    Parameters
    ----------
    f, params, args
        As for `gradest.bind`, and so are further options: a function, a problem or a case.
    mode
        "reverse": adjoints, the derivatives of the value by each step, in the order of the backward sweep. "forward":
        tangents, the derivatives of each step along `direction`.
    direction
        A direction in the structure of the parameters; by default the first entry of the first parameter, whose
        tangents are the partial derivatives by it.
    max_nodes
        The most steps that are drawn.

    Raises
    ------
    InvalidInputError
        The mode is another, or there are more steps.
    UnsupportedError
        The backend's functions cannot be followed (MXNet's).

    Source: Griewank & Walther 2008, doi:10.1137/1.9780898717761 (both sweeps).

    Examples
    --------
    >>> import gradest
    >>> seen = gradest.graph(lambda p: p["x"] ** 2 * (p["x"] + p["y"]), {"x": 2.0, "y": 3.0})
    >>> print(seen)
    step  name         of    value  adjoint  turn
       0  x                      2       24     4
       1  y                      3        4     5
       2  power(·, 2)  0         4        5     3
       3  add          0, 1      5        4     2
       4  multiply     2, 3     20        1     1
    """
    if mode not in MODES:
        raise InvalidInputError(f"mode must be one of {MODES}; found {mode!r}")
    if direction is not None and mode == "reverse":
        raise InvalidInputError(
            "a direction was given, which reverse mode has no use for; write mode='forward' with it"
        )
    objective = bind(f, params, *args, **binding)
    with objective.one_estimate():
        found = _followed(objective, mode, direction)
    if len(found.nodes) > whole_number("max_nodes", max_nodes):
        raise InvalidInputError(
            f"at most {max_nodes} steps were to be drawn; the loss has {len(found.nodes)}; give a smaller case, such "
            "as fewer layers or time steps, or a larger max_nodes"
        )
    return found


def _followed(objective: Objective, mode: str, direction: Tree) -> Computation:
    if objective.text is None:
        backend, leaves, data = objective.backend, objective.start, objective.data
        function = objective.function
    else:
        # One text serves every backend: its steps are NumPy's, and the values those of the parameters as they are.
        text, backend = objective.text, get_backend("numpy")
        ops, given = backend.operations(), dict(objective.data)
        leaves = tuple(_plain(objective.backend, leaf) for leaf in objective.start)
        data = {name: _plain(objective.backend, array) for name, array in given.items()}

        def function(at: Any, data: Any) -> Array:
            return text(ops, at, data)

    tangents = None if mode == "reverse" else _direction(objective, direction)
    # The steps are evaluated here once more, and outside of the scope JAX would do so in float32.
    with backend.scope(objective.dtype) or nullcontext():
        found: Computation = backend.graph(function, leaves, data, names=_names(objective), tangents=tangents)
    return found


def _names(objective: Objective) -> tuple[str, ...]:
    """Return what inputs are called: a single array that has no name is x."""
    return tuple(name or "x" for name in objective.layout.names)


def _direction(objective: Objective, direction: Tree) -> tuple[NumpyArray, ...]:
    layout, backend = objective.layout, objective.backend
    if direction is None:
        first = np.zeros(layout.num_parameters)
        first[0] = 1.0
        return tuple(layout.unflatten(first))
    along = objective.form.leaves_of(direction, direction=True)
    objective.form.require_finite(along, what="a direction")
    return tuple(_plain(backend, leaf) for leaf in along)


def _plain(backend: Backend, array: Any) -> NumpyArray:
    return np.asarray(backend.numpy(array), dtype=np.float64)
