"""Writes the pages that follow from the code before Sphinx reads them: estimators, backends, the reference.

What stands in them is asked of the registry, of the backends and of measurements made now; nothing is copied by hand.
"""

import inspect
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import committed_results
import matplotlib
from advice import advice_table
from committed_results import LINK, PROBLEMS, Found
from sphinx.application import Sphinx
from sphinx.util import logging
from usage import usage

import gradest
from gradest.registry import find_class
from gradest_bench.command import inventory
from gradest_bench.report.units import DISTURBED, DISTURBED_MEANS, mark

matplotlib.use("svg")
import matplotlib.pyplot as plt  # after the choice of what draws

HERE = Path(__file__).resolve().parents[1]
GENERATED = HERE / "generated"
DIRECTIONS = (4, 16, 64)
REPLICATES = 64
MEANS = f"Time is in evaluations of the same loss; {DISTURBED} {DISTURBED_MEANS}."
LOG = logging.getLogger(__name__)

MODULES = ("estimators", "datasets", "directions", "theory", "testing", "training")
"""Packages whose names have a page each in the reference, beside those of `gradest` itself."""


def small_problem() -> gradest.Problem:
    """Return the network on which the pages' figures are measured: 35 parameters, 16 examples."""
    return gradest.get_problem("mlp", dataset="iris", widths=(4,), batch=16)


def write_pages(app: Sphinx) -> None:
    """Write everything under `generated/`."""
    start = time.perf_counter()
    forget_scripts()
    (GENERATED / "estimators").mkdir(parents=True, exist_ok=True)
    rows = inventory.estimators()
    broken = [row for row in rows if row["error"]]
    if broken:
        raise RuntimeError(f"estimators that cannot be loaded: {broken}")
    _write("choose-first.md", advice_table())
    _write("choose-table.md", decision_table(rows))
    for row in rows:
        _write(f"estimators/{row['name']}.md", estimator_page(row))
    _write("estimators/index.md", estimator_index(rows))
    _write("backends.md", f"{backend_table()}\n{tested_versions()}")
    _write("audit.md", committed_results.audit_table())
    _write("reference.rst", reference())
    LOG.info("pages of the registry written in %.1f s", time.perf_counter() - start)


def forget_scripts() -> None:
    """Remove the pages of scripts that are no longer there: they are in no gallery, of which Sphinx would complain."""
    for gallery in ("lessons", "figures"):
        scripts = {path.stem for path in (HERE.parent / "examples" / gallery).glob("*.py")}
        for page in (GENERATED / gallery).glob("*.rst"):
            if page.stem not in scripts | {"index", "sg_execution_times"}:
                page.unlink()


def _write(name: str, text: str) -> None:
    path = GENERATED / name
    if not path.exists() or path.read_text(encoding="utf-8") != text:  # Sphinx reads again what is newer
        path.write_text(text, encoding="utf-8")


# -- one page an estimator ----------------------------------------------------------------------------------
def estimator_page(row: dict[str, Any]) -> str:
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
    lines += ["## Use", "", "```python", usage(name), "```", ""]
    lines += _found(name)
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


def _found(name: str) -> list[str]:
    """Return what the committed record says of an estimator; of what it lacks, that it lacks it."""
    found = {label: cell for label in PROBLEMS if (cell := committed_results.measured().get((label, name)))}
    if not found:
        return ["## Measured", "", f"The {LINK} of the documentation has no figures of it.", ""]
    headings = ["P", "relative error", "cosine", "predicted", "MSE", "predicted", "evaluations", "time, in losses"]
    lines = [
        "## Measured",
        "",
        f"One estimate, {committed_results.origin()} ({LINK}). Cosine and MSE are means of 8.",
        "",
    ]
    lines += [f"| {' | '.join(headings)} | path |", f"| {' | '.join(['---'] * len(headings))} | --- |"]
    for cell in found.values():
        texts = [
            f"{cell.num_parameters:,}",
            f"{cell.relative_error:.1e}",
            f"{cell.cosine:.4f}",
            _number(cell.predicted_cosine, ".4f"),
            "" if cell.relative_mse is None else f"{cell.relative_mse:.3g} ± {cell.relative_mse_error:.1g}",
            _number(cell.predicted_mse, ".3g"),
            cell.evaluations,
            _time(cell),
        ]
        lines.append(f"| {' | '.join(texts)} | {cell.path} |")
    networks = "; ".join(f"P = {found[label].num_parameters:,}: {PROBLEMS[label]}" for label in found)
    return [*lines, "", f"{networks}. {MEANS}", ""]


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _time(cell: Found) -> str:
    return f"{cell.loss_units:,.1f}{mark(disturbed=cell.disturbed)}"


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
    found = [cell.replicates for cell in cells if cell.replicates]
    if len(found) < len(DIRECTIONS):
        return []
    # What forgets the length of the gradient has no mean squared error to speak of; its direction can be compared.
    shaped = all(cell.predicted is not None and cell.predicted.relative_mse is None for cell in cells)
    measured = [each.cosine if shaped else each.relative_mse for each in found]
    bars = None if shaped else [2 * each.relative_mse_error for each in found]
    predicted = [
        cell.predicted and (cell.predicted.cosine if shaped else cell.predicted.relative_mse) for cell in cells
    ]
    told = None not in predicted
    what = "mean cosine with the gradient" if shaped else "relative mean squared error"
    _draw(GENERATED / "estimators" / f"{name}.svg", measured, bars, predicted if told else None, what)
    beside = "beside what theory predicts" if told else "; no formula is stated for it"
    return [
        "## Its direction" if shaped else "## Its error",
        "",
        f"The {what} of {REPLICATES} independent estimates on an MLP of 35 parameters, {beside}:",
        "",
        f"![{what} over the number of directions]({name}.svg)",
        "",
    ]


