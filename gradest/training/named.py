"""Makes what a name stands for, of the hyper-parameters that it takes. Knows neither optimisers nor schedules."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from gradest.errors import unknown_name

Made = TypeVar("Made")


def made(kind: str, table: Mapping[str, Callable[..., Made]], name: str, given: Mapping[str, Any]) -> Made:
    """Return a new object of a name in a table of dataclasses, `kind` being what a message calls it.

    Raises
    ------
    UnknownNameError
        There is no such name, or no such hyper-parameter.
    InvalidInputError
        A hyper-parameter is out of range.
    """
    if name not in table:
        raise unknown_name(kind, name, table)
    chosen: Any = table[name]
    # Asked for here, as Python's own error names a method (__init__) and no other field that may have been meant.
    known = [field.name for field in fields(chosen)]
    for each in given:
        if each not in known:
            raise unknown_name(f"field of {kind} {name!r}", each, known)
    found: Made = chosen(**given)
    return found
