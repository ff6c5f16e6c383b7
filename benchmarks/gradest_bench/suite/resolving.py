"""Makes the loss and the estimator that a cell names: registered ones, "module:Class", "file.py:Class", "file.py:case".

A file is looked for beside the suite that names it, and then in the working directory. This module knows no file of
results and no process.
"""

import fnmatch
import inspect
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from gradest import (
    Case,
    Estimator,
    InvalidInputError,
    Objective,
    Problem,
    UnsupportedError,
    bind,
    get_estimator,
    get_problem,
    names,
)
from gradest.case import HOW
from gradest.errors import unknown_name
from gradest.registry import find_object
from gradest_bench.suite.cells import Spec
from gradest_bench.suite.spec_text import has_fields, parse_spec

Loss = Problem | Case
"""What a suite measures on: a problem, which runs on any backend, or a user's loss, which runs where its arrays are."""


def located(name: str, folder: Path | None) -> str:
    """Return a name as it is, but "path.py" and "path.py:Class" with the file's path where it lies below a folder."""
    # plug-ins are named by their file alone; of a class the last colon parts the two, as a path may have others
    place, colon, attribute = (name, "", "") if name.endswith(".py") else name.rpartition(":")
    if folder is None or not place.endswith(".py") or not (folder / place).is_file():
        return name
    return f"{folder / place}{colon}{attribute}"


def loss_at(location: str, fields: Mapping[str, Any] | None = None) -> Loss:
    """Return the loss at "module:name" or "path/file.py:name": a problem, or a case of a user's own.

    The name is that of a `Problem` or of a class of them, or what `gradest.Case.load` takes; a class, or a function
    that makes a case, is given the fields.

    Raises
    ------
    InvalidInputError
        It cannot be imported, is none of these, or does not take the fields.
    MissingDependencyError
        It imports a package that is not installed.
    """
    found = find_object(location, how=HOW)
    if isinstance(found, Problem) and not fields:
        return found
    if inspect.isclass(found):  # a problem's, or what is told to be none
        return get_problem(location, **(fields or {}))
    if not fields:
        return Case.of(found, location)
    if not inspect.isroutine(found):
        raise InvalidInputError(
            f"fields {sorted(fields)} were given with {location!r}, which is a {type(found).__name__}: name a function "
            "that takes them and returns a case"
        )
    try:
        # asked of the signature: a TypeError out of the call could as well be a fault inside of it
        inspect.signature(found).bind(**fields)
    except TypeError as error:
        raise InvalidInputError(f"{location!r} was to make a case of the fields {sorted(fields)}: {error}") from error
    return Case.of(partial(found, **fields), location)


def make_loss(spec: Spec, folder: Path | None = None) -> Loss:
    """Return the problem, or the case at a place, of a spec in a suite of a folder.

    A case is made once in a process, for who asks what it is and who measures it.

    Raises
    ------
    GradestError
        As `gradest.get_problem` and `loss_at` do.
    """
    name, fields = located(spec.name, folder), _frozen_fields(spec)
    if ":" not in name:
        return get_problem(name, **fields)
    # sorted: the order in which fields are written makes no other loss
    return _loss_at_once(name, tuple(sorted(fields.items())))


@lru_cache(maxsize=16)
def _loss_at_once(location: str, fields: tuple[tuple[str, Any], ...]) -> Loss:
    return loss_at(location, dict(fields))


def require_own(case: Case, spec: Spec, *, backends: Sequence[str], dtypes: Sequence[str]) -> Objective:
    """Return a case bound, refusing a grid that has it run elsewhere than its own arrays are.

    Raises
    ------
    UnsupportedError
        Its backend or its dtype is not among those named; the message has both.
    GradestError
        It cannot be bound.
    """
    objective = bind(case)
    own = objective.backend.name, objective.dtype
    if own[0] not in backends or own[1] not in dtypes:
        raise UnsupportedError(
            f"{spec.name!r} is a case, which runs where its own arrays are; backends {', '.join(backends)} in "
            f"{', '.join(dtypes)} were asked for; found arrays of {own[0]} in {own[1]}: write backends = [{own[0]!r}] "
            f"and dtypes = [{own[1]!r}], in a grid of its own"
        )
    return objective


def make_estimator(spec: Spec, folder: Path | None = None) -> Estimator:
    """Return the estimator of a spec in a suite of a folder. Raises as `gradest.get_estimator` does."""
    return get_estimator(located(spec.name, folder), **_frozen_fields(spec))


def make_estimators(texts: Iterable[str]) -> dict[str, Estimator]:
    """Return the estimators that texts such as `es(sigma=0.1)` and `es*` name, by their labels.

    Raises as `make_estimator` does, and `UnknownNameError` where no registered name is of a pattern.

    Examples
    --------
    >>> from gradest_bench.suite.resolving import make_estimators
    >>> {label: estimator.sigma for label, estimator in make_estimators(["spsa(sigma=0.5)"]).items()}
    {'spsa(sigma=0.5)': 0.5}
    >>> list(make_estimators(["reverse*"]))
    ['reverse', 'reverse-checkpointed']
    """
    plain = [name for text in texts for name in _matching(text)]
    return {spec.label: make_estimator(spec) for spec in map(parse_spec, plain)}


def _matching(text: str) -> list[str]:
    """Return the registered names of a shell pattern; the text as it is where it is none."""
    if has_fields(text) or not set(text) & set("*?"):
        return [text]
    found = fnmatch.filter(names("estimators"), text.strip())
    if not found:
        raise unknown_name("estimator", text, names("estimators"))
    return found


def _frozen_fields(spec: Spec) -> dict[str, Any]:
    return {name: _frozen(value) for name, value in spec.fields.items()}


def _frozen(value: Any) -> Any:
    # TOML has lists alone, and the fields of frozen dataclasses must be hashable
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