def _draw(
    path: Path, measured: Sequence[float], bars: Sequence[float] | None, predicted: Sequence[Any] | None, what: str
) -> None:
    """Write a figure of what was measured over the number of directions; only errors have bars, and are logarithmic."""
    figure, axes = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    label = "measured" if bars is None else "measured, 2 standard errors"
    axes.errorbar(DIRECTIONS, measured, bars, fmt="o", label=label)
    if predicted is not None:
        axes.plot(DIRECTIONS, predicted, "-", label="predicted")
    axes.set(xscale="log", yscale="linear" if bars is None else "log", xlabel="directions N", ylabel=what)
    axes.set_xticks(DIRECTIONS, [str(n) for n in DIRECTIONS])
    axes.minorticks_off()
    axes.legend()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


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
def decision_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return what each estimator needs, costs and gives, with what the committed record says of it."""
    sizes = ("small", "middle", "large")
    counts = {label: cell.num_parameters for (label, _), cell in committed_results.measured().items()}
    heading = "".join(f" error, P = {counts[label]:,} | time |" for label in sizes)
    lines = [
        f"| estimator | the loss must be | evaluations |{heading} | ",
        f"| --- | --- | --- |{' --- | --- |' * len(sizes)} --- |",
    ]
    for row in rows:
        figures = []
        for label in sizes:
            cell = committed_results.measured().get((label, row["name"]))
            figures += ["", ""] if cell is None else [cell.error_text, _time(cell)]
        name = f"[{row['name']}](generated/estimators/{row['name']}.md)"
        lines.append(f"| {name} | {_cell(row['needs'])} | {_cell(row['cost'])} | {' | '.join(figures)} | {LINK} |")
    return "\n".join([*lines, "", f"{committed_results.origin()}. {MEANS}"]) + "\n"


def backend_table() -> str:
    """Return what each backend is and has, in the versions at hand."""
    lines = ["| backend | versions here | dtypes | native | devices here |", "| --- | --- | --- | --- | --- |"]
    for row in inventory.backends():
        if row["error"]:
            lines.append(f"| `{row['name']}` | {_cell(row['error'])} | | | |")
            continue
        # Builds have names and flags as well; a reader looks for numbers here, and `gradest doctor` has the rest.
        numbers = {name: number for name, number in row["versions"].items() if number[:1].isdigit()}
        versions = ", ".join(f"{name} {number}" for name, number in numbers.items())
        native = ", ".join(f"`{each}`" for each in row["native"])
        devices = ", ".join(row["devices"])
        lines.append(f"| `{row['name']}` | {versions} | {', '.join(row['dtypes'])} | {native} | {devices} |")
    return "\n".join(lines) + "\n"


def tested_versions() -> str:
    """Return which versions are tested together: a row for each file of pins, whose name says the Python."""
    packages = ("numpy", "jax", "torch", "mxnet")
    lines = [f"| tested together | {' | '.join(packages)} |", f"| --- |{' --- |' * len(packages)}"]
    for path in sorted((HERE.parent / "constraints").glob("py*.txt")):
        pins = dict(line.lower().split("==") for line in path.read_text(encoding="utf-8").split() if "==" in line)
        python = f"Python {path.stem[2]}.{path.stem.partition('-')[0][3:]}"
        lines.append(f"| {python}, `constraints/{path.name}` | {' | '.join(pins.get(each, '') for each in packages)} |")
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
