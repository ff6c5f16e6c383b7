"""Names of backends, estimators and problems: where they are, and what to install. Knows no contract.

Built-in ones stand in the tables below; third parties use the entry-point groups `gradest.backends`,
`gradest.estimators` and `gradest.problems`, and may not take a built-in name. Everything is imported on first
use; a plug-in that fails to import is reported by `broken_plugins` and disturbs nothing else.
"""

import difflib
import importlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from gradest.errors import (
    GradestError,
    InvalidInputError,
    InvalidTypeError,
    MissingDependencyError,
    UnknownNameError,
    unknown_name,
)
from gradest.importing import import_file, users_line


@dataclass(frozen=True)
class Entry:
    """States where something is ("module:Class"), the fixed arguments of its name, and how to install it."""

    location: str
    arguments: tuple[tuple[str, Any], ...] = ()
    package: str | None = None
    extra: str | None = None


def _entry(location: str, **arguments: Any) -> Entry:
    return Entry(location, tuple(arguments.items()))


BACKENDS = {
    "numpy": Entry("gradest_numpy:NumpyBackend", package="numpy"),
    "jax": Entry("gradest_jax:JaxBackend", package="jax", extra="jax"),
    "torch": Entry("gradest_torch:TorchBackend", package="torch", extra="torch"),
    "mxnet": Entry("gradest_mxnet:MxnetBackend", package="mxnet", extra="mxnet"),
}

_FD = "gradest.estimators.finite_difference:FiniteDifference"
_ES = "gradest.estimators.evolution:EvolutionStrategy"

ESTIMATORS = {
    "analytic": _entry("gradest.estimators.analytic:Analytic"),
    "reverse": _entry("gradest.estimators.reverse:Reverse"),
    "reverse-checkpointed": _entry("gradest.estimators.reverse:Reverse", checkpoint=True),
    "forward": _entry("gradest.estimators.forward:Forward"),
    "forward-structured": _entry("gradest.estimators.forward:Forward", path="structured"),
    "fd-forward": _entry(_FD, scheme="forward"),
    "fd-backward": _entry(_FD, scheme="backward"),
    "fd-central": _entry(_FD, scheme="central"),
    "fd-five-point": _entry(_FD, scheme="central", order=4),
    "fd-exact": _entry(_FD, scheme="central", differences="exact"),
    "fd-richardson": _entry("gradest.estimators.richardson:Richardson"),
    "complex-step": _entry("gradest.estimators.complex_step:ComplexStep"),
    "es": _entry(_ES),
    "es-forward": _entry(_ES, antithetic=False, baseline="value"),
    "es-vanilla": _entry(_ES, antithetic=False, baseline="none"),
    "es-leave-one-out": _entry(_ES, antithetic=False, baseline="leave-one-out"),
    "spsa": _entry(_ES, distribution="rademacher", antithetic=True),
    "es-orthogonal": _entry(_ES, distribution="orthogonal"),
    "es-low-rank": _entry(_ES, distribution="low-rank"),
    "es-sphere": _entry(_ES, distribution="sphere"),
    "es-coordinates": _entry(_ES, distribution="coordinates"),
    "es-rank": _entry(_ES, shaping="centered-rank"),
    "es-zscore": _entry(_ES, shaping="z-score"),
    "es-sign": _entry(_ES, shaping="sign"),
    "forward-gradient": _entry("gradest.estimators.forward_gradient:ForwardGradient"),
    "smoothed": _entry("gradest.estimators.smoothed:SmoothedGradient"),
    "guided-es": _entry("gradest.estimators.guided:GuidedES"),
    "momentum-guided-es": _entry("gradest.estimators.momentum_guided:MomentumGuidedES"),
    "residual-feedback": _entry("gradest.estimators.residual_feedback:ResidualFeedback"),
    "node-perturbation": _entry("gradest.estimators.node_perturbation:NodePerturbation"),
    "es-row-space": _entry("gradest.estimators.row_space:RowSpaceES"),
    "null": _entry("gradest.estimators.null:Null"),
}

