"""Makes the problem and the estimator that a cell names: registered ones, or "module:Class" and "file.py:Class".

A file is looked for beside the suite that names it, and then in the working directory. This module knows no file of
results and no process.
"""

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gradest import Case, Estimator, Problem, get_estimator, get_problem
from gradest.registry import find_object
from gradest_bench.suite.cells import Spec
from gradest_bench.suite.spec_text import parse_spec


def located(name: str, folder: Path | None) -> str:
    """Return a name as it is, but "path.py" and "path.py:Class" with the file's path where it lies below a folder."""
    place, colon, attribute = (name, "", "") if name.endswith(".py") else name.rpartition(":")
    if folder is None or not place.endswith(".py") or not (folder / place).is_file():
        return name
    return f"{folder / place}{colon}{attribute}"


def loss_at(location: str) -> Problem | Case:
    """Return the loss at "module:name" or "path/file.py:name": a problem, or a case of a user's own.

    The name is that of a `Problem` or of a class of them, which is made with its defaults, or what `gradest.Case.load`
    takes.

    Raises
    ------
    InvalidInputError
        It cannot be imported, or is none of these.
    """
    found = find_object(location)
    if inspect.isclass(found) and issubclass(found, Problem):
        found = found()
    return found if isinstance(found, Problem) else Case.load(location)


def make_problem(spec: Spec, folder: Path | None = None) -> Problem:
    """Return the problem of a spec in a suite of a folder. Raises as `gradest.get_problem` does."""
    return get_problem(located(spec.name, folder), **_frozen_fields(spec))


def make_estimator(spec: Spec, folder: Path | None = None) -> Estimator:
    """Return the estimator of a spec in a suite of a folder. Raises as `gradest.get_estimator` does."""
    return get_estimator(located(spec.name, folder), **_frozen_fields(spec))


def make_estimators(texts: Iterable[str]) -> dict[str, Estimator]:
    """Return the estimators that texts such as `es(sigma=0.1)` name, by their labels; raises as `make_estimator` does.

    Examples
    --------
    >>> from gradest_bench.suite.resolving import make_estimators
    >>> {label: estimator.sigma for label, estimator in make_estimators(["spsa(sigma=0.5)"]).items()}
    {'spsa(sigma=0.5)': 0.5}
    """
    return {spec.label: make_estimator(spec) for spec in map(parse_spec, texts)}


def _frozen_fields(spec: Spec) -> dict[str, Any]:
    return {name: _frozen(value) for name, value in spec.fields.items()}


def _frozen(value: Any) -> Any:
    # TOML has lists alone, and the fields of frozen dataclasses must be hashable
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
