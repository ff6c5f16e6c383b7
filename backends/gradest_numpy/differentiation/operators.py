"""The operators of traced arrays, and their methods that are NumPy functions.

Operators find their rule here, once, instead of in NumPy's dispatch at each call.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from gradest_numpy.differentiation.rules import RULES
from gradest_numpy.differentiation.traced import USUAL, TracedArray, apply, in_place, plain


def _binary(ufunc: Any, *, swapped: bool = False) -> Callable[[Any, Any], Any]:
    rule = RULES.get(ufunc)
    if rule is not None and swapped:
        return lambda self, other: apply(rule, (other, self), {})

    def operator(self: Any, other: Any) -> Any:
        if type(other) not in USUAL and _answers(other):
            return NotImplemented
        return ufunc(plain(self), plain(other)) if rule is None else apply(rule, (self, other), {})

    return operator


def _answers(other: Any) -> bool:
    """Return whether an array leaves an operator to the other operand: a sparse matrix, say, has a product of its own.

    By NumPy's rules, but that an array of another library is taken for its values, which would follow no derivative.
    """
    kind = type(other)
    if kind is TracedArray or issubclass(kind, np.ndarray | np.generic):
        return False
    if hasattr(kind, "__array_ufunc__"):
        return kind.__array_ufunc__ is None
    if hasattr(other, "__array__") and hasattr(other, "dtype"):
        return False
    return bool(getattr(other, "__array_priority__", 0.0) > 0.0)


def _augmented(ufunc: Any) -> Callable[[Any, Any], Any]:
    rule = RULES[ufunc]
    return lambda self, other: in_place(self, apply(rule, (self, other), {}))


def _method(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(np, name)(self, *args, **kwargs)

    method.__doc__ = f"Return `numpy.{name}` of it."
    method.__name__ = name
    return method


METHODS = [
    "all", "any", "argmax", "argmin", "argpartition", "argsort", "choose", "cumprod", "cumsum",
    "diagonal", "dot", "max", "mean", "min", "nonzero", "prod", "ptp", "ravel", "repeat", "round",
    "searchsorted", "squeeze", "std", "sum", "swapaxes", "take", "trace", "var",
]  # fmt: skip
OPERATORS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power,
    "matmul": np.matmul, "mod": np.remainder,
}  # fmt: skip
COMPARISONS = {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
}  # fmt: skip


def complete() -> None:
    """Give the class its operators and methods; called once the tables are filled."""
    for name in METHODS:
        setattr(TracedArray, name, _method(name))
    for name, ufunc in OPERATORS.items():
        setattr(TracedArray, f"__{name}__", _binary(ufunc))
        setattr(TracedArray, f"__r{name}__", _binary(ufunc, swapped=True))
        setattr(TracedArray, f"__i{name}__", _augmented(ufunc))
    for name, ufunc in COMPARISONS.items():
        setattr(TracedArray, f"__{name}__", _binary(ufunc))
    for name, function in {"neg": np.negative, "pos": np.positive, "abs": np.absolute}.items():
        setattr(TracedArray, f"__{name}__", lambda self, rule=RULES[function]: apply(rule, (self,), {}))
    for name in ("floordiv", "divmod"):
        function = {"floordiv": np.floor_divide, "divmod": np.divmod}[name]
        setattr(TracedArray, f"__{name}__", lambda self, other, f=function: f(self, other))
        setattr(TracedArray, f"__r{name}__", lambda self, other, f=function: f(other, self))
    TracedArray.__ifloordiv__ = lambda self, other: in_place(self, np.floor_divide(self, other))  # type: ignore[attr-defined]  # as above, given here
