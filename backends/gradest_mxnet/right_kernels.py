"""Contexts in which what is recorded, or traced into a graph, goes backward by kernels of MXNet's that are right."""

import json
import threading
from collections import deque
from functools import cache, wraps
from typing import Any
from weakref import WeakKeyDictionary

from gradest_mxnet import activations, deconvolution, dense, no_slopes, pooling, recurrent
from gradest_mxnet.framework import mx
from gradest_mxnet.replaced import Change, Refusal, Replaced


class RightKernels(Replaced):
    """A context in which arrays that are recorded go through kernels that go backward rightly.

    Inside, a hybridized block with a graph of its own that has the other ones raises `UnsupportedError`.
    """

    def __init__(self) -> None:
        super().__init__(_on_arrays())

    def __enter__(self) -> None:
        _look_at_graphs()
        super().__enter__()
        _here.depth = getattr(_here, "depth", 0) + 1

    def __exit__(self, *exception: object) -> None:
        _here.depth -= 1
        super().__exit__(*exception)


_here = threading.local()
"""Its `depth` says how many such contexts a thread has open: another thread may train by blocks that these refuse."""


@cache
def _on_symbols(single: bool, constant_matrix: bool) -> tuple[Change, ...]:
    functions = pooling.on_symbols() + activations.on_symbols() + no_slopes.on_symbols()
    if single:
        functions += deconvolution.on_symbols() + (dense.on_symbols() if constant_matrix else ())
    return functions


def right_graphs(*, single: bool, constant_matrix: bool) -> Replaced:
    """Return a context whose graphs are traced with kernels that go backward rightly, in either mode.

    Symbols tell neither their dtypes nor their values: `single` says whether they are of single precision, and
    `constant_matrix` whether a dense layer's weight may be a constant while its bias is differentiated.
    """
    return Replaced(_on_symbols(single, constant_matrix))


@cache
def _on_arrays() -> tuple[Change, ...]:
    arrays = (module.on_arrays() for module in (pooling, deconvolution, dense, recurrent, activations, no_slopes))
    return tuple(change for changes in arrays for change in changes)


@cache
def _look_at_graphs() -> None:
    """Have blocks look at the graphs that they run by, within the context; outside they do as they did.

    This stays in place from the first time on. To change a class of which all blocks are empties the interpreter's
    caches of all their attributes, twice a call: a fiftieth of a small network's gradient.
    """
    call = mx.gluon.HybridBlock._call_cached_op

    @wraps(call)
    def call_and_look(self: Any, *args: Any) -> Any:
        found = call(self, *args)  # first: it may be what compiles the graph
        if getattr(_here, "depth", 0):
            for refuse in _refusals(self):
                refuse(args)
        return found

    mx.gluon.HybridBlock._call_cached_op = call_and_look


def _refusals(block: Any) -> tuple[Refusal, ...]:
    """Return what a block's compiled graph may have to be refused for: each graph is looked at once."""
    if not block._cached_graph:
        return ()
    graph, flags, looked = block._cached_graph[1], block._flags, _looked.get(block)
    if looked is None:
        looked = _looked[block] = deque(maxlen=_GRAPHS_KEPT)
    for known, with_flags, refusals in looked:
        if known is graph and with_flags is flags:
            return refusals
    nodes = json.loads(graph.tojson())["nodes"]
    found = (module.refusal(block, nodes) for module in (pooling, dense, recurrent, activations, no_slopes))
    refusals = tuple(refusal for refusal in found if refusal is not None)
    looked.appendleft((graph, flags, refusals))
    return refusals


_GRAPHS_KEPT = 4
"""A block computes by its own graph, and by one for each time that it is bound; those looked at first are dropped."""

_looked: "WeakKeyDictionary[Any, deque[tuple[Any, Any, tuple[Refusal, ...]]]]" = WeakKeyDictionary()
"""By block, the graphs that were looked at, their flags and what was found. (MXNet's symbols have no weak references.)

A `SymbolBlock` has one graph whether it is its user's or bound, and each binding, in which other weights may be frozen,
flags of its own.
"""
