"""Makes the figures of accuracy with theory's lines: error against the step, and against N, P and sigma."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, TypeGuard

import numpy as np

from gradest.errors import GradestError
from gradest.registry import locate, names
from gradest.target import Target
from gradest.theory import difference_optimum, difference_rule
from gradest_bench.report.figure import Axis, Figure, Point, Series
from gradest_bench.report.record_numbers import (
    SEEDS_SPREAD,
    error,
    grouped,
    slope,
    sorted_points,
    spread_of_seeds,
    tip,
    variant,
)
from gradest_bench.results.accuracy_change import rounding_unit
from gradest_bench.results.records import Record, number

_AUTOMATIC = "auto"
_AUTOMATIC_SAID = " Level lines are the automatic step, which is what users get."
_LEAST_POINTS = 3
_THEORY_POINTS = 60


def step_curves(records: Sequence[Record]) -> Iterator[Figure]:
    """Yield the error of differences against the step, with theory's curve, for every problem and dtype."""
    judged = [r for r in records if not math.isnan(error(r))]
    stepped = [r for r in judged if _is_number(step := r.cell.estimator.fields.get("step")) and step > 0]
    chosen = {_place(r): r for r in judged if r.cell.estimator.fields.get("step") == _AUTOMATIC}
    for (problem, dtype), group in grouped(stepped, lambda r: (r.cell.problem.label, r.cell.dtype)).items():
        series: list[Series] = []
        lines: list[Series] = []
        best: list[str] = []
        for (name, which), part in grouped(group, lambda r: (r.cell.estimator.name, variant(r))).items():
            points = sorted_points(_at_step(r) for r in part)
            if len(points) < _LEAST_POINTS:
                continue
            series.append(Series(name, which, points))
            # theory is the same for every backend: one line for each estimator
            if name not in {line.name for line in lines} and (theory := _step_theory(part, points)):
                lines.append(theory[0])
                least = min(points, key=lambda point: point.y)
                best.append(f"{name} is best at {least.x:g} (error {least.y:.1e}), theory says {theory[1]:.1g}")
            if (own := chosen.get(_place(part[0]))) is not None:
                series.append(_automatic(own, points))
        if series:
            yield Figure(
                key=f"step-{problem}-{dtype}",
                title=f"Error against the step: {problem}, {dtype}",
                sentence=f"{'; '.join(best)}. " * bool(best) + "Right of the best step truncation rules, left of it "
                "rounding; dashed is theory, its truncation scaled to the largest step."
                + _AUTOMATIC_SAID
                * any(_AUTOMATIC in one.name for one in series),
                x=Axis("step (relative to max(1, |x|))"),
                y=Axis("relative error"),
                series=(*series, *lines),
                bars_mean=SEEDS_SPREAD,
            )


def _at_step(record: Record) -> Point:
    step = record.cell.estimator.fields["step"]
    return Point(step, error(record), tip(record, f"step {step:g}"), *spread_of_seeds(record))


def _place(record: Record) -> tuple[str, ...]:
    """Return what an estimator with an automatic step shares with those of its curve."""
    cell = record.cell
    return cell.problem.label, cell.dtype, cell.estimator.name, variant(record)


def _automatic(record: Record, points: Sequence[Point]) -> Series:
    """Return a level line at the error of the automatic step, which differs from coordinate to coordinate."""
    said = tip(record, "step chosen for each coordinate")
    ends = tuple(Point(x, error(record), said) for x in (points[0].x, points[-1].x))
    return Series(f"{record.cell.estimator.name}, step {_AUTOMATIC}", variant(record), ends)


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _step_theory(part: list[Record], points: Sequence[Point]) -> tuple[Series, float] | None:
    """Return theory's curve and best step, with the constant of truncation taken from the largest step."""
    record = part[0]
    name = record.cell.estimator.name
    if name not in names("estimators"):  # of a plug-in's file nobody knows a scheme, nor need it be here
        return None
    fields = {**dict(locate("estimators", name).arguments), **record.cell.estimator.fields}
    reference = record.accuracy.get("reference") or {}
    if fields.get("differences") == "exact" or None in (reference.get("gradient_norm"), reference.get("value")):
        return None
    # theory is of one coordinate, the figure of all: the loss's value f is rounded by u |f|, and the gradient's norm is
    # spread over the square root of their number
    noise = rounding_unit(record.cell.dtype) * abs(number(reference["value"]))
    norm = number(reference["gradient_norm"]) / math.sqrt(record.facts["num_parameters"])
    try:
        rule = difference_rule(str(fields.get("scheme")), order=fields.get("order"))
        largest = points[-1]
        # no one knows the derivative that bounds truncation: at the largest step, where rounding is nothing, the error
        # measured is that of truncation, and gives it
        bound = largest.y * norm / (rule.truncation * largest.x**rule.order)
        best, _ = difference_optimum(
            str(fields.get("scheme")), noise=noise, derivative_bound=bound, order=fields.get("order"), rms=True
        )
    except GradestError:
        return None
    # over the steps that were tried alone: the constant was fitted there, and says nothing beyond
    steps = np.geomspace(points[0].x, largest.x, _THEORY_POINTS)
    # of root mean squares: rounding is by chance and truncation is not, so their squares add, not their lengths
    curve = np.hypot(rule.truncation * bound * steps**rule.order, rule.rms_amplification * noise / steps) / norm
    line = tuple(Point(float(h), float(e), "") for h, e in zip(steps, curve, strict=True))
    return Series(name, "theory", line, "theory"), best


