"""The two ways to differentiate a user's function of NumPy arrays: reverse and forward mode."""

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from threading import local
from typing import Any

import numpy as np

from gradest.errors import InvalidInputError, UnsupportedError
from gradest_numpy.differentiation import tables as tables  # fills the table of rules
from gradest_numpy.differentiation.forward import Duals
from gradest_numpy.differentiation.reverse import Tape
from gradest_numpy.differentiation.traced import TracedArray, complete, plain

complete()

Function = Callable[[tuple[Any, ...], Any], Any]
"""`(leaves, data) -> scalar`, written in NumPy."""

_depth = local()


@contextmanager
def _level() -> Any:
    """Number the evaluation: a derivative taken inside another's function is followed apart from it."""
    _depth.value = getattr(_depth, "value", 0) + 1
    try:
        yield _depth.value
    finally:
        _depth.value -= 1


def value_and_gradient(function: Function) -> Callable[[Sequence[Any], Any], tuple[Any, tuple[Any, ...]]]:
    """Return `(leaves, data) -> (value, gradient leaves)` by reverse mode, for one evaluation of the function.

    A leaf that the value does not depend on has gradient 0.

    Raises
    ------
    UnsupportedError
        The function calls something that has no rule; the message names it.
    InvalidInputError
        The value depends on no leaf at all, or is no scalar.
    """

    def gradient(leaves: Sequence[Any], data: Any) -> tuple[Any, tuple[Any, ...]]:
        with _level() as level:
            tape = Tape(level)
            nodes = tuple(TracedArray(tape, _read_only(leaf)) for leaf in leaves)
            result = _connected(_evaluated(function, nodes, data), tape)
            value = result.primal
            tape.pull_back(result)
        given: set[int] = set()
        return value, tuple(_private(node, given) for node in nodes)

    return gradient


def value_and_jvps(function: Function) -> Callable[[Sequence[Any], Sequence[Any], Any], tuple[Any, Any]]:
    """Return `(leaves, tangents (K, *shape), data) -> (value, jvps (K,))` by forward mode.

    Raises
    ------
    UnsupportedError
        The function calls something that has no rule; the message names it.
    InvalidInputError
        The value depends on no leaf at all, or is no scalar.
    """

    def jvps(leaves: Sequence[Any], tangents: Sequence[Any], data: Any) -> tuple[Any, Any]:
        with _level() as level:
            duals = Duals(level)
            nodes = tuple(
                TracedArray(duals, _read_only(leaf), tangent) for leaf, tangent in zip(leaves, tangents, strict=True)
            )
            result = _connected(_evaluated(function, nodes, data), duals)
        return result.primal, result.carried

    return jvps


def _evaluated(function: Function, nodes: tuple[Any, ...], data: Any) -> Any:
    try:
        return function(nodes, data)
    except (TypeError, ValueError) as error:
        # NumPy covers what `float(value)` raised in `a[i] = value` by "setting an array element with a sequence".
        if isinstance(error.__cause__, UnsupportedError):
            raise error.__cause__ from error
        raise


def _read_only(leaf: Any) -> Any:
    if type(leaf) is TracedArray:
        return leaf
    view = np.asarray(leaf).view()
    view.flags.writeable = False
    return view


def _connected(result: Any, trace: Any) -> TracedArray:
    if type(result) is not TracedArray or result.tracer is not trace:
        raise InvalidInputError(
            f"f was to be differentiated and returned {type(plain(result)).__name__} {plain(result)!r:.60}, which does "
            "not depend on the parameters by any function with a derivative; look for rounding, argmax, comparisons or "
            "astype(int) on the way, or use a method that needs values alone"
        )
    if result.shape != ():
        raise InvalidInputError(
            f"f must return a scalar, an array of shape (); found an array of shape {result.shape}; reduce it, e.g. by "
            "a mean"
        )
    return result


def _private(node: TracedArray, given: set[int]) -> Any:
    """Return the gradient by a leaf as an array that nobody else holds."""
    g = node.carried
    if g is None:
        return np.zeros(node.shape, node.dtype)
    if type(g) is TracedArray:
        return g
    # A cotangent may be shared between leaves, or be a view (of a broadcast, of another cotangent).
    if type(g) is not np.ndarray or g.base is not None or not g.flags.c_contiguous or id(g) in given:
        g = np.array(g, dtype=node.dtype, order="C", copy=True)
    given.add(id(g))
    return g
