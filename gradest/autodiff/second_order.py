"""Hessian-vector products: forward mode over reverse mode, by a tape whose values are dual numbers.

The tape computes the gradient by the operations that it is given. Given those of dual numbers, each value on it
carries its derivative along a direction v, and so does each cotangent that comes back: the derivative of the gradient
along v is H v (Pearlmutter 1994, doi:10.1162/neco.1994.6.1.147). One product costs a few gradients, and no matrix is
made. This module knows no framework.
"""

from collections.abc import Sequence

from gradest.autodiff.dual import DualOperations
from gradest.autodiff.interpreter import map_data
from gradest.autodiff.pairs import Pair
from gradest.autodiff.tape import value_and_gradient
from gradest.operations import Array, Data, Operations, Text
from gradest.tangents import Dense


def hessian_product(
    text: Text, ops: Operations, leaves: Sequence[Array], direction: Sequence[Array], data: Data
) -> tuple[Array, ...]:
    """Return the Hessian of the loss times a direction, of the shapes of the leaves.

    Parameters
    ----------
    text
        `text(ops, leaves, data) -> scalar`, written in operations.
    direction
        One array for each leaf, of its shape.
    """
    dual = DualOperations(ops)
    # One direction as K = 1: the rules of forward mode have the axis of directions in front.
    moving = [Pair(dual, x, Dense(ops.expand_dims(v, axis=0))) for x, v in zip(leaves, direction, strict=True)]
    _, gradient = value_and_gradient(text, dual, moving, map_data(lambda x: Pair(dual, x), data))
    return tuple(_derivative(ops, g) for g in gradient)


def _derivative(ops: Operations, g: Array) -> Array:
    assert isinstance(g, Pair)
    if g.change is None:  # the gradient does not change along the direction: the loss is linear in this leaf
        return ops.zeros_like(g.primal)
    return ops.reshape(g.change.dense(ops), g.shape)
