"""Draws figures with Matplotlib: for papers a PDF and an SVG each, with the data as CSV; or side by side in one file.

Colours, shapes and ticks are the figure's own, so that a figure looks alike on paper and on the page. Matplotlib is
imported when the first figure is drawn: most commands draw none, and it takes half a second. This module knows no
record.
"""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradest.errors import InvalidInputError, MissingDependencyError
from gradest_bench.report.figure import (
    BETWEEN,
    SHAPES,
    Axis,
    Figure,
    Point,
    Series,
    alike,
    drawable,
    few_decades,
    hollow,
    names_of,
    power_text,
)
from gradest_bench.results.export import csv_value
from gradest_bench.results.files import StorageError, replacing

_MARKERS = dict(zip(SHAPES, ("o", "s", "^", "D", "v", "P"), strict=True))
_SIZE_INCHES = (5.2, 3.6)
_PANEL_INCHES = (5.4, 4.6)
_PALE = 0.45
"""The opacity of pale marks."""


def require_drawing(path: Path | None = None) -> None:
    """Refuse, before anything is computed, what cannot be drawn: no Matplotlib, or a file of a kind that it writes not.

    Raises
    ------
    MissingDependencyError
        Matplotlib is not installed.
    InvalidInputError
        The ending of `path` names no format.
    """
    formats = sorted(_canvas_class()().canvas.get_supported_filetypes())
    if path is not None and path.suffix.removeprefix(".").lower() not in formats:
        raise InvalidInputError(
            f"a plot was to be written to {path}; its ending {path.suffix!r} names no format; "
            f"end it in one of: {', '.join(f'.{name}' for name in formats)}"
        )


def write_figures(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """Write each figure as PDF, SVG and CSV; return the paths of the PDFs.

    Raises
    ------
    MissingDependencyError
        Matplotlib is not installed.
    """
    canvas_class = _canvas_class()
    try:
        # before anything is drawn, which takes long
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"figures were to be kept in {folder}; {error.strerror}; choose another folder") from error
    written, names = [], names_of(figures)
    for figure in figures:
        pdf, svg, data = (folder / f"{names[figure.key]}.{ending}" for ending in ("pdf", "svg", "csv"))
        canvas = canvas_class(figsize=_SIZE_INCHES, layout="constrained")
        axes = canvas.add_subplot()
        _draw(figure, axes)
        axes.set_title(figure.title, fontsize="small")
        if figure.has_pale:
            # an entry of the legend without a mark: it explains those that are drawn
            axes.plot([], [], "o", markersize=4, color="0.4", alpha=_PALE, label=f"pale: {figure.pale_means}")
        axes.legend(fontsize="xx-small", ncols=2)
        for path in (pdf, svg):
            with replacing(path) as temporary:
                canvas.savefig(temporary)
        _write_data(figure, data)
        written.append(pdf)
    return written


def write_panels(figures: Sequence[Figure], path: Path, *, title: str) -> None:
    """Write what `draw_panels` draws to `path`; its ending says the format. Raises as that does."""
    write_drawn(draw_panels(figures, title=title), path)


def write_drawn(canvas: Any, path: Path) -> None:
    """Write a figure of Matplotlib's to `path`, whole or not at all; its ending says the format."""
    with replacing(path) as temporary:
        canvas.savefig(temporary, dpi=150)


