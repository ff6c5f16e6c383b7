"""Checks that the names in a suite exist, and chooses of its cells what the command line asks for.

This module imports the classes of problems and estimators, and no framework.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import NoReturn

import msgspec

from gradest.case import Case
from gradest.errors import GradestError, InvalidInputError, MissingDependencyError, unknown_name
from gradest.estimator import Estimator
from gradest.registry import ESTIMATORS, PROBLEMS, names, plugin_classes
from gradest_bench.suite.cells import NULL, Cell, Spec, expand, specs
from gradest_bench.suite.limits import require_plain
from gradest_bench.suite.resolving import make_estimator, make_loss, require_own
from gradest_bench.suite.schema import Grid, Suite
from gradest_bench.suite.spec_text import has_fields, parse_spec

DTYPES = ("bfloat16", "float16", "float32", "float64", "longdouble")


def name_errors(suite: Suite, folder: Path | None = None) -> list[str]:
    """Return a sentence for each name of a suite, whose plug-ins are loaded, that does not exist."""
    found: list[str] = []
    for number, grid in enumerate(suite.grid):
        where = f"grid[{number}]"
        found += _name_errors(grid.backends, names("backends"), "backend", f"{where}.backends")
        found += _name_errors(grid.dtypes, DTYPES, "dtype", f"{where}.dtypes")
        for group, named_list, make in (
            ("problems", grid.problems, partial(_make_for, grid)),
            ("estimators", grid.estimators, make_estimator),
        ):
            for position, named in enumerate(named_list):
                path = f"{where}.{group}[{position}]"
                overlap = sorted(set(named.fields) & set(named.vary))
                if overlap:
                    found.append(f"{path}: {overlap[0]!r} stands both in fields and in vary; keep one")
                for spec in specs(named):
                    try:
                        make(spec, folder)
                    except MissingDependencyError:
                        break  # an outcome of the run, not a fault of the suite
                    except (GradestError, ImportError, TypeError, ValueError) as error:
                        found.append(f"{path}: {spec.label}: {error}")
                        break  # the other values that `vary` names would only say the same again
    return found


def _make_for(grid: Grid, spec: Spec, folder: Path | None) -> object:
    """Return the loss of a spec; a case has to fit one of the backends and dtypes of its grid at least."""
    loss = make_loss(spec, folder)
    if isinstance(loss, Case):
        require_own(loss, spec, backends=grid.backends, dtypes=grid.dtypes)
    return loss


def _name_errors(asked: Sequence[str], known: Sequence[str], kind: str, path: str) -> list[str]:
    return [
        f"{path}[{position}]: {unknown_name(kind, name, known)}"
        for position, name in enumerate(asked)
        if name not in known and ":" not in name  # "module:Class" is found or not where the worker imports it
    ]


def runs_foreign_code(suite: Suite) -> bool:
    """Whether reading the names of a suite runs code that is not of this project."""
    named = [("estimators", each.name) for grid in suite.grid for each in grid.estimators]
    named += [("problems", each.name) for grid in suite.grid for each in grid.problems]
    built_in = {"estimators": ESTIMATORS, "problems": PROBLEMS}
    # what is no name at all is an error, and runs nothing; a plug-in's name is one that an installed package has
    return bool(suite.plugins) or any(
        ":" in name or name.endswith(".py") or (name in names(group) and name not in built_in[group])
        for group, name in named
    )


def split_choice(suite: Suite, texts: Sequence[str]) -> tuple[tuple[str, ...], list[Spec]]:
    """Return which texts choose among the estimators of a suite, and the estimators that the others add to it.

    Brackets or a place make an addition: `es(sigma=0.1)`, `es()`, `my_file.py:MyEstimator`. A name or a shell pattern
    chooses.

    Raises
    ------
    InvalidInputError
        An addition is not of the form `NAME(FIELD=VALUE, ...)`, or has a number that no record could keep.
    """
    own = {named.name for grid in suite.grid for named in grid.estimators}
    # a class of a plug-in that the suite names itself is chosen, and not added once more
    added = [text for text in texts if has_fields(text) or (":" in text and text not in own)]
    found = [parse_spec(text) for text in added]
    for spec in found:
        require_plain(spec.fields, origin=f"--estimators {spec.label}")
    return tuple(text for text in texts if text not in added), found


def plugin_specs(files: Sequence[str]) -> list[Spec]:
    """Return a spec for each estimator that plug-in files define; this executes them.

    Raises
    ------
    InvalidInputError
        A file cannot be imported, or defines no estimator.
    """
    found = []
    for file in files:
        if has_fields(file):  # the suite that is kept names its estimators, and reads them again
            raise InvalidInputError(
                f"--plugin asks for a path without brackets, which hold hyper-parameters; found {file!r}; rename it"
            )
        classes = plugin_classes(file, Estimator)
        if not classes:
            raise InvalidInputError(f"--plugin asks for a file with estimators; {file} defines no class of them")
        found += [parse_spec(f"{file}:{name}") for name in classes]
    return found


def chosen_cells(
    suite: Suite,
    *,
    backends: Sequence[str] = (),
    estimators: Sequence[str] = (),
    added: Sequence[Spec] = (),
    pythons: Mapping[str, str],
) -> list[Cell]:
    """Return the cells of a suite on some backends and estimators (shell patterns; all by default).

    Where estimators were `added` to it, these and those that the patterns choose are taken.

    A python named "backend:variant" runs that backend's cells once more, in a worker of that name. One of a backend
    that the suite has not is refused: nothing would run on it, and a run without it says nothing of it.

    Raises
    ------
    UnknownNameError
        A pattern, or a python, matches nothing in the suite.
    InvalidInputError
        Patterns match something each, and no cell together.
    """
    cells = list(expand(suite))
    # in the suite's order, as the message lists them
    known = dict.fromkeys(cell.backend for cell in cells)
    for worker in pythons:
        if worker not in known and worker.rpartition(":")[0] not in known:  # a backend "module:Class" has a colon too
            raise unknown_name("backend of this suite, as --python asks for,", worker, known)
    # the null estimator is kept whatever is chosen: without it no time can be read
    for worker in pythons:
        backend = worker.rpartition(":")[0]
        # one of a backend's own name replaces its interpreter: its cells are there already
        if worker not in known:
            cells += [msgspec.structs.replace(cell, worker=worker) for cell in expand(suite) if cell.backend == backend]
    _require_match(
        backends, {cell.worker for cell in cells} | {cell.backend for cell in cells}, "backend of this suite"
    )
    _require_match(estimators, {cell.estimator.name for cell in cells}, "estimator of this suite")
    fields = [(spec.name, spec.fields) for spec in added]

    def taken(cell: Cell) -> bool:
        if not estimators and not added:
            return True
        own = (cell.estimator.name, cell.estimator.fields)
        return own in fields or cell.estimator.name == NULL.name or _matches(cell.estimator.name, estimators)

    here = [
        cell for cell in cells if not backends or _matches(cell.worker, backends) or _matches(cell.backend, backends)
    ]
    found = [cell for cell in here if taken(cell)]
    if cells and all(cell.estimator.name == NULL.name and not _matches(NULL.name, estimators) for cell in found):
        asked = ", ".join((*estimators, *(spec.label for spec in added)))
        _refuse_nothing(asked, backends, here)
    return found


def _refuse_nothing(asked: str, backends: Sequence[str], here: Sequence[Cell]) -> NoReturn:
    # a run of null estimators alone would end well, and have measured nothing of what was asked for
    raise InvalidInputError(
        f"cells of {asked} on {', '.join(backends)} were asked for; this suite has there: "
        f"{', '.join(dict.fromkeys(cell.estimator.name for cell in here))}"
    )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _require_match(patterns: Sequence[str], found: set[str], what: str) -> None:
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in found):
            raise unknown_name(what, pattern, found)
