"""Dense layers whose bias has a gradient though their weight is a constant.

In float32 MXNet 1.9.1 computes a dense layer by oneDNN, whose backward pass makes the bias's gradient on its way to the
weight's: of a weight without one, frozen or a plain array, it makes neither, and the bias's is memory that nobody has
filled. A product without a bias, and the bias added to it, has both.
"""

import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from gradest.errors import UnsupportedError
from gradest_mxnet.framework import Array, mx
from gradest_mxnet.replaced import Change, Refusal

NO_PARAMETERS = (("data_indices", "()"), ("param_indices", "()"))
"""Flags of a graph that gradest compiles, which override those that Gluon gives: every input may be another next time.

They tell such a graph from the user's own, too.
"""

_UNREACHABLE = (
    "reverse mode was asked for through {}, a block of a graph of its own with a dense layer whose weight is frozen "
    "and whose bias {!r} is not; in float32 MXNet 1.9.1 reads memory there that nothing has filled; give the weight "
    "grad_req 'write', compute in float64, or use an estimator of values ('fd-central', 'es', 'spsa')"
)


@cache
def on_arrays() -> tuple[Change, ...]:
    """Return what takes the place of dense layers where arrays are recorded."""
    places = ((mx.nd, "FullyConnected"), (mx.nd.op, "FullyConnected"), (mx.nd.npx, "fully_connected"),
              (mx.npx, "fully_connected"))  # fmt: skip
    return tuple((place, name, _apart(getattr(place, name), _constant_weight)) for place, name in places)


@cache
def on_symbols() -> tuple[Change, ...]:
    """Return what takes their place where a graph is traced."""
    # A plus of legacy symbols asks for equal shapes.
    places = ((mx.sym, "FullyConnected", mx.sym.broadcast_add), (mx.sym.npx, "fully_connected", operator.add))
    return tuple((place, name, _apart(getattr(place, name), lambda weight: True, add)) for place, name, add in places)


def _constant_weight(weight: Any) -> bool:
    """Return whether an array of those that oneDNN multiplies by is no variable, or may be none, while it is recorded.

    Of what is computed from variables MXNet tells nothing: there the sum is right too, and takes one kernel more.
    """
    return mx.autograd.is_recording() and weight.dtype == np.float32 and weight.grad is None


def _apart(
    product: Callable[..., Array], concerns: Callable[[Any], bool], add: Callable[..., Array] = operator.add
) -> Any:
    """Return a dense layer that adds the bias by itself where its weight is a constant."""
    signature = inspect.signature(product)

    def dense(*args: Any, **kwargs: Any) -> Array:
        given = signature.bind(*args, **kwargs).arguments
        given.update(given.pop("kwargs", {}))
        bias = given.get("bias")
        if (
            bias is None
            or given.get("no_bias") is True
            or given.get("out") is not None
            or not concerns(given["weight"])
        ):
            return product(*args, **kwargs)
        return add(product(**{**given, "bias": None, "no_bias": True}), bias)

    return dense


def refusal(block: Any, nodes: Sequence[Mapping[str, Any]]) -> Refusal | None:
    """Return what refuses a graph among the parameters' own that was not traced here (a `SymbolBlock`'s).

    None where it has no such layer.
    """
    bias = _frozen_below_bias(block, nodes) if NO_PARAMETERS[0] in block._flags else None
    if bias is None:
        return None
    message = _UNREACHABLE.format(type(block).__name__, bias)

    def refuse(inputs: Sequence[Any]) -> None:
        if mx.autograd.is_recording():
            raise UnsupportedError(message)

    return refuse


def _frozen_below_bias(block: Any, nodes: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the first bias with a gradient whose dense layer multiplies by a frozen weight in single precision."""
    parameters = dict(block.collect_params())
    for node in nodes:
        if node["op"] in ("FullyConnected", "_npx_fully_connected") and len(node["inputs"]) == 3:
            weight, bias = (parameters.get(nodes[index]["name"]) for index, *_ in node["inputs"][1:])
            if weight is None or bias is None or np.dtype(weight.dtype) != np.float32:
                continue
            if weight.grad_req == "null" and bias.grad_req != "null":
                return str(bias.name)
    return None
