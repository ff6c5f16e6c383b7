"""A backend that has the least that the contract asks for: float32 alone, no partial indexing, dtypes of its own.

Its arrays are NumPy's underneath; whatever the standard of arrays leaves open, they refuse.
"""

from typing import Any

import numpy as np

from gradest import Backend, Operations
from gradest_numpy.operations import NumpyOperations


class OwnDtype:
    """A dtype that only its framework can read: `str` of it is no name of NumPy's."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __str__(self) -> str:
        return f"<narrow: {self.inner.name!r}>"

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OwnDtype) and self.inner == other.inner

    def __hash__(self) -> int:
        return hash(self.inner)


class NarrowArray(np.ndarray):
    """An array that is indexed in all of its axes, or with an ellipsis, as the array API standard has it."""

    @property
    def dtype(self) -> Any:
        return OwnDtype(super().dtype)

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        used = sum(1 for part in parts if part is not None and part is not Ellipsis)
        if Ellipsis not in parts and used < self.ndim:
            raise IndexError(f"{used} of {self.ndim} axes are indexed, and there is no ellipsis")
        found = super().__getitem__(key)
        return np.asarray(found).view(NarrowArray)


class NarrowOperations(NumpyOperations):
    """NumPy's, on arrays that are NumPy's for as long as an operation takes."""

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or not callable(found):
            return found

        def carried(*args: Any, **options: Any) -> Any:
            plain = [np.asarray(x) if isinstance(x, NarrowArray) else x for x in args]
            options = {k: np.asarray(x) if isinstance(x, NarrowArray) else x for k, x in options.items()}
            return _narrow(found(*plain, **options))

        return carried


def _narrow(found: Any) -> Any:
    if isinstance(found, tuple):
        return tuple(map(_narrow, found))
    return found.view(NarrowArray) if isinstance(found, np.ndarray) else np.asarray(found).view(NarrowArray)


class NarrowBackend(Backend):
    """The least that a backend may be."""

    name = "narrow"
    dtypes = ("float32",)

    def __init__(self) -> None:
        self._operations = NarrowOperations()

    def operations(self, kernel: str = "portable") -> Operations:
        return self._operations

    def array(self, values: Any, *, dtype: str, device: str | None = None, copy: bool = True) -> Any:
        if dtype not in self.dtypes:
            raise TypeError(f"narrow arrays are float32; {dtype} was asked for")
        return np.array(np.asarray(values), dtype=dtype, order="C", copy=True).view(NarrowArray)

    def numpy(self, array: Any) -> Any:
        return np.array(np.asarray(array), copy=True, subok=False)

    def owns(self, leaf: Any) -> bool:
        return isinstance(leaf, NarrowArray)

    def dtype(self, array: Any) -> str:
        return str(np.asarray(array).dtype.name)

    def cast(self, array: Any, dtype: str) -> Any:
        return self.array(np.asarray(array), dtype=dtype)

    def lend(self, arrays: Any, *, private: bool) -> Any:
        return tuple(self.array(np.asarray(a), dtype="float32") for a in arrays)

    def kept(self, value: Any, *, like: Any) -> Any:
        return self.array(np.asarray(value), dtype="float32")
