"""New arrays of MXNet with NumPy's values: what `mx.np.array` comes to, in less of its time.

Nobody waits for memory that is new: on the CPU it is written at once. MXNet's own copy puts an empty task into its
queue and waits for it, some 30 us, which is a tenth of a small network's gradient.
"""

import ctypes
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.errors import UnsupportedError
from gradest_mxnet.framework import Array, mx


@cache  # asked with each array of each batch; the devices of a process stay
def context_of(name: str) -> Any:
    """Return MXNet's context of a device's name.

    Raises
    ------
    UnsupportedError
        There is no such device here.
    """
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "gpu") or int(number or 0) >= max(1, mx.context.num_gpus()):
        raise UnsupportedError(f"device {name!r} was asked for; MXNet names are 'cpu' and 'gpu:0', 'gpu:1', ...")
    return mx.Context(kind, int(number or 0))


def new_array(values: NDArray[Any], context: Any) -> Array:
    """Return an array with the values of a C-contiguous one, of its dtype."""
    # Without NumPy's shapes, () and sizes of 0 mean "unknown" to MXNet.
    with nullcontext() if values.ndim and values.size else mx.util.np_shape(True):
        handle = mx.nd.ndarray._new_alloc_handle(values.shape, context, False, values.dtype)
        if context.device_type == "cpu":
            _write(handle, values)
        else:
            address, size = ctypes.c_void_p(_address(values)), ctypes.c_size_t(values.size)
            mx.base.check_call(mx.base._LIB.MXNDArraySyncCopyFromCPU(handle, address, size))
        return mx.np.ndarray(handle)


def maker(shape: tuple[int, ...], dtype: "np.dtype[Any]") -> Callable[[NDArray[Any]], Array]:
    """Return what makes arrays of one shape, with no size of 0, on the CPU: half of the time goes to the asking."""
    base = mx.base
    create, check, new_handle = base._LIB.MXNDArrayCreateEx, base.check_call, base.NDArrayHandle
    context = context_of("cpu")
    code = mx.ndarray.ndarray._DTYPE_NP_TO_MX[dtype.type]
    sizes = (ctypes.c_uint * len(shape))(*shape)
    numbers = (len(shape), context.device_typeid, context.device_id, 0, code)  # 0: memory now, not when it is written
    rest = [ctypes.c_int(number) for number in numbers]

    def make(values: NDArray[Any]) -> Array:
        handle = new_handle()
        check(create(sizes, *rest, ctypes.byref(handle)))
        _write(handle, np.ascontiguousarray(values))
        return mx.np.ndarray(handle)

    return make


def _write(handle: Any, values: NDArray[Any]) -> None:
    place = ctypes.c_void_p()
    mx.base.check_call(mx.base._LIB.MXNDArrayGetData(handle, ctypes.byref(place)))
    ctypes.memmove(place, _address(values), values.nbytes)


def _address(values: NDArray[Any]) -> int:
    address: int = values.__array_interface__["data"][0]  # `values.ctypes` takes three times as long
    return address
