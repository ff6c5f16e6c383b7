"""Hessian-vector products: forward over reverse, by the framework or by gradest, else a difference of gradients."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from gradest.backend import Leaves, as_float64
from gradest.binding import Bindable, bind_given
from gradest.errors import InvalidInputError, NonFiniteError, UnsupportedError
from gradest.lengths import root_mean_square
from gradest.objective import Objective
from gradest.operations import NumpyArray
from gradest.tree import Tree

_SHORTENINGS = 16
"""How many steps a difference of gradients tries at most, each a tenth of the one before."""

_ROUGH = 0.01
"""A relative change between two steps below which both of them see the same bend."""

Product = Callable[[NumpyArray], NumpyArray]
"""A flat direction `(P,)` -> the Hessian times it, `(P,)`, float64."""


@dataclass(frozen=True, eq=False)
class HessianProduct:
    """The Hessian of a loss times a vector.

    Attributes
    ----------
    value
        In the structure of the parameters.
    path
        "forward over reverse" by the framework (PyTorch goes by reverse over reverse where its forward mode refuses the
        loss, as it does a Huber loss); "forward over reverse, by gradest" for a loss in operations where the
        framework has none; or "difference of gradients", which is right to about two thirds of the dtype's digits
        (where the framework has no second derivatives, or an operation or a rule of the function has none, or PyTorch
        would draw other random numbers on the way than the loss itself does).
    """

    value: Tree
    path: str


def hvp(f: Bindable, params: Tree, v: Tree, *args: object, **kwargs: object) -> HessianProduct:
    """Return the Hessian of a loss at `params` times `v`.

    Parameters
    ----------
    f
        A function `f(params, *args, **kwargs) -> scalar`, a `Case`, a `Problem` or an `Objective`.
    params
        Where it is asked; None for where a case, a problem or an objective is.
    v
        Of the structure, shapes and dtypes of the parameters.

    Raises
    ------
    PreparationMismatchError
        `v` is of another form than the parameters.
    UnsupportedError
        The loss has no gradient by reverse mode here, of which products are made.

    Notes
    -----
    Forward over reverse: Pearlmutter 1994, doi:10.1162/neco.1994.6.1.147.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> quadratic = gradest.bind(gradest.get_problem("quadratic", size=3))
    >>> product = gradest.hvp(quadratic, None, {"x": np.array([1.0, 0.0, 0.0])})
    >>> product.path, product.value["x"].shape
    ('forward over reverse, by gradest', (3,))
    """
    objective = bind_given(f, params, (args, kwargs))
    leaves = objective.form.leaves_of(v, direction=True)
    objective.form.require_finite(leaves, what="a direction")
    flat = objective.layout.flatten([as_float64(objective.backend, leaf) for leaf in leaves])
    product = Products(objective)
    with objective.one_estimate():
        found = product(np.asarray(flat))
    return HessianProduct(objective.form.tree_of(_as_leaves(objective, found)), product.path)


class Products:
    """The product of an objective's Hessian at its start with flat directions; all of them of one draw in one estimate.

    Attributes
    ----------
    path
        How it is computed: known after the first product, as a framework finds out by trying what it cannot do twice.

    Raises
    ------
    UnsupportedError
        The loss cannot be differentiated by reverse mode.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> from gradest.curvature.products import Products
    >>> product = Products(gradest.bind(gradest.get_problem("quadratic", size=3)))
    >>> product(np.zeros(3)).tolist(), product.path
    ([0.0, 0.0, 0.0], 'forward over reverse, by gradest')
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        exact, engine = objective.prepare_hessian_product() or (None, "")
        self._exact = exact
        self._difference: Product | None = None
        self.path = "forward over reverse" if engine == "native" else "forward over reverse, by gradest"

    def __call__(self, direction: NumpyArray) -> NumpyArray:
        objective, leaves = self._objective, _as_leaves(self._objective, direction)
        if self._exact is not None:
            try:
                with objective.common_random_numbers():
                    return _flat(objective, self._exact(objective.start, leaves))
            except UnsupportedError:  # an operation, or a rule of the function's own, that has no second derivative
                self._exact = None
        if self._difference is None:  # prepared once for all directions: a framework may compile the gradient
            self._difference, self.path = _difference_of_gradients(objective), "difference of gradients"
        return self._difference(direction)


