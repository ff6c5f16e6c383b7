"""One node of a computation, and how it is written."""

from dataclasses import dataclass

import numpy as np

from gradest.lengths import norm_of
from gradest.operations import NumpyArray


@dataclass(frozen=True)
class Node:
    """An input, or a step of a computation.

    Attributes
    ----------
    name
        What an input is called, or the function of a step with the constants that it takes.
    parents
        The positions of the nodes that it was made of, in the order of the arguments.
    value, derivative
        Its value; its adjoint or tangent, None where nothing depends on it.
    turn
        When the sweep reached it, 1 first: reverse mode starts at the value of the function, forward at the inputs.
    """

    name: str
    parents: tuple[int, ...]
    value: NumpyArray
    derivative: NumpyArray | None
    turn: int | None

    def lines(self, symbol: str) -> tuple[str, str, str]:
        """Return what a drawing writes: the name, the value, and the derivative under its name."""
        derivative = "not used" if self.derivative is None else f"{symbol} {written(self.derivative)}"
        return self.name, written(self.value), derivative


def written(x: NumpyArray) -> str:
    """Return a short form of an array: a number, up to three numbers, or the shape with the norm."""
    array = np.asarray(x)
    if array.ndim == 0:
        return f"{float(array):.4g}"
    if array.size <= 3 and array.ndim == 1:
        return "(" + ", ".join(f"{float(entry):.3g}" for entry in array) + ")"
    shape = "×".join(map(str, array.shape))
    return f"[{shape}] norm {norm_of(array.astype(np.float64)):.3g}"
