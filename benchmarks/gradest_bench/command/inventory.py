"""Collects what is here, as plain data: estimators, backends, problems, data sets, plug-ins, each with what is wrong.

What a view prints and what `--json` prints is the same. Whatever a plug-in raises stands in its own row, and disturbs
no other.
"""

import dataclasses
import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from threadpoolctl import threadpool_info

from gradest import (
    Estimator,
    GradestError,
    Problem,
    __version__,
    get_backend,
    get_estimator,
    hyperparameters,
    names,
    training,
)
from gradest.backend import Backend
from gradest.datasets import available
from gradest.registry import broken_plugins, entry_points, find_class, plugin_classes
from gradest_bench.worker.trial import require_loadable

Row = dict[str, Any]

KINDS = {"backends": Backend, "estimators": Estimator, "problems": Problem}
# those that decide what can run, or be drawn: a report of a fault begins with them
PACKAGES = ("numpy", "scipy", "jax", "jaxlib", "torch", "mxnet", "scikit-learn", "mlxtend", "matplotlib", "distributed")


def estimators(plugins: Sequence[str] = ()) -> list[Row]:
    """Return a row for each estimator, those of plug-in files behind the registered ones."""
    return [_row(name, _estimator) for name in (*names("estimators"), *_of_files("estimators", plugins))]


def backends() -> list[Row]:
    """Return a row for each backend; importing every framework that is here."""
    return [_row(name, _backend) for name in names("backends")]


def problems(plugins: Sequence[str] = ()) -> list[Row]:
    """Return a row for each problem, those of plug-in files behind the registered ones."""
    return [_row(name, _problem) for name in (*names("problems"), *_of_files("problems", plugins))]


def datasets() -> list[Row]:
    """Return a row for each data set."""
    return [{"name": name, "state": state, "error": None} for name, state in available().items()]


def optimizers() -> list[Row]:
    """Return a row for each optimiser: what a step is, and what it takes."""
    return [_row(name, _optimizer) for name in training.OPTIMIZERS]


def _optimizer(name: str) -> Row:
    made = training.get_optimizer(name)
    return {"formula": made.formula, "fields": dataclasses.asdict(made), "source": made.source}


def rules() -> list[Row]:
    """Return a row for each backend that interprets users' functions, with those that it has rules for."""
    found = []
    for name in names("backends"):
        row = _row(name, lambda each: {"functions": list(get_backend(each).differentiable())})
        if row["error"] is None and row["functions"]:  # what is not installed, the table of backends says
            found.append(row)
    return found


def _row(name: str, describe: Callable[[str], Row]) -> Row:
    """Return what there is to say of a name; of one that cannot be loaded, why."""
    try:
        return {"name": name, **describe(name), "error": None}
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a plug-in may raise anything at import; so may a framework
        return {"name": name, "error": _said(error)}


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, GradestError) else f"{type(error).__name__}: {error}"


def _estimator(name: str) -> Row:
    found = get_estimator(name)
    return {
        "estimate": found.formula,
        "cost": found.cost_formula,
        "needs": found.needs,
        "takes": [
            {"name": each.name, "default": _shown(each.default), "meaning": each.meaning}
            for each in hyperparameters(name)
        ],
        "gives": found.target.value,
        "stochastic": found.stochastic,
        "source": found.source,
    }


class _Literal(str):
    """The literal of a default that JSON has no form for, such as a tuple: a text there, and no text to be quoted."""

    __slots__ = ()
    __repr__ = str.__str__


def _shown(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else _Literal(repr(value))


def _backend(name: str) -> Row:
    backend = get_backend(name)
    return {
        "versions": backend.versions(),
        "dtypes": list(backend.dtypes),
        "native": sorted(backend.native),
        "devices": list(backend.devices()),
    }


def _problem(name: str) -> Row:
    # of the class, and none is made: that would load a data set, which may not be installed
    found = find_class("problems", name, Problem)[0]
    declared = {f.name: f for f in dataclasses.fields(found)} if dataclasses.is_dataclass(found) else {}
    return {
        "loss": " ".join((found.__doc__ or "").split("\n\n")[0].split()),
        "fields": {name: _shown(field.default) for name, field in declared.items()},
    }


def _of_files(group: str, plugins: Sequence[str]) -> Iterator[str]:
    """Yield "file.py:Class" for each class of a group; a file that fails to load is told by `plugin_rows`."""
    for row in plugin_rows(plugins):
        if row["group"] == group and row["error"] is None and row["from"] == "file":
            yield row["name"]


def plugin_rows(files: Sequence[str] = ()) -> list[Row]:
    """Return a row for each plug-in: those of installed packages, by their entry points, and those of files."""
    broken = broken_plugins()
    rows = [
        {
            "group": group,
            "name": point.name,
            "from": "entry point",
            "location": point.value,
            "error": broken.get(f"{group}/{point.name}"),
        }
        for group in KINDS
        for point in entry_points(group=f"gradest.{group}")
    ]
    for file in files:
        rows += _file_rows(file)
    return rows


def _file_rows(file: str) -> list[Row]:
    try:
        require_loadable(file)  # a segfault or a hang is one line too
        found = [(group, name) for group, kind in KINDS.items() for name in plugin_classes(file, kind)]
    except (Exception, SystemExit) as error:  # noqa: BLE001  # as above
        return [{"group": "", "name": file, "from": "file", "location": file, "error": _said(error)}]
    if not found:
        reason = "it defines no backend, estimator or problem"
        return [{"group": "", "name": file, "from": "file", "location": file, "error": reason}]
    return [
        {"group": group, "name": f"{file}:{name}", "from": "file", "location": file, "error": None}
        for group, name in found
    ]


def machine() -> Row:
    """Return versions, the platform and the threads; call it after `backends`, when their libraries are loaded."""
    pools = [
        {
            "library": pool["internal_api"],
            "version": str(pool["version"] or ""),
            "kernels": str(pool.get("architecture", "")),
            "threads": pool["num_threads"],
        }
        for pool in threadpool_info()
    ]
    return {
        "gradest": __version__,
        "python": platform.python_version(),
        "prefix": sys.prefix,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "packages": {package: _version(package) for package in PACKAGES},
        "thread_pools": pools,
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