_SCALED = (
    ("num_samples", "directions N"),
    ("num_parameters", "parameters P"),
    ("sigma", "smoothing radius sigma"),
)


def es_scaling(records: Sequence[Record]) -> Iterator[Figure]:
    """Yield the relative MSE of stochastic estimators against N, P and sigma, with theory's lines."""
    # of a direction the length says nothing, and an error relative to the gradient is mostly length
    scattered = [r for r in records if r.accuracy.get("replicates") and r.facts.get("target") != Target.DIRECTION.value]
    for variable, label in _SCALED:
        for group in grouped(scattered, partial(_others, variable=variable)).values():
            figure = _scaling(group, variable, label)
            if figure is not None:
                yield figure


def _others(record: Record, variable: str) -> tuple[str, str]:
    """Return what is held fixed while a variable changes: the problem, or where P changes its family; the dtype."""
    problem = record.cell.problem
    return problem.name if variable == "num_parameters" else problem.label, record.cell.dtype


def _value(record: Record, variable: str) -> float:
    if variable == "num_parameters":
        return float(record.facts["num_parameters"])
    found = record.cell.estimator.fields.get(variable)
    return float(found) if _is_number(found) else math.nan


def _scaling(group: list[Record], variable: str, label: str) -> Figure | None:
    series, sentences = [], []
    for (name, fixed, which), part in grouped(group, lambda r: _series_key(r, variable)).items():
        shown = ", ".join(filter(None, (name, fixed)))
        # what has no number there, a default or a rule, has no place along the axis
        part = [record for record in part if not math.isnan(_value(record, variable))]
        points = sorted_points(_mse_point(record, _value(record, variable)) for record in part)
        # a default that two labels share is one place: a line needs several
        if len({point.x for point in points}) < _LEAST_POINTS:
            continue
        series.append(Series(shown, which, points))
        if shown not in {one.name for one in series[:-1]}:
            theory = sorted_points(_theory_points(part, variable))
            if theory:
                series.append(Series(shown, "theory", theory, "theory"))
                ratios = _ratios(part)
                found = f"{shown}: measured / predicted {min(ratios):.2f} to {max(ratios):.2f}"
                steepness, doubt = slope(points)
                # against sigma there is no one power: noise of values rules at one end, bending of the loss at the
                # other
                sentences.append(found + (f", slope {steepness:.2f} ± {doubt:.2f}" if variable != "sigma" else ""))
    if not series:
        return None
    named = ", ".join(_others(group[0], variable))
    return Figure(
        key=f"scaling-{variable}-{named}",
        title=f"Relative MSE against {label}: {named}",
        sentence=(". ".join(sentences) + ". " if sentences else "") + "Dashed is theory, ± a standard error.",
        x=Axis(label),
        y=Axis("E |estimate - gradient|² / |gradient|²"),
        series=tuple(series),
        bars_mean="two standard errors of the mean over seeds, either way",
    )


def _series_key(record: Record, variable: str) -> tuple[str, str, str]:
    fields = {k: v for k, v in record.cell.estimator.fields.items() if k != variable and k in ("num_samples", "sigma")}
    fixed = ", ".join(
        f"{'N' if key == 'num_samples' else key} = {f'{value:g}' if _is_number(value) else value}"
        for key, value in fields.items()
    )
    return record.cell.estimator.name, fixed, variant(record)


def _mse_point(record: Record, x: float) -> Point:
    scatter = record.accuracy["replicates"]
    mse, spread = number(scatter["relative_mse"]), number(scatter["relative_mse_error"])
    predicted = (record.accuracy.get("predicted") or {}).get("relative_mse")
    more = [f"relative MSE {mse:.3g} ± {spread:.1g}", f"{scatter['replicates']} seeds"]
    if predicted is not None:
        more.append(f"theory {number(predicted):.3g}")
    low = mse - 2 * spread  # no level is stated: squared errors of few seeds are skewed
    return Point(x, mse, tip(record, *more), low if low > 0 else None, mse + 2 * spread)


def _theory_points(part: list[Record], variable: str) -> Iterator[Point]:
    for record in part:
        predicted = (record.accuracy.get("predicted") or {}).get("relative_mse")
        if predicted is not None:
            yield Point(_value(record, variable), number(predicted), "")


def _ratios(part: list[Record]) -> list[float]:
    found = [r for r in part if (r.accuracy.get("predicted") or {}).get("relative_mse")]
    return [
        number(r.accuracy["replicates"]["relative_mse"]) / number(r.accuracy["predicted"]["relative_mse"])
        for r in found
    ]
