"""Forward mode: values that carry K tangents, along a leading axis.

The value is computed once and shared by all K directions. Where the Jacobian is diagonal, all directions go through one
product; elsewhere one by one, unless the rule has a quicker way.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from gradest_numpy.differentiation.reverse import _no_rule
from gradest_numpy.differentiation.rules import Entry, Rule, zero
from gradest_numpy.differentiation.trace import Trace
from gradest_numpy.differentiation.traced import TracedArray


class Duals(Trace):
    """Carries tangents through calls as they are made, and tells `made(rule, result, arrays, options)` of each."""

    __slots__ = ("_made",)

    def __init__(self, *, made: Callable[..., None] | None = None) -> None:
        super().__init__()
        self._made = made

    def record(self, rule: Rule, value: Any, arrays: tuple[Any, ...], values: tuple[Any, ...], options: Any) -> Any:
        several = isinstance(value, tuple)
        change: Any = None
        for k, x in enumerate(arrays):
            if type(x) is TracedArray and x.tracer is self:
                entry = rule.jvp(k)
                if entry is None:
                    raise _no_rule(rule, k, "defjvp")
                if entry is not zero:
                    part = _through(rule, k, entry, x, value, values, options)
                    if change is None:
                        change = part
                    else:
                        change = tuple(map(np.add, change, part)) if several else change + part
        if change is None:
            return value
        if several:
            parts = [self._traced(v, c) for v, c in zip(value, change, strict=True)]
            result: Any = type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        else:
            result = self._traced(value, change)
        if self._made is not None:
            self._made(rule, result, arrays, options)
        return result

    def _traced(self, value: Any, change: Any) -> Any:
        if value.dtype.kind != "f":
            return value  # integers and booleans are locally constant
        return TracedArray(self, value, change if change.dtype == value.dtype else change.astype(value.dtype))


def _through(
    rule: Rule, position: int, entry: Entry, x: TracedArray, value: Any, values: tuple[Any, ...], options: Any
) -> Any:
    """Return the K tangents of a call's value, for those of one of its arrays."""
    tangents = x.carried
    if rule.diagonal:
        count, rank = tangents.shape[0], np.ndim(value)
        if np.ndim(x.primal) != rank:  # broadcasting lines axes up from the end: the directions go before them all
            tangents = np.reshape(tangents, (count, *(1,) * (rank - np.ndim(x.primal)), *x.shape))
        change = entry(tangents, value, *values, **options)
        whole = (count, *np.shape(value))
        return change if change.shape == whole else np.broadcast_to(change, whole)
    if rule.directions:
        where = {"position": position} if rule.variadic else {}
        together = rule.directions[0 if rule.variadic else position]
        change = together(tangents, value, *values, **where, **options)
        if change is not NotImplemented:
            return change
    # An array of shape () for one of that shape, and a number for a number: NumPy 1 does not insert into both alike.
    one: Any = (...,) if isinstance(x.primal, np.ndarray) else ()
    each = [entry(tangents[(k, *one)], value, *values, **options) for k in range(len(tangents))]
    if isinstance(value, tuple):
        return tuple(np.stack(parts) for parts in zip(*each, strict=True))
    return np.stack(each)
