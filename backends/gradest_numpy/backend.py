"""NumPy's arrays as a backend: float32, float64, and the platform's extended precision."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Backend, Leaves
from gradest.operations import Operations
from gradest.tree import Leaf
from gradest_numpy.operations import NativeNumpyOperations, NumpyOperations


class NumpyBackend(Backend):
    """Computes on the CPU in NumPy; its native kernels are in place and save passes over memory."""

    name = "numpy"
    dtypes = ("float32", "float64", "longdouble")
    kernels = ("portable", "native")
    native = frozenset({"complex"})
    survives_fork = True  # NumPy has no threads, and OpenBLAS, which its wheels hold, ends its own before a fork

    def __init__(self) -> None:
        self._operations = {"portable": NumpyOperations(), "native": NativeNumpyOperations()}

    def operations(self, kernel: str = "portable") -> Operations:
        return self._operations[kernel]

    def array(self, values: NDArray[Any], *, dtype: str, device: str | None = None, copy: bool = True) -> NDArray[Any]:
        if copy:
            return np.array(values, dtype=dtype, order="C", copy=True)
        return np.asarray(values, dtype=dtype)  # strided where the values are: nothing is copied

    def numpy(self, array: NDArray[Any]) -> NDArray[Any]:
        return np.array(array, copy=True)

    def host(self, array: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(array)

    def owns(self, leaf: Leaf) -> bool:
        return isinstance(leaf, np.ndarray | np.floating | float)

    def dtype(self, array: NDArray[Any]) -> str:
        dtype = np.asarray(array).dtype  # a number of Python's is a leaf too
        return "longdouble" if dtype == np.longdouble else dtype.name

    def versions(self) -> dict[str, str]:
        return {"numpy": np.__version__}

    # -- one plain evaluation of a user's function ---------------------------------------------------------
    def lend(self, arrays: Leaves, *, private: bool) -> Leaves:
        """Return read-only views: NumPy itself then refuses what is written into them, and nothing is copied."""
        return tuple([_read_only(array) for array in arrays])

    def refused_writing(self, error: Exception) -> bool:
        return isinstance(error, ValueError) and "read-only" in str(error)

    def kept(self, value: Any, *, like: NDArray[Any]) -> NDArray[Any]:
        return np.array(value)  # a copy: the function may fill and return the same buffer each time


def _read_only(array: Any) -> NDArray[Any]:
    view: NDArray[Any] = np.asarray(array).view()
    view.flags.writeable = False
    return view
