"""Max-pooling whose backward pass is right in predict mode.

In float32 MXNet 1.9.1 pools by oneDNN, which notes in the forward pass where each maximum is, for the backward pass; in
predict mode it notes nothing, and the backward pass reads memory that nobody has filled: other numbers at each call, or
zeros, without a word. MXNet's own kernel looks for the maxima again, and it is the one that takes the channels last. So
inside the contexts of `RightKernels` arrays are pooled with the channels moved there and back, to the same values.

What a user's own hybridized block has compiled cannot be reached; such a graph is looked at, and refused.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from gradest.errors import UnsupportedError
from gradest_mxnet.framework import Array, mx
from gradest_mxnet.replaced import Change, Refusal

_CHANNELS_LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
_UNREACHABLE = (
    "reverse mode in predict mode was asked for through the max-pooling of {}, a hybridized block that f closes over; "
    "in float32 MXNet 1.9.1 reads memory there that nothing has filled; pass the block itself as params, call its "
    "hybridize(False), compute in float64, or use an estimator of values ('fd-central', 'es', 'spsa')"
)


def refusal(block: Any, nodes: Sequence[Mapping[str, Any]]) -> Refusal | None:
    """Return what refuses a compiled graph, the user's own, that pools by the other kernel; None of one that does not.

    Inputs that are recorded in predict mode are refused.
    """
    attributes = [node.get("attrs", {}) for node in nodes if node["op"] == "Pooling"]
    if not any(a.get("pool_type", "max") == "max" and not _channels_last(a.get("layout")) for a in attributes):
        return None
    name = type(block).__name__

    def refuse(inputs: Sequence[Any]) -> None:
        if any(map(_concerned, inputs)):
            raise UnsupportedError(_UNREACHABLE.format(name))

    return refuse


@cache
def on_arrays() -> tuple[Change, ...]:
    """Return what takes the place of pooling where arrays are recorded in predict mode."""
    legacy = mx.nd.transpose, _concerned
    numpy = mx.np.transpose, _concerned
    # Gluon's blocks and the user take the same function from different modules.
    places = ((mx.nd, "Pooling", legacy), (mx.nd.op, "Pooling", legacy), (mx.nd.npx, "pooling", numpy),
              (mx.npx, "pooling", numpy))  # fmt: skip
    return tuple((place, name, _moved(getattr(place, name), *how)) for place, name, how in places)


@cache
def on_symbols() -> tuple[Change, ...]:
    """Return what takes its place where a graph is traced, in either mode."""
    # A symbol does not tell its dtype.
    places = ((mx.sym, "Pooling", mx.sym.transpose), (mx.sym.npx, "pooling", mx.sym.np.transpose))
    return tuple((place, name, _moved(getattr(place, name), how, lambda symbol: True)) for place, name, how in places)


def _concerned(array: Any) -> bool:
    """Return whether an array is of those that oneDNN pools, and is being recorded in predict mode."""
    recorded = mx.autograd.is_recording() and not mx.autograd.is_training()
    return recorded and isinstance(array, mx.nd.NDArray) and array.dtype == np.float32


def _channels_last(layout: Any) -> bool:
    """Return whether a layout, None or MXNet's word for none by default, has the channels on the last axis."""
    return str(layout) in _CHANNELS_LAST.values()


def _moved(pool: Callable[..., Array], transpose: Callable[..., Array], concerns: Callable[[Any], bool]) -> Any:
    """Return a pooling function that moves the channels to the end and back where it is asked for a maximum."""
    signature = inspect.signature(pool)

    def pooling(*args: Any, **kwargs: Any) -> Array:
        given = signature.bind(*args, **kwargs).arguments
        given.update(given.pop("kwargs", {}))
        data, kernel = given["data"], given.get("kernel", ())
        axes = 1 if isinstance(kernel, int) else len(kernel) or len(getattr(data, "shape", (0, 0))) - 2
        plain = given.get("pool_type", "max") == "max" and not _channels_last(given.get("layout"))
        if not (plain and axes in _CHANNELS_LAST and given.get("out") is None and concerns(data)):
            return pool(*args, **kwargs)
        given["data"] = transpose(data, axes=(0, *range(2, axes + 2), 1))
        pooled = pool(**{**given, "layout": _CHANNELS_LAST[axes]})
        return transpose(pooled, axes=(0, axes + 1, *range(1, axes + 1)))

    return pooling
