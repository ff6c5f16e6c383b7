"""Describes a figure as data: axes, series of points, and the sentence that says what is seen.

It is drawn for the screen by `svg` and for paper by `paper`; what both must agree on, ticks, colours and shapes, is
decided here. This module knows neither of them, and no record.
"""

import math
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace

COLOURS = 10
"""How many colours the drawers have; more names begin again."""
SHAPES = ("circle", "square", "triangle", "diamond", "down", "plus")
"""The shapes of marks that every drawer has; more variants begin again."""


@dataclass(frozen=True)
class Axis:
    """Says what is along an axis; a logarithmic one shows positive numbers alone."""

    label: str
    log: bool = True
    categories: tuple[str, ...] = ()
    """Where given, positions are indices of these, and the axis is not logarithmic."""


@dataclass(frozen=True)
class Point:
    """States one mark: where it is, the ends of its error bar, and what is said when it is pointed at.

    A `pale` one is to be relied on less than the others; the figure says why.
    """

    x: float
    y: float
    tip: str
    low: float | None = None
    high: float | None = None
    pale: bool = False


@dataclass(frozen=True)
class Series:
    """Holds points of one kind: `name` decides the colour, `variant` the shape of the marks.

    `style` is "line" (marks joined), "marks", or "theory" (a dashed line without marks).
    """

    name: str
    variant: str
    points: tuple[Point, ...]
    style: str = "line"


@dataclass(frozen=True)
class Figure:
    """States a whole figure; `key` is short and unique in a report.

    `pale_means` says what a pale mark stands for, `bars_mean` what error bars do, `dashed_means` what dashed lines do.
    """

    key: str
    title: str
    sentence: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    pale_means: str = ""
    bars_mean: str = ""
    dashed_means: str = "theory"
    palette: tuple[str, ...] = ()
    """The names of all figures of a report, so that one name has one colour in all; its own where none are given."""
    backends: tuple[str, ...] = ()
    """The backends of all figures of a report, so that one has one shape in all; its own where none are given."""

    @property
    def has_pale(self) -> bool:
        """Whether any of its marks is pale."""
        return any(point.pale for series in self.series for point in series.points)

    @property
    def has_bars(self) -> bool:
        """Whether any of its marks has an error bar."""
        return any(point.high is not None for series in self.series for point in series.points)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its series, in order, once each."""
        return tuple(dict.fromkeys(series.name for series in self.series))

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants of its series, in order, once each."""
        return tuple(dict.fromkeys(series.variant for series in self.series if series.style != "theory"))

    def colour(self, name: str) -> int:
        """Return the number of a name's colour."""
        return (self.palette or self.names).index(name) % COLOURS

    def shape(self, variant: str) -> str:
        """Return the shape of a variant's marks: one for each backend, whatever the kernels."""
        backends = self.backends or backends_of(self.variants)
        backend = variant.partition(" ")[0]
        return SHAPES[backends.index(backend) % len(SHAPES)] if backend in backends else SHAPES[0]


def backends_of(variants: Iterable[str]) -> tuple[str, ...]:
    """Return the backends of variants, in order, once each."""
    return tuple(dict.fromkeys(variant.partition(" ")[0] for variant in variants))


def alike(figures: Iterable[Figure]) -> list[Figure]:
    """Return figures in all of which a name has the same colour, and a backend the same shape."""
    found = list(figures)
    # names without marks come last: a dashed line is told by its dashes, and takes no colour from what was measured
    series = sorted((one for figure in found for one in figure.series), key=lambda one: one.style == "theory")
    palette = tuple(dict.fromkeys(one.name for one in series))
    backends = backends_of(variant for figure in found for variant in figure.variants)
    return [replace(figure, palette=palette, backends=backends) for figure in found]


def hollow(variant: str) -> bool:
    """Whether the marks of a variant are hollow: where a backend's name is followed by other kernels than portable."""
    return " " in variant


_LONGEST_NAME = 100
"""Characters; what follows may be an ending, and a file's name has 255 at most."""


