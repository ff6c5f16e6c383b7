"""What a rule of differentiation is, and the table of all of them.

A rule says, for each array that a function takes, how a tangent of it becomes a tangent of the result (JVP) and how a
cotangent of the result becomes one of it (VJP). Both are written in one form, `entry(g, y, *arrays, **options)`: what
is carried, the function's value, and its arguments. The tables of this package are made of such entries; nothing here
knows in which mode they are run.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

NOT_GIVEN: Any = np._NoValue  # type: ignore[attr-defined]  # what NumPy's signatures have for an option left out

Entry = Callable[..., Any]
"""`(g, y, *arrays, **options) -> tangent or cotangent`, linear in g."""


def zero(g: Any, y: Any, *arrays: Any, **options: Any) -> Any:
    """Stand for a derivative that is 0 wherever there is one: nothing is carried through it."""
    return 0.0 * g


@dataclass(frozen=True)
class Rule:
    """The derivatives of one function by the arrays that it takes.

    Attributes
    ----------
    name
        As users write it, e.g. "numpy.linalg.inv".
    function
        Computes the value from plain arrays.
    vjps, jvps
        One entry for each array; None where there is no rule by that array, `zero` where the derivative is 0. A
        variadic function has one entry each, which takes the array's position as `position=`.
    diagonal
        Whether each entry of the result depends on the entries in its place alone (after broadcasting): then `vjps`
        and `jvps` are the same products with the derivative.
    variadic
        Whether any number of arrays may be given.
    directions
        In place of `jvps`, of K tangents at once along a leading axis, where that is quicker than one by one; such an
        entry may return NotImplemented for a case that it leaves to the loop.
    adds
        `(total, g, **options)`: adds the cotangent into the array's total in place, where that is far cheaper than
        making a whole array of it.
    """

    name: str
    function: Callable[..., Any]
    vjps: tuple[Entry | None, ...]
    jvps: tuple[Entry | None, ...]
    diagonal: bool = False
    variadic: bool = False
    directions: tuple[Entry, ...] = ()
    adds: Callable[..., None] | None = None

    @cached_property
    def options(self) -> frozenset[str]:
        """The keywords that the entries read; any other is refused by name."""
        first = next(entry for entry in (*self.vjps, *self.jvps) if entry not in (None, zero))
        parameters = inspect.signature(first).parameters.values()
        if any(p.kind is p.VAR_KEYWORD for p in parameters):  # they are handed on to the function itself
            parameters = inspect.signature(self.function).parameters.values()
        return frozenset(p.name for p in parameters if p.kind is not p.VAR_POSITIONAL) - {"out"}

    def vjp(self, position: int) -> Entry | None:
        """Return the entry that carries a cotangent to the array at a position."""
        return partial(_sole(self.vjps), position=position) if self.variadic else _at(self.vjps, position)

    def jvp(self, position: int) -> Entry | None:
        """Return the entry that carries a tangent of the array at a position."""
        return partial(_sole(self.jvps), position=position) if self.variadic else _at(self.jvps, position)


def _sole(entries: tuple[Entry | None, ...]) -> Entry:
    (entry,) = entries
    assert entry is not None
    return entry


def _at(entries: tuple[Entry | None, ...], position: int) -> Entry | None:
    return entries[position] if position < len(entries) else None


RULES: dict[Any, Rule] = {}
"""The table: a function, as NumPy hands it to its protocols -> its rule."""

COMPOSED: dict[Any, Callable[..., Any]] = {}
"""Functions that are written in others, here: their derivative is that of the composition."""

PLAIN: set[Any] = set()
"""Functions whose value is locally constant, or no number at all: they are given values, and give plain arrays."""


def name_of(function: Any) -> str:
    """Return the name of a NumPy function as users write it."""
    module = getattr(function, "__module__", None) or "numpy"
    name = getattr(function, "__name__", repr(function))
    rooms = {"linalg": "linalg", "fft": "fft", "scimath": "emath"}
    room = next((f".{known}" for part, known in rooms.items() if part in module), "")
    return f"numpy{room}.{name}"


def add(function: Any, rule: Rule) -> Rule:
    """Put a rule into the table, refusing a second one for the same function."""
    if function in RULES or function in COMPOSED or function in PLAIN:
        raise ValueError(f"{name_of(function)} has a rule already")
    RULES[function] = rule
    return rule


def elementwise(table: Mapping[Any, tuple[Entry | None, ...] | Entry]) -> None:
    """Add functions whose Jacobian is diagonal: one entry serves both modes, as a diagonal is its own transpose."""
    for function, entries in table.items():
        by_array = entries if isinstance(entries, tuple) else (entries,)
        add(function, Rule(name_of(function), function, by_array, by_array, diagonal=True))


def linear(table: Mapping[Any, Entry], directions: Mapping[Any, Entry] | None = None) -> None:
    """Add functions linear in their one array, from their adjoints: the tangent goes through the function itself."""
    for function, adjoint in table.items():
        together = (directions[function],) if directions and function in directions else ()
        add(function, Rule(name_of(function), function, (adjoint,), (itself(function),), directions=together))


def itself(function: Callable[..., Any]) -> Entry:
    """Return the JVP of a function that is linear in its first array: the function, of the tangent."""

    def push(t: Any, y: Any, x: Any, **options: Any) -> Any:
        return function(t, **options)

    return push


def general(table: Mapping[Any, tuple[Entry, Entry]]) -> None:
    """Add functions of one array from their VJP and JVP."""
    for function, (vjp, jvp) in table.items():
        add(function, Rule(name_of(function), function, (vjp,), (jvp,)))


def composed(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add a function written in others, under the NumPy functions whose signature it has."""

    def register(text: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            if function in RULES or function in COMPOSED or function in PLAIN:
                raise ValueError(f"{name_of(function)} has a rule already")
            COMPOSED[function] = text
        return text

    return register


def found(module: Any, *names: str) -> tuple[Any, ...]:
    """Return those functions of a module that this NumPy has: 1.26 and 2 differ in a few names."""
    return tuple({id(f): f for n in names if (f := getattr(module, n, None)) is not None}.values())


# -- shapes of what is carried ---------------------------------------------------------------------
def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Return a cotangent summed over the axes along which an array of the shape was broadcast."""
    if g.shape == shape:
        return g
    # Broadcasting copies, and the adjoint of a copy is a sum.
    leading = g.ndim - len(shape)
    if leading > 0:
        g = np.add.reduce(g, axis=0) if leading == 1 else np.add.reduce(g, axis=tuple(range(leading)))
    widened = tuple(k for k, n in enumerate(shape) if n == 1 and g.shape[k] != 1)
    return np.add.reduce(g, axis=widened, keepdims=True) if widened else g


def spread(g: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the cotangent of a reduction of x at every entry that was reduced: the adjoint of a sum is a copy."""
    return np.broadcast_to(kept(g, x, axis, keepdims), np.shape(x))


def kept(g: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return what a reduction of x gave, with the reduced axes kept as axes of length 1."""
    if keepdims:
        return g
    rank = np.ndim(x)
    reduced = axes_of(axis, rank)
    return np.reshape(g, tuple(1 if k in reduced else n for k, n in enumerate(np.shape(x))))


def axes_of(axis: Any, rank: int) -> tuple[int, ...]:
    """Return axes as numbers of 0 or more."""
    if axis is None:
        return tuple(range(rank))
    if not rank:  # sums of a single number may be over its axis 0 or -1, which it has not
        return ()
    if not isinstance(axis, tuple | list):  # axes to transpose by may be an array, which the adjoint's are
        axis = (axis,) if isinstance(axis, int) else np.ravel(axis).tolist()
    return tuple(int(a) % rank for a in axis)


def counted(axis: Any, rank: int) -> int:
    """Return an axis as a number of 0 or more, refusing one that is not there, as NumPy does."""
    if not -rank <= axis < rank:
        raise np.exceptions.AxisError(int(axis), rank)
    return int(axis) % rank


def reduced_size(x: Any, axis: Any) -> int:
    """Return how many entries of x go into one entry of its reduction."""
    size = 1
    for a in axes_of(axis, np.ndim(x)):
        size *= np.shape(x)[a]
    return size


def divided(x: Any, count: int) -> Any:
    """Return x / count in x's dtype, in which the count itself may be infinite: float16 ends at 65504."""
    return (x.astype(np.float32) / count).astype(x.dtype) if x.dtype.itemsize == 2 else x / count


def over(x: Any, y: Any) -> Any:
    """Return x / y, and 0 where y is 0: the slope 0 that is chosen at a kink."""
    return x / np.where(y == 0, np.ones_like(y), y)