PROBLEMS = {
    "mlp": _entry("gradest.problems.mlp:MLP"),
    "classification-error": _entry("gradest.problems.classification_error:ClassificationError"),
    "softmax-regression": _entry("gradest.problems.softmax_regression:SoftmaxRegression"),
    "least-squares": _entry("gradest.problems.least_squares:LeastSquares"),
    "polynomial-regression": _entry("gradest.problems.least_squares:PolynomialRegression"),
    "quadratic": _entry("gradest.problems.quadratic:Quadratic"),
    "rosenbrock": _entry("gradest.problems.analytic_functions:Rosenbrock"),
    "logsumexp": _entry("gradest.problems.analytic_functions:LogSumExp"),
    "cubic-graph": _entry("gradest.problems.analytic_functions:CubicGraph"),
    "log-graph": _entry("gradest.problems.analytic_functions:LogGraph"),
}

_TABLES = {"backends": BACKENDS, "estimators": ESTIMATORS, "problems": PROBLEMS}


def names(group: str) -> tuple[str, ...]:
    """Return the registered names of "backends", "estimators" or "problems": built-in ones, then plug-ins.

    Raises
    ------
    UnknownNameError
        There is no such group.

    Examples
    --------
    >>> import gradest
    >>> gradest.names("backends")[:4]
    ('numpy', 'jax', 'torch', 'mxnet')
    >>> "es" in gradest.names("estimators"), "mlp" in gradest.names("problems")
    (True, True)
    """
    if not isinstance(group, str) or group not in _TABLES:
        raise unknown_name("group of names", group, _TABLES)
    return (*_TABLES[group], *_plugins(group))


def locate(group: str, name: str) -> Entry:
    """Return the entry of a name.

    Raises
    ------
    UnknownNameError
        The name is not registered; the message lists near ones.
    """
    table = {**_plugins(group), **_TABLES[group]}
    if name not in table:
        raise unknown_name(group.removesuffix("s"), name, table)
    return table[name]


def load_class(group: str, name: str) -> type[Any]:
    """Return the class of a name, importing it now.

    Raises
    ------
    MissingDependencyError
        What it needs is not installed; the message has the command.
    InvalidInputError
        It asks to end the program while it is imported.
    """
    entry = locate(group, name)
    module, _, attribute = entry.location.partition(":")
    try:
        found: type[Any] = getattr(importlib.import_module(module), attribute)
    except MissingDependencyError:
        raise
    except SystemExit as error:  # else it would end the program that asks, in silence and perhaps in success
        raise InvalidInputError(
            f"{entry.location!r} was asked for and ends the program at import: {error!r}"
        ) from error
    except ImportError as error:
        if entry.extra is None or (error.name or "").split(".")[0] != entry.package:
            raise
        raise MissingDependencyError(
            f"{group.removesuffix('s')} {name!r} needs the package {entry.package!r}, which is not installed; "
            f"install it with: pip install 'gradest[{entry.extra}]'"
        ) from error
    return found


