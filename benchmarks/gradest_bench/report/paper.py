"""Figures drawn by Matplotlib: for papers a PDF and an SVG each, with the data as CSV; or side by side in one file."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradest.errors import InvalidInputError, MissingDependencyError
from gradest_bench.report.figure import Figure, drawable
from gradest_bench.report.svg import SHAPES, shape

_MARKERS = ("o", "s", "^", "D", "v", "P")
_SIZE_INCHES = (5.2, 3.6)
_PANEL_INCHES = (5.4, 4.6)


def write_figures(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """Write each figure as PDF, SVG and CSV; return the paths of the PDFs.

    Raises
    ------
    MissingDependencyError
        Matplotlib is not installed.
    """
    canvas_class = _canvas_class()
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for figure in figures:
        stem = folder / re.sub(r"[^A-Za-z0-9]+", "-", figure.key).strip("-").lower()
        canvas = canvas_class(figsize=_SIZE_INCHES, layout="constrained")
        axes = canvas.add_subplot()
        _draw(figure, axes)
        axes.legend(fontsize="xx-small", ncols=2)
        for suffix in (".pdf", ".svg"):
            canvas.savefig(stem.with_suffix(suffix))
        _write_data(figure, stem.with_suffix(".csv"))
        written.append(stem.with_suffix(".pdf"))
    return written


def write_panels(figures: Sequence[Figure], path: Path, *, title: str) -> None:
    """Write figures of the same axes side by side, with one legend, to `path`; its ending says the format.

    The legend names each colour and each shape once, where `write_figures` names each series.

    Raises
    ------
    MissingDependencyError
        Matplotlib is not installed.
    InvalidInputError
        There is no figure.
    """
    if not figures:
        raise InvalidInputError("a plot was asked for; no cell ran, so there is nothing to plot")
    canvas = _canvas_class()(figsize=(_PANEL_INCHES[0] * len(figures), _PANEL_INCHES[1]), layout="constrained")
    panels = canvas.subplots(1, len(figures), sharex=True, sharey=True, squeeze=False)[0]
    for figure, panel in zip(figures, panels, strict=True):
        _draw(figure, panel, size=8)
        panel.grid(visible=True, which="major", alpha=0.3)
    for panel in panels[1:]:
        panel.set_ylabel("")
    first = figures[0]
    for name in first.names:
        panels[0].plot([], [], "o", color=_colour(first, name), label=name)
    for variant in first.variants:
        panels[0].plot([], [], _marker(first, variant), color="0.4", label=variant)
    handles = panels[0].get_legend_handles_labels()
    known = {label: handle for handle, label in zip(*handles, strict=True) if label in (*first.names, *first.variants)}
    canvas.legend(known.values(), known.keys(), loc="outside right upper", frameon=False)
    canvas.suptitle(title)
    canvas.savefig(path, dpi=150)


def _canvas_class() -> Any:
    try:
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        raise MissingDependencyError(
            "figures as files need the package 'matplotlib', which is not installed; "
            "install it with: pip install 'gradest[report]'"
        ) from error
    return Canvas


def _colour(figure: Figure, name: str) -> str:
    return f"C{figure.names.index(name) % 10}"


def _marker(figure: Figure, variant: str) -> str:
    return _MARKERS[SHAPES.index(shape(figure, variant))]


def _draw(figure: Figure, axes: Any, *, size: float = 4) -> None:
    for series in figure.series:
        points = [p for p in series.points if drawable(figure.x, p.x) and drawable(figure.y, p.y)]
        colour = _colour(figure, series.name)
        x, y = [p.x for p in points], [p.y for p in points]
        if series.style == "theory":
            axes.plot(x, y, "--", color=colour, linewidth=1, alpha=0.8)
            continue
        marker = _marker(figure, series.variant)
        face = "none" if " " in series.variant else colour
        style = "none" if series.style == "marks" else "-"
        label = f"{series.name} {series.variant}".strip()
        axes.plot(
            x, y, linestyle=style, marker=marker, markersize=size, linewidth=1, color=colour, label=label, mfc=face
        )
    axes.set(xlabel=figure.x.label, ylabel=figure.y.label)
    axes.set_title(figure.title, fontsize="small")
    if figure.x.categories:
        axes.set_xticks(range(len(figure.x.categories)), figure.x.categories)
    elif figure.x.log:
        axes.set_xscale("log")
    if figure.y.log:
        axes.set_yscale("log")


def _write_data(figure: Figure, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("series", "variant", "style", figure.x.label, figure.y.label, "low", "high"))
        for series in figure.series:
            for p in series.points:
                writer.writerow((series.name, series.variant, series.style, p.x, p.y, p.low, p.high))
