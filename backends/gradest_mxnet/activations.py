"""The activations SELU and PReLU with right backward passes.

MXNet 1.9.1 takes SELU's slope left of 0 for another one: 0.64 of it at -2.1, 0.03 at -3, in every dtype and mode. SELU
is a multiple of ELU, which goes backward rightly, to the same values.

In a compiled graph it writes PReLU's gradient by the data over the one that came back, and makes that by the slopes
(`alpha`) of what it has written: a quarter of it where they are 0.25. So the slopes get theirs from a PReLU of their
own, which has none by the data.

What a user's own hybridized block has compiled cannot be reached; such a graph is looked at, and refused.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from typing import Any

import numpy as np

from gradest.errors import UnsupportedError
from gradest_mxnet.dense import NO_PARAMETERS
from gradest_mxnet.framework import Array, mx
from gradest_mxnet.replaced import Change, Refusal

# Klambauer et al. 2017, as single-precision numbers, which is how MXNet's kernels have them.
_SCALE = float(np.float32(1.0507009873554805))
_ALPHA = float(np.float32(1.6732632423543772))

_PRELU = (
    "reverse mode was asked for through {}, a block of a graph of its own with the PReLU of {!r}; MXNet 1.9.1 has a "
    "wrong gradient by it there; build the block of Gluon layers, give {!r} grad_req 'null', or use an estimator of "
    "values ('fd-central', 'es', 'spsa')"
)
_UNREACHABLE = (
    "reverse mode was asked for through the SELU of {}, a hybridized block that f closes over; MXNet 1.9.1 has a wrong "
    "slope of it there; pass the block itself as params, call its hybridize(False), or use an estimator of values "
    "('fd-central', 'es', 'spsa')"
)


def refusal(block: Any, nodes: Sequence[Mapping[str, Any]]) -> Refusal | None:
    """Return what refuses a compiled graph that has a SELU, the user's own, or slopes of a PReLU; None of another."""
    found = [(node, node.get("attrs", {}).get("act_type")) for node in nodes if node["op"] in _OPERATORS]
    slopes = next((name for node, kind in found if kind == "prelu" and (name := _slopes(block, nodes, node))), None)
    if slopes is not None:
        message = _PRELU.format(type(block).__name__, slopes, slopes)
    elif any(kind == "selu" for _, kind in found):
        message = _UNREACHABLE.format(type(block).__name__)
    else:
        return None

    def refuse(inputs: Sequence[Any]) -> None:
        if mx.autograd.is_recording():
            raise UnsupportedError(message)

    return refuse


_OPERATORS = ("LeakyReLU", "_npx_leaky_relu")


def _slopes(block: Any, nodes: Sequence[Mapping[str, Any]], node: Mapping[str, Any]) -> str | None:
    """Return the name of a PReLU's slopes if they have a gradient, among a graph's own parameters, beside the data's.

    Of a graph that is closed over the slopes are no parameters, and the data's gradient is right.
    """
    if NO_PARAMETERS[0] not in block._flags:
        return None
    data, slopes = (nodes[index] for index, *_ in node["inputs"][:2])
    parameter = dict(block.collect_params()).get(slopes["name"])
    if parameter is None or parameter.grad_req == "null" or data["op"] == "BlockGrad":
        return None
    return str(parameter.name)


@cache
def on_arrays() -> tuple[Change, ...]:
    """Return what takes the place of SELU where arrays are recorded."""
    places = (mx.nd, "LeakyReLU"), (mx.nd.op, "LeakyReLU"), (mx.nd.npx, "leaky_relu"), (mx.npx, "leaky_relu")
    return tuple((place, name, _by_elu(getattr(place, name), mx.autograd.is_recording)) for place, name in places)


@cache
def on_symbols() -> tuple[Change, ...]:
    """Return what takes their place where a graph is traced."""
    places = (mx.sym, "LeakyReLU"), (mx.sym.npx, "leaky_relu")
    return tuple((place, name, _by_elu(_apart(getattr(place, name)), lambda: True)) for place, name in places)


def _apart(leaky: Callable[..., Array]) -> Any:
    """Return a PReLU of symbols as one with the gradient by the data, and one of value 0 with that by the slopes."""
    signature = inspect.signature(leaky)

    @wraps(leaky)
    def activation(*args: Any, **kwargs: Any) -> Array:
        given = signature.bind(*args, **kwargs).arguments
        given.update(given.pop("kwargs", {}))
        if given.get("act_type") != "prelu" or given.get("out") is not None:
            return leaky(*args, **kwargs)
        data, slopes = given["data"], given["gamma"]
        of_slopes = leaky(**{**given, "data": _blocked(data), "name": None})
        return leaky(**{**given, "gamma": _blocked(slopes)}) + (of_slopes - _blocked(of_slopes))

    return activation


def _blocked(symbol: Any) -> Any:
    """Return a symbol, of either kind, through which no derivative goes."""
    if not isinstance(symbol, mx.sym.np._Symbol):
        return mx.sym.BlockGrad(symbol)
    return mx.sym.BlockGrad(symbol.as_nd_ndarray()).as_np_ndarray()


def _by_elu(leaky: Callable[..., Array], concerns: Callable[[], bool]) -> Any:
    signature = inspect.signature(leaky)

    def activation(*args: Any, **kwargs: Any) -> Array:
        given = signature.bind(*args, **kwargs).arguments
        given.update(given.pop("kwargs", {}))
        if given.get("act_type") != "selu" or given.get("out") is not None or not concerns():
            return leaky(*args, **kwargs)
        return _SCALE * leaky(**{**given, "act_type": "elu", "slope": _ALPHA})

    return activation
