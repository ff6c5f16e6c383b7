"""Draws a figure as inline SVG: static, styled by the page, with a tip on every mark. This module knows no record."""

from html import escape

from gradest_bench.report.figure import Figure, Point, Scale, Series, drawable, hollow, scale_of

WIDTH, HEIGHT = 720, 430
LEFT, RIGHT, TOP, BOTTOM = 74, 18, 14, 56
_MARK = 4.5
_UPRIGHT_CATEGORIES = 6
"""More categories than these have slanted labels, and more room below."""
_CATEGORY_ROOM = {False: 11, True: 26}
"""The most characters of a category's label, upright and slanted."""
_SLANTED_BOTTOM = 150


def draw(figure: Figure) -> str:
    """Return the figure's `<svg>` element."""
    points = [point for series in figure.series for point in series.points]
    x = scale_of(figure.x, [point.x for point in points])
    ends = [end for point in points for end in (point.low, point.high) if end is not None]
    y = scale_of(figure.y, [point.y for point in points] + ends)
    height = HEIGHT - BOTTOM + _bottom(figure)
    parts = [  # later parts lie above earlier ones: marks must not be hidden by the grid
        f'<svg viewBox="0 0 {WIDTH} {height}" role="group" aria-label="{escape(figure.title)}">',
        *_axes(figure, x, y),
        *(part for series in figure.series for part in _series(figure, series, x, y)),
        "</svg>",
    ]
    return "".join(parts)


def mark_class(variant: str) -> str:
    """Return the style class of the marks of a variant: hollow where kernels are not portable."""
    return "mark hollow" if hollow(variant) else "mark"


def _across(x: Scale, value: float) -> float:
    return LEFT + x.position(value) * (WIDTH - LEFT - RIGHT)


def _down(y: Scale, value: float) -> float:
    return HEIGHT - BOTTOM - y.position(value) * (HEIGHT - TOP - BOTTOM)


def _slanted(figure: Figure) -> bool:
    return len(figure.x.categories) > _UPRIGHT_CATEGORIES


def _bottom(figure: Figure) -> int:
    return _SLANTED_BOTTOM if _slanted(figure) else BOTTOM


def _axes(figure: Figure, x: Scale, y: Scale) -> list[str]:
    base, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{right - LEFT}" height="{base - TOP}"/>']
    for value, label in x.ticks():
        at = _across(x, value)
        slanted = _slanted(figure)
        room = _CATEGORY_ROOM[slanted]
        short = label if len(label) <= room else label[: room - 1] + "…"
        turn = f'text-anchor="end" transform="rotate(-35 {at:.1f} {base + 17})"' if slanted else 'text-anchor="middle"'
        parts.append(f'<line class="grid" x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{base}"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{base + 17}" {turn}>{escape(short)}</text>')
    for value, label in y.ticks():
        at = _down(y, value)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{escape(label)}</text>')
    middle = (TOP + base) / 2
    across, lowest = (LEFT + right) / 2, base + _bottom(figure) - 12
    parts.append(f'<text class="label" x="{across}" y="{lowest}" text-anchor="middle">{escape(figure.x.label)}</text>')
    turned = f'transform="rotate(-90 16 {middle})"'
    parts.append(
        f'<text class="label" x="16" y="{middle}" text-anchor="middle" {turned}>{escape(figure.y.label)}</text>'
    )
    return parts


def _series(figure: Figure, series: Series, x: Scale, y: Scale) -> list[str]:
    points = [p for p in series.points if drawable(figure.x, p.x) and drawable(figure.y, p.y)]
    number = figure.colour(series.name)
    parts = [
        f'<g class="series c{number} {series.style}" data-name="{escape(series.name)}" '
        f'data-variant="{escape(series.variant)}">'
    ]
    if series.style != "marks" and len(points) > 1:
        path = " ".join(f"{_across(x, p.x):.1f},{_down(y, p.y):.1f}" for p in points)
        parts.append(f'<polyline points="{path}"/>')
    if series.style != "theory":
        kind = figure.shape(series.variant)
        style = mark_class(series.variant)
        parts += [part for point in points for part in _mark(figure, point, kind, style, x, y)]
    return [*parts, "</g>"]


def _mark(figure: Figure, point: Point, kind: str, style: str, x: Scale, y: Scale) -> list[str]:
    across, down = _across(x, point.x), _down(y, point.y)
    parts = []
    ends = (point.low, point.high)
    if all(end is not None and drawable(figure.y, end) for end in ends):
        low, high = (_down(y, end) for end in ends if end is not None)
        parts.append(f'<line class="bar" x1="{across:.1f}" y1="{low:.1f}" x2="{across:.1f}" y2="{high:.1f}"/>')
    tip = escape(point.tip, quote=True)
    style += " pale" if point.pale else ""
    # a tabindex lets tips be reached without a mouse, and the label lets them be heard
    heard = f'tabindex="0" role="img" aria-label="{tip}"'
    parts.append(f'<path class="{style}" {heard} data-tip="{tip}" d="{outline(kind, across, down, _MARK)}"/>')
    return parts


def outline(kind: str, x: float, y: float, r: float) -> str:
    """Return the path of a mark around a point."""
    if kind == "circle":
        return f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z"
    corners = {
        "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        "triangle": ((0, -1.2), (1.2, 1), (-1.2, 1)),
        "diamond": ((0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)),
        "down": ((0, 1.2), (1.2, -1), (-1.2, -1)),
        "plus": (
            (-0.4, -1.3), (0.4, -1.3), (0.4, -0.4), (1.3, -0.4), (1.3, 0.4), (0.4, 0.4),
            (0.4, 1.3), (-0.4, 1.3), (-0.4, 0.4), (-1.3, 0.4), (-1.3, -0.4), (-0.4, -0.4),
        ),
    }[kind]  # fmt: skip
    return "M" + "L".join(f"{x + r * dx:.1f} {y + r * dy:.1f}" for dx, dy in corners) + "z"
