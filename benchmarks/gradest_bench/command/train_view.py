"""Shows runs of training in a terminal: one row an estimator, and what the columns mean; or as plain data."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape

from gradest.training import Optimizer, Quality, StepLimit, Training
from gradest_bench.command.terminal import titled_table, wide_enough
from gradest_bench.report.units import seconds


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """Holds what became of one estimator: its run, or None and why it could not be run."""

    label: str
    found: Training | None
    reason: str
    limit: StepLimit | None


_HEADINGS = ("steps", "cost", "in losses", "time", "loss", "metrics", "held out", "metrics", "step size", "2N/tr(H)")


def show_rows(console: Console, title: str, rows: Sequence[Row]) -> None:
    """Print a table of the ends of the runs, then how each ended, then what the columns mean."""
    table = titled_table(title, "estimator", box=box.SIMPLE_HEAD)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        if row.found is not None:
            table.add_row(escape(row.label), *map(escape, _cells(row, row.found)))
    wide_enough(console, [table]).print(table)
    for row in rows:
        word = "ended" if row.found is not None else "not run"
        console.print(f"  {row.label}: {word}: {row.reason}", highlight=False, markup=False)
    for line in _legend(rows):
        console.print(line, highlight=False, markup=False, style="dim")


def _cells(row: Row, found: Training) -> tuple[str, ...]:
    last = found.records[-1]
    return (
        f"{last.step:,}",
        str(last.cost),
        f"{last.losses:,.0f}",
        seconds(last.seconds),
        f"{last.loss:.5g}",
        _scores(last.metrics),
        "" if last.held_out_loss is None else f"{last.held_out_loss:.5g}",
        _scores(last.held_out_metrics),
        f"{last.step_size:.3g}" if isinstance(found.optimizer, Optimizer) else "",
        "" if row.limit is None else f"{row.limit.limit:.3g}",
    )


def _scores(metrics: Any) -> str:
    return ", ".join(f"{name} {number:.4g}" for name, number in metrics.items())


def _legend(rows: Sequence[Row]) -> Sequence[str]:
    lines = [f"  {row.label}: {line}" for row in rows if row.found is not None for line in _said(row.found)]
    if any(row.limit is not None for row in rows):
        lines.append(
            "2N/tr(H), for N random directions: above this step size a step along so noisy a gradient climbs on "
            "average, at the start and for plain gradient descent; from the predicted error and tr H by random signs"
        )
    return lines


def _said(found: Training) -> Iterator[str]:
    """Yield the formula of a step, and what evaluations count where they are not values alone; then each quality."""
    cost = found.records[-1].cost
    yield f"{found.optimizer.formula}" + (f"; {found.weights}" if cost.jvps or cost.vjps else "")
    for record in found.records:
        if record.quality is not None:
            yield f"step {record.step:,}: {_quality(record.quality)}"


def _quality(quality: Quality) -> str:
    error = "" if quality.relative_mse_error is None else f" ± {quality.relative_mse_error:.2g}"
    theory = "" if quality.predicted_mse is None else f" (theory {quality.predicted_mse:.3g})"
    return f"relative MSE of the estimate {quality.relative_mse:.3g}{error}{theory}, cosine {quality.cosine:.4f}"


def json_row(row: Row) -> dict[str, Any]:
    """Return a row as plain data."""
    found = row.found
    return {
        "estimator": row.label,
        "ended": row.reason,
        "diverged": None if found is None else found.diverged,
        "optimizer": None if found is None else repr(found.optimizer),
        "formula": None if found is None else found.optimizer.formula,
        "returned_step": None if found is None else found.returned_step,
        "weights": None if found is None else dataclasses.asdict(found.weights),
        "logging_cost": None if found is None else dataclasses.asdict(found.logging_cost),
        "step_limit": None if row.limit is None else dataclasses.asdict(row.limit),
        "records": [] if found is None else [record.row() for record in found.records],
    }
