"""Writes the pages that follow from the code before Sphinx reads them: estimators, backends, the reference.

What stands in them is asked of the registry, of the backends and of measurements made now; nothing is copied by hand.
"""

import inspect
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib
import numpy as np
from sphinx.application import Sphinx
from sphinx.util import logging

import gradest
from gradest.measurement.compare import CellResult
from gradest.registry import find_class
from gradest_bench.command import inventory

matplotlib.use("svg")
import matplotlib.pyplot as plt  # after the choice of what draws

HERE = Path(__file__).resolve().parents[1]
GENERATED = HERE / "generated"
DIRECTIONS = (4, 16, 64)
REPLICATES = 64
LOG = logging.getLogger(__name__)

MODULES = ("estimators", "datasets", "directions", "theory", "testing")
"""Packages whose names have a page each in the reference, beside those of `gradest` itself."""


def small_problem() -> gradest.Problem:
    """Return the network on which the pages' figures are measured: 35 parameters, 16 examples."""
    return gradest.get_problem("mlp", dataset="iris", widths=(4,), batch=16)


def usual_problem() -> gradest.Problem:
    """Return the network of the demonstration: 2,410 parameters, 64 examples."""
    return gradest.get_problem("mlp", widths=(32,), batch=64)


def write_pages(app: Sphinx) -> None:
    """Write everything under `generated/`."""
    start = time.perf_counter()
    (GENERATED / "estimators").mkdir(parents=True, exist_ok=True)
    rows = inventory.estimators()
    broken = [row for row in rows if row["error"]]
    if broken:
        raise RuntimeError(f"estimators that cannot be loaded: {broken}")
    found = measured(usual_problem(), [row["name"] for row in rows])
    _write("choose-table.md", decision_table(rows, found))
    for row in rows:
        _write(f"estimators/{row['name']}.md", estimator_page(row, found.get(row["name"])))
    _write("estimators/index.md", estimator_index(rows))
    _write("backends.md", backend_table())
    _write("reference.rst", reference())
    LOG.info("pages of the registry written in %.1f s", time.perf_counter() - start)


def _write(name: str, text: str) -> None:
    path = GENERATED / name
    if not path.exists() or path.read_text(encoding="utf-8") != text:  # Sphinx reads again what is newer
        path.write_text(text, encoding="utf-8")


def measured(problem: gradest.Problem, names: Sequence[str]) -> dict[str, CellResult]:
    """Return what a comparison finds of each estimator on NumPy in float64; those that need more are left out."""
    chosen = [name for name in names if name != "guided-es"]  # which cannot be made without guides
    cells = gradest.compare(
        problem, estimators=chosen, backends=["numpy"], dtypes=["float64"], replicates=8, budget_seconds=0.05
    )
    return {cell.cell.estimator: cell for cell in cells}


# -- one page an estimator ----------------------------------------------------------------------------------
def estimator_page(row: dict[str, Any], cell: CellResult | None) -> str:
    """Return the page of one estimator."""
    name = row["name"]
    estimator = made(name)
    kind = type(estimator)
    lines = [f"# `{name}`", "", _first_sentence(kind), ""]
    facts = {
        "Estimate": f"`{row['estimate']}`",
        "Gives": row["gives"],
        "Cost": row["cost"],
        "Needs": row["needs"],
        "Random": "yes" if row["stochastic"] else "no",
        "Source": row["source"],
        "Class": f"{{py:class}}`gradest.estimators.{kind.__name__}`",
    }
    lines += ["| | |", "| --- | --- |", *(f"| {key} | {_cell(value)} |" for key, value in facts.items() if value), ""]
    lines += _takes(row)
    lines += _example(name)
    if cell is not None:
        lines += _found(cell)
    lines += _prediction(name, estimator)
    return "\n".join(lines) + "\n"


