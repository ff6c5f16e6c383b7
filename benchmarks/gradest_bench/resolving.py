"""From the names in a cell to objects: registered names, "module:Class" of anyone's module, plug-ins.

This module knows no file of results and no process.
"""

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import Any

from gradest.backend import Backend
from gradest.errors import InvalidInputError, unknown_name
from gradest.estimator import Estimator
from gradest.problem import Problem
from gradest.registry import get_backend, load_class, locate
from gradest_bench.cells import Spec


def import_plugin(plugin: str) -> None:
    """Import a plug-in, a module's name or the path of a Python file, which may register names.

    Raises
    ------
    InvalidInputError
        It cannot be imported.
    """
    try:
        if plugin.endswith(".py"):
            _import_file(Path(plugin))
        else:
            importlib.import_module(plugin)
    except Exception as error:  # a plug-in may raise anything at import
        raise InvalidInputError(f"plug-in {plugin!r} fails to load: {type(error).__name__}: {error}") from error


def _import_file(path: Path) -> None:
    name = path.stem
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"there is no Python file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def find_class(group: str, name: str) -> tuple[type[Any], dict[str, Any]]:
    """Return the class of a registered name, or of "module:Class", and the arguments that the name fixes.

    Raises
    ------
    UnknownNameError, MissingDependencyError
        As `gradest.registry` does.
    InvalidInputError
        The module has no such class.
    """
    module, colon, attribute = name.partition(":")
    if not colon:
        return load_class(group, name), dict(locate(group, name).arguments)
    import_plugin(module)
    found = getattr(sys.modules[Path(module).stem if module.endswith(".py") else module], attribute, None)
    if not isinstance(found, type):
        raise InvalidInputError(f"{group.removesuffix('s')} {name!r}: module {module!r} has no class {attribute!r}")
    return found, {}


def construct(group: str, spec: Spec) -> Any:
    """Return the problem or estimator of a spec; lists of TOML become tuples.

    Raises
    ------
    InvalidInputError
        A field is unknown or out of range.
    """
    found, fixed = find_class(group, spec.name)
    known = [name for name in inspect.signature(found).parameters if name not in fixed]
    for field in spec.fields:
        if field not in known:
            raise unknown_name(f"field of {group.removesuffix('s')} {spec.name!r}", field, known)
    return found(**fixed, **{name: _frozen(value) for name, value in spec.fields.items()})


def make_problem(spec: Spec) -> Problem:
    """Return the problem of a spec; raises as `construct` does."""
    problem: Problem = construct("problems", spec)
    return problem


def make_estimator(spec: Spec) -> Estimator:
    """Return the estimator of a spec; raises as `construct` does."""
    estimator: Estimator = construct("estimators", spec)
    return estimator


def make_backend(name: str) -> Backend:
    """Return the backend of a registered name, or of "module:Class"; raises as `find_class` does."""
    if ":" not in name:
        return get_backend(name)
    found, _ = find_class("backends", name)
    backend: Backend = found()
    return backend


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
