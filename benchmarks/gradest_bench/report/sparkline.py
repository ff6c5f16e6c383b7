"""Draws a row of numbers as a line small enough for a cell of a table. This module knows no record."""

import math
from collections.abc import Sequence

from gradest_bench.report.printable import escape

_WIDTH, _HEIGHT, _EDGE = 120, 24, 4
_LEAST_FACTOR = 1.5
"""Numbers that differ by less do not fill the height: noise would look like change."""


def sparkline(values: Sequence[float], label: str, *, pale: Sequence[bool] = ()) -> str:
    """Return numbers, the earliest first, as an `<svg>` with a logarithmic height; what is not positive is a gap.

    Examples
    --------
    >>> from gradest_bench.report.sparkline import sparkline
    >>> drawn = sparkline([1.0, 2.0, float("nan"), 4.0], "time of four runs")
    >>> drawn.count("<circle"), drawn.count("<polyline")
    (3, 1)
    """
    known = [value for value in values if value > 0 and math.isfinite(value)]
    if not known:
        return ""
    # of each by itself: a product or a quotient of numbers near either end of what a float holds is 0 or infinite
    low, high = math.log(min(known)), math.log(max(known))
    middle, half = (low + high) / 2, max(high - low, math.log(_LEAST_FACTOR)) / 2
    across = (_WIDTH - 2 * _EDGE) / max(len(values) - 1, 1)
    lines: list[list[str]] = [[]]
    dots = []
    for k, value in enumerate(values):
        if not (value > 0 and math.isfinite(value)):
            lines.append([])
            continue
        x = _EDGE + k * across
        y = _HEIGHT / 2 - (math.log(value) - middle) / half * (_HEIGHT / 2 - _EDGE)
        lines[-1].append(f"{x:.1f},{y:.1f}")
        style = ' class="pale"' if k < len(pale) and pale[k] else ""
        # the last dot is larger: the latest run is what is looked for
        dots.append(f'<circle{style} cx="{x:.1f}" cy="{y:.1f}" r="{2.6 if k == len(values) - 1 else 1.6}"/>')
    drawn = "".join(f'<polyline points="{" ".join(line)}"/>' for line in lines if len(line) > 1)
    return (
        f'<svg class="spark" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f"{drawn}{''.join(dots)}</svg>"
    )
