"""A Gluon `Block` as parameters: the user's `f(block, *args)` as a pure function of a dict of arrays.

Blocks of both kinds work: legacy ones (`mx.nd` arrays, Gluon's default) and those made under `npx.set_np()`. What
kind a block is, its own parameters say; `f` runs in that kind's semantics, whatever the thread's are.
"""

import operator
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from gradest.errors import InvalidInputError, UnsupportedError
from gradest.places import ParameterPlace
from gradest_mxnet.dense import NO_PARAMETERS
from gradest_mxnet.framework import Array, mx
from gradest_mxnet.hybrid import as_scalar
from gradest_mxnet.right_kernels import right_graphs

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
    _require_trainable(block, found)
    return found


def _require_trainable(block: Any, found: dict[str, Any]) -> None:
    if not found:
        raise InvalidInputError(
            f"a Block with trainable parameters was asked for; {type(block).__name__} has none with grad_req 'write'"
        )


def constants(block: Any) -> dict[str, Array]:
    """Return the parameters without a gradient by their place: running means, frozen weights."""
    return {n: p.data().as_np_ndarray() for n, p in _initialised(block).items() if p.grad_req == "null"}


def bind(f: Callable[..., Array], block: Any) -> Callable[..., Array]:
    """Return `f(block, *args)` as a pure function `(parameters, *args)`; the block is left as it was.

    Parameters without a gradient (running means) are given as copies at each call, so that a layer which updates
    its own in training mode updates the copies.
    """
    state = _State(block)
    semantics = (mx.util.np_shape, mx.util.np_array) if state.numpy else (mx.util.np_array, mx.util.np_shape)
    first, second = semantics  # MXNet refuses np-array without np-shape, on the way in and on the way out
    names = mx.name.NameManager  # tracing counts names up, from which Gluon makes those of the user's next blocks

    def pure(values: dict[str, Array], *args: Any, **kwargs: Any) -> Any:
        semantics = first(state.numpy), second(state.numpy)
        dtype = _name_of(next(iter(values.values())).dtype)
        kernels = right_graphs(single=dtype == "float32", constant_matrix=state.constant_matrix)
        with _one_at_a_time, semantics[0], semantics[1], names(), kernels, _Swapped(state, values, dtype):
            value = f(block, *args, **kwargs)
        # A number can be evaluated, though not differentiated; of several, the losses of examples, the caller judges.
        return value if isinstance(value, int | float) else as_scalar(value, several=True)

    return pure


@cache
def _name_of(dtype: Any) -> str:
    return np.dtype(dtype).name  # NumPy takes a hundredth of a small network's gradient to say it


