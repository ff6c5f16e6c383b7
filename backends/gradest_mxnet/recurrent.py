"""Recurrent layers of several levels in double precision, which MXNet 1.9.1 goes backward through wrongly.

On the processor a gradient of theirs is another by half its length or by thousands of times, or NaN, without a word;
the values are right, and so are one level by itself and single precision. Reverse mode through them is refused.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from gradest.errors import UnsupportedError
from gradest_mxnet.framework import Array, mx
from gradest_mxnet.replaced import Change, Refusal

_WRONG = (
    "reverse mode was asked for through a recurrent layer of several levels in float64, which MXNet 1.9.1 goes "
    "backward through wrongly; compute in float32, stack layers of one level each, or use an estimator of "
    "values ('fd-central', 'es', 'spsa')"
)


@cache
def on_arrays() -> tuple[Change, ...]:
    """Return what takes the place of recurrent layers where arrays are recorded."""
    places = (mx.nd, "RNN"), (mx.nd.op, "RNN"), (mx.nd.npx, "rnn"), (mx.npx, "rnn")
    return tuple((place, name, _refusing(getattr(place, name))) for place, name in places)


def refusal(block: Any, nodes: Sequence[Mapping[str, Any]]) -> Refusal | None:
    """Return what refuses a compiled graph, the user's or one traced here, with such a layer; None where it has none.

    Inputs in double precision that are recorded are refused.
    """
    layers = [node.get("attrs", {}) for node in nodes if node["op"] in ("RNN", "_npx_rnn")]
    if not any(int(attributes.get("num_layers", 1)) > 1 for attributes in layers):
        return None

    def refuse(inputs: Sequence[Any]) -> None:
        if any(map(_concerned, inputs)):
            raise UnsupportedError(_WRONG)

    return refuse


def _concerned(array: Any) -> bool:
    return bool(mx.autograd.is_recording() and getattr(array, "dtype", None) == np.float64)


def _refusing(layer: Callable[..., Array]) -> Callable[..., Array]:
    signature = inspect.signature(layer)

    def recurrent(*args: Any, **kwargs: Any) -> Array:
        given = signature.bind(*args, **kwargs).arguments
        given.update(given.pop("kwargs", {}))
        if _concerned(given["data"]) and given.get("num_layers", 1) not in (1, "1"):
            raise UnsupportedError(_WRONG)
        return layer(*args, **kwargs)

    return recurrent
