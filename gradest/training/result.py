"""What a run of training gives: parameters, and its log as a table and as curves."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from os import PathLike
from typing import Any

from gradest.bench import draw_training, frame
from gradest.errors import InvalidInputError, InvalidTypeError
from gradest.estimate import Cost
from gradest.training.budget import Weights
from gradest.training.optimizers import Optimizer, Search
from gradest.training.quality import StepLimit
from gradest.training.records import NOT_FINITE, Record
from gradest.training.state import TrainingState


@dataclass(frozen=True, eq=False, kw_only=True)
class Training:
    """Holds what was trained and how it went.

    Attributes
    ----------
    params
        In the structure in which they were given; of a module its parameters by name. With patience those of the
        least loss that was watched, else the last ones that are finite.
    records
        The log, the start first.
    ended
        Why it ended.
    returned_step, watched
        After which step `params` were so; what was watched, "held-out loss" or "training loss", None without patience.
    estimator, optimizer
        By what.
    weights
        What a JVP and a VJP count in losses.
    logging_cost
        What was evaluated for the log alone, which is in no record's cost: losses, metrics and the estimates of a
        quality, not the reference that these are judged by.
    limit
        The step size that noise allows at the start; None where there is none, or quality was not measured.
    state
        Where the run stands: it goes on by `gradest.train(..., state=found.state)`.

    Examples
    --------
    >>> import gradest
    >>> from gradest.training import Budget
    >>> found = gradest.train(gradest.get_problem("quadratic", size=3), "es", budget=Budget(steps=20), seed=1)
    >>> print(found.line())
    es: loss -0.07433 after 20 steps, 4,000 values; 20 steps were made
    """

    params: Any
    records: tuple[Record, ...]
    ended: str
    returned_step: int
    watched: str | None
    estimator: str
    optimizer: Optimizer | Search
    weights: Weights
    logging_cost: Cost
    limit: StepLimit | None
    state: TrainingState

    @property
    def diverged(self) -> bool:
        """Whether the loss, an estimate or the parameters became NaN or infinite, or were so from the start."""
        # By the words too: a step that was not made leaves the last log finite.
        return NOT_FINITE in self.ended or not math.isfinite(self.records[-1].loss)

    def line(self) -> str:
        """Return the end of the run in one line."""
        last = self.records[-1]
        scores = "".join(f", {name} {number:.4g}" for name, number in _scores(last).items())
        cost = f"{last.cost.values:,} values" if last.cost == Cost(values=last.cost.values) else str(last.cost)
        return f"{self.estimator}: loss {last.loss:.4g}{scores} after {last.step:,} steps, {cost}; {self.ended}"

    def __repr__(self) -> str:
        """Return one line, however large the parameters are, and they are in `state` a second time."""
        return f"<Training by {self.line()}; print shows the log>"

    def __str__(self) -> str:
        """Return the log as a table, a row for each record, and the end in one line."""
        table = self._table()
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in table]
        return "\n".join([*lines, "", *self._ends()])

    def _repr_html_(self) -> str:
        """Return the same as HTML, which notebooks show."""
        names, *rows = self._table()
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        ends = "".join(f"<p>{escape(line)}</p>" for line in self._ends())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{ends}"

    def _table(self) -> list[list[str]]:
        """Return the headings, and a row of texts for each record."""
        rows = [_row(record) for record in self.records]
        # Rows differ in what was measured: the headings are those of all, in the order in which they first come.
        names = list(dict.fromkeys(name for row in rows for name in row))
        return [names, *([row.get(name, "") for name in names] for row in rows)]

    def _ends(self) -> list[str]:
        """Return what stands below the table: how it ended, what derivatives count, and which steps noise allows."""
        cost = self.records[-1].cost
        prices = [f"cost by {self.weights}"] if cost.jvps or cost.vjps else []
        # Of the start alone, which the words say: the noise relative to the gradient grows as a run nears a minimum.
        limit = [] if self.limit is None else [f"noise allows steps up to {self.limit.limit:.2g} at the start"]
        return [self.line(), *prices, *limit]

    def to_pandas(self) -> Any:
        """Return the log as a data frame of pandas, a row for each record."""
        return frame([record.row() for record in self.records])

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """Return a Matplotlib figure of the loss by evaluations in losses, by steps and by time; as `plot` below."""
        return plot({self.estimator: self}, path)


def plot(runs: Mapping[str, Training], path: str | PathLike[str] | None = None) -> Any:
    """Return a Matplotlib figure of several runs: the loss by evaluations in losses, by steps and by time.

    Parameters
    ----------
    runs
        Label -> run.
    path
        Where to write it too; the ending says the format, such as ".png" or ".pdf".

    Raises
    ------
    MissingDependencyError
        Matplotlib is not installed.
    InvalidInputError
        The ending of the path names no format, or there are no runs.
    InvalidTypeError
        `runs` is no mapping of labels to runs.

    Examples
    --------
    >>> import gradest
    >>> from gradest.training import Budget, plot
    >>> run = gradest.train(gradest.get_problem("quadratic", size=3), "es", budget=Budget(steps=5), seed=1)
    >>> [axes.get_xlabel() for axes in plot({"es": run}).axes][:2]
    ['evaluations of the loss, or what costs as much', 'steps']
    """
    if not isinstance(runs, Mapping) or not all(isinstance(run, Training) for run in runs.values()):
        raise InvalidTypeError(
            f"runs must be a mapping of labels to runs, such as {{'es': found}}; found {type(runs).__name__}"
        )
    if not runs:
        raise InvalidInputError("runs to draw were asked for; found none; give {'es': found}")
    return draw_training({label: [record.row() for record in run.records] for label, run in runs.items()}, path)


def _row(record: Record) -> dict[str, str]:
    """Return what a table shows of a record: heading -> text."""
    shown = {
        "step": f"{record.step:,}",
        # A function of the step, or an iterator, does not say how many batches an epoch has.
        **({} if record.epoch is None else {"epoch": f"{record.epoch:.4g}"}),
        "cost, in losses": f"{record.losses:,.0f}",
        "loss": f"{record.loss:.4g}",
        **{name: f"{number:.4g}" for name, number in _scores(record).items()},
    }
    found = record.quality
    if found is not None:
        error = "" if found.relative_mse_error is None else f" ± {found.relative_mse_error:.1g}"
        shown["relative MSE"] = f"{found.relative_mse:.3g}{error}"
        if found.predicted_mse is not None:
            shown["predicted"] = f"{found.predicted_mse:.3g}"
    return shown


def _scores(record: Record) -> dict[str, float]:
    held_out = {} if record.held_out_loss is None else {"held-out loss": record.held_out_loss}
    return held_out | {f"held-out {k}": v for k, v in record.held_out_metrics.items()} | dict(record.metrics)
