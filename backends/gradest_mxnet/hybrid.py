"""A loss written in operations as a hybridized Gluon block, and reverse mode by MXNet's autograd."""

import ctypes
import math
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from gradest.backend import Function, Leaves
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.evaluation.draws import start_of_evaluation
from gradest.operations import Data
from gradest_mxnet.framework import Array, mx
from gradest_mxnet.modes import BackwardMode, Evaluate, Watched
from gradest_mxnet.right_kernels import RightKernels

_Signature = tuple[tuple[int, ...], ...]


class LossBlock(mx.gluon.HybridBlock):  # type: ignore[misc]  # MXNet has no annotations
    """Calls a loss with the symbols (or arrays) of its inputs; those that it does not use are left out.

    Gluon warns of an input that no computation uses, so the block has the used ones alone; the loss is given
    variables of no graph in place of the others.
    """

    def __init__(self, call: Callable[..., Array], shapes: _Signature) -> None:
        super().__init__()
        self.call = call
        self.shapes = shapes
        self.used = tuple(range(len(shapes)))
        variables = self._variables(mx.sym)
        names = set(_traced(call, variables).list_inputs())
        self.used = tuple(k for k, variable in enumerate(variables) if variable.name in names)

    def hybrid_forward(self, F: Any, *inputs: Array) -> Array:
        every = self._variables(F)
        for place, symbol in zip(self.used, inputs, strict=True):
            symbol._set_attr(__shape__=str(self.shapes[place]))  # `operations.shape` asks for it
            every[place] = symbol
        return self.call(*every)

    def _variables(self, F: Any) -> list[Array]:
        return [F.var(f"input{k}", shape=shape).as_np_ndarray() for k, shape in enumerate(self.shapes)]


def _traced(call: Callable[..., Array], variables: list[Array]) -> Array:
    """Return the symbol that a loss makes of symbols."""
    try:
        value = call(*variables)
    except AttributeError as error:
        if "Symbol" not in str(error):
            raise
        raise UnsupportedError(
            f"a loss of gradest's operations and arithmetic alone was asked for, which MXNet traces with symbols; "
            f"{error}; a loss that needs shapes or values can be given as a function of MXNet arrays"
        ) from error
    if not isinstance(value, mx.sym.Symbol):
        raise InvalidInputError(
            f"a loss computed from its parameters was asked for; found {type(value).__name__} whatever they are"
        )
    return value


@dataclass(frozen=True)
class Graph:
    """States a block's compiled graph, and which inputs of the loss it takes, in its own order."""

    run: Callable[..., Array]
    places: tuple[int, ...]


class HybridLoss:
    """A loss `(leaves, data) -> value` written in operations, run as one Gluon graph for each set of shapes.

    It can be called with arrays alone, in any thread, recorded by autograd or not. MXNet's graphs are not safe in
    threads: two that run one crash. `lock` is held while a thread hands work to MXNet's queue, not while it is done.
    """

    def __init__(self, function: Function) -> None:
        self.function = function
        self._graphs: dict[_Signature, Graph] = {}
        self.lock = threading.Lock()

    def __call__(self, leaves: Leaves, data: Data) -> Array:
        graph, inputs = self.graph(leaves, data)
        with self.lock:
            return graph.run(*[inputs[k] for k in graph.places])

    def graph(self, leaves: Leaves, data: Data) -> tuple[Graph, list[Array]]:
        """Return the graph for inputs of these shapes, traced now if it is not there yet, and the inputs in a row."""
        inputs = [*leaves, *(data.values() if isinstance(data, dict) else data)]
        shapes = tuple([array.shape for array in inputs])
        graph = self._graphs.get(shapes)
        return graph or self._trace(inputs, shapes, len(leaves), data), inputs

    def _trace(self, inputs: list[Array], shapes: _Signature, num_leaves: int, data: Data) -> Graph:
        names = tuple(data) if isinstance(data, dict) else None

        def call(*given: Array) -> Array:
            rest = given[num_leaves:]
            return self.function(given[:num_leaves], rest if names is None else dict(zip(names, rest, strict=True)))

        # A name manager of its own: the names that Gluon gives the user's blocks count up otherwise.
        with self.lock, mx.name.NameManager(), mx.autograd.pause():
            if shapes not in self._graphs:
                block = LossBlock(call, shapes)
                block.hybridize(static_alloc=True, static_shape=True)
                as_scalar(block(*[inputs[k] for k in block.used]))  # Gluon traces at the first call
                # The graph itself is called from here on: Gluon's call around it takes as long as a small network.
                self._graphs[shapes] = Graph(block._cached_op, tuple(block.used[k] for _, k in block._cached_op_args))
        return self._graphs[shapes]


