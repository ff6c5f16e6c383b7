"""Contexts in which what is recorded, or traced into a graph, goes backward by kernels of MXNet's that are right."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from gradest_mxnet import deconvolution, dense, pooling, recurrent
from gradest_mxnet.framework import mx
from gradest_mxnet.replaced import Change, replaced

_patching = threading.RLock()


@contextmanager
def right_kernels() -> Iterator[None]:
    """Have arrays that are recorded go through kernels that go backward rightly.

    Raises
    ------
    UnsupportedError
        A hybridized block with a graph of its own has the other ones.
    """
    with _patching, replaced(_on_arrays()):
        yield


@contextmanager
def right_graphs(*, single: bool, constant_matrix: bool) -> Iterator[None]:
    """Have the graphs that are traced inside made of kernels that go backward rightly, in either mode.

    Symbols tell neither their dtypes nor their values: `single` says whether they are of single precision, and
    `constant_matrix` whether a dense layer's weight may be a constant while its bias is differentiated.
    """
    functions = list(pooling.on_symbols())
    if single:
        functions += [*deconvolution.on_symbols(), *(dense.on_symbols() if constant_matrix else ())]
    with _patching, replaced(functions):
        yield


@cache
def _on_arrays() -> tuple[Change, ...]:
    call = mx.gluon.HybridBlock._call_cached_op

    def call_and_look(self: Any, *args: Any) -> Any:
        found = call(self, *args)
        pooling.require_reachable(self, args)
        dense.require_reachable(self)
        recurrent.require_single_levels(self, args)
        return found

    functions = *pooling.on_arrays(), *deconvolution.on_arrays(), *dense.on_arrays(), *recurrent.on_arrays()
    return *functions, (mx.gluon.HybridBlock, "_call_cached_op", call_and_look)
