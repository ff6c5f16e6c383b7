"""Writes pieces of HTML: tables that can be sorted and filtered, figures with legends. This module knows no record."""

from collections.abc import Sequence
from dataclasses import dataclass

from gradest_bench.report.figure import Figure
from gradest_bench.report.printable import escape
from gradest_bench.report.svg import draw, mark_class, outline

ROWS_SHOWN = 200
"""As many as the script shows at a time."""
_LEGEND_MIDDLE, _LEGEND_MARK = 7, 4.5


@dataclass(frozen=True)
class TableCell:
    """One cell of a table: its text, the number it is sorted by, the style class it has.

    `link` is where the text leads; `drawing` is HTML that stands beside it, of the harness's own making.
    """

    text: str
    value: float | None = None
    style: str = ""
    numeric: bool = False
    link: str = ""
    drawing: str = ""


def text_cell(text: object, style: str = "", *, link: str = "") -> TableCell:
    """Return a cell of text."""
    return TableCell("" if text is None else str(text), style=style, link=link)


def number_cell(value: float | None, shown: str, style: str = "") -> TableCell:
    """Return a cell of a number, empty where there is none."""
    missing = value is None or value != value  # NaN: it has no place in an order
    return TableCell("" if missing else shown, None if missing else value, style, numeric=True)


def table(name: str, headings: Sequence[str], rows: Sequence[Sequence[TableCell]]) -> str:
    """Return a table with a filter, a count of rows, and headings that sort; without a script it has all its rows."""
    # by any row that has a number: the first may be empty there
    numeric = {column for row in rows for column, cell in enumerate(row) if cell.numeric}
    head = "".join(_heading(heading, numeric=column in numeric) for column, heading in enumerate(headings))
    return (
        f'<div class="table" data-name="{escape(name)}" data-rows="{len(rows)}"><div class="tools">'
        f'<input type="search" placeholder="filter: words, -word" aria-label="filter {escape(name)}">'
        f'<output aria-live="polite"></output><button type="button" class="csv">CSV</button></div>'
        # an area that scrolls must take the focus, or no key scrolls it
        f'<div class="scroll" tabindex="0" role="region" aria-label="table of {escape(name)}">'
        f"<table><caption>{escape(name)}</caption><thead><tr>{head}</tr></thead>{_body(rows[:ROWS_SHOWN])}</table>"
        f"{_rest(rows[ROWS_SHOWN:])}</div></div>"
    )


def _heading(heading: str, *, numeric: bool) -> str:
    """Return the heading of a column, which stands over its numbers as they stand: to the right."""
    style = ' class="number"' if numeric else ""
    return f'<th scope="col"{style}><button type="button">{escape(heading)}</button></th>'


def _body(rows: Sequence[Sequence[TableCell]]) -> str:
    return "".join(["<tbody>", *(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows), "</tbody>"])


def _rest(rows: Sequence[Sequence[TableCell]]) -> str:
    """Return further rows so that a browser with scripts takes them for text until they are asked for.

    Ten thousand rows are half a million elements, and a page that makes them all opens in seconds.
    """
    return f"<noscript><table>{_body(rows)}</table></noscript>" if rows else ""


def _cell(cell: TableCell) -> str:
    style = f' class="{cell.style}"' if cell.style else ""  # numbers are told by their value: a table has many cells
    value = f' data-value="{_in_script(cell.value)}"' if cell.numeric else ""
    text = f'<a href="{escape(cell.link)}">{escape(cell.text)}</a>' if cell.link else escape(cell.text)
    return f"<td{style}{value}>{cell.drawing}{text}</td>"


def _in_script(value: float | None) -> str:
    """Return a number as a script reads it, to which "inf" is none."""
    return "" if value is None else f"{value:.9g}".replace("inf", "Infinity")


FIGURE_KEYS = (
    '<p class="keys">A click on an entry of a legend switches its series off and on; a double click, or the key '
    "<kbd>s</kbd>, shows it alone. Arrow keys go from mark to mark. The address of this page keeps what is seen.</p>"
)
"""What a figure answers to, for its readers; it is shown where a script makes it so."""


def figure_html(figure: Figure, anchor: str) -> str:
    """Return a figure with its title, its sentence, and a legend whose entries switch series on and off."""
    sentence = figure.sentence
    if figure.has_bars and figure.bars_mean:
        sentence += f" Bars: {figure.bars_mean}."
    if figure.has_pale:
        sentence += f" Pale marks: {figure.pale_means}."
    return (
        f'<figure id="{escape(anchor)}" data-key="{escape(figure.key)}">'
        f'<h3><a href="#{escape(anchor)}">{escape(figure.title)}</a></h3>'
        f"<figcaption>{escape(sentence)}</figcaption>"
        f'<div class="plot">{draw(figure)}</div>{_legend(figure)}</figure>'
    )


def _legend(figure: Figure) -> str:
    entries = []
    marked = dict.fromkeys(series.name for series in figure.series if series.style != "theory")
    for name in marked:
        path = outline("circle", _LEGEND_MIDDLE, _LEGEND_MIDDLE, _LEGEND_MARK)
        entries.append(_entry("name", name, f"c{figure.colour(name)}", path, ""))
    if len(figure.variants) > 1:
        for variant in figure.variants:
            path = outline(figure.shape(variant), _LEGEND_MIDDLE, _LEGEND_MIDDLE, _LEGEND_MARK)
            entries.append(_entry("variant", variant, "", path, mark_class(variant).removeprefix("mark").strip()))
    # a single point makes no line: the legend tells of what is drawn alone
    if any(series.style == "theory" and len(series.points) > 1 for series in figure.series):
        entries.append(_entry("style", "theory", "", f"M0 {_LEGEND_MIDDLE}H14", "dashed", shown=figure.dashed_means))
    return f'<div class="legend" role="group" aria-label="series">{"".join(entries)}</div>'


def _entry(kind: str, value: str, style: str, path: str, mark: str, *, shown: str = "") -> str:
    return (
        f'<button type="button" data-kind="{kind}" value="{escape(value)}" aria-pressed="true" aria-keyshortcuts="s">'
        f'<svg viewBox="0 0 14 14" class="{style}" aria-hidden="true"><path class="{mark}" d="{path}"/></svg>'
        f"{escape(shown or value)}</button>"
    )