def value_and_gradient(function: Function) -> Callable[[Leaves, Data], tuple[Array, Leaves]]:
    """Return `(leaves, data) -> (value, gradient leaves)` by recording the function once and going backward.

    The leaves are recorded through handles of their own, so that the caller's arrays get no gradient buffer. The
    function runs in the mode (training or predicting) that the caller is in, as a plain evaluation does, or in that
    which it sets itself, and the backward pass in the same.
    """

    # A graph of symbols sets no mode of training as it runs; a user's function may.
    traced = isinstance(function, HybridLoss)
    backward = _Backward(sets_modes=not traced)

    def pull_traced(leaves: Leaves, data: Data) -> tuple[Array, Leaves]:
        graph, inputs = function.graph(leaves, data)  # type: ignore[attr-defined]  # a HybridLoss, as tested below

        def evaluate(given: Sequence[Array]) -> Array:
            inputs[: len(given)] = given
            return graph.run(*[inputs[k] for k in graph.places])

        with function.lock:  # type: ignore[attr-defined]  # as above
            return backward(evaluate, leaves)

    def pull(leaves: Leaves, data: Data) -> tuple[Array, Leaves]:
        return backward(lambda given: as_scalar(function(tuple(given), data)), leaves)

    return pull_traced if traced else pull


class _Backward:
    """Records an evaluation and goes backward: the value and the gradient, in arrays of its own.

    MXNet returns new arrays if the result depends on every leaf, and refuses otherwise. From the first refusal on it
    fills buffers, and those of leaves without influence stay zero.
    """

    def __init__(self, *, sets_modes: bool) -> None:
        self.every_leaf_counts = True
        self.some_leaf_counts = False
        self.mode = BackwardMode()
        self.sets_modes = sets_modes

    def __call__(self, evaluate: Evaluate, leaves: Sequence[Array]) -> tuple[Array, Leaves]:
        inputs = [leaf.detach() for leaf in leaves]
        if self.every_leaf_counts:
            try:
                # Autograd asks for buffers here too, and marks them; they are never written.
                value, head, training = self._record(evaluate, inputs, [leaf.detach() for leaf in inputs])
                return value.detach(), _gradient(head, inputs, training)
            except mx.MXNetError as error:
                _refuse_unconnected(error)
                if "unreachable" not in str(error):
                    raise
                self.every_leaf_counts = False
        if not self.some_leaf_counts:  # once: it waits for the device
            self._require_connected(evaluate, inputs)
            self.some_leaf_counts = True
        return self._fill(evaluate, inputs, 0.0)

    def _record(self, evaluate: Evaluate, inputs: list[Array], buffers: list[Array]) -> tuple[Array, Array, bool]:
        """Return the value, what of it is in autograd's graph, and whether to go backward in training mode."""
        mx.autograd.mark_variables(inputs, buffers)
        outer = mx.autograd.is_training()
        modes: AbstractContextManager[list[bool]] = Watched() if self.sets_modes else nullcontext([])
        kernels = RightKernels() if self.sets_modes else nullcontext()
        with mx.autograd.record(train_mode=outer), modes as inner, kernels:
            value = evaluate(inputs)
        training = self.mode.known(outer, inner)
        if training is None:
            # Recorded anew afterwards: a block of static memory has used that of this graph for the trials.
            start = start_of_evaluation()
            self.mode.find_out(outer, inner, evaluate, inputs)
            if start is not None:  # the trials have drawn, and all evaluations of an estimate draw the same numbers
                mx.nd.waitall()
                mx.random.seed(start)
            return self._record(evaluate, inputs, buffers)
        return value, getattr(value, "head", value), training

    def _fill(self, evaluate: Evaluate, inputs: list[Array], unwritten: float) -> tuple[Array, Leaves]:
        buffers = [mx.np.full(leaf.shape, unwritten, dtype=leaf.dtype, ctx=leaf.ctx) for leaf in inputs]
        value, head, training = self._record(evaluate, inputs, buffers)
        try:
            mx.autograd.backward(head, train_mode=training)
        except mx.MXNetError as error:
            _refuse_unconnected(error)
            raise no_way_back(error) from error
        return value.detach(), tuple(buffers)

    def _require_connected(self, evaluate: Evaluate, inputs: list[Array]) -> None:
        """Refuse a loss that is connected to other arrays and to none of its parameters; MXNet leaves buffers alone."""
        buffers: Sequence[Array] = self._fill(evaluate, inputs, _UNWRITTEN)[1]
        if all(bool((buffer == _UNWRITTEN).all()) for buffer in buffers):
            raise InvalidInputError(_UNCONNECTED)


