"""Any namespace of the Python array API standard as a backend."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

import numpy as np

from gradest.backend import Backend
from gradest.errors import MissingDependencyError, UnsupportedError
from gradest.operations import NumpyArray, Operations
from gradest.tree import Leaf
from gradest_array_api.operations import ArrayApiOperations

Array = Any
_FUNCTIONS = ("asarray", "astype", "concat", "matrix_transpose", "expand_dims", "broadcast_to", "matmul", "float64")
_OF_ARRAYS = ("__array_namespace__", "__dlpack__", "device")
"""What is used of a namespace and its arrays, and what came to some of them late."""


class ArrayApiBackend(Backend):
    """Computes with the arrays of a namespace that keeps to the standard (2023.12 or later).

    A subclass names it, and is found like any other backend: by `module:Class`, `file.py:Class` or an entry point in
    `gradest.backends`. gradest's own engines differentiate, and random directions are drawn by NumPy.

    Raises
    ------
    MissingDependencyError
        The namespace cannot be imported.
    UnsupportedError
        It does not keep to the standard, as NumPy 1.

    Source: Python array API standard, version 2023.12, https://data-apis.org/array-api/2023.12/.

    Examples
    --------
    >>> from gradest_array_api import ArrayApiBackend
    >>> class Cupy(ArrayApiBackend):
    ...     name = "cupy"
    ...     namespace = "cupy"
    """

    dtypes = ("float32", "float64")
    namespace: ClassVar[str]
    """The name of the module that keeps to the standard."""

    def __init__(self) -> None:
        try:
            self._xp: Any = import_module(self.namespace)
        except ImportError as error:
            raise MissingDependencyError(
                f"backend {self.name!r} computes with {self.namespace!r}, which cannot be imported ({error}); install "
                "the package that has it"
            ) from error
        self._require_standard()
        self._operations = ArrayApiOperations(self._xp)

    def _require_standard(self) -> None:
        """Refuse a namespace that is older than the standard, such as NumPy 1: it would end in errors of its own."""
        xp = self._xp
        lacks = [name for name in _FUNCTIONS if not hasattr(xp, name)]
        if "asarray" not in lacks:
            array = xp.asarray([1.0])
            lacks += [f"arrays with {name}" for name in _OF_ARRAYS if not hasattr(array, name)]
        if lacks:
            found = " ".join(next(iter(self.versions().items())))
            raise UnsupportedError(
                f"backend {self.name!r} asks for a namespace that keeps to the array API standard, 2023.12 or later; "
                f"{self.namespace!r} ({found}) has no {', '.join(lacks)}; use a newer release of it (of NumPy 2 or "
                "later), or write its operations by hand (gradest.Operations)"
            )

    def operations(self, kernel: str = "portable") -> Operations:
        return self._operations

    def array(self, values: NumpyArray, *, dtype: str, device: str | None = None, copy: bool = True) -> Array:
        # Standard or not, namespaces read NumPy's memory by the buffer protocol; some share it, so what must be private
        # is copied before.
        host = np.array(values, dtype=dtype, order="C", copy=True)
        return self._xp.asarray(host, dtype=getattr(self._xp, dtype))

    def numpy(self, array: Array) -> NumpyArray:
        try:
            found = np.from_dlpack(array)
        except BufferError:  # DLPack has no word for memory that is read-only, such as that of a broadcast array
            found = np.from_dlpack(self._xp.asarray(array, copy=True))
        return np.array(found, copy=True)

    def owns(self, leaf: Leaf) -> bool:
        namespace = getattr(leaf, "__array_namespace__", None)
        return namespace is not None and namespace().__name__ == self._xp.__name__

    def dtype(self, array: Array) -> str:
        # By comparison: the standard gives a dtype no name.
        names = (*self.dtypes, "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
        return next((name for name in names if array.dtype == getattr(self._xp, name)), str(array.dtype))

    def cast(self, array: Array, dtype: str) -> Array:
        return self._xp.astype(array, getattr(self._xp, dtype))

    def versions(self) -> dict[str, str]:
        package = self.namespace.partition(".")[0]
        try:
            return {package: version(package.replace("_", "-"))}
        except PackageNotFoundError:
            return {package: str(getattr(self._xp, "__version__", "unknown"))}