class _State:
    """What of a block is put aside while it computes with other arrays: its parameters' values, its compiled graphs.

    Attributes
    ----------
    numpy
        Whether the block is of `mx.np` kind; `f` runs in its semantics.
    graphs
        What each `HybridBlock` compiles for us, for parameters of `dtype`. With `static_shape=True` Gluon's own graph
        takes the block's parameters for arrays that never change place, and writes gradients to the buffers of its
        first backward pass for ever (MXNet 1.9.1): run through the user's graph, ours or the user's would be zero from
        then on. Ours is told of no parameter; it is as fast.
    given
        Which of the blocks are nothing but a graph (`SymbolBlock`).
    constant_matrix
        Whether a parameter without a gradient may be a dense layer's weight.
    """

    GRAPH = ("_cached_graph", "_cached_op", "_cached_op_args", "_in_format", "_out_format", "_flags")
    graph_of = staticmethod(operator.itemgetter(*GRAPH))

    def __init__(self, block: Any) -> None:
        self.parameters = _initialised(block)
        self.numpy = isinstance(next(iter(self.parameters.values())).data(), mx.np.ndarray)
        self.constant_matrix = any(p.grad_req == "null" and len(p.shape) == 2 for p in self.parameters.values())
        hybrid = _hybrid_blocks(block)
        self.blocks = [vars(each) for each in hybrid]
        self.given = [isinstance(each, mx.gluon.SymbolBlock) for each in hybrid]
        self.dtype = ""  # by name: NumPy takes None, in a comparison, for double precision
        self.graphs: list[tuple[Any, ...]] = []

    def compile_for(self, dtype: str) -> None:
        """Have the next calls compile graphs anew where the last ones were compiled for another dtype."""
        if self.dtype == dtype:
            return
        self.dtype = dtype
        self.graphs = []
        for attributes, given in zip(self.blocks, self.given, strict=True):
            flags = [*attributes["_flags"], *NO_PARAMETERS]
            fresh = {**attributes, "_cached_op": None, "_cached_op_args": [], "_flags": flags}
            if not given:  # traced anew, by kernels that go backward rightly: its user may have traced it before
                fresh["_cached_graph"] = ()
            self.graphs.append(self.graph_of(fresh))

    def put(self, graphs: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Have the blocks compute by these graphs; return those by which they did."""
        before = list(map(self.graph_of, self.blocks))
        for attributes, graph in zip(self.blocks, graphs, strict=True):
            attributes.update(zip(self.GRAPH, graph, strict=True))
        return before


class _Swapped:
    """Inside the context a block computes with other arrays, by graphs of ours; then it has its own back.

    The arrays are put in place themselves, for `set_data` would copy them out of autograd's graph; a parameter that has
    no other array works on a copy of its own. `.grad()` stays as it is. A loss that freezes a parameter, or casts
    the block, has done so until the end alone.
    """

    HELD = ("_data", "_grad", "_grad_req", "_dtype")
    _held = staticmethod(operator.itemgetter(*HELD))

    def __init__(self, state: _State, values: dict[str, Array], dtype: str) -> None:
        self.state = state
        self.values = values
        self.dtype = dtype
        self.own: list[Any] = []
        self.own_graphs: list[tuple[Any, ...]] = []

    def __enter__(self) -> None:
        state, values = self.state, self.values
        state.compile_for(self.dtype)
        arrays = [
            self._array(values[name]) if name in values else self._copy(parameter, self.dtype)
            for name, parameter in state.parameters.items()
        ]
        self.own_graphs = state.put(state.graphs)
        self.own = [self._held(vars(parameter)) for parameter in state.parameters.values()]
        for parameter, array in zip(state.parameters.values(), arrays, strict=True):
            parameter._data = [array]

    def __exit__(self, *exception: object) -> None:
        for parameter, own in zip(self.state.parameters.values(), self.own, strict=True):
            vars(parameter).update(zip(self.HELD, own, strict=True))
        self.state.graphs = self.state.put(self.own_graphs)

    def _copy(self, parameter: Any, dtype: Any) -> Array:
        """Return a copy of a parameter without a gradient, in double precision where the others are computed in it."""
        own = parameter._data[0]
        wider = np.dtype(own.dtype) == np.float32 and np.dtype(dtype) == np.float64
        return own.astype("float64") if wider else own.copy()

    def _array(self, array: Array) -> Array:
        """Return the array as the block's kind; the same memory, the same place in autograd's graph."""
        if self.state.numpy:
            return array.as_np_ndarray()
        return array.as_nd_ndarray() if isinstance(array, mx.np.ndarray) else array


class GluonPlace(ParameterPlace):
    """A parameter of Gluon with its gradient buffers, one on each of its devices, where `gluon.Trainer` looks."""

    def __init__(self, parameter: Any) -> None:
        self._parameter = parameter

    @property
    def owner(self) -> Any:
        return self._parameter

    @property
    def like(self) -> Array:
        return self._parameter.list_data()[0].detach().as_np_ndarray()

    def put_gradient(self, gradient: Array, *, accumulate: bool) -> None:
        held = self._parameter.list_data()
        # A trainer over several devices adds up their gradients, which are those of the parts of one batch.
        share = gradient if len(held) == 1 else gradient / len(held)
        with mx.autograd.pause(), mx.util.np_shape(True):
            for data, buffer in zip(held, self._parameter.list_grad(), strict=True):
                view = buffer.as_np_ndarray() if buffer.stype == "default" else None
                here = share.as_in_ctx(buffer.ctx)
                if view is not None:
                    view[...] = view + here if accumulate else here
                else:  # row-sparse, of an embedding: all rows are there, which its kind allows
                    whole = here.as_nd_ndarray()
                    (buffer.tostype("default") + whole if accumulate else whole).tostype(buffer.stype).copyto(buffer)
                # `Trainer.step` refuses a gradient that no backward pass has written since the last step ("stale"). It
                # looks at this flag of the values, which only a backward pass sets and which has no public name
                # (MXNet 1.9.1, `gluon/trainer.py`, `_update`). This is the one place where gradest sets it.
                data._fresh_grad = True

    def put_values(self, values: Array) -> None:
        with mx.autograd.pause(), mx.util.np_shape(True):
            # `set_data` writes on every device, and tells a trainer that keeps values of its own.
            numpy = isinstance(self._parameter.list_data()[0], mx.np.ndarray)
            self._parameter.set_data(values if numpy else values.as_nd_ndarray())


def parameter_places(block: Any) -> dict[str, GluonPlace]:
    """Return the places of the parameters with a gradient, by their place in the block; tied ones once.

    Raises
    ------
    InvalidInputError
        A parameter has no values yet, or none of them has a gradient.
    """
    held = {name: p for name, p in _with_values(block).items() if p.grad_req != "null"}
    _require_trainable(block, held)
    return {name: GluonPlace(parameter) for name, parameter in held.items()}


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
    """Return all parameters of a block by name, each once, refusing those on several devices."""
    found = _with_values(block)
    spread = [name for name, parameter in found.items() if len(parameter.list_ctx()) > 1]
    if spread:
        raise UnsupportedError(
            f"a Block on one device was asked for; on several are: {', '.join(spread)}; use block.reset_ctx(mx.cpu())"
        )
    return found


def _with_values(block: Any) -> dict[str, Any]:
    """Return all parameters of a block by name, each once, on however many devices."""
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
    return found