def _difference_of_gradients(objective: Objective) -> Product:
    """Return `(g(x + h v) - g(x - h v)) / 2h` with the h at which it changes least.

    It starts where bending and rounding balance for a loss whose scale is that of its parameters, eps^(1/3), or 1.
    """
    gradient, _ = objective.prepare_gradient()
    start, epsilon = _flat(objective, objective.start), objective.parameter_epsilon
    longest = epsilon ** (1 / 3) * max(root_mean_square(start), 1.0)

    def slope(leaves: Leaves) -> NumpyArray:
        with objective.common_random_numbers():  # of one mask on either side: the difference of two would be divided
            return _flat(objective, gradient(leaves)[1])

    def quotient(unit: NumpyArray, length: float, step: float) -> NumpyArray:
        up, down = (_as_leaves(objective, start + sign * step * unit) for sign in (1, -1))
        # The points are where rounding put them; the quotient is of that distance.
        moved = float((_flat(objective, up) - _flat(objective, down)) @ unit)
        if moved == 0.0:
            raise NonFiniteError(f"a step of {step:.1g} was to be taken; it moves no parameter in its dtype")
        change = slope(up) - slope(down)
        return np.asarray(change * (float(unit @ unit) / moved * length), dtype=np.float64)

    def product(direction: NumpyArray) -> NumpyArray:
        length = root_mean_square(direction)
        if length == 0.0:
            return np.zeros_like(start)
        # Of length 1 in the mean: squares of a direction near 1e170, or 1e-170, are out of range.
        unit = direction / length
        return _steadiest(partial(quotient, unit, length), longest, good=10 * epsilon ** (2 / 3))

    return product


def _steadiest(quotient: Callable[[float], NumpyArray], longest: float, *, good: float) -> NumpyArray:
    """Return the quotient at the step, of those shorter and shorter by ten, whose predecessor differs from it least.

    A loss may bend within its parameters' own size, or far within: log at 1e-6. The first that differs by less than
    `good` ends the search.
    """
    best: NumpyArray | None = None
    before, refusal, least = best, None, math.inf
    for power in range(_SHORTENINGS):
        try:
            found = quotient(longest * 10.0**-power)
        except NonFiniteError as error:  # beyond where the loss is defined, or no step at all
            before, refusal = None, error
            continue
        best = found if best is None else best
        if before is not None:
            size, change = root_mean_square(found), root_mean_square(found - before)
            gap = change / size if size > 0.0 else math.inf if change > 0.0 else 0.0
            if gap < least:
                best, least = found, gap
            if gap <= good or (least < _ROUGH and gap > 10 * least):  # rounding has taken over
                break
        before = found
    if best is None:
        assert refusal is not None  # of each step
        raise refusal
    return best


def _flat(objective: Objective, leaves: Leaves) -> NumpyArray:
    blocks = [as_float64(objective.backend, leaf) for leaf in leaves]
    flat = np.asarray(objective.layout.flatten(blocks), dtype=np.float64)
    if not np.isfinite(flat).all():
        bad = flat.size - int(np.isfinite(flat).sum())
        raise NonFiniteError(f"a finite gradient or product was asked for; {bad} of {flat.size} entries are NaN or Inf")
    return flat


def _as_leaves(objective: Objective, flat: NumpyArray) -> Leaves:
    if flat.shape != (objective.layout.num_parameters,):
        raise InvalidInputError(
            f"a direction of shape ({objective.layout.num_parameters},) was asked for; found {flat.shape}; "
            f"flatten it in the order of the parameters: {', '.join(objective.layout.names)}"
        )
    make = objective.scoped(lambda a, dtype: objective.backend.array(a, dtype=dtype, device=objective.device))
    return tuple(
        make(part, dtype) for part, dtype in zip(objective.layout.unflatten(flat), objective.dtypes, strict=True)
    )
