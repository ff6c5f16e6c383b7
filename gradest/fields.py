"""Whether hyper-parameters are of the types that a dataclass says, asked once where an object is made.

Read off the annotations, so that an estimator of a plug-in is asked likewise without a line of its own. What is not a
plain number, word, truth value or a sequence of such is left to the class. This module knows no estimator.
"""

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from typing import Any, Self

import numpy as np

from gradest.errors import InvalidTypeError

_SHOWN = 60  # characters of a value in a message: a field may be given a whole array


@dataclass(frozen=True)
class _Kind:
    """What a field may hold, in words and as a question; `None` as question: anything."""

    words: str
    holds: Callable[[Any], bool] | None


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    # Not every real number: a Fraction is none to NumPy, and ends in an error of arrays.
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


_PLAIN: Mapping[Any, _Kind] = {
    bool: _Kind("True or False", lambda value: isinstance(value, bool | np.bool_)),
    int: _Kind("an integer", _is_integer),
    float: _Kind("a number", _is_number),
    str: _Kind("a string", lambda value: isinstance(value, str)),
    None: _Kind("None", lambda value: value is None),
    types.NoneType: _Kind("None", lambda value: value is None),
}
_ANYTHING = _Kind("anything", None)


class TypedFields:
    """Base of dataclasses that are not made with fields of another type than they say."""

    def __new__(cls, *args: Any, **given: Any) -> Self:
        """Refuse them here, and not in `__post_init__`, which subclasses write anew."""
        require_field_types(cls, args, given)
        return super().__new__(cls)


def require_field_types(cls: Any, args: Sequence[Any], given: Mapping[str, Any]) -> None:
    """Refuse arguments of a dataclass whose types are not those of its fields.

    NumPy's scalars are numbers; True is no number and 1 is not True. A field's own default is always taken, whatever
    its annotation. Names that are no field are left to the constructor.

    Raises
    ------
    InvalidTypeError
        The message names the field, what it asks for, and what was found.

    Examples
    --------
    >>> import gradest
    >>> try:
    ...     gradest.get_estimator("es", num_samples="10")
    ... except gradest.InvalidTypeError as error:
    ...     print(error)
    num_samples of EvolutionStrategy must be an integer; found '10' of type str
    """
    kinds = _kinds(cls)
    if not kinds:
        return
    for name, value in (*zip(_positional(cls), args, strict=False), *given.items()):
        kind, default = kinds.get(name, (_ANYTHING, MISSING))
        if kind.holds is None or value is default or kind.holds(value):
            continue
        shown = repr(value)
        shown = shown if len(shown) <= _SHOWN and "\n" not in shown else "a value"
        raise InvalidTypeError(
            f"{name} of {cls.__name__} must be {kind.words}; found {shown} of type {type(value).__name__}"
            + _advice(kind, value)
        )


def _advice(kind: _Kind, value: Any) -> str:
    """Return how what was found may be turned into what is asked for, as the end of a sentence."""
    number = _PLAIN[float].holds or bool
    convertible = getattr(value, "shape", None) == () or (isinstance(value, Real) and not isinstance(value, bool))
    if "number" in kind.words and convertible and not number(value):
        return "; pass float(...) of it"  # an array of no axes, of a framework; a Fraction
    if kind.words.startswith("an integer") and isinstance(value, float) and value.is_integer():
        return f"; pass {int(value)}"
    return ""


def make_plain(made: Any) -> None:
    """Replace fields of a dataclass that are NumPy's scalars by the numbers of Python's that they are.

    For `__post_init__`: NumPy 2 computes in a scalar's own dtype, where twice a hundred of int8 is negative, and one
    over a float16 has three digits.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> gradest.get_estimator("es", num_samples=np.int8(100)).num_samples
    100
    """
    for field in fields(made):
        value = getattr(made, field.name)
        if isinstance(value, np.generic):  # a long double is its own item
            plain = float(value) if isinstance(value, np.floating) else value.item()
            object.__setattr__(made, field.name, plain)


@cache
def _positional(cls: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(cls) if f.init and not f.kw_only)


@cache
def _kinds(cls: Any) -> dict[str, tuple[_Kind, Any]]:
    """Return what each field holds and its default; nothing for a class that is no dataclass, or says no types."""
    if not is_dataclass(cls):
        return {}
    found: Sequence[Field[Any]] = fields(cls)
    try:
        hints = typing.get_type_hints(cls)
    except Exception:  # noqa: BLE001  # annotations of a plug-in may name what is there for a type checker alone
        return {}
    return {f.name: (_kind(hints.get(f.name)), f.default) for f in found if f.name in hints}


def _kind(hint: Any) -> _Kind:
    """Return what an annotation asks for; anything, where it is not made of plain types."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _union([_kind(each) for each in inner])
    if origin is typing.Literal:
        return _Kind(f"one of {', '.join(map(repr, inner))}", lambda value: value in inner)
    if origin in (tuple, list, Sequence):
        each = _kind(inner[0]) if len(set(inner) - {Ellipsis}) == 1 else _ANYTHING
        return _Kind("a sequence" if each.holds is None else f"a sequence, each {each.words}", _sequence_of(each))
    return _ANYTHING


def _union(kinds: Sequence[_Kind]) -> _Kind:
    questions = [kind.holds for kind in kinds if kind.holds is not None]
    if len(questions) < len(kinds):
        return _ANYTHING
    words = [kind.words for kind in kinds]
    return _Kind(f"{', '.join(words[:-1])} or {words[-1]}", lambda value: any(holds(value) for holds in questions))


def _sequence_of(each: _Kind) -> Callable[[Any], bool]:
    def holds(value: Any) -> bool:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            return False
        return each.holds is None or all(map(each.holds, value))

    return holds
