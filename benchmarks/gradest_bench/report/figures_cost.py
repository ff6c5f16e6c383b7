"""Makes the figures of cost: the accuracy-cost frontier, and time and memory against the size of the problem."""

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import median as median_of

from gradest.target import Target
from gradest_bench.report.figure import COLOURS, Axis, Figure, Point, Series
from gradest_bench.report.record_numbers import (
    ALIKE,
    SAMPLES_SPREAD,
    SEEDS_SPREAD,
    error,
    evaluations,
    grouped,
    joined,
    median,
    peak_bytes,
    slope,
    sorted_points,
    spread_of_samples,
    spread_of_seeds,
    tip,
    variant,
)
from gradest_bench.report.units import DISTURBED_LABEL
from gradest_bench.results.accuracy_change import LEAST_FACTOR, error_floor, rounding_unit
from gradest_bench.results.records import Record

_COSTS: tuple[tuple[str, str, Callable[[Record], float]], ...] = (
    ("time", "median time of one estimate, seconds", median),
    ("evaluations", "values, JVPs and VJPs of one estimate", evaluations),
    ("memory", "peak extra memory, bytes", peak_bytes),
)
_LEAST_SIZES = 3
_CROSSED = ("time", "num_parameters")
"""Where forward and reverse mode may change places."""
_LEAST_ESTIMATORS = 2


def frontiers(records: Sequence[Record]) -> Iterator[Figure]:
    """Yield error against each cost, for every dtype and problem, the largest of those that differ in size alone."""
    judged = [r for r in records if not math.isnan(error(r)) and r.facts.get("target") != Target.NOTHING.value]
    # a suite of many sizes has its figures of growth; a frontier of each would drown the page
    judged = [record for part in grouped(judged, _family).values() for record in _of_largest(part)]
    for (problem, dtype), group in grouped(judged, lambda r: (r.cell.problem.label, r.cell.dtype)).items():
        if not any(not math.isnan(median(record)) for record in group):
            continue
        for cost, label, measure in _COSTS:
            points = [(record, measure(record)) for record in group]
            shown = [(record, value) for record, value in points if value > 0]
            if len({record.cell.estimator.label for record, _ in shown}) >= _LEAST_ESTIMATORS:
                yield _frontier(problem, dtype, cost, label, shown)


def clearly_less(record: Record, other: Record) -> bool:
    """Whether an error is less by more than errors of the same code differ; what lies at rounding level ties."""
    floor = max(error_floor(record), error_floor(other))
    return max(error(other), floor) > LEAST_FACTOR * max(error(record), floor)


def _best(shown: list[tuple[Record, float]]) -> list[tuple[Record, float]]:
    """Return the records, from the cheapest on, that are clearly better in error than all that cost less."""
    best: list[tuple[Record, float]] = []
    # by error where costs are equal: counted evaluations often are, and the worse of two would come first
    for record, value in sorted(shown, key=lambda pair: (pair[1], error(pair[0]))):
        if not best or clearly_less(record, best[-1][0]):
            best.append((record, value))
    return best


def _frontier_sentence(best: list[tuple[Record, float]], cost: str) -> str:
    if not best:
        return "The machine was disturbed in every cell: which are best in error and time together is not said."
    names = list(dict.fromkeys(f"{record.cell.estimator.label} ({variant(record)})" for record, _ in best))
    return f"Nothing here is clearly better in error and better in {cost} at once than {joined(names)}."


def _frontier(problem: str, dtype: str, cost: str, label: str, shown: list[tuple[Record, float]]) -> Figure:
    # no statement rests on a time that was disturbed; what was only counted was not
    best = _best([(record, value) for record, value in shown if cost != "time" or not record.disturbed])
    labels = {record.cell.estimator.label for record, _ in shown}
    called = _label if len(labels) <= COLOURS else _name  # a colour each, as long as there are enough
    series = [
        Series(
            name,
            which,
            tuple(
                Point(
                    amount,
                    _drawn(record),
                    tip(record),
                    *spread_of_seeds(record),
                    pale=cost == "time" and record.disturbed,
                )
                for record, amount in shown
                if (called(record), variant(record)) == (name, which)
            ),
            "marks",
        )
        for name, which in dict.fromkeys((called(record), variant(record)) for record, _ in shown)
    ]
    return Figure(
        key=f"frontier-{cost}-{problem}-{dtype}",
        title=f"Error against {cost}: {problem}, {dtype}",
        sentence=_frontier_sentence(best, cost),
        x=Axis(label),
        y=Axis("relative error, root mean square"),
        series=(*series, Series("frontier", "", tuple(Point(v, _drawn(r), "") for r, v in best), "theory")),
        pale_means=DISTURBED_LABEL,
        bars_mean=SEEDS_SPREAD,
        dashed_means="frontier",
    )


def _of_largest(part: list[Record]) -> list[Record]:
    """Return all records where few sizes were measured, else those of the largest problem."""
    # by parameters alone: problems of equal size that differ otherwise are all shown
    sizes = {record.facts["num_parameters"] for record in part}
    return part if len(sizes) < _LEAST_SIZES else [r for r in part if r.facts["num_parameters"] == max(sizes)]


def _drawn(record: Record) -> float:
    """Return the error as it is drawn: one of nothing at a tenth of the dtype's rounding, as it has no logarithm."""
    return max(error(record), 0.1 * rounding_unit(record.cell.dtype))


def _label(record: Record) -> str:
    return record.cell.estimator.label


def _name(record: Record) -> str:
    return record.cell.estimator.name


