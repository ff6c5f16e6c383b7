"""Sorted entries: each is an entry of the array, in another place.

Where entries are tied, the order is that of a stable sort: which of the equal ones a cotangent goes to is settled by
their order in the array.
"""

from typing import Any

import numpy as np

from gradest_numpy.differentiation.moved import numbered, returned
from gradest_numpy.differentiation.rules import general


def _to_places(g: Any, x: Any, order: Any, axis: Any) -> Any:
    numbers = _from_places(numbered(x), order, axis)
    return returned(g, numbers=numbers, shape=np.shape(x))


def _from_places(t: Any, order: Any, axis: Any) -> Any:
    return np.take_along_axis(np.ravel(t) if axis is None else t, order, 0 if axis is None else axis)


def _sorted(x: Any, axis: Any) -> Any:
    return np.argsort(x, axis=axis, kind="stable")


def _partitioned(x: Any, y: Any, axis: Any) -> Any:
    """Return from where in x each entry of its partition y comes: the k-th smallest of one is that of the other.

    `argpartition` does not tell: NumPy 2 partitions values by other instructions than their indices, in another order.
    """
    ranks = np.argsort(_sorted(y, axis), axis=-1 if axis is None else axis)
    return np.take_along_axis(_sorted(x, axis), ranks, -1 if axis is None else axis)


general(
    {
        np.sort: (
            lambda g, y, a, axis=-1, kind=None: _to_places(g, a, _sorted(a, axis), axis),
            lambda t, y, a, axis=-1, kind=None: _from_places(t, _sorted(a, axis), axis),
        ),
        np.partition: (
            lambda g, y, a, kth=0, axis=-1, kind="introselect": _to_places(g, a, _partitioned(a, y, axis), axis),
            lambda t, y, a, kth=0, axis=-1, kind="introselect": _from_places(t, _partitioned(a, y, axis), axis),
        ),
    }
)
