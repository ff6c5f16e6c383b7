"""Names of backends, estimators and problems: where they are, and what to install.

Built-in ones stand in the tables below; third parties use the entry-point groups `gradest.backends`,
`gradest.estimators` and `gradest.problems`, and may not take a built-in name. Everything is imported on first
use; a plug-in that fails to import is reported by `broken_plugins` and disturbs nothing else.
"""

import importlib
import inspect
import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from gradest.errors import InvalidTypeError, MissingDependencyError, unknown_name
from gradest.tree import flatten_tree

if TYPE_CHECKING:
    from gradest.backend import Backend
    from gradest.estimator import Estimator
    from gradest.problem import Problem


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
    "node-perturbation": _entry("gradest.estimators.node_perturbation:NodePerturbation"),
    "es-row-space": _entry("gradest.estimators.row_space:RowSpaceES"),
    "null": _entry("gradest.estimators.controls:Null"),
}

PROBLEMS = {
    "mlp": _entry("gradest.problems.mlp:MLP"),
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
    """Return the registered names of "backends", "estimators" or "problems": built-in ones, then plug-ins."""
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
    """
    entry = locate(group, name)
    module, _, attribute = entry.location.partition(":")
    try:
        found: type[Any] = getattr(importlib.import_module(module), attribute)
    except MissingDependencyError:
        raise
    except ImportError as error:
        if entry.extra is None or (error.name or "").split(".")[0] != entry.package:
            raise
        raise MissingDependencyError(
            f"{group.removesuffix('s')} {name!r} needs the package {entry.package!r}, which is not installed; "
            f"install it with: pip install 'gradest[{entry.extra}]'"
        ) from error
    return found


@cache
def _backend(name: str) -> "Backend":
    backend: Backend = load_class("backends", name)()
    return backend


def get_backend(backend: "str | Backend") -> "Backend":
    """Return the backend of a name (one object for each), or the backend itself.

    Raises
    ------
    UnknownNameError, MissingDependencyError
        There is no such backend, or its framework is not installed.
    """
    return _backend(backend) if isinstance(backend, str) else backend


def get_estimator(name: str, **hyperparameters: Any) -> "Estimator":
    """Return a new estimator of a name, with hyper-parameters beside those that the name fixes.

    Raises
    ------
    UnknownNameError
        There is no such estimator.
    InvalidInputError
        A hyper-parameter is unknown or out of range.
    """
    return _construct("estimators", name, hyperparameters)  # type: ignore[no-any-return]  # loaded by name


def get_problem(name: str, **fields: Any) -> "Problem":
    """Return a new problem of a name with the given fields; raises as `get_estimator` does."""
    return _construct("problems", name, fields)  # type: ignore[no-any-return]  # loaded by name


def _construct(group: str, name: str, fields: dict[str, Any]) -> Any:
    found = load_class(group, name)
    fixed = dict(locate(group, name).arguments)
    known = [p for p in inspect.signature(found).parameters if p not in fixed]
    for field in fields:
        if field not in known:
            raise unknown_name(f"field of {group.removesuffix('s')} {name!r}", field, known)
    return found(**fixed, **fields)


def infer_backend(params: Any) -> "Backend":
    """Return the backend that owns the arrays of `params`; only frameworks already imported are asked.

    Raises
    ------
    InvalidTypeError
        No known backend owns them all.
    """
    candidates = [name for name in names("backends") if (locate("backends", name).package or "numpy") in sys.modules]
    for name in candidates:
        backend = get_backend(name)
        if backend.is_model(params):
            return backend
        leaves = backend.flatten(params)[0]
        if all(backend.owns(leaf) for leaf in leaves):
            return backend
    found = sorted({f"{type(leaf).__module__}.{type(leaf).__name__}" for leaf in flatten_tree(params)[0]})
    raise InvalidTypeError(
        f"the backend of params was to be inferred; no backend of {candidates} owns all of: {', '.join(found)}; "
        "pass floating-point arrays of one framework, or name one with backend="
    )


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
            except Exception as error:  # noqa: BLE001  # a plug-in may raise anything at import; it is reported
                reasons[f"{group}/{point.name}"] = f"{point.value} fails to load: {type(error).__name__}: {error}"
    return reasons
