"""Draws a figure as inline SVG: static, styled by the page, with a tip on every mark. This module knows no record."""

from gradest_bench.report.figure import Figure, Point, Scale, Series, drawable, hollow, scale_of
from gradest_bench.report.printable import escape

WIDTH, HEIGHT = 720, 430
LEFT, RIGHT, TOP, BOTTOM = 90, 18, 14, 62
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
    # with the ends of error bars, which would else leave the frame
    y = scale_of(figure.y, [point.y for point in points] + ends)
    height = HEIGHT - BOTTOM + _bottom(figure)
    wide = ' class="wide"' if figure.x.categories else ""  # labels of categories cannot be read at a phone's width
    # the ranges and the frame let a script draw an axis anew, and tell what number a place stands for
    frame = f'data-frame="{LEFT} {TOP} {WIDTH - RIGHT} {HEIGHT - BOTTOM}"{_range("x", x)}{_range("y", y)}'
    parts = [  # later parts lie above earlier ones: marks must not be hidden by the grid
        f'<svg viewBox="0 0 {WIDTH} {height}"{wide} role="group" aria-label="{escape(figure.title)}" {frame}>',
        *_axes(figure, x, y),
    ]
    reached = True
    for series in figure.series:
        drawn = _series(figure, series, x, y, reached=reached)
        # one mark of a figure takes the tabulator; of hundreds that all did, nobody would come past
        reached = reached and not any('tabindex="0"' in part for part in drawn)
        parts += drawn
    return "".join([*parts, "</svg>"])


def _range(name: str, scale: Scale) -> str:
    """Return the ends of a logarithmic axis as an attribute; nothing for an axis that has no other scale."""
    return f' data-{name}="{scale.low!r} {scale.high!r}"' if scale.axis.log and not scale.axis.categories else ""


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
    parts.append('<g class="ticks" data-axis="x">')
    for value, label in x.ticks():
        at = _across(x, value)
        slanted = _slanted(figure)
        room = _CATEGORY_ROOM[slanted]
        short = label if len(label) <= room else label[: room - 1] + "…"
        turn = f'text-anchor="end" transform="rotate(-35 {at:.1f} {base + 19})"' if slanted else 'text-anchor="middle"'
        parts.append(f'<line class="grid" x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{base}"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{base + 19}" {turn}>{escape(short)}</text>')
    parts.append('</g><g class="ticks" data-axis="y">')
    for value, label in y.ticks():
        at = _down(y, value)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{escape(label)}</text>')
    parts.append("</g>")
    middle = (TOP + base) / 2
    across, lowest = (LEFT + right) / 2, base + _bottom(figure) - 10
    parts.append(f'<text class="label" x="{across}" y="{lowest}" text-anchor="middle">{escape(figure.x.label)}</text>')
    turned = f'transform="rotate(-90 20 {middle})"'
    parts.append(
        f'<text class="label" x="20" y="{middle}" text-anchor="middle" {turned}>{escape(figure.y.label)}</text>'
    )
    return parts


def _series(figure: Figure, series: Series, x: Scale, y: Scale, *, reached: bool) -> list[str]:
    """Return one series; the first mark of a figure is `reached` by the tabulator, the others by arrows from there."""
    points = [p for p in series.points if drawable(figure.x, p.x) and drawable(figure.y, p.y)]
    number = figure.colour(series.name)
    kind = ' data-style="theory"' if series.style == "theory" else ""
    parts = [
        f'<g class="series c{number} {series.style}" data-name="{escape(series.name)}" '
        f'data-variant="{escape(series.variant)}"{kind}>'
    ]
    if series.style != "marks" and len(points) > 1:
        # two decimals: a script that draws the axis anew reads the numbers from these places
        path = " ".join(f"{_across(x, p.x):.2f},{_down(y, p.y):.2f}" for p in points)
        parts.append(f'<polyline points="{path}"/>')
    if series.style != "theory":
        shape = outline(figure.shape(series.variant), 0, 0, _MARK)
        for k, point in enumerate(points):
            parts += _bar(figure, point, x, y)
            parts.append(_mark(point, shape, mark_class(series.variant), x, y, reached=reached and k == 0))
    return [*parts, "</g>"]


def _bar(figure: Figure, point: Point, x: Scale, y: Scale) -> list[str]:
    """Return the error bar of a point; nothing where an end is missing, or has no place on the axis."""
    ends = [end for end in (point.low, point.high) if end is not None and drawable(figure.y, end)]
    if len(ends) < 2:
        return []
    across = _across(x, point.x)
    low, high = (_down(y, end) for end in ends)
    return [f'<line class="bar" x1="{across:.2f}" y1="{low:.2f}" x2="{across:.2f}" y2="{high:.2f}"/>']


def _mark(point: Point, shape: str, style: str, x: Scale, y: Scale, *, reached: bool) -> str:
    style += " pale" if point.pale else ""
    # the label is what is heard, and what a script shows as the tip
    heard = f'tabindex="{0 if reached else -1}" role="img" aria-label="{escape(point.tip)}"'
    place = f"translate({_across(x, point.x):.2f} {_down(y, point.y):.2f})"
    return f'<path class="{style}" {heard} transform="{place}" d="{shape}"/>'


def outline(kind: str, x: float, y: float, r: float) -> str:
    """Return the path of a mark around a point."""
    if kind == "circle":
        return f"M{x - r:g} {y:g}a{r} {r} 0 1 0 {2 * r:g} 0a{r} {r} 0 1 0 {-2 * r:g} 0z"
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
    return "M" + "L".join(f"{x + r * dx:.3g} {y + r * dy:.3g}" for dx, dy in corners) + "z"
