"""Finds the affine layers of a loss that is written in operations, by running it once on sealed parameters.

A sealed array answers to `affine` and `matmul` alone: anything else done with it is an error that says what is
wrong. This module knows no framework and no estimator.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gradest.autodiff.forwarding import ForwardingOperations
from gradest.backend import Leaves
from gradest.errors import UnsupportedError
from gradest.objective import Objective
from gradest.operations import Array, Data, Operations, Text

Intercept = Callable[["Layer", Array, Array], Array]
"""`(layer, input, pre-activation) -> pre-activation`, called at each affine operation."""


@dataclass(frozen=True)
class Layer:
    """One affine operation of a loss.

    `weight` and `bias` are places among the parameters (None: no bias, or not a parameter); `data_name` is the name of
    the sealed data that it takes as its input, if any.
    """

    weight: int
    bias: int | None
    data_name: str | None


class Sealed:
    """An array that only affine operations may use; Python's operators on it raise TypeError."""

    __slots__ = ("array", "index", "name")
    __array_ufunc__ = None  # NumPy then leaves operators to us, and there are none: `array + sealed` is a TypeError

    def __init__(self, array: Array, name: str, index: int | None) -> None:
        self.array = array
        self.name = name
        self.index = index


class SealedOperations(ForwardingOperations):
    """A backend's operations, with affine ones on parameters intercepted and every other use of sealed arrays refused.

    `places` says which arrays are parameters that are not sealed, by identity.
    """

    def __init__(self, ops: Operations, intercept: Intercept, places: Mapping[int, int]) -> None:
        super().__init__(ops)
        self._intercept = intercept
        self._places = places

    def forward(self, name: str, *operands: Any, **options: Any) -> Array:
        for operand in (*operands, *options.values()):
            if isinstance(operand, Sealed):
                raise _misused(operand, f"operation {name!r}")
        return super().forward(name, *operands, **options)

    def matmul(self, x: Any, y: Any) -> Array:
        """Return the product; a layer where `y` is a parameter."""
        return self.affine(x, y)

    def affine(self, x: Any, weight: Any, bias: Any = None) -> Array:
        """Return `x @ weight + bias` as the interceptor has it, where `weight` is a parameter."""
        # Sealed data may be the input of a layer; a sealed parameter may not, nor may either meet a plain matrix.
        place, sealed_input = self._place(weight), isinstance(x, Sealed)
        if place is None or (sealed_input and x.index is not None):
            for argument in (x, weight, bias):
                if isinstance(argument, Sealed):
                    raise _misused(argument, "an affine operation, and not as the weight of a layer or its data")
        inputs, matrix, shift = (a.array if isinstance(a, Sealed) else a for a in (x, weight, bias))
        output = self.ops.affine(inputs, matrix, shift)
        if place is None:
            return output
        layer = Layer(place, self._place(bias), x.name if sealed_input else None)
        return self._intercept(layer, inputs, output)

    def _place(self, x: Any) -> int | None:
        return x.index if isinstance(x, Sealed) else self._places.get(id(x))


def run_intercepted(
    objective: Objective,
    leaves: Leaves,
    data: Data,
    intercept: Intercept,
    *,
    sealed: Collection[int] | None = None,
    sealed_data: Collection[str] = (),
    ops: Operations | None = None,
    text: Text | None = None,
) -> Array:
    """Return the loss with every affine operation on a parameter passed through the interceptor.

    Parameters
    ----------
    sealed, sealed_data
        Places of the parameters (all by default) and names of the data that affine operations alone may use.
    ops
        The operations in which it runs: the objective's by default, or an interpreter of them.
    text
        The loss: the objective's by default, or that of its examples.

    Raises
    ------
    UnsupportedError
        The loss is not written in operations, or uses what is sealed outside affine operations.
    """
    whole = objective.require_text("an estimator that looks into the layers of the loss", instead="'es' instead")
    # Parameters that are not sealed are known again by identity, which holds as long as nothing is computed from them.
    names = objective.layout.names
    closed = range(len(names)) if sealed is None else sealed
    given: tuple[Any, ...] = tuple(Sealed(x, names[k], k) if k in closed else x for k, x in enumerate(leaves))
    places = {id(x): k for k, x in enumerate(leaves) if k not in closed}
    if sealed_data:
        data = {name: Sealed(x, name, None) if name in sealed_data else x for name, x in data.items()}
    own = SealedOperations(objective.ops if ops is None else ops, intercept, places)
    try:
        return (whole if text is None else text)(own, given, data)
    except TypeError as error:
        # Python names the type in "unsupported operand type(s)"; any other TypeError is the loss's own.
        if Sealed.__name__ not in str(error):
            raise
        raise UnsupportedError(
            f"parameters and data of layers must be used in affine operations alone; found: {error}; use 'es' instead"
        ) from error


Found = tuple[tuple[Layer, Array, Array], ...]


def find_layers(
    objective: Objective, *, sealed: Collection[int] | None = None, sealed_data: Collection[str] = ()
) -> Found:
    """Return the layers in the order in which they run, with their inputs and pre-activations at the start point.

    Raises `UnsupportedError` as `run_intercepted` does.
    """
    found: list[tuple[Layer, Array, Array]] = []

    def record(layer: Layer, inputs: Array, output: Array) -> Array:
        found.append((layer, inputs, output))
        return output

    run_intercepted(objective, objective.start, objective.data, record, sealed=sealed, sealed_data=sealed_data)
    return tuple(found)


def require_layers_alone(objective: Objective) -> Found:
    """Return the layers of a loss in which every parameter is the weight or bias of affine operations, and no more.

    Raises
    ------
    UnsupportedError
        A parameter is used otherwise, or not at all.
    """
    found = find_layers(objective)
    used = {place for layer, _, _ in found for place in (layer.weight, layer.bias)}
    idle = [name for k, name in enumerate(objective.layout.names) if k not in used]
    if idle:
        raise UnsupportedError(f"parameters {idle} are in no affine operation; use 'es' instead")
    return found


def _misused(sealed: Sealed, where: str) -> UnsupportedError:
    kind = "parameter" if sealed.index is not None else "data"
    return UnsupportedError(
        f"{kind} {sealed.name!r} must be used in affine operations alone, and is used in {where}; use 'es' instead"
    )
