"""Transposed convolutions that can go backward.

In float32 MXNet 1.9.1 computes them by oneDNN, whose backward pass fails when next anything is read ("could not execute
a primitive", or the end of the process). MXNet's own kernel is the one of double precision: so inside the contexts of
`RightKernels` they are computed in it, and rounded once.
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from gradest_mxnet.framework import Array, mx
from gradest_mxnet.replaced import Change


@cache
def on_arrays() -> tuple[Change, ...]:
    """Return what takes the place of transposed convolutions where arrays are recorded."""
    places = ((mx.nd, "Deconvolution"), (mx.nd.op, "Deconvolution"), (mx.nd.npx, "deconvolution"),
              (mx.npx, "deconvolution"))  # fmt: skip
    return tuple((place, name, _widened(getattr(place, name), _concerned)) for place, name in places)


@cache
def on_symbols() -> tuple[Change, ...]:
    """Return what takes their place where a graph of single precision is traced: a symbol does not tell."""
    places = (mx.sym, "Deconvolution"), (mx.sym.npx, "deconvolution")
    return tuple((place, name, _widened(getattr(place, name), lambda symbol: True)) for place, name in places)


def _concerned(array: Any) -> bool:
    return bool(mx.autograd.is_recording() and array.dtype == np.float32)


def _widened(deconvolve: Callable[..., Array], concerns: Callable[[Any], bool]) -> Any:
    """Return a transposed convolution of single precision that is computed in double precision."""
    signature = inspect.signature(deconvolve)

    def deconvolution(*args: Any, **kwargs: Any) -> Array:
        given = signature.bind(*args, **kwargs).arguments
        given.update(given.pop("kwargs", {}))
        if given.get("out") is not None or not concerns(given["data"]):
            return deconvolve(*args, **kwargs)
        arrays = [name for name in ("data", "weight", "bias") if given.get(name) is not None]
        wide = {name: given[name].astype("float64") for name in arrays}
        return deconvolve(**{**given, **wide}).astype("float32")

    return deconvolution
