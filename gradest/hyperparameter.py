"""Tells what an estimator takes: its hyper-parameters with defaults and meanings, read off its class.

The meanings are those of the docstring, so that a plug-in's are told as ours are, and nothing is written twice. This
module knows no estimator by name.
"""

import inspect
import re
from dataclasses import dataclass, fields
from typing import Any

from gradest.estimator import Estimator
from gradest.registry import ESTIMATORS, find_class

_SECTION = re.compile(r"^Attributes\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", re.DOTALL | re.MULTILINE)
_REFERENCE = re.compile(r"As in `(?P<name>\w+)`(?P<more>.*)")
_ENTRY = re.compile(r"^(\w[\w, ]*)(?: :.*)?\n((?:[ ]+.*\n?|\n)+)", re.MULTILINE)


@dataclass(frozen=True)
class Hyperparameter:
    """States one field of an estimator.

    Attributes
    ----------
    name
        As it is given: `get_estimator("es", sigma=0.1)`, or `es(sigma=0.1)` at the command line.
    default
        What it is where it is not given.
    meaning
        What it does and in which units, from the docstring of the class; empty where that says nothing.

    Examples
    --------
    >>> import gradest
    >>> radius = next(found for found in gradest.hyperparameters("smoothed") if found.name == "sigma")
    >>> radius.default, radius.meaning
    (0.01, 'Smoothing radius, in units of the parameters.')
    """

    name: str
    default: Any
    meaning: str


def hyperparameters(name: str) -> tuple[Hyperparameter, ...]:
    """Return what an estimator takes, less what its name fixes, in the order of its fields.

    Parameters
    ----------
    name
        A registered name, "module:Class" or "path/file.py:Class".

    Raises
    ------
    UnknownNameError, MissingDependencyError, InvalidInputError
        As `gradest.get_estimator` does.

    Examples
    --------
    >>> import gradest
    >>> for found in gradest.hyperparameters("reverse"):
    ...     print(found.name, repr(found.default))
    engine 'auto'
    checkpoint False
    >>> [found.name for found in gradest.hyperparameters("reverse-checkpointed")]
    ['engine']
    """
    found, fixed = find_class("estimators", name, Estimator)
    said = _meanings(found)
    # The signature's default: a field of a mutable type has a factory, and no default of its own.
    given = inspect.signature(found).parameters
    return tuple(
        Hyperparameter(field.name, given[field.name].default, said.get(field.name, ""))
        for field in fields(found)
        if field.init and field.name not in fixed
    )


def _meanings(cls: type[Any]) -> dict[str, str]:
    """Return what the docstrings of a class and of those below it say of its fields, the class itself last."""
    found: dict[str, str] = {}
    # From the base on, so that a class that says something of an inherited field has the last word.
    for base in reversed(cls.__mro__):
        section = _SECTION.search(inspect.cleandoc(base.__doc__ or ""))
        for names, text in _ENTRY.findall(section.group(1) if section else ""):
            for name in (each.strip() for each in names.split(",")):
                found[name] = _resolved(name, " ".join(text.split()), cls)
    return found


def _resolved(name: str, text: str, cls: type[Any]) -> str:
    """Return what is said of a field, where it refers to another class ("As in `Sampler`.") with what that one says."""
    reference = _REFERENCE.match(text)
    if reference is None:
        return text
    known = (*cls.__mro__, *(find_class("estimators", each, Estimator)[0] for each in ESTIMATORS))
    other = next((each for each in known if each.__name__ == reference["name"]), None)
    said = _meanings(other).get(name, "") if other is not None and other is not cls else ""
    if not said:
        return text
    # One text for several fields may add something on one of them: "...; sigma is in units of the pre-activations."
    added = [part for part in reference["more"].split("; ") if re.match(rf"{name}\b", part)]
    return " ".join((said, *(part[0].upper() + part[1:] for part in added)))