def draw_panels(figures: Sequence[Figure], *, title: str) -> Any:
    """Return figures of the same axes side by side, with one legend, as one figure of Matplotlib's.

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
    figures = alike(figures)  # a panel may lack some of the names and variants, and all have one legend
    canvas = _canvas_class()(figsize=(_PANEL_INCHES[0] * len(figures), _PANEL_INCHES[1]), layout="constrained")
    one_measure = len({figure.x.label for figure in figures}) == 1  # seconds and steps have no axis in common
    panels = canvas.subplots(1, len(figures), sharex=one_measure, sharey=True, squeeze=False)[0]
    for figure, panel in zip(figures, panels, strict=True):
        _draw(figure, panel, size=8)
        panel.set_title(figure.title, loc="left", fontweight="bold")
        panel.grid(visible=True, which="major", alpha=0.3)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[1:]:
        panel.set_ylabel("")
    canvas.legend(handles=_keys(figures), loc="outside right upper", frameon=False)
    canvas.suptitle(title, x=0.01, horizontalalignment="left")
    return canvas


def _keys(figures: Sequence[Figure]) -> list[Any]:
    """Return the entries of the legend of several panels: a colour for each name, a shape for each variant, in grey."""
    from matplotlib.lines import Line2D

    first = figures[0]

    def entry(label: str, colour: str, marker: str) -> Any:
        return Line2D([], [], linestyle="none", marker=marker, color=colour, label=label)

    variants = dict.fromkeys(variant for figure in figures for variant in figure.variants)
    found = [entry(name, _colour(first, name), "o") for name in first.palette]
    found += [entry(variant, "0.4", _MARKERS[first.shape(variant)]) for variant in variants]
    if any(figure.has_pale for figure in figures):
        found.append(entry(f"pale: {first.pale_means}", "0.4", "o"))
        found[-1].set_alpha(_PALE)
    return found


def _canvas_class() -> Any:
    try:
        # not pyplot: it chooses a window system, and keeps every figure open until it is closed
        from matplotlib.figure import Figure as Bare
    except ImportError as error:
        raise MissingDependencyError(
            "figures as files need the package 'matplotlib', which is not installed; "
            "install it with: pip install 'gradest[report]'"
        ) from error

    class Canvas(Bare):
        """A figure that shows itself in a notebook, where by default only those of pyplot do."""

        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            self.savefig(file, format="png", dpi=100)
            return file.getvalue()

    return Canvas


def _colour(figure: Figure, name: str) -> str:
    return f"C{figure.colour(name)}"


def _draw(figure: Figure, axes: Any, *, size: float = 4) -> None:
    for series in figure.series:
        points = [p for p in series.points if drawable(figure.x, p.x) and drawable(figure.y, p.y)]
        colour = _colour(figure, series.name)
        if series.style == "theory":
            axes.plot([p.x for p in points], [p.y for p in points], "--", color=colour, linewidth=1, alpha=0.8)
        else:
            _draw_marks(figure, series, points, axes, size)
    axes.set(xlabel=figure.x.label, ylabel=figure.y.label)
    if figure.x.categories:
        axes.set_xticks(range(len(figure.x.categories)), figure.x.categories)
    for axis, described in ((axes.xaxis, figure.x), (axes.yaxis, figure.y)):
        _set_scale(axis, described)


def _draw_marks(figure: Figure, series: Series, points: Sequence[Point], axes: Any, size: float) -> None:
    """Draw one series: its line, its error bars, and its marks, pale ones apart, as opacity is that of a whole plot."""
    colour = _colour(figure, series.name)
    face, edge = ("none", colour) if hollow(series.variant) else (colour, "white")
    marks = {
        "linestyle": "none",
        "marker": _MARKERS[figure.shape(series.variant)],
        "markersize": size,
        "color": colour,
        "markerfacecolor": face,
        "markeredgecolor": edge,
        "markeredgewidth": 1 if hollow(series.variant) else 0.6,
    }
    line = "none" if series.style == "marks" else "-"
    # the legend's entry is drawn without points, so that it is not pale where every mark is
    axes.plot([], [], **{**marks, "linestyle": line, "linewidth": 1}, label=f"{series.name} {series.variant}".strip())
    axes.plot([p.x for p in points], [p.y for p in points], linestyle=line, linewidth=1, color=colour)
    for p in points:
        if p.low is not None and p.high is not None and drawable(figure.y, p.low):
            axes.plot([p.x, p.x], [p.low, p.high], "-", linewidth=1, color=colour, alpha=0.6)
    for pale in (False, True):
        shown = [p for p in points if p.pale is pale]
        axes.plot([p.x for p in shown], [p.y for p in shown], **marks, alpha=_PALE if pale else 1)


def _set_scale(axis: Any, described: Axis) -> None:
    """Set the scale of one of Matplotlib's axes, with ticks in the words that the page has."""
    if described.log and not described.categories:
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        axis.set_major_formatter(lambda value, _: power_text(round(math.log10(value))))
        axis.set_minor_formatter(lambda value, _: _between_text(value, *axis.get_view_interval()))


def _between_text(value: float, low: float, high: float) -> str:
    """Return the label of a tick between powers of ten: of an axis of few decades those at 2 and 5 have one."""
    # Matplotlib asks for the label of every minor tick, of which there are eight in a decade
    power = math.floor(math.log10(value))
    factor = round(value / 10.0**power)
    return power_text(power, factor) if few_decades(low, high) and factor in BETWEEN else ""


def _write_data(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("series", "variant", "style", figure.x.label, figure.y.label, "low", "high", "pale"))
        for series in figure.series:
            for p in series.points:
                names = (csv_value(name) for name in (series.name, series.variant, series.style))
                writer.writerow((*names, p.x, p.y, p.low, p.high, p.pale))