_UNWRITTEN = 2.0**-99
"""What buffers hold before autograd writes: no gradient has it in every entry."""


def _gradient(head: Array, inputs: list[Array], training: bool) -> Leaves:
    """Return what `mx.autograd.grad` does, as dense `mx.np` arrays.

    It makes legacy arrays, to be made over again: a tenth of a small network's gradient. An embedding with
    `sparse_grad=True` has a gradient of its rows alone, which becomes what its parameter is.
    """
    base, handle = mx.base, mx.base.NDArrayHandle
    found, kinds = ctypes.POINTER(handle)(), ctypes.POINTER(ctypes.c_int)()
    heads, variables, nothing = base.c_handle_array([head]), base.c_handle_array(inputs), ctypes.c_void_p(0)
    # Neither is the graph kept, nor one made of the backward pass.
    modes = ctypes.c_int(0), ctypes.c_int(0), ctypes.c_int(training)
    results = ctypes.byref(found), ctypes.byref(kinds)
    try:
        base.check_call(base._LIB.MXAutogradBackwardEx(1, heads, nothing, len(inputs), variables, *modes, *results))
    except mx.MXNetError as error:
        if "unreachable" in str(error) or _UNKNOWN in str(error):
            raise
        raise no_way_back(error) from error
    return tuple([_dense(handle(found[k]), kinds[k]) for k in range(len(inputs))])


def _dense(handle: Any, kind: int) -> Array:
    if kind == 0:
        return mx.np.ndarray(handle)
    return mx.nd.sparse._ndarray_cls(handle, stype=kind).tostype("default").as_np_ndarray()


_UNKNOWN = "not in a computational graph"


def no_way_back(error: Exception) -> UnsupportedError:
    """Return the error for a loss with an operator that has no backward pass, or one that fails, with MXNet's words."""
    said = next((line for line in reversed(str(error).splitlines()) if line.strip()), "")
    return UnsupportedError(
        "reverse mode was asked for, and MXNet cannot go backward through this loss; use an estimator of values "
        f"('fd-central', 'es', 'spsa'), or other functions for that one (MXNet: {said.removeprefix('MXNetError: ')})"
    )


def _refuse_unconnected(error: Exception) -> None:
    if _UNKNOWN in str(error):
        raise InvalidInputError(
            "a loss computed by MXNet from the parameters was asked for; the result is not connected to them (a "
            "detach, asnumpy or asscalar on the way?); keep to MXNet operations, or use a black-box estimator"
        ) from error


_UNCONNECTED = (
    "a loss computed by MXNet from the parameters was asked for; the result is connected to other arrays, and to none "
    "of these (a Block closed over, instead of the one that f is given?); compute the loss from f's first argument"
)


def as_scalar(value: Array, *, several: bool = False) -> Array:
    """Return a loss as an `mx.np` array of shape `()`; it, or its attribute `head`, is in autograd's graph.

    With `several` an array of other than one number is returned as it is.

    Raises
    ------
    InvalidInputError
        It is not one number: a Gluon loss is one number for each example.
    """
    shape = value.shape if isinstance(value, mx.nd.NDArray) else None
    if shape is None or math.prod(shape) != 1:
        if several and shape is not None:
            return value
        found = type(value).__name__ if shape is None else f"shape {shape}"
        raise InvalidInputError(
            f"a function that returns one number as an MXNet array was asked for; found {found}; "
            + (
                "keep to MXNet operations, or use an estimator of values ('fd-central', 'es', 'spsa')"
                if shape is None
                else "a Gluon loss gives one number for each example: return its mean()"
            )
        )
    array = value if isinstance(value, mx.np.ndarray) else value.as_np_ndarray()
    if shape == ():
        return array
    recording = mx.autograd.set_recording(False)  # a change of shape would take as long as a small network's layer
    try:
        scalar = array
        for _ in shape:
            scalar = scalar._at(0)  # what scalar[0] comes to, after questions that take four times as long
    finally:
        mx.autograd.set_recording(recording)
    scalar.head = array
    return scalar
