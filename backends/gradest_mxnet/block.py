"""A Gluon `Block` as parameters: the user's `f(block, *args)` as a pure function of a dict of arrays.

Blocks of both kinds work: legacy ones (`mx.nd` arrays, Gluon's default) and those made under `npx.set_np()`. What
kind a block is, its own parameters say; `f` runs in that kind's semantics, whatever the thread's are.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from gradest.errors import InvalidInputError, UnsupportedError
from gradest.operations import Array
from gradest_mxnet.framework import mx
from gradest_mxnet.hybrid import as_scalar

_one_at_a_time = threading.RLock()  # a block holds one set of parameters; two threads would mix theirs


def trainable_parameters(block: Any) -> dict[str, Array]:
    """Return the parameters with a gradient by their place ("0.weight"), outside any graph; tied ones once.

    Raises
    ------
    InvalidInputError
        A parameter has no values yet, or none of them has a gradient.
    UnsupportedError
        A parameter lives on several devices.
    """
    found = {name: p.data().detach() for name, p in _initialised(block).items() if p.grad_req != "null"}
    if not found:
        raise InvalidInputError(
            f"a Block with trainable parameters was asked for; {type(block).__name__} has none with grad_req 'write'"
        )
    return found


def bind(f: Callable[..., Array], block: Any) -> Callable[..., Array]:
    """Return `f(block, *args)` as a pure function `(parameters, *args)`; the block is left as it was.

    Parameters without a gradient (running means) are given as copies at each call, so that a layer which updates
    its own in training mode updates the copies.
    """
    parameters = _initialised(block)
    numpy_semantics = isinstance(next(iter(parameters.values())).data(), mx.np.ndarray)
    graphs = [_PrivateGraph(hybrid) for hybrid in _hybrid_blocks(block)]

    def pure(values: dict[str, Array], *args: Any) -> Array:
        with _one_at_a_time, _semantics(numpy_semantics), _swapped(parameters, values), ExitStack() as stack:
            for graph in graphs:
                stack.enter_context(graph)
            value = f(block, *args)
        return as_scalar(value)

    return pure


class _PrivateGraph:
    """Gives a `HybridBlock` a compiled graph of ours inside the context, and its own back afterwards.

    A graph compiled with `static_shape=True` writes gradients to the buffers of its first backward pass for ever
    (MXNet 1.9.1): run through the user's graph, ours or the user's would be zero from then on. Ours has no
    static shapes.
    """

    _STATE = ("_cached_graph", "_cached_op", "_cached_op_args", "_in_format", "_out_format", "_flags")

    def __init__(self, block: Any) -> None:
        self.block = block
        self.own: dict[str, Any] = {}
        self.ours = {name: vars(block)[name] for name in self._STATE}
        self.ours |= {"_cached_op": None, "_cached_op_args": [], "_flags": _without_static_shape(block._flags)}

    def __enter__(self) -> None:
        self.own = {name: vars(self.block)[name] for name in self._STATE}
        vars(self.block).update(self.ours)

    def __exit__(self, *exception: object) -> None:
        self.ours = {name: vars(self.block)[name] for name in self._STATE}
        vars(self.block).update(self.own)


def _without_static_shape(flags: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [(name, False if name == "static_shape" else value) for name, value in flags]


def _hybrid_blocks(block: Any) -> list[Any]:
    """Return every `HybridBlock` of a tree of blocks, each once."""
    found: dict[int, Any] = {}
    waiting = [block]
    while waiting:
        one = waiting.pop()
        if id(one) not in found:
            found[id(one)] = one
            waiting.extend(one._children.values())
    return [one for one in found.values() if isinstance(one, mx.gluon.HybridBlock)]


def _initialised(block: Any) -> dict[str, Any]:
    """Return all parameters of a block by name, each once."""
    names: dict[int, str] = {}
    parameters = block._collect_params_with_prefix()  # the names that save_parameters writes; no counters in them
    for name, parameter in parameters.items():
        names.setdefault(id(parameter), name)
    found = {name: parameters[name] for name in names.values()}
    empty = [name for name, parameter in found.items() if parameter._data is None]
    if empty or not found:
        raise InvalidInputError(
            f"a Block with values was asked for; in {type(block).__name__} these parameters have none yet: "
            f"{', '.join(empty) or '(there is no parameter)'}; call block.initialize() and run it once on an input"
        )
    spread = [name for name, parameter in found.items() if len(parameter.list_ctx()) > 1]
    if spread:
        raise UnsupportedError(
            f"a Block on one device was asked for; on several are: {', '.join(spread)}; use block.reset_ctx(mx.cpu())"
        )
    return found


@contextmanager
def _swapped(parameters: dict[str, Any], values: dict[str, Array]) -> Iterator[None]:
    """Let a block's parameters hold other arrays inside the context; `.grad()` and the own arrays stay as they are.

    The arrays are put in place themselves, for `set_data` would copy them out of autograd's graph.
    """
    before = {name: parameter._data for name, parameter in parameters.items()}
    try:
        for name, parameter in parameters.items():
            own = parameter.data()
            parameter._data = [_of_kind(values[name], own) if name in values else own.copy()]
        yield
    finally:
        for name, parameter in parameters.items():
            parameter._data = before[name]


def _of_kind(array: Array, like: Array) -> Array:
    """Return an array as `mx.np` or as legacy, as `like` is; the same memory, the same place in autograd's graph."""
    if isinstance(like, mx.np.ndarray):
        return array.as_np_ndarray()
    return array.as_nd_ndarray() if isinstance(array, mx.np.ndarray) else array


@contextmanager
def _semantics(numpy_semantics: bool) -> Iterator[None]:
    """Set np-shape and np-array for this thread inside the context, and a name counter of its own.

    Tracing a block counts names up, from which Gluon makes those of the user's next blocks.
    """
    with mx.name.NameManager():
        if numpy_semantics:
            with mx.util.np_shape(True), mx.util.np_array(True):
                yield
        else:
            with mx.util.np_array(False), mx.util.np_shape(False):  # in this order: MXNet refuses the other
                yield
