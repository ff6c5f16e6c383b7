"""The ways to differentiate a user's function of NumPy arrays: reverse mode, forward mode, and one over the other."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradest.errors import GradestError, InvalidInputError
from gradest_numpy.differentiation import tables as tables  # fills the table of rules
from gradest_numpy.differentiation.forward import Duals
from gradest_numpy.differentiation.keeping import Keeper
from gradest_numpy.differentiation.operators import complete
from gradest_numpy.differentiation.reverse import Tape
from gradest_numpy.differentiation.trace import Trace
from gradest_numpy.differentiation.traced import TracedArray, plain

complete()

Function = Callable[[tuple[Any, ...], Any], Any]
"""`(leaves, data) -> scalar`, written in NumPy."""


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

    whole = True  # what the function uses is copied, until an evaluation has shown that it writes into none of it
    writes = False

    def gradient(leaves: Sequence[Any], data: Any) -> tuple[Any, tuple[Any, ...]]:
        nonlocal whole, writes
        nodes, value, _, wrote = evaluate_reverse(function, leaves, data, whole=whole)
        writes = writes or wrote  # and is taken to do so from then on: the next evaluation may fill a buffer once
        whole = writes
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
        _, result = evaluate_forward(function, leaves, tangents, data)
        return result.primal, result.carried

    return jvps


def hessian_product(function: Function) -> Callable[[Sequence[Any], Sequence[Any], Any], tuple[Any, ...]]:
    """Return `(leaves, direction leaves, data) -> Hessian times direction` by forward mode over reverse mode.

    A leaf whose derivative does not change along the direction has 0.

    Raises
    ------
    UnsupportedError
        The function, or the rule of what it calls, calls something that has no rule; the message names it.
    InvalidInputError
        The value depends on no leaf at all, or is no scalar.
    """
    gradient = value_and_gradient(function)

    def product(leaves: Sequence[Any], direction: Sequence[Any], data: Any) -> tuple[Any, ...]:
        duals = Duals()
        nodes = [TracedArray(duals, _read_only(x), np.asarray(v)[None]) for x, v in zip(leaves, direction, strict=True)]
        try:
            _, slopes = gradient(nodes, data)
        finally:
            refusal = duals.refusal
            duals.end()
        if refusal is not None:
            raise refusal
        return tuple([np.array(g.carried[0]) if _follows(g, duals) else np.zeros(g.shape, g.dtype) for g in slopes])

    return product


def _follows(x: Any, trace: Trace) -> bool:
    return type(x) is TracedArray and x.tracer is trace


def _evaluated(function: Function, nodes: tuple[Any, ...], data: Any, trace: Trace) -> TracedArray:
    try:
        result = function(nodes, data)
    except GradestError:
        raise
    except Exception as error:
        # NumPy covers what `float(value)` raised in `a[i] = value` by "setting an array element with a sequence".
        if trace.refusal is not None:
            raise trace.refusal from error
        raise
    finally:
        refusal = trace.refusal
        trace.end()
    if refusal is not None:  # caught, by the function or by what it called: what was computed then is anybody's guess
        raise refusal
    return _connected(result, trace)


def _lent(leaves: Sequence[Any], data: Any) -> list[Any]:
    given = data.values() if isinstance(data, dict) else data if isinstance(data, tuple) else ()
    return [x for x in (*leaves, *given) if type(x) is not TracedArray]


def evaluate_reverse(
    function: Function,
    leaves: Sequence[Any],
    data: Any,
    *,
    whole: bool = True,
    settled: Callable[..., None] | None = None,
) -> tuple[tuple[TracedArray, ...], Any, Sequence[Any], bool]:
    """Return the leaves with their cotangents, the value, the steps where `settled` asks for them, and what is seen.

    That is whether the function writes into arrays that it has used, of which large ones are copied where `whole`.
    """
    keeper = Keeper(_lent(leaves, data), whole=whole)
    tape = Tape(keeper, settled=settled)
    nodes = tuple([TracedArray(tape, _read_only(leaf)) for leaf in leaves])
    result = _evaluated(function, nodes, data, tape)
    if keeper.missed():  # what was computed with stands there no more: once again, with copies
        return evaluate_reverse(function, leaves, data, settled=settled)
    value = result.primal
    steps = () if settled is None else tuple(tape.steps)  # kept for who draws them alone: they hold all values
    tape.pull_back(result)
    return nodes, value, steps, keeper.wrote()


def evaluate_forward(
    function: Function,
    leaves: Sequence[Any],
    tangents: Sequence[Any],
    data: Any,
    *,
    made: Callable[..., None] | None = None,
) -> tuple[tuple[TracedArray, ...], TracedArray]:
    """Return the leaves and the result with its tangents; `made` is told of each call."""
    duals = Duals(made=made)
    nodes = tuple([TracedArray(duals, _read_only(x), t) for x, t in zip(leaves, tangents, strict=True)])
    return nodes, _evaluated(function, nodes, data, duals)


def _read_only(leaf: Any) -> Any:
    if type(leaf) is TracedArray and leaf.live:
        return leaf
    view = np.asarray(leaf).view()
    view.flags.writeable = False
    return view


def _connected(result: Any, trace: Any) -> TracedArray:
    if not _follows(result, trace):
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
    found: TracedArray = result
    return found


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