def made(name: str) -> gradest.Estimator:
    """Return an estimator by name; one that asks for guides gets the gradient of the small problem."""
    return gradest.get_estimator(name, **_required(name))


def _required(name: str) -> dict[str, Any]:
    if name != "guided-es":
        return {}
    objective = gradest.bind(small_problem())
    return {"guides": [gradest.get_estimator("reverse")(objective).gradient]}


def _first_sentence(kind: type) -> str:
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())


def _takes(row: dict[str, Any]) -> list[str]:
    if not row["takes"]:
        return ["It takes no hyper-parameters.", ""]
    lines = ["## Hyper-parameters", "", "| name | default | meaning |", "| --- | --- | --- |"]
    for each in row["takes"]:
        lines.append(f"| `{each['name']}` | `{each['default']}` | {_cell(each['meaning'])} |")
    return [*lines, ""]


def _example(name: str) -> list[str]:
    fields = ", guides=[known]" if name == "guided-es" else ""
    return [
        "## Use",
        "",
        "```python",
        "import gradest",
        "",
        f'gradient = gradest.grad(loss, method="{name}"{fields})(params, x, y)',
        f'estimate = gradest.get_estimator("{name}"{fields})(loss, params, x, y, rng=0)',
        "```",
        "",
    ]


def _found(cell: CellResult) -> list[str]:
    if cell.accuracy is None or cell.timing is None:
        return ["## Measured", "", f"On the MLP of 2,410 parameters: {cell.outcome.value}: {_cell(cell.reason)}", ""]
    return [
        "## Measured",
        "",
        "On the MLP 64-32-10 of 2,410 parameters, digits, batch of 64, NumPy in float64, while this page was built:",
        "",
        "| relative error | cosine | evaluations | time, in losses | path |",
        "| --- | --- | --- | --- | --- |",
        f"| {cell.accuracy.relative_error:.1e} | {cell.accuracy.cosine:.4f} | {cell.cost} | {cell.loss_units:,.1f} | "
        f"{cell.path} |",
        "",
    ]


def _prediction(name: str, estimator: gradest.Estimator) -> list[str]:
    """Return a figure of relative MSE, measured and predicted, over the number of directions."""
    if not estimator.stochastic or not hasattr(estimator, "num_samples"):
        return []
    estimators = {str(n): gradest.get_estimator(name, num_samples=n, **_required(name)) for n in DIRECTIONS}
    cells = gradest.compare(
        small_problem(),
        estimators=estimators,
        backends=["numpy"],
        dtypes=["float64"],
        replicates=REPLICATES,
        budget_seconds=0.01,
    )
    scatter = [(cell.replicates.relative_mse, cell.replicates.relative_mse_error) for cell in cells if cell.replicates]
    predicted = [cell.predicted.relative_mse if cell.predicted else None for cell in cells]
    if len(scatter) < len(DIRECTIONS) or not np.all(np.isfinite(scatter)):
        return []
    shown = [value for value in predicted if value is not None]
    figure, axes = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    axes.errorbar(DIRECTIONS, [s[0] for s in scatter], [2 * s[1] for s in scatter], fmt="o", label="measured, 2 errors")
    if len(shown) == len(DIRECTIONS):
        axes.plot(DIRECTIONS, shown, "-", label="predicted")
    axes.set(xscale="log", yscale="log", xlabel="directions N", ylabel="relative mean squared error")
    axes.set_xticks(DIRECTIONS, [str(n) for n in DIRECTIONS])
    axes.minorticks_off()
    axes.legend()
    figure.savefig(GENERATED / "estimators" / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)
    told = "beside what theory predicts" if len(shown) == len(DIRECTIONS) else "; no formula is stated for it"
    return [
        "## Its error",
        "",
        f"The relative mean squared error of {REPLICATES} independent estimates on an MLP of 35 parameters, {told}:",
        "",
        f"![relative mean squared error over the number of directions]({name}.svg)",
        "",
    ]


