"""A computation as an SVG drawing, with a layout of its own: no other program is needed.

Nodes stand in columns, each one to the right of all that it uses (Sugiyama, Tagawa & Toda 1981,
doi:10.1109/TSMC.1981.4308636). An arrow that crosses a column gets a place there, so that it runs through no box; the
places of a column are ordered by the mean of their neighbours' to the left.
"""

from collections.abc import Sequence
from html import escape

from gradest.graphs.step import Node

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 176, 62, 56, 22, 14

Place = tuple[int, int]
"""(node, column): where an arrow from the node passes, or the node itself in its own column."""


def columns_of(nodes: Sequence[Node]) -> list[int]:
    """Return the column of each node: one more than the last of those that it uses."""
    columns: list[int] = []
    for node in nodes:
        columns.append(1 + max((columns[p] for p in node.parents), default=-1))
    return columns


def places_of(nodes: Sequence[Node]) -> dict[Place, float]:
    """Return the height of each place, in rows, centred column by column."""
    columns = columns_of(nodes)
    last_use = list(columns)
    for k, node in enumerate(nodes):
        for parent in node.parents:
            last_use[parent] = max(last_use[parent], columns[k] - 1)
    heights: dict[Place, float] = {}
    for column in range(max(columns) + 1):
        here = [k for k in range(len(nodes)) if columns[k] <= column <= last_use[k]]
        wanted = {k: _wanted(k, nodes[k], columns[k], column, heights) for k in here}
        ordered = sorted(here, key=lambda k: (wanted[k], k))
        for row, k in enumerate(ordered):
            heights[k, column] = row - (len(ordered) - 1) / 2
    return heights


def _wanted(k: int, node: Node, own: int, column: int, heights: dict[Place, float]) -> float:
    """Return the mean height of what a place is joined with in the column before; inputs keep their order."""
    if own < column:
        return heights[k, column - 1]
    before = [heights[parent, column - 1] for parent in node.parents]
    return sum(before) / len(before) if before else float(k)


def svg(nodes: Sequence[Node], symbol: str) -> str:
    """Return the drawing, as the text of an SVG element."""
    columns, heights = columns_of(nodes), places_of(nodes)
    top = min(heights.values())
    rows = max(heights.values()) - top + 1
    width = (max(columns) + 1) * (WIDTH + GAP_X) - GAP_X + 2 * MARGIN
    height = rows * (HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN

    def corner(place: Place) -> tuple[float, float]:
        return MARGIN + place[1] * (WIDTH + GAP_X), MARGIN + (heights[place] - top) * (HEIGHT + GAP_Y)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} '
        f'{height:g}" font-family="sans-serif" font-size="12" role="img" aria-label="computation graph">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>',
    ]
    for k, node in enumerate(nodes):
        for parent in dict.fromkeys(node.parents):  # an operand used twice has one arrow
            parts.append(
                _arrow([corner((parent, c)) for c in range(columns[parent], columns[k])], corner((k, columns[k])))
            )
    for k, node in enumerate(nodes):
        parts.append(_box(node, *corner((k, columns[k])), symbol, last=k == len(nodes) - 1))
    return "".join([*parts, "</svg>"])


def _arrow(way: Sequence[tuple[float, float]], end: tuple[float, float]) -> str:
    """Return an arrow from the first box, level through the columns between, to the last box."""
    x, y = way[0][0] + WIDTH, way[0][1] + HEIGHT / 2
    path = f"M{x:g} {y:g}"
    for left, upper in (*way[1:], end):
        middle = upper + HEIGHT / 2
        path += f"C{x + GAP_X / 2:g} {y:g} {left - GAP_X / 2:g} {middle:g} {left:g} {middle:g}"
        if (left, upper) != end:
            path += f"H{left + WIDTH:g}"
        x, y = left + WIDTH, middle
    return f'<path d="{path}" fill="none" stroke="#555" marker-end="url(#tip)"/>'


def _box(node: Node, x: float, y: float, symbol: str, *, last: bool) -> str:
    name, value, derivative = (escape(line) for line in node.lines(symbol))
    fill = "#eaf3ff" if not node.parents else "#fff3df" if last else "#ffffff"
    turn = (
        ""
        if node.turn is None
        else (f'<text x="{x + WIDTH - 8:g}" y="{y + 17:g}" text-anchor="end" fill="#777">{node.turn}</text>')
    )
    radius = 3 if node.parents else 10
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="{radius}" fill="{fill}" stroke="#555"/>'
        f'<text x="{x + 10:g}" y="{y + 18:g}" font-weight="bold">{name}</text>'
        f'<text x="{x + 10:g}" y="{y + 36:g}">{value}</text>'
        f'<text x="{x + 10:g}" y="{y + 53:g}" fill="#a03000">{derivative}</text>{turn}'
    )
