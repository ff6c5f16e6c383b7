"""HIPS Autograd as a backend of gradest: NumPy's arrays, and Autograd's reverse and forward mode.

Operations, arrays and dtypes are all that a backend must have; gradest's own engines then differentiate losses written
in operations. What Autograd does itself, derivatives of users' functions in `autograd.numpy`, is native.
"""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import make_jvp, make_vjp
from autograd.tracer import Box, getval

from gradest import Backend, Operations


class AutogradOperations(Operations):
    """The functions of `autograd.numpy`, which both NumPy's arrays and those that Autograd follows go through."""

    exp, log, expm1, log1p = map(staticmethod, (anp.exp, anp.log, anp.expm1, anp.log1p))
    tanh, sqrt, abs, sin, cos = map(staticmethod, (anp.tanh, anp.sqrt, anp.abs, anp.sin, anp.cos))
    sum, mean, max = map(staticmethod, (anp.sum, anp.mean, anp.max))
    maximum, greater, where = map(staticmethod, (anp.maximum, anp.greater, anp.where))
    matmul, reshape, broadcast_to = map(staticmethod, (anp.matmul, anp.reshape, anp.broadcast_to))
    zeros_like, stop_gradient = map(staticmethod, (anp.zeros_like, getval))

    def matrix_transpose(self, x: Any) -> Any:
        return anp.swapaxes(x, -1, -2)

    def expand_dims(self, x: Any, *, axis: int) -> Any:
        return anp.expand_dims(x, axis)

    def slice_axis(self, x: Any, start: int, stop: int, *, axis: int) -> Any:
        return x[(..., slice(start, stop), *(slice(None),) * (-axis - 1))]

    def concat(self, *arrays: Any, axis: int) -> Any:
        return anp.concatenate(arrays, axis=axis)

    def constant(self, values: Any, *, like: Any) -> Any:
        return np.asarray(values, dtype=like.dtype)


class AutogradBackend(Backend):
    """Computes on the CPU in NumPy, followed by Autograd where it differentiates."""

    name = "autograd"
    dtypes = ("float32", "float64")
    native = frozenset({"value_and_gradient", "value_and_jvps"})

    def operations(self, kernel: str = "portable") -> Operations:
        return AutogradOperations()

    def array(self, values: Any, *, dtype: str, device: str | None = None, copy: bool = True) -> Any:
        return np.array(values, dtype=dtype, order="C", copy=True)

    def numpy(self, array: Any) -> Any:
        return np.array(array, copy=True)

    def owns(self, leaf: Any) -> bool:
        return isinstance(leaf, np.ndarray | np.floating | Box)

    def dtype(self, array: Any) -> str:
        return str(array.dtype)

    def versions(self) -> dict[str, str]:
        return {"autograd": version("autograd"), "numpy": np.__version__}

    # -- native: Autograd differentiates a function of one argument, which may be a tuple ------------------
    def value_and_gradient(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def pull(leaves: Any, data: Any) -> tuple[Any, Any]:
            back, value = make_vjp(lambda point: function(point, data))(tuple(leaves))
            return value, tuple(np.asarray(g, x.dtype) for g, x in zip(back(np.ones_like(value)), leaves, strict=True))

        return pull

    def value_and_jvps(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def push(leaves: Any, tangents: Any, data: Any) -> tuple[Any, Any]:
            ahead = make_jvp(lambda point: function(point, data))(tuple(leaves))
            pairs = [ahead(tuple(tangent[k] for tangent in tangents)) for k in range(len(tangents[0]))]
            return pairs[0][0], np.asarray([slope for _, slope in pairs])

        return push
