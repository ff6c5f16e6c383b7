"""Which argument of a user's function is differentiated, and what it returns beside the loss.

Estimators take a function `f(params, *args)` that returns a loss. Here one that differs becomes such a function.
"""

import threading
from collections.abc import Callable
from numbers import Integral
from typing import Any

from gradest.errors import InvalidInputError, InvalidTypeError

Argnums = int | tuple[int, ...]
"""The place of the argument that is differentiated, or a tuple of places; negative ones count from the end."""


class Differentiated:
    """Puts the differentiated arguments of a call first, and back into their places.

    Examples
    --------
    >>> from gradest.signature import Differentiated
    >>> second = Differentiated(1)
    >>> second.first(("x", "params", "y"))
    ('params', ('x', 'y'))
    >>> second.of(lambda x, params, y: x + params + y)("params", "x", "y")
    'xparamsy'
    """

    def __init__(self, argnums: Argnums) -> None:
        places = argnums if isinstance(argnums, tuple) else (argnums,)
        if not places or any(isinstance(place, bool) or not isinstance(place, Integral) for place in places):
            raise InvalidTypeError(f"argnums must be an int or a tuple of ints; found {argnums!r}")
        self.argnums = argnums
        self._places = places

    def first(self, given: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """Return the differentiated argument (a tuple of them for a tuple of places) and the others.

        Raises
        ------
        InvalidInputError
            There are fewer arguments, or one is named twice.
        """
        # Per call, as a negative place is another one with another number of arguments.
        places = self._among(len(given))
        chosen = tuple(given[place] for place in places)
        others = tuple(value for place, value in enumerate(given) if place not in places)
        return (chosen if isinstance(self.argnums, tuple) else chosen[0]), others

    def of(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Return `f` as a function of the differentiated argument, then the others."""
        return f if self.argnums == 0 else _Reordered(f, self)

    def restored(self, chosen: Any, others: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments in the order of the call."""
        values = chosen if isinstance(self.argnums, tuple) else (chosen,)
        places = self._among(len(others) + len(values))
        found, rest = dict(zip(places, values, strict=True)), iter(others)
        return tuple(found[place] if place in found else next(rest) for place in range(len(others) + len(values)))

    def _among(self, count: int) -> tuple[int, ...]:
        places = tuple(place + count if place < 0 else place for place in self._places)
        if len(set(places)) < len(places) or not all(0 <= place < count for place in places):
            raise InvalidInputError(
                f"argnums={self.argnums} was asked for, each once; found {count} positional arguments"
            )
        return places


class _Reordered:
    """A function called with its differentiated argument first; a class, so that workers can be sent it."""

    def __init__(self, f: Callable[..., Any], order: Differentiated) -> None:
        self._f = f
        self._order = order

    def __call__(self, chosen: Any, *others: Any, **kwargs: Any) -> Any:
        return self._f(*self._order.restored(chosen, others), **kwargs)


class WithoutAuxiliary:
    """A function that returns `(loss, auxiliary)`, as a function of the loss alone; `taken` has the other half."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self._f = f
        self._kept = threading.local()

    def __reduce__(self) -> tuple[type["WithoutAuxiliary"], tuple[Callable[..., Any]]]:
        """Pickle the function alone: what a call returned belongs to its thread."""
        return WithoutAuxiliary, (self._f,)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        found = self._f(*args, **kwargs)
        if not (isinstance(found, tuple | list) and len(found) == 2):
            kind = type(found).__name__ + (f" of {len(found)}" if isinstance(found, tuple | list) else "")
            raise InvalidInputError(f"has_aux=True asks for a function that returns (loss, auxiliary); found {kind}")
        loss, self._kept.auxiliary = found
        return loss

    def taken(self) -> Any:
        """Return what this thread's last call returned beside the loss, and keep it no longer."""
        return self._kept.__dict__.pop("auxiliary")
