"""The activation SELU with a right backward pass.

MXNet 1.9.1 takes its slope left of 0 for another one: 0.64 of it at -2.1, 0.03 at -3, in every dtype and mode. SELU is
a multiple of ELU, which goes backward rightly, to the same values.

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

# Klambauer et al. 2017, as single-precision numbers, which is how MXNet's kernels have them.
_SCALE = float(np.float32(1.0507009873554805))
_ALPHA = float(np.float32(1.6732632423543772))

_UNREACHABLE = (
    "reverse mode was asked for through the SELU of {}, a hybridized block that f closes over; MXNet 1.9.1 has a wrong "
    "slope of it there; pass the block itself as params, call its hybridize(False), or use an estimator of values "
    "('fd-central', 'es', 'spsa')"
)


def refusal(block: Any, nodes: Sequence[Mapping[str, Any]]) -> Refusal | None:
    """Return what refuses a compiled graph, the user's own, that has a SELU; None of one that has not."""
    attributes = [node.get("attrs", {}) for node in nodes if node["op"] == "LeakyReLU"]
    if not any(a.get("act_type") == "selu" for a in attributes):
        return None
    name = type(block).__name__

    def refuse(inputs: Sequence[Any]) -> None:
        if mx.autograd.is_recording():
            raise UnsupportedError(_UNREACHABLE.format(name))

    return refuse


@cache
def on_arrays() -> tuple[Change, ...]:
    """Return what takes the place of SELU where arrays are recorded."""
    places = (mx.nd, "LeakyReLU"), (mx.nd.op, "LeakyReLU"), (mx.nd.npx, "leaky_relu"), (mx.npx, "leaky_relu")
    return tuple((place, name, _by_elu(getattr(place, name), mx.autograd.is_recording)) for place, name in places)


@cache
def on_symbols() -> tuple[Change, ...]:
    """Return what takes its place where a graph is traced."""
    places = (mx.sym, "LeakyReLU"), (mx.sym.npx, "leaky_relu")
    return tuple((place, name, _by_elu(getattr(place, name), lambda: True)) for place, name in places)


def _by_elu(leaky: Callable[..., Array], concerns: Callable[[], bool]) -> Any:
    signature = inspect.signature(leaky)

    def activation(*args: Any, **kwargs: Any) -> Array:
        given = signature.bind(*args, **kwargs).arguments
        given.update(given.pop("kwargs", {}))
        if given.get("act_type") != "selu" or given.get("out") is not None or not concerns():
            return leaky(*args, **kwargs)
        return _SCALE * leaky(**{**given, "act_type": "elu", "slope": _ALPHA})

    return activation
