"""gradest's operations in the functions of the array API standard (2023.12), whose names they have."""

from typing import Any

from gradest.operations import NumpyArray, Operations, require_one_array

Array = Any  # whatever the namespace calls one


def _of_the_namespace(name: str) -> Any:
    def operation(self: "ArrayApiOperations", *arrays: Any, **axes: Any) -> Array:
        return getattr(self.namespace, name)(*arrays, **axes)

    operation.__name__ = name
    return operation


class ArrayApiOperations(Operations):
    """Carries out each operation by the function of a namespace; the composed ones are portable."""

    def __init__(self, namespace: Any) -> None:
        self.namespace = namespace

    exp, log, expm1, log1p = map(_of_the_namespace, ("exp", "log", "expm1", "log1p"))
    tanh, sqrt, abs, sin, cos = map(_of_the_namespace, ("tanh", "sqrt", "abs", "sin", "cos"))
    sum, mean, max = map(_of_the_namespace, ("sum", "mean", "max"))
    matmul, matrix_transpose, expand_dims = map(_of_the_namespace, ("matmul", "matrix_transpose", "expand_dims"))
    reshape, broadcast_to, zeros_like = map(_of_the_namespace, ("reshape", "broadcast_to", "zeros_like"))

    def maximum(self, x: Array, y: Array | float) -> Array:
        return self.namespace.maximum(x, self._beside(x, y))

    def greater(self, x: Array, y: Array | float) -> Array:
        return self.namespace.greater(x, self._beside(x, y))

    def where(self, condition: Array, x: Array | float, y: Array | float) -> Array:
        require_one_array(x, y)
        like = y if isinstance(x, int | float) else x
        return self.namespace.where(condition, self._beside(like, x), self._beside(like, y))

    def slice_axis(self, x: Array, start: int, stop: int, *, axis: int) -> Array:
        before = (slice(None),) * (axis % x.ndim)
        return x[(*before, slice(start, stop), ...)]  # the standard asks for the ellipsis

    def concat(self, *arrays: Array, axis: int) -> Array:
        return self.namespace.concat(arrays, axis=axis)

    def stop_gradient(self, x: Array) -> Array:
        return x  # nothing is differentiated here but by gradest's interpreters

    def constant(self, values: NumpyArray, *, like: Array) -> Array:
        return self.namespace.asarray(values, dtype=like.dtype, device=like.device)

    def _beside(self, like: Array, value: Array | float) -> Array:
        """Return a number as an array beside another: versions of the standard before 2024 mix no two of them here."""
        if not isinstance(value, int | float):
            return value
        return self.namespace.asarray(value, dtype=like.dtype, device=like.device)
