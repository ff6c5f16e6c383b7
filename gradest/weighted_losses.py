"""The weighted sum of the losses of examples, as a function of parameters and of data that hold the weights."""

from collections.abc import Callable
from typing import Any

from gradest.backend import Leaves
from gradest.operations import Array, Data, Operations, Text

_WEIGHTS = "gradest weights"
"""The name that they have among a problem's data."""


def with_weights(data: Data, weights: Array) -> Data:
    """Return data with weights `(B,)` among them."""
    # Among the data, which a compiled function takes as arguments: closed over, each weight would compile it again.
    return {_WEIGHTS: weights, **data} if isinstance(data, dict) else (weights, *data)


def weighted_text(text: Text, ops: Operations, leaves: Leaves, data: Data) -> Array:
    """Return `sum_b weights_b l_b` of the losses of each example in operations."""
    # A copy, as the data are the objective's.
    given: Any = dict(data)
    weights = given.pop(_WEIGHTS)
    return ops.sum(text(ops, leaves, given) * weights, axis=-1)


def weighted_function(losses: Callable[[Leaves, Data], Any], leaves: Leaves, data: Any) -> Any:
    """Return the same of a user's function that returns the loss of each example."""
    return (losses(leaves, data[1:]) * data[0]).sum()
