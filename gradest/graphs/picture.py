"""A computation as an SVG drawing, with a layout of its own: no other program is needed.

Nodes stand in columns, each one to the right of all that it uses (Sugiyama, Tagawa & Toda 1981,
doi:10.1109/TSMC.1981.4308636). An arrow that crosses a column gets a place there, so that it runs through no box; the
places of a column are ordered by the mean of their neighbours' to the left.
"""

from collections.abc import Iterator, Sequence
from html import escape

from gradest.graphs.step import Node

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 176, 62, 56, 22, 14

Place = tuple[int, int]
"""(node, column): where an arrow from the node passes, or the node itself in its own column."""


def columns_of(nodes: Sequence[Node]) -> list[int]:
    """Return the column of each node: inputs first, the others to the right of all that they use."""
    columns: list[int] = []
    for node in nodes:
        columns.append(1 + max((columns[p] for p in node.parents), default=-1))
    # What a loop makes of its inputs alone could stand at the very left, and each turn's would have a line of its own
    # across all turns before. So each goes as far to the right as its uses let it.
    first_use: dict[int, int] = {}
    for k in reversed(range(len(nodes))):
        if k in first_use and nodes[k].parents:
            columns[k] = first_use[k] - 1
        for parent in nodes[k].parents:
            first_use[parent] = min(first_use.get(parent, columns[k]), columns[k])
    return columns


def places_of(nodes: Sequence[Node]) -> dict[Place, float]:
    """Return the height of each place, in rows, centred column by column."""
    columns = columns_of(nodes)
    last_use = list(columns)
    for k, node in enumerate(nodes):
        for parent in node.parents:
            last_use[parent] = max(last_use[parent], columns[k] - 1)
    present: list[list[int]] = [[] for _ in range(max(columns) + 1)]
    for k, (first, last) in enumerate(zip(columns, last_use, strict=True)):
        for column in range(first, last + 1):
            present[column].append(k)
    heights: dict[Place, float] = {}
    for column, here in enumerate(present):
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
    corners = {place: corner(place) for place in heights}
    parts += _arrows(nodes, columns, corners)
    for k, node in enumerate(nodes):
        parts.append(_box(node, *corner((k, columns[k])), symbol, last=k == len(nodes) - 1))
    return "".join([*parts, "</svg>"])


def _arrows(nodes: Sequence[Node], columns: Sequence[int], corners: dict[Place, tuple[float, float]]) -> Iterator[str]:
    """Yield a line from each node through the columns that its arrows cross, and an arrow from there to each use.

    The line is drawn once for all uses: a weight that each turn of a loop uses would have as many as there are turns.
    """
    for (origin, column), (x, _) in corners.items():
        if column > columns[origin]:
            yield _line(f"{_bend(corners[origin, column - 1], corners[origin, column])}H{x + WIDTH:g}")
    for k, node in enumerate(nodes):
        for parent in dict.fromkeys(node.parents):  # an operand used twice has one arrow
            yield _line(_bend(corners[parent, columns[k] - 1], corners[k, columns[k]]), tip=' marker-end="url(#tip)"')


def _bend(start: tuple[float, float], end: tuple[float, float]) -> str:
    """Return a path from the right side of a place to the left side of one in the next column."""
    x, y, lower = start[0] + WIDTH, start[1] + HEIGHT / 2, end[1] + HEIGHT / 2
    halfway = x + GAP_X / 2
    return f"M{x:g} {y:g}C{halfway:g} {y:g} {halfway:g} {lower:g} {end[0]:g} {lower:g}"


def _line(path: str, tip: str = "") -> str:
    return f'<path d="{path}" fill="none" stroke="#555"{tip}/>'


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
