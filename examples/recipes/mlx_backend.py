"""MLX as a backend, by arrays and operations alone; run by `make recipes` in an environment of its own.

Every estimator runs on it at once; `gradest check backend examples/recipes/mlx_backend.py:MlxBackend` judges it.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import mlx.core as mx  # pip install 'mlx[cpu]' on Linux, mlx on macOS
import numpy as np

import gradest
from gradest import Backend, Operations


class MlxOperations(Operations):
    """The functions that a loss is written in, by MLX's own of the same meaning."""

    exp, log, expm1, log1p = map(staticmethod, (mx.exp, mx.log, mx.expm1, mx.log1p))
    tanh, sqrt, abs, sin, cos = map(staticmethod, (mx.tanh, mx.sqrt, mx.abs, mx.sin, mx.cos))
    maximum, greater, where = map(staticmethod, (mx.maximum, mx.greater, mx.where))
    sum, mean, max = map(staticmethod, (mx.sum, mx.mean, mx.max))
    matmul, reshape, zeros_like = map(staticmethod, (mx.matmul, mx.reshape, mx.zeros_like))
    broadcast_to, stop_gradient = map(staticmethod, (mx.broadcast_to, mx.stop_gradient))

    def matrix_transpose(self, x: Any) -> Any:
        return mx.swapaxes(x, -1, -2)

    def expand_dims(self, x: Any, *, axis: int) -> Any:
        return mx.expand_dims(x, axis)

    def slice_axis(self, x: Any, start: int, stop: int, *, axis: int) -> Any:
        return x[(..., slice(start, stop), *(slice(None),) * (-axis - 1))]

    def concat(self, *arrays: Any, axis: int) -> Any:
        return mx.concatenate(arrays, axis=axis)

    def constant(self, values: np.ndarray, *, like: Any) -> Any:
        return mx.array(values).astype(like.dtype)


class MlxBackend(Backend):
    """States what MLX offers on a processor: single precision, as its processors for graphics have it."""

    name = "mlx"
    dtypes = ("float32",)
    native: ClassVar[frozenset[str]] = frozenset()

    def operations(self, kernel: str = "portable") -> Operations:
        return MlxOperations()

    def array(self, values: np.ndarray, *, dtype: str, device: str | None = None, copy: bool = True) -> mx.array:
        return mx.array(np.array(values, dtype=dtype))

    def numpy(self, array: mx.array) -> np.ndarray:
        return np.array(array)

    def owns(self, leaf: Any) -> bool:
        return isinstance(leaf, mx.array)

    def dtype(self, array: mx.array) -> str:
        return str(array.dtype).removeprefix("mlx.core.")

    def wait(self, arrays: Sequence[mx.array]) -> None:
        mx.eval(*arrays)  # MLX computes what is asked for, when it is asked for

    def versions(self) -> dict[str, str]:
        return {"mlx": mx.__version__}


if __name__ == "__main__":
    here = f"{__file__}:MlxBackend"  # as the command line takes it; a package gives it a name by an entry point
    problem = gradest.get_problem("least-squares")
    print(gradest.compare(problem, estimators=["reverse", "fd-central", "es"], backends=[here], dtypes=["float32"]))
