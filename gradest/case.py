"""A user's loss with where it is asked: one object for binding, comparing, checking and training."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gradest.errors import InvalidInputError
from gradest.registry import find_object
from gradest.tree import Tree

HOW = "; a case is a line such as: case = gradest.Case(loss, params, (x, y))"
"""Said where a place was to hold a case and has nothing of that name."""


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==: two cases are equal if they are one object
class Case:
    """A loss function together with the parameters and arguments at which its gradient is wanted.

    Attributes
    ----------
    f
        A function `f(params, *args, **kwargs) -> scalar` of one framework.
    params
        Where it is asked: a pytree of arrays, an `nn.Module` or a Gluon `Block`.
    args, kwargs
        The function's further arguments by position and by keyword, not differentiated.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> case = gradest.Case(lambda p, x: float(np.sum((p - x) ** 2)), np.zeros(2), (np.array([1.0, 2.0]),))
    >>> gradest.get_estimator("fd-central")(case).gradient.round(6).tolist()
    [-2.0, -4.0]
    """

    f: Callable[..., Any]
    params: Tree
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is no function, and arguments that are no tuple."""
        if not callable(self.f):
            raise InvalidInputError(f"a case takes a function f(params, *args); found {type(self.f).__name__}")
        if self.params is None:
            raise InvalidInputError("a case takes the params at which its function is asked; found None")
        if not isinstance(self.args, tuple):
            raise InvalidInputError(f"args must be a tuple of arguments; found {type(self.args).__name__}: write (x,)")
        if not isinstance(self.kwargs, Mapping):
            raise InvalidInputError(f"kwargs must be a dict of arguments by name; found {type(self.kwargs).__name__}")

    @classmethod
    def load(cls, location: str) -> "Case":
        """Return the case at "module:name" or "path/file.py:name".

        The name is that of a `Case`, of a tuple `(f, params, *args)`, or of a function without arguments that returns
        either.

        Raises
        ------
        InvalidInputError
            It cannot be imported, has no such name, the name is of something else, its function raises, or its loss
            does not take its arguments.
        """
        return cls.of(find_object(location, how=HOW), location)

    @classmethod
    def of(cls, found: object, location: str) -> "Case":
        """Return the case that an object is, or makes; `location` is where it is from, for what is said. As `load`."""
        if callable(found) and not isinstance(found, cls):
            found = _made(found, location)
        if isinstance(found, tuple) and len(found) > 1:
            f, params, *args = found
            found = cls(f, params, tuple(args))
        if not isinstance(found, cls):
            raise InvalidInputError(
                f"{location!r} was asked for as a case: a gradest.Case, a tuple (f, params, *args), or a function "
                f"without arguments that returns one; found {type(found).__name__}"
            )
        found._require_callable(location)
        return found

    def arguments(
        self, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        """Return these in the place of its own, all together, as a mixture would be of two batches; its own for none.

        Raises
        ------
        InvalidInputError
            The loss does not take them, such as a batch by position; the message says what it takes.
        """
        if not (args or kwargs):
            return self.args, dict(self.kwargs)
        self._require_taken(args, kwargs)
        return args, dict(kwargs)

    def _require_taken(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        try:
            # Of the function itself: one that wraps another may take other arguments than that.
            signature = inspect.signature(self.f, follow_wrapped=False)
        except ValueError:  # a builtin that does not say what it takes
            return
        try:
            signature.bind(self.params, *args, **kwargs)
        except TypeError as error:
            given = " and ".join(["params", *([f"{len(args)} by position"] if args else []), *kwargs])
            own = ", ".join([*(f"args[{k}]" for k in range(len(self.args))), *(f"{name}=" for name in self.kwargs)])
            raise InvalidInputError(
                f"the loss of a case takes {signature} and was given {given}: {error}; give arguments as the case has "
                f"them ({own or 'none'}), all of them at once; batches of training take the place of those by position"
            ) from error

    def _require_callable(self, location: str) -> None:
        """Refuse arguments that the loss does not take: Python's own error would come from deep inside."""
        try:
            signature = inspect.signature(self.f)
        except ValueError:  # a builtin that does not say what it takes
            return
        try:
            signature.bind(self.params, *self.args, **self.kwargs)
        except TypeError as error:
            given = " and ".join(["params", *([f"{len(self.args)} further"] if self.args else []), *self.kwargs])
            raise InvalidInputError(
                f"{location!r} was asked for as a case: its loss takes {signature} and is given {given}: {error}; give "
                "all of its arguments with it, as gradest.Case(loss, params, (x, y))"
            ) from error


def _made(make: Callable[..., object], location: str) -> object:
    """Return what a function without arguments makes; a loss in its place, the likeliest mistake, is told so."""
    try:
        inspect.signature(make).bind()
    except (TypeError, ValueError):  # it takes arguments, or is a builtin that does not say
        raise InvalidInputError(
            f"{location!r} was asked for as a case; found {getattr(make, '__name__', 'something')!r}, which takes "
            "arguments as a loss does: name a gradest.Case(loss, params, args), or a function without arguments that "
            "returns one"
        ) from None
    try:
        return make()
    except Exception as error:  # a user's function may raise anything
        raise InvalidInputError(f"{location!r} fails to make its case: {type(error).__name__}: {error}") from error
