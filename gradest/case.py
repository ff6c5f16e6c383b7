"""A user's loss with where it is asked: one object for binding, comparing, checking and training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gradest.errors import InvalidInputError
from gradest.registry import find_object
from gradest.tree import Tree


@dataclass(frozen=True, eq=False)
class Case:
    """A loss and a point.

    Attributes
    ----------
    f
        A function `f(params, *args) -> scalar` of one framework.
    params
        Where it is asked: a pytree of arrays, an `nn.Module` or a Gluon `Block`.
    args
        The function's further arguments, not differentiated.

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

    def __post_init__(self) -> None:
        """Refuse what is no function, and arguments that are no tuple."""
        if not callable(self.f):
            raise InvalidInputError(f"a case takes a function f(params, *args); found {type(self.f).__name__}")
        if self.params is None:
            raise InvalidInputError("a case takes the params at which its function is asked; found None")
        if not isinstance(self.args, tuple):
            raise InvalidInputError(f"args must be a tuple of arguments; found {type(self.args).__name__}: write (x,)")

    @classmethod
    def load(cls, location: str) -> "Case":
        """Return the case at "module:name" or "path/file.py:name".

        The name is that of a `Case`, of a tuple `(f, params, *args)`, or of a function without arguments that returns
        either.

        Raises
        ------
        InvalidInputError
            It cannot be imported, has no such name, or the name is of something else.
        """
        found = find_object(location)
        if callable(found) and not isinstance(found, cls):
            found = found()
        if isinstance(found, tuple) and len(found) > 1:
            f, params, *args = found
            found = cls(f, params, tuple(args))
        if not isinstance(found, cls):
            raise InvalidInputError(
                f"{location!r} was asked for as a case: a gradest.Case, a tuple (f, params, *args), or a function that "
                f"returns one; found {type(found).__name__}"
            )
        return found