def estimator_index(rows: Sequence[dict[str, Any]]) -> str:
    """Return the page that lists them."""
    lines = ["# Estimators", "", "| | estimate | cost | gives |", "| --- | --- | --- | --- |"]
    lines += [
        f"| [{row['name']}]({row['name']}.md) | `{row['estimate']}` | {_cell(row['cost'])} | {row['gives']} |"
        for row in rows
    ]
    tree = ["```{toctree}", ":hidden:", "", *(row["name"] for row in rows), "```"]
    return "\n".join([*lines, "", *tree]) + "\n"


# -- tables -------------------------------------------------------------------------------------------------
def decision_table(rows: Sequence[dict[str, Any]], found: dict[str, CellResult]) -> str:
    """Return what each estimator needs, costs and gives, with what was measured of it."""
    lines = [
        "| estimator | the loss must be | evaluations | relative error | time, in losses |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cell = found.get(row["name"])
        figures = ["", ""]
        if cell is not None and cell.accuracy is not None and cell.timing is not None:
            error = cell.accuracy.relative_error
            figures = [f"{error:.0e}" if error < 0.1 else f"{error:.1f}", f"{cell.loss_units:,.1f}"]
        name = f"[{row['name']}](generated/estimators/{row['name']}.md)"
        lines.append(f"| {name} | {_cell(row['needs'])} | {_cell(row['cost'])} | {figures[0]} | {figures[1]} |")
    return "\n".join(lines) + "\n"


def backend_table() -> str:
    """Return what each backend is and has, in the versions at hand."""
    lines = ["| backend | versions here | dtypes | native | devices here |", "| --- | --- | --- | --- | --- |"]
    for row in inventory.backends():
        if row["error"]:
            lines.append(f"| `{row['name']}` | {_cell(row['error'])} | | | |")
            continue
        versions = ", ".join(f"{name} {number}" for name, number in row["versions"].items())
        native = ", ".join(f"`{each}`" for each in row["native"])
        devices = ", ".join(row["devices"])
        lines.append(f"| `{row['name']}` | {versions} | {', '.join(row['dtypes'])} | {native} | {devices} |")
    return "\n".join(lines) + "\n"


def reference() -> str:
    """Return the page of all public names, each with one of its own, in reStructuredText, which autosummary reads."""
    lines = ["Reference", "=========", "", "Everything public, by where it is imported from.", ""]
    lines += _names_of(gradest, "gradest")
    for name in MODULES:
        lines += _names_of(getattr(gradest, name), f"gradest.{name}")
    kinds = {find_class("problems", name, gradest.Problem)[0] for name in gradest.names("problems")}
    listed = sorted(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)
    lines += _section("Problems", "What ``gradest.get_problem`` makes, by name.", listed)
    return "\n".join(lines) + "\n"


def _names_of(module: ModuleType, title: str) -> list[str]:
    public = [name for name in module.__all__ if _documented(getattr(module, name))]
    first = " ".join((inspect.getdoc(module) or "").split("\n\n")[0].split()).replace("`", "``")
    return _section(title, first, [f"{title}.{name}" for name in sorted(public, key=str.lower)])


def _section(title: str, first: str, listed: Sequence[str]) -> list[str]:
    return [
        title,
        "-" * len(title),
        "",
        first,
        "",
        ".. autosummary::",
        "   :toctree: reference",
        "",
        *(f"   {each}" for each in listed),
        "",
    ]


def _documented(value: Any) -> bool:
    """Return whether a name is a class or a function: constants stand in the text of their module."""
    return inspect.isclass(value) or inspect.isroutine(value)


def _cell(text: str) -> str:
    """Return a text that a Markdown table can hold."""
    return " ".join(str(text).split()).replace("|", "\\|")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages when a build begins."""
    app.connect("builder-inited", write_pages, priority=100)  # before autosummary reads what is written
    return {"parallel_read_safe": True, "parallel_write_safe": True}
