"""Prints what `gradest list` and `gradest doctor` are asked for: what is there, and what is missing."""

import importlib.metadata
import os
import platform
import sys

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.text import Text
from threadpoolctl import threadpool_info

from gradest import GradestError, __version__, get_backend, get_estimator, names
from gradest.datasets import available
from gradest.registry import broken_plugins, load_class, locate
from gradest_bench.command.terminal import titled_table


def list_group(console: Console, group: str) -> None:
    """Print every name of "estimators", "backends", "problems", "datasets" or "rules"."""
    printers = {"estimators": _estimators, "backends": _backends, "problems": _problems, "datasets": _datasets}
    (printers | {"rules": _rules})[group](console)


def _first_sentence(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def _estimators(console: Console) -> None:
    console.print("estimators: P parameters, N samples", style="bold", highlight=False)
    for name in names("estimators"):
        estimator = get_estimator(name)
        console.print(f"  {name}", style="bold", highlight=False)
        for label, text in (
            ("estimate", estimator.formula),
            ("cost", estimator.cost_formula),
            ("target", estimator.target.value),
            ("source", estimator.source),
        ):
            console.print(Padding(Text.assemble((f"{label:<9}", "dim"), text), (0, 0, 0, 6)))
    console.print()


def _backends(console: Console) -> None:
    table = titled_table("backends", "name", "here", "dtypes", "native", "devices", box=box.SIMPLE_HEAD)
    for name in names("backends"):
        try:
            backend = get_backend(name)
        except GradestError as error:
            table.add_row(name, str(error), "", "", "")
            continue
        versions = ", ".join(f"{k} {v}" for k, v in backend.versions().items() if k in (name, f"{name}lib"))
        native = ", ".join(sorted(backend.native)) or "none (gradest's engines)"
        table.add_row(name, versions, ", ".join(backend.dtypes), native, ", ".join(backend.devices()))
    console.print(table)


def _problems(console: Console) -> None:
    table = titled_table("problems", "name", "loss", "fields", box=box.SIMPLE_HEAD)
    for name in names("problems"):
        found = load_class("problems", name)
        fields = ", ".join(f"{field}={default!r}" for field, default in _defaults(found).items())
        table.add_row(name, _first_sentence(found.__doc__), fields)
    console.print(table)


def _defaults(found: type) -> dict[str, object]:
    return {name: field.default for name, field in getattr(found, "__dataclass_fields__", {}).items()}


def _datasets(console: Console) -> None:
    table = titled_table("datasets", "name", "here", box=box.SIMPLE_HEAD)
    for name, state in available().items():
        table.add_row(name, state)
    console.print(table)


def _rules(console: Console) -> None:
    """Print the functions of users' losses through which derivatives go on backends that interpret them."""
    for name in names("backends"):
        try:
            found = get_backend(name).differentiable()
        except GradestError:  # not installed, which the table of backends says
            continue
        if found:
            console.print(f"rules of differentiation on {name}: {len(found)} functions", style="bold", highlight=False)
            console.print(Padding(Text("\n".join(found)), (0, 0, 0, 2)))


def show_doctor(console: Console) -> None:
    """Print versions, threads and BLAS, then backends, data sets and plug-ins with what is missing or broken."""
    console.print(f"gradest {__version__}   Python {platform.python_version()} at {sys.prefix}", highlight=False)
    console.print(f"{platform.platform()}   {os.cpu_count()} processors", highlight=False)
    packages = (
        "numpy",
        "scipy",
        "jax",
        "jaxlib",
        "torch",
        "mxnet",
        "scikit-learn",
        "mlxtend",
        "matplotlib",
        "distributed",
    )
    console.print("packages: " + ", ".join(_version(package) for package in packages), highlight=False)
    _backends(console)  # imports every framework that is here: only then are its thread pools loaded, and listed
    _thread_pools(console)
    _datasets(console)
    broken = broken_plugins()
    for name, reason in broken.items():
        console.print(f"broken plug-in {name}: {reason}", highlight=False)
    plugins = [
        f"{group}/{n}"
        for group in ("backends", "estimators", "problems")
        for n in names(group)[len(_built_in(group)) :]
    ]
    console.print(f"plug-ins: {', '.join(plugins) or 'none'}", highlight=False)


def _thread_pools(console: Console) -> None:
    title = "thread pools, with every backend that is here loaded"
    table = titled_table(title, "library", "version", "kernels for", "threads", box=box.SIMPLE_HEAD)
    for pool in threadpool_info():
        kernels, version = str(pool.get("architecture", "")), str(pool["version"] or "")
        table.add_row(pool["internal_api"], version, kernels, str(pool["num_threads"]))
    console.print(table)


def _built_in(group: str) -> list[str]:
    return [name for name in names(group) if locate(group, name).location.startswith(("gradest.", "gradest_"))]


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} not installed"
