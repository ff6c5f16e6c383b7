"""NumPy's arrays as a backend: float32, float64, and the platform's extended precision.

NumPy differentiates nothing: what is native here is `gradest_numpy.differentiation`, which follows a user's function
through NumPy's own protocols.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Backend, Function, Leaves
from gradest.errors import GradestError, UnsupportedError
from gradest.graphs import Computation
from gradest.operations import Data, Operations
from gradest.refusals import writes
from gradest.tree import Leaf
from gradest_numpy.differentiation import (
    TracedArray,
    differentiable,
    hessian_product,
    value_and_gradient,
    value_and_jvps,
    values_of,
)
from gradest_numpy.differentiation.graph import forward_graph, reverse_graph
from gradest_numpy.operations import NativeNumpyOperations, NumpyOperations


class NumpyBackend(Backend):
    """Computes on the CPU in NumPy; its native kernels are in place and save passes over memory."""

    name = "numpy"
    dtypes = ("float32", "float64", "longdouble", "float16")
    kernels = ("portable", "native")
    native = frozenset({"value_and_gradient", "value_and_jvps", "complex"})
    interprets = True
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

    def copied(self, array: NDArray[Any]) -> NDArray[Any]:
        return self.array(array, dtype=self.dtype(array))

    def owns(self, leaf: Leaf) -> bool:
        return isinstance(leaf, np.ndarray | np.floating | float | TracedArray)

    def dtype(self, array: NDArray[Any]) -> str:
        # A number of Python's is a leaf too, and an array that is being differentiated can be made no plain one.
        dtype = array.dtype if hasattr(array, "dtype") else np.asarray(array).dtype
        return "longdouble" if dtype == np.longdouble else dtype.name

    def versions(self) -> dict[str, str]:
        return {"numpy": np.__version__}

    # -- derivatives of a user's function -------------------------------------------------------------------
    def value_and_gradient(self, function: Function) -> Callable[[Leaves, Data], tuple[Any, Leaves]]:
        gradient = value_and_gradient(function)

        def pull(leaves: Leaves, data: Data) -> tuple[Any, Leaves]:
            return gradient(leaves, _lent(data))

        return pull

    def value_and_jvps(self, function: Function) -> Callable[[Leaves, Leaves, Data], tuple[Any, Any]]:
        products = value_and_jvps(function)

        def push(leaves: Leaves, tangents: Leaves, data: Data) -> tuple[Any, Any]:
            return products(leaves, tangents, _lent(data))

        return push

    def hessian_product(self, function: Function) -> Callable[[Leaves, Leaves, Data], Leaves]:
        products = hessian_product(function)

        def product(leaves: Leaves, direction: Leaves, data: Data) -> Leaves:
            return products(leaves, direction, _lent(data))

        return product

    def graph(
        self, function: Function, leaves: Leaves, data: Data, *, names: Sequence[str], tangents: Sequence[Any] | None
    ) -> Computation:
        if tangents is None:
            return reverse_graph(function, leaves, _lent(data), names=names)
        return forward_graph(function, leaves, tangents, _lent(data), names=names)

    def differentiable(self) -> tuple[str, ...]:
        return differentiable()

    # -- being differentiated from outside: a gradient inside a function of which a gradient is taken -------
    composes = True

    def is_abstract(self, leaf: Leaf) -> bool:
        return type(leaf) is TracedArray and leaf.live

    def stand_in(self, leaf: Any) -> NDArray[Any]:
        return np.array(values_of(leaf))  # there are values here, and they are the best to prepare at

    # -- one plain evaluation of a user's function ---------------------------------------------------------
    def lend(self, arrays: Leaves, *, private: bool) -> Leaves:
        """Return read-only views: NumPy itself then refuses what is written into them, and nothing is copied."""
        return tuple([_read_only(array) for array in arrays])

    def refused_writing(self, error: Exception) -> bool:
        return isinstance(error, ValueError) and "read-only" in str(error)

    def translated(self, error: Exception) -> GradestError | None:
        if isinstance(error, GradestError):
            return None
        if self.refused_writing(error):
            return writes(self)
        if TracedArray.__name__ in str(error):  # Python and compiled code name what they cannot take
            return UnsupportedError(
                "the loss gives a value that is being differentiated to something that takes plain numbers or arrays "
                f"alone ({self.explain(error)}); keep to NumPy functions, give a loss of another framework parameters "
                "of that framework's, give your function a rule by gradest.primitive, or use an estimator that "
                "evaluates the loss as it is: 'fd-central', 'es', 'spsa'"
            )
        return None

    def kept(self, value: Any, *, like: NDArray[Any]) -> NDArray[Any]:
        if self.is_abstract(value):
            copy: NDArray[Any] = value.copy()
            return copy
        return np.array(value)  # a copy: the function may fill and return the same buffer each time


def _lent(data: Data) -> Data:
    """Return a function's data as it is given them: whatever is written into them is refused."""
    if isinstance(data, dict):
        return {name: _read_only(array) for name, array in data.items()}
    return tuple([_read_only(array) for array in data])


def _read_only(array: Any) -> Any:
    if type(array) is TracedArray:
        return array
    # A kind of array with arithmetic of its own stays what it is: of a masked one the mask would be lost.
    view: NDArray[Any] = array.view() if isinstance(array, np.ndarray) else np.asarray(array).view()
    view.flags.writeable = False
    return view