def cost_curves(records: Sequence[Record]) -> Iterator[Figure]:
    """Yield time and memory against parameters and batch, wherever three sizes or more were measured."""
    for (family, dtype, kernel), group in grouped(records, _family).items():
        for size, label in (("num_parameters", "parameters P"), ("data_entries", "entries of data")):
            parts = _held_fixed(group, size)
            for fixed, held in parts.items():
                if len({record.facts[size] for record in held}) < _LEAST_SIZES:
                    continue
                named = f"{family}, {dtype}" + ("" if kernel == "portable" else f", {kernel} kernels")
                yield from _curves(held, named + (f", {fixed}" if len(parts) > 1 else ""), size, label)


def _family(record: Record) -> tuple[str, str, str]:
    return record.cell.problem.name, record.cell.dtype, record.cell.kernel


def _held_fixed(group: list[Record], size: str) -> dict[str, list[Record]]:
    """Return the records in which nothing but one size differs between problems, by the other size in words."""
    other = "data_entries" if size == "num_parameters" else "num_parameters"
    if group[0].cell.problem.name == "mlp":  # the one problem whose data and parameters grow apart
        words = "P = {:,}" if other == "num_parameters" else "{:,} entries of data"
        return grouped(group, lambda record: words.format(record.facts[other]))
    return {"": group} if size == "num_parameters" else {}


def _curves(held: list[Record], named: str, size: str, label: str) -> Iterator[Figure]:
    for what, axis, measure in (
        ("time", "median time of one estimate, seconds", median),
        ("memory", "peak extra memory, bytes", peak_bytes),
    ):
        series = []
        for (name, which), part in grouped(held, lambda r: (r.cell.estimator.label, variant(r))).items():
            points = [
                Point(
                    record.facts[size],
                    measure(record),
                    tip(record, f"P = {record.facts['num_parameters']:,}"),
                    *(spread_of_samples(record) if what == "time" else (None, None)),
                    pale=what == "time" and record.disturbed,
                )
                for record in part
                if measure(record) > 0
            ]
            if points:
                series.append(Series(name, which, sorted_points(points)))
        # two sizes make a line through anything
        if any(len(one.points) >= _LEAST_SIZES for one in series):
            yield Figure(
                key=f"{what}-{size}-{named}",
                title=f"{what.capitalize()} against {label}: {named}",
                sentence=_growth(what, series, size) + (_crossovers(series) if (what, size) == _CROSSED else ""),
                x=Axis(label),
                y=Axis(axis),
                series=tuple(series),
                pale_means=DISTURBED_LABEL,
                bars_mean=SAMPLES_SPREAD,
            )


def _growth(what: str, series: list[Series], size: str) -> str:
    """Return how fast each estimator's cost grows at large sizes, over all backends, from what was not disturbed."""
    variable = "P" if size == "num_parameters" else "n"
    slopes: dict[str, list[float]] = {}
    for one in series:
        # at small sizes the cost of a call is that of calling, which grows with nothing
        found, _ = slope(_sure(one)[-_LEAST_SIZES:])
        if not math.isnan(found):
            slopes.setdefault(one.name, []).append(found)
    parts = [f"{name} as {variable}^{_between(found)}" for name, found in slopes.items()]
    if not parts:
        return "Too few of these sizes were measured undisturbed to say how cost grows."
    pale = any(point.pale for one in series for point in one.points[-_LEAST_SIZES:])
    sizes = "sizes of each at which the machine was undisturbed," if pale else "sizes,"
    return f"Over the three largest {sizes} {what} grows (median, and range over backends): {', '.join(parts)}."


def _sure(one: Series) -> tuple[Point, ...]:
    """Return the points that a sentence may rest on."""
    return tuple(point for point in one.points if not point.pale)


def _between(slopes: list[float]) -> str:
    middle = f"{median_of(slopes):z.1f}"
    return middle if len(slopes) == 1 else f"{middle} ({min(slopes):z.1f} to {max(slopes):z.1f})"


def _crossovers(series: list[Series]) -> str:
    """Return at how many parameters forward mode is cheaper than reverse mode, on each backend."""
    found, untold = [], False
    for one in series:
        # `forward-gradient` is an estimate along few directions, and no exact mode
        if not one.name.startswith("forward") or "gradient" in one.name:
            continue
        # on the same backend: between two, the frameworks are compared and not the modes
        others = [other for other in series if (other.name, other.variant) == ("reverse", one.variant)]
        reverse = {point.x: point.y for other in others for point in _sure(other)}
        both = [point for point in _sure(one) if point.x in reverse]
        ratios = {point.x: reverse[point.x] / point.y for point in both}
        # medians of one run: a size at which noise may have put the modes in order has no cheaper one
        alike = [size for size, ratio in ratios.items() if 1 / ALIKE < ratio < ALIKE]
        cheaper = [size for size, ratio in ratios.items() if ratio >= ALIKE]
        untold |= bool(alike)
        if both:
            near = f", alike at {_listed(alike)}" if alike else ""
            found.append(f"{one.variant} {_where(cheaper, list(ratios))}{near} ({one.name})")
    what = " (alike: median times within a third, which one run does not tell apart)" if untold else ""
    return f" Forward mode costs less than reverse mode{what}: {'; '.join(found)}." if found else ""


def _where(cheaper: list[float], sizes: list[float]) -> str:
    """Return at which of the sizes, in order, something is so; "up to" one only where it is so of all below it."""
    if not cheaper:
        return "never"
    upto = cheaper == sizes[: len(cheaper)]
    return f"up to {cheaper[-1]:,.0f}" if upto else f"at {_listed(cheaper)}"


def _listed(sizes: list[float]) -> str:
    return ", ".join(f"{size:,.0f}" for size in sizes)
