"""Base of the interpreters: they run a loss on wrapped values, as JAX's tracers do, and see each operation of it.

A loss is written with `+ - * /` and the names of `Operations`. Forward mode, reverse mode and the others each give it
values of their own and operations on those; a wrapped value sends Python's operators to its interpreter.

This module knows no rule of differentiation.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from gradest.errors import UnsupportedError
from gradest.operations import Array, Axis, Data, Operations


class Interpreter(Operations):
    """Operations over another's, on wrapped values; adds the arithmetic that operators stand for."""

    @abstractmethod
    def add(self, x: Array, y: Array | float) -> Array: ...

    @abstractmethod
    def subtract(self, x: Array | float, y: Array | float) -> Array: ...

    @abstractmethod
    def multiply(self, x: Array, y: Array | float) -> Array: ...

    @abstractmethod
    def divide(self, x: Array | float, y: Array | float) -> Array: ...

    @abstractmethod
    def negative(self, x: Array) -> Array: ...

    @abstractmethod
    def unary(self, name: str, x: Array) -> Array:
        """Return the elementwise operation of one argument that has the name."""

    def exp(self, x: Array) -> Array:
        return self.unary("exp", x)

    def log(self, x: Array) -> Array:
        return self.unary("log", x)

    def expm1(self, x: Array) -> Array:
        return self.unary("expm1", x)

    def log1p(self, x: Array) -> Array:
        return self.unary("log1p", x)

    def tanh(self, x: Array) -> Array:
        return self.unary("tanh", x)

    def sin(self, x: Array) -> Array:
        return self.unary("sin", x)

    def cos(self, x: Array) -> Array:
        return self.unary("cos", x)

    def sqrt(self, x: Array) -> Array:
        return self.unary("sqrt", x)

    def abs(self, x: Array) -> Array:
        return self.unary("abs", x)

    def square(self, x: Array) -> Array:
        return self.unary("square", x)

    def relu(self, x: Array) -> Array:
        return self.unary("relu", x)

    def sigmoid(self, x: Array) -> Array:
        return self.unary("sigmoid", x)

    def softplus(self, x: Array) -> Array:
        return self.unary("softplus", x)


# Not an ABC, though it has abstract members: `isinstance` of one takes three times as long where the answer is no, and
# interpreters ask it of every operand.
class Wrapped:
    """A value of an interpreter; subclasses hold what it is made of and say its `shape`."""

    __slots__ = ("interpreter",)
    # NumPy would otherwise take `np.float64(2) * value` apart, entry by entry; None makes it leave the operator to us.
    __array_ufunc__ = None
    interpreter: Interpreter

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of the value, without axes of directions."""

    @property
    def dtype(self) -> object:
        """The dtype of the value: that of the arrays that it is made of, where they have one."""
        return getattr(self.array, "dtype", None)

    @property
    @abstractmethod
    def array(self) -> Array:
        """One of the arrays that it is made of."""

    def __add__(self, other: Array | float) -> Array:
        return self.interpreter.add(self, other)

    __radd__ = __add__  # commutative to the last bit, as floating-point addition and multiplication are

    def __sub__(self, other: Array | float) -> Array:
        return self.interpreter.subtract(self, other)

    def __rsub__(self, other: Array | float) -> Array:
        return self.interpreter.subtract(other, self)

    def __mul__(self, other: Array | float) -> Array:
        return self.interpreter.multiply(self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Array | float) -> Array:
        return self.interpreter.divide(self, other)

    def __rtruediv__(self, other: Array | float) -> Array:
        return self.interpreter.divide(other, self)

    def __neg__(self) -> Array:
        return self.interpreter.negative(self)

    # NumPy's arrays have these, so that a loss may run there before an interpreter meets it.
    def __pow__(self, other: object) -> NoReturn:
        raise _no_operator("**", "ops.square(x), x * x, or ops.exp(p * ops.log(x)) where x is positive")

    __rpow__ = __pow__

    def __matmul__(self, other: object) -> NoReturn:
        raise _no_operator("@", "ops.matmul(a, b)")

    __rmatmul__ = __matmul__

    def __abs__(self) -> NoReturn:
        raise _no_operator("abs", "ops.abs(x)")

    def __getitem__(self, key: object) -> NoReturn:
        raise UnsupportedError(
            f"an entry [{key!r}] of a value was asked for; a loss in gradest's operations has no indexing, as some "
            "backends trace it without shapes; take a part by ops.slice_axis, or give a plain function"
        )


def _no_operator(name: str, instead: str) -> UnsupportedError:
    return UnsupportedError(
        f"{name} was asked of a value; a loss in gradest's operations has + - * / and the names of gradest.Operations: "
        f"write {instead}, or give a plain function"
    )


def map_data(function: Callable[[Array], Any], data: Data) -> Any:
    """Return data (nested mappings, tuples and lists of arrays) with the function applied to each array."""
    if isinstance(data, Mapping):
        return {name: map_data(function, item) for name, item in data.items()}
    if isinstance(data, tuple | list):
        return tuple(map_data(function, item) for item in data)
    return data if data is None else function(data)


def shape_of(x: Array | float) -> tuple[int, ...]:
    """Return the shape of an array, () for a Python number."""
    return tuple(getattr(x, "shape", ()))


def axes_from_end(axis: Axis, rank: int) -> tuple[int, ...]:
    """Return axes as negative numbers: counted from the end, they are the same with K directions in front."""
    axes = tuple(range(rank)) if axis is None else (axis,) if isinstance(axis, int) else axis
    return tuple(a if a < 0 else a - rank for a in axes)


class WithPrimal(Wrapped):
    """A value that is one array of the wrapped operations, with what an interpreter keeps beside it."""

    __slots__ = ("primal",)
    primal: Array

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.primal.shape)

    @property
    def array(self) -> Array:
        return self.primal