def find_class(group: str, name: str, kind: type[Any]) -> tuple[type[Any], dict[str, Any]]:
    """Return the class of a registered name, of "module:Class" or of "path/file.py:Class", and what the name fixes.

    Parameters
    ----------
    group
        "backends", "estimators" or "problems".
    kind
        The contract that the class has to implement.

    Raises
    ------
    UnknownNameError, MissingDependencyError
        As `locate` and `load_class` do.
    InvalidInputError
        The module cannot be imported, or has no such class.
    """
    what = group.removesuffix("s")
    if not isinstance(name, str):
        raise InvalidTypeError(
            f"the name of a registered {what}, such as {next(iter(_TABLES[group]))!r}, was asked for; found "
            f"{type(name).__name__}" + ("; it is one already: use it as it is" if isinstance(name, kind) else "")
        )
    place, colon, attribute = name.rpartition(":")
    if not colon and name.endswith(".py"):
        module = import_plugin(name)
        there, own = [f"{name}:{each}" for each in _classes(module, kind)], _own_names(module)
        raise InvalidInputError(
            f"{what} {name!r} was asked for: a file, and no class in it; write "
            + (" or ".join(map(repr, there)) or f"'{name}:NAME' (it has {', '.join(own[:10]) or 'nothing'})")
        )
    if not colon:
        return load_class(group, name), dict(locate(group, name).arguments)
    module = import_plugin(place)
    found = getattr(module, attribute, None)
    if not (inspect.isclass(found) and issubclass(found, kind)):
        raise InvalidInputError(
            f"{what} {name!r} was asked for: {attribute!r} is no {kind.__name__} in {place}; "
            f"there are: {', '.join(_classes(module, kind)) or 'none'}"
        )
    return found, {}


def plugin_classes(plugin: str, kind: type[Any]) -> list[str]:
    """Return the names of the classes of a contract that a plug-in, a module or a file, defines and that can be made.

    Raises
    ------
    InvalidInputError
        It cannot be imported.

    Examples
    --------
    >>> import gradest
    >>> from gradest.registry import plugin_classes
    >>> plugin_classes("gradest.problems.least_squares", gradest.Problem)
    ['LeastSquares', 'PolynomialRegression']
    """
    module = import_plugin(plugin)
    return [name for name in _classes(module, kind) if not inspect.isabstract(getattr(module, name))]


def _classes(module: ModuleType, kind: type[Any]) -> list[str]:
    """Return the names of the classes of a kind that a module defines itself."""
    own = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__]
    return [c.__name__ for c in own if issubclass(c, kind)]


def find_object(location: str, *, how: str = "") -> Any:
    """Return what stands at "module:name" or "path/file.py:name"; `how` says how to write one where there is none.

    Raises
    ------
    InvalidInputError
        The module cannot be imported, or has no such name.
    """
    place, colon, attribute = location.rpartition(":")
    if not colon:
        there = _own_names(import_plugin(location)) if Path(location).is_file() else []
        told = (f"; it has: {', '.join(there[:10])}" if there else "") + how
        raise InvalidInputError(f"a place 'module:name' or 'path/file.py:name' was asked for; found {location!r}{told}")
    module = import_plugin(place)
    if not hasattr(module, attribute):
        there = _own_names(module)
        near = [*difflib.get_close_matches(attribute, there), *there]
        told = ", ".join(dict.fromkeys(near[:10])) or "nothing"
        raise InvalidInputError(f"{place} has no {attribute!r}; it has: {told}{how}")
    return getattr(module, attribute)


def _own_names(module: ModuleType) -> list[str]:
    """Return the names that a module may offer: neither private ones nor the modules that it imports."""
    return [name for name, value in vars(module).items() if name[:1] != "_" and not inspect.ismodule(value)]


def construct(group: str, name: str, fields: Mapping[str, Any], kind: type[Any]) -> Any:
    """Return a new object of a name with the given fields, beside those that the name fixes.

    Raises
    ------
    UnknownNameError
        There is no such name, or no such field.
    InvalidInputError
        As `find_class` does, or a field is out of range.
    """
    found, fixed = find_class(group, name, kind)
    known = [parameter for parameter in inspect.signature(found).parameters if parameter not in fixed]
    what = f"field of {group.removesuffix('s')} {name!r}"
    for field in fields:
        if field in fixed:
            raise UnknownNameError(
                f"no {what} is named {field!r}: {name!r} means {found.__name__} with {field}={fixed[field]!r}; "
                f"take another name, or {found.__module__}.{found.__name__} with its fields"
            )
        if field not in known:
            raise unknown_name(what, field, known)
    return found(**fixed, **fields)


