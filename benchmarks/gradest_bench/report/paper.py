"""The figures of a run for papers: a PDF and an SVG each, with the data beside them as CSV."""

import csv
import re
from pathlib import Path
from typing import Any

from gradest.errors import MissingDependencyError
from gradest_bench.report.figure import Figure, drawable
from gradest_bench.report.svg import SHAPES, shape

_MARKERS = ("o", "s", "^", "D", "v", "P")
_SIZE_INCHES = (5.2, 3.6)


def write_figures(figures: list[Figure], folder: Path) -> list[Path]:
    """Write each figure as PDF, SVG and CSV; return the paths of the PDFs.

    Raises
    ------
    MissingDependencyError
        Matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        raise MissingDependencyError(
            "figures for papers need the package 'matplotlib', which is not installed; "
            "install it with: pip install 'gradest[report]'"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for figure in figures:
        stem = folder / re.sub(r"[^A-Za-z0-9]+", "-", figure.key).strip("-").lower()
        canvas = Canvas(figsize=_SIZE_INCHES, layout="constrained")
        _draw(figure, canvas.add_subplot())
        for suffix in (".pdf", ".svg"):
            canvas.savefig(stem.with_suffix(suffix))
        _write_data(figure, stem.with_suffix(".csv"))
        written.append(stem.with_suffix(".pdf"))
    return written


def _draw(figure: Figure, axes: Any) -> None:
    for series in figure.series:
        points = [p for p in series.points if drawable(figure.x, p.x) and drawable(figure.y, p.y)]
        colour = f"C{figure.names.index(series.name) % 10}"
        x, y = [p.x for p in points], [p.y for p in points]
        if series.style == "theory":
            axes.plot(x, y, "--", color=colour, linewidth=1, alpha=0.8)
            continue
        marker = _MARKERS[SHAPES.index(shape(figure, series.variant))]
        face = "none" if " " in series.variant else colour
        style = "none" if series.style == "marks" else "-"
        label = f"{series.name} {series.variant}".strip()
        axes.plot(x, y, linestyle=style, marker=marker, markersize=4, linewidth=1, color=colour, label=label, mfc=face)
    axes.set(xlabel=figure.x.label, ylabel=figure.y.label)
    axes.set_title(figure.title, fontsize="small")
    if figure.x.categories:
        axes.set_xticks(range(len(figure.x.categories)), figure.x.categories)
    elif figure.x.log:
        axes.set_xscale("log")
    if figure.y.log:
        axes.set_yscale("log")
    axes.legend(fontsize="xx-small", ncols=2)


def _write_data(figure: Figure, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("series", "variant", "style", figure.x.label, figure.y.label, "low", "high"))
        for series in figure.series:
            for p in series.points:
                writer.writerow((series.name, series.variant, series.style, p.x, p.y, p.low, p.high))
