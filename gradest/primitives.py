"""A user's own differentiable functions: a function with its derivative, in the conventions of HIPS Autograd.

    from gradest import defjvp, defvjp, primitive

    @primitive
    def logsumexp(x):
        largest = x.max()
        return largest + np.log(np.sum(np.exp(x - largest)))

    defvjp(logsumexp, lambda ans, x: lambda g: g * np.exp(x - ans))
    defjvp(logsumexp, lambda g, ans, x: np.sum(g * np.exp(x - ans)))

Inside a primitive anything may be computed: its arguments are plain arrays. A backend that differentiates functions by
tracing them calls a primitive as a whole and asks it for its rules. This module knows no framework.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from gradest.errors import InvalidInputError, InvalidTypeError
from gradest.operations import Array

R = TypeVar("R")

Function = Callable[..., Array]
"""Of arrays, and of anything else by keyword."""

MakeVjp = Callable[..., Callable[[Array], Array]]
"""`(ans, *args, **kwargs) -> (g -> cotangent of the argument)`."""

Jvp = Callable[..., Array]
"""`(g, ans, *args, **kwargs) -> tangent of the result`, for the tangent g of the argument."""


class Primitive:
    """A function that is differentiated by rules of its own; made by `primitive`.

    Attributes
    ----------
    function
        What computes it, from plain arrays.
    vjps, jvps
        The rules, by the position of the argument; None where the derivative is 0.
    """

    def __init__(self, function: Function) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.vjps: dict[int, MakeVjp | None] = {}
        self.jvps: dict[int, Jvp | None] = {}

    @property
    def name(self) -> str:
        """Its name, for messages."""
        return getattr(self.function, "__name__", repr(self.function))

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """Return the function's value; where an argument is being differentiated, it follows the rules."""
        for x in args:
            # Of the type, as Python looks up its own special methods: an instance may answer to any name.
            traced_call = getattr(type(x), "__gradest_call__", None)
            if traced_call is not None:
                return traced_call(x, self, args, kwargs)
        return self.function(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., Any]:
        # A primitive in a class is a method, as a function is; self is then its first argument.
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


def primitive(function: Function) -> Primitive:
    """Return a function that is differentiated as a whole, by the rules that `defvjp` and `defjvp` give it.

    Its arguments with derivatives are positional; keywords are passed on as they are.

    Raises
    ------
    InvalidTypeError
        It is no function.

    Examples
    --------
    >>> import numpy as np
    >>> import gradest
    >>> @gradest.primitive
    ... def cube(x):
    ...     return x**3
    >>> gradest.defvjp(cube, lambda ans, x: lambda g: g * 3 * x**2)
    >>> gradest.grad(lambda p: np.sum(cube(p)))(np.array([1.0, 2.0])).tolist()
    [3.0, 12.0]
    """
    if not callable(function):
        raise InvalidTypeError(f"primitive needs a function; found {type(function).__name__}")
    return function if isinstance(function, Primitive) else Primitive(function)


def defvjp(function: Function, *makers: MakeVjp | None, argnums: tuple[int, ...] | None = None) -> None:
    """Give a primitive the rule of reverse mode: how a cotangent of its value becomes one of each argument.

    Parameters
    ----------
    function
        A primitive, or a function of NumPy's or SciPy's that has no rule yet.
    *makers
        One for each argument: `maker(ans, *args, **kwargs)` returns a function of the cotangent g. None says that the
        derivative is 0.
    argnums
        The positions of the arguments, 0, 1, ... by default.

    Raises
    ------
    InvalidInputError
        There are not as many makers as argnums.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> square = gradest.primitive(lambda x: x * x)
    >>> gradest.defvjp(square, lambda ans, x: lambda g: 2 * g * x)
    >>> gradest.grad(lambda p: np.sum(square(p)), method="reverse")(np.array([1.0, 2.0])).tolist()
    [2.0, 4.0]
    """
    _rules(function).vjps.update(_by_position("defvjp", makers, argnums))


def defjvp(function: Function, *jvps: Jvp | str | None, argnums: tuple[int, ...] | None = None) -> None:
    """Give a primitive the rule of forward mode: how a tangent of each argument becomes one of its value.

    Parameters
    ----------
    function
        A primitive, or a function of NumPy's or SciPy's that has no rule yet.
    *jvps
        One for each argument: `jvp(g, ans, *args, **kwargs)` returns the tangent of the value. "same" says that the
        function is linear in the argument, None that the derivative is 0.
    argnums
        The positions of the arguments, 0, 1, ... by default.

    Raises
    ------
    InvalidInputError
        There are not as many rules as argnums, or a rule is another word than "same".

    Examples
    --------
    >>> import numpy as np, gradest
    >>> square = gradest.primitive(lambda x: x * x)
    >>> gradest.defjvp(square, lambda g, ans, x: 2 * g * x)
    >>> gradest.grad(lambda p: np.sum(square(p)), method="forward")(np.array([1.0, 2.0])).tolist()
    [2.0, 4.0]
    """
    given = _rules(function)
    for position, jvp in _by_position("defjvp", jvps, argnums).items():
        if isinstance(jvp, str):
            if jvp != "same":
                raise InvalidInputError(f"a rule of defjvp is a function, 'same' or None; found {jvp!r}")
            given.jvps[position] = _same(given, position)
        else:
            given.jvps[position] = jvp


def _same(given: Primitive, position: int) -> Jvp:
    """Return the JVP of a function that is linear in an argument: the function, of the tangent in its place."""

    def jvp(g: Array, ans: Array, *args: object, **kwargs: object) -> Array:
        # The plain function: what is called here is a rule, and must not be followed again.
        return given.function(*args[:position], g, *args[position + 1 :], **kwargs)

    return jvp


def _by_position(name: str, rules: tuple[R, ...], argnums: tuple[int, ...] | None) -> Mapping[int, R]:
    positions = tuple(range(len(rules))) if argnums is None else tuple(argnums)
    if len(positions) != len(rules) or not rules:
        raise InvalidInputError(f"{name} needs a rule for each argument; found {len(rules)} for argnums {positions}")
    return dict(zip(positions, rules, strict=True))


_given: dict[Function, Primitive] = {}
"""Rules for functions that are not ours: a function of a library -> its rules."""


def rules_of(function: Function) -> Primitive | None:
    """Return the rules that a user gave a library's function, None where there are none."""
    return _given.get(function)


def _rules(function: Function) -> Primitive:
    if isinstance(function, Primitive):
        return function
    if not callable(function):
        raise InvalidTypeError(f"a primitive or a function was asked for; found {type(function).__name__}")
    return _given.setdefault(function, Primitive(function))