def describe(group: str, thing: Any) -> str | None:
    """Return the built-in name that fixes most of an object's fields as they are, the first of equals.

    None where there is no name for its very class, or its fields differ from what every such name fixes.
    """
    best: tuple[int, str | None] = (-1, None)
    for name, entry in _TABLES[group].items():
        module, _, attribute = entry.location.partition(":")
        # Of the very class: a subclass may compute something else. Its module is loaded, or there were no object of it.
        if attribute != type(thing).__name__ or getattr(sys.modules.get(module), attribute, None) is not type(thing):
            continue
        fits = all(getattr(thing, field) == value for field, value in entry.arguments)
        if fits and len(entry.arguments) > best[0]:
            best = (len(entry.arguments), name)
    return best[1]


def import_plugin(plugin: str) -> ModuleType:
    """Return the module of a plug-in, given a module's name or the path of a Python file; it may register names.

    Raises
    ------
    InvalidInputError
        It cannot be imported.
    MissingDependencyError
        It imports a package that is not installed.
    """
    if plugin.endswith(".py") and not Path(plugin).is_file():
        raise InvalidInputError(
            f"{plugin!r} was asked for and fails to load: there is no Python file of this name, seen from "
            f"{Path.cwd()}; give the path of one"
        )
    try:
        return import_file(Path(plugin)) if plugin.endswith(".py") else importlib.import_module(plugin)
    except KeyboardInterrupt:  # the user's, as far as can be told in this process
        raise
    except BaseException as error:  # a plug-in may raise anything at import; a script ends in sys.exit(main())
        raise _load_error(plugin, error) from error


def _load_error(plugin: str, error: BaseException) -> GradestError:
    """Return the error for a plug-in that cannot be imported, with what can be done about this cause of it."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is not None and not f"{plugin}.".startswith(f"{missing}."):  # its file is there, and imports another
        extra = {entry.package: entry.extra for entry in BACKENDS.values()}.get(missing.partition(".")[0])
        how = f"pip install 'gradest[{extra}]'" if extra else "install the package that has it"
        return MissingDependencyError(f"{plugin!r} imports {missing!r}, which is not installed; {how}")
    where = users_line(error)
    if missing is not None and Path(f"{plugin}.py").is_file():
        advice = f"did you mean the file '{plugin}.py'?"
    elif missing is not None:
        advice = "give the name of a module that can be imported, or the path of a Python file"
    elif isinstance(error, SyntaxError):
        advice = "mend that line"
    else:
        advice = f"mend it at {where}" if where else "mend it"
    return InvalidInputError(f"{plugin!r} was asked for and fails to load: {type(error).__name__}: {error}; {advice}")


def entry_points(*, group: str) -> Any:
    """Return the entry points of a group; their reader is imported here, because it takes as long as the rest."""
    metadata = importlib.import_module("importlib.metadata")
    return metadata.entry_points(group=group)


@cache
def _plugins(group: str) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for point in entry_points(group=f"gradest.{group}"):
        if point.name in _TABLES[group] or point.name in found:
            continue  # built-in names are not for plug-ins; `broken_plugins` reports it
        found[point.name] = Entry(point.value)
    return found


def broken_plugins() -> dict[str, str]:
    """Return what is wrong with installed plug-ins: "group/name" -> reason. Imports each of them."""
    reasons: dict[str, str] = {}
    for group, table in _TABLES.items():
        for point in entry_points(group=f"gradest.{group}"):
            if point.name in table:
                reasons[f"{group}/{point.name}"] = f"{point.value} takes the built-in name {point.name!r}; rename it"
                continue
            try:
                load_class(group, point.name)
            except KeyboardInterrupt:  # the user's, as far as can be told
                raise
            except BaseException as error:  # noqa: BLE001  # a plug-in may raise anything at import; it is reported
                reasons[f"{group}/{point.name}"] = f"{point.value} fails to load: {type(error).__name__}: {error}"
    return reasons