def names_of(figures: Iterable[Figure]) -> dict[str, str]:
    """Return by its key what each figure is called in an address and as a file: letters that either may have.

    Examples
    --------
    >>> from gradest_bench.report.figure import Axis, Figure, names_of
    >>> names_of(Figure(key, "", "", Axis(""), Axis(""), ()) for key in ("step-a b", "step-a_b"))
    {'step-a b': 'step-a-b', 'step-a_b': 'step-a-b-2'}
    """
    found: dict[str, str] = {}
    for figure in figures:
        name = name_of = re.sub(r"[^a-z0-9.]+", "-", figure.key.lower())[:_LONGEST_NAME].strip("-.")
        number = 1
        while name in found.values():  # keys are unique, and two may differ in what no address may have
            number += 1
            name = f"{name_of}-{number}"
        found[figure.key] = name
    return found


@dataclass(frozen=True)
class Scale:
    """Maps numbers of an axis to [0, 1], and says where its ticks are."""

    axis: Axis
    low: float
    high: float

    def position(self, value: float) -> float:
        """Return where a value lies: 0 at the low end, 1 at the high end."""
        if self.axis.log:
            return (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """Return values and labels of ticks: decades, round numbers, or categories."""
        if self.axis.categories:
            return [(float(k), name) for k, name in enumerate(self.axis.categories)]
        if self.axis.log:
            # the logarithm of a power of ten may lie a rounding beside its integer
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            # rounded up, so that no axis has more ticks than fit
            step = max(1, -(-(last - first) // _MOST_TICKS))
            found = [(10.0**power, power_text(power)) for power in range(first, last + 1, step)]
            return found if not few_decades(self.low, self.high) else sorted([*found, *self._between(first, last)])
        width = _round_step((self.high - self.low) / _MOST_TICKS)
        start = math.ceil(self.low / width - 1e-9)
        # by multiples of the width: added up, it would drift
        return [(k * width, f"{k * width:g}") for k in range(start, math.floor(self.high / width + 1e-9) + 1)]

    def _between(self, first: int, last: int) -> list[tuple[float, str]]:
        """Return ticks at 2 and 5 of each decade."""
        each = [(factor, power) for power in range(first - 1, last + 1) for factor in BETWEEN]
        found = [(factor * 10.0**power, power_text(power, factor)) for factor, power in each]
        return [(value, label) for value, label in found if self.low <= value <= self.high]


BETWEEN = (2, 5)
"""The numbers between 1 and 10 that an axis of few decades has ticks at."""
_FEW_DECADES = 2.5
_MOST_TICKS = 7
_LEAST_DECADES = 1.0
_PLAIN_POWERS = range(-2, 4)
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def few_decades(low: float, high: float) -> bool:
    """Whether ticks at powers of ten alone would be too few to read numbers between them."""
    return math.log10(high / low) < _FEW_DECADES


def power_text(power: int, factor: int = 1) -> str:
    """Return a multiple of a power of ten as a label: "1", "20", "0.05", "10⁻⁷" or "2·10⁴"."""
    if power in _PLAIN_POWERS:
        return f"{factor * 10.0**power:g}"
    text = "10" + str(power).translate(_SUPERSCRIPTS)
    return text if factor == 1 else f"{factor}·{text}"


def drawable(axis: Axis, value: float) -> bool:
    """Whether a value has a place on an axis."""
    return math.isfinite(value) and (value > 0 or not axis.log)


def scale_of(axis: Axis, values: list[float]) -> Scale:
    """Return the scale that shows all values that can be drawn, with a margin."""
    if axis.categories:
        return Scale(axis, -0.5, len(axis.categories) - 0.5)
    shown = [value for value in values if drawable(axis, value)] or [1.0]
    low, high = min(shown), max(shown)
    if not axis.log:
        # of one number alone there is no range to take a part of
        margin = 0.05 * (high - low) or 0.5
        return Scale(axis, low - margin, high + margin)
    # numbers that are nearly equal are shown as such: an axis has a decade at least
    missing = max(0.0, _LEAST_DECADES - math.log10(high / low)) / 2 + 0.04 * math.log10(max(high / low, 10))
    # at either end of the numbers there are: what lies beyond has no logarithm
    least, most = math.nextafter(0.0, 1.0), sys.float_info.max
    return Scale(axis, max(low * 10**-missing, least), min(high * 10**missing, most))


def _round_step(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
