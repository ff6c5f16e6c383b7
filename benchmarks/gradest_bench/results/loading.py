"""Loads a run, finished or not, into Python: its records, its environment, its suite, as rows or a data frame.

This module writes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradest.errors import InvalidInputError
from gradest.measurement.accuracy import Accuracy, ReplicateAccuracy
from gradest.measurement.outcome import Outcome
from gradest_bench.results.invocations import Invocation, read_invocations
from gradest_bench.results.records import Record, number, z_of
from gradest_bench.results.seed_ends import is_lost, mean_end
from gradest_bench.results.store import SUITE, latest, read_environment, read_records, read_suite
from gradest_bench.results.tables import frame
from gradest_bench.results.verdict import Judgement, verdicts
from gradest_bench.suite.cells import expand
from gradest_bench.suite.scaling import parse_as_run
from gradest_bench.suite.schema import Suite

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Run:
    """Holds one run: the last record of each cell, in the order in which the suite states them.

    `num_cells` is how many cells the suite as run has; the records may be fewer (a run that was stopped, or of some
    backends alone).
    """

    folder: Path
    records: tuple[Record, ...]
    environment: dict[str, Any]
    title: str
    question: str
    num_cells: int
    suite: Suite | None = None
    """The suite as it was run; None where the folder holds none."""
    suite_text: str = ""
    invocations: tuple[Invocation, ...] = ()

    @property
    def measured(self) -> tuple[Record, ...]:
        """The records of the cells that were measured."""
        return tuple(record for record in self.records if record.outcome == Outcome.OK)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one flat dict for each record; the same keys for all, None where there is nothing."""
        return (flat_row(record, self.verdicts[record.key]) for record in self.records)

    @cached_property
    def verdicts(self) -> dict[str, Judgement]:
        """The verdict on each record, by its key, and its reason; false alarms are shared among the run's cells."""
        return verdicts(self.records)

    def frame(self) -> "pd.DataFrame":
        """Return the rows as a pandas data frame.

        Raises
        ------
        MissingDependencyError
            pandas is not installed.
        """
        return frame(self.rows())


def load(folder: str | Path) -> Run:
    """Return the run that a folder holds.

    Raises
    ------
    StorageError
        It holds none, or a damaged one.
    InvalidInputError
        Its suite cannot be read.
    """
    path = Path(folder)
    records = tuple(latest(read_records(path)).values())
    text, made = read_suite(path), read_invocations(path)
    if text is None:
        return Run(path, records, read_environment(path), path.name, "", len(records), invocations=made)
    try:
        suite = parse_as_run(text, origin=str(path / SUITE))
    except InvalidInputError as error:
        raise InvalidInputError(f"{error}; without {SUITE} the results can be read by themselves: remove it") from error
    # by what was asked, which stays when labels or limits are edited
    places = {cell.key: place for place, cell in enumerate(expand(suite))}
    # the suite's order: cells are measured in a shuffled one
    ordered = sorted(records, key=lambda record: places.get(record.key, len(places)))
    extra = sum(1 for record in records if record.key not in places)  # of a worker "backend:variant"
    title = suite.title or suite.name
    num_cells = len(places) + extra
    return Run(path, tuple(ordered), read_environment(path), title, suite.question, num_cells, suite, text, made)


def flat_row(record: Record, judged: Judgement) -> dict[str, Any]:
    """Return a record and the verdict on it as one flat dict of numbers and texts; in seconds and bytes."""
    return {**_asked(record, judged), **_errors(record), **_costs(record), **_trained(record)}


def _asked(record: Record, judged: Judgement) -> dict[str, Any]:
    cell, facts = record.cell, record.facts
    found, reason = judged
    return {
        "suite": record.suite,
        "problem": cell.problem.label,
        "estimator": cell.estimator.label,
        "estimator_name": cell.estimator.name,
        "backend": cell.worker,
        "dtype": cell.dtype,
        "kernel": cell.kernel,
        "device": facts.get("device", cell.device),
        "path": facts.get("path"),
        "outcome": record.outcome,
        "reason": record.reason,
        "verdict": found,
        "verdict_reason": reason,
        **{name: facts.get(name) for name in ("num_parameters", "data_entries", "value_flops")},
        **{f"estimator.{name}": _cell_text(value) for name, value in cell.estimator.fields.items()},
        **{name: getattr(record, name) for name in ("attempts", "finished", "environment", "key", "identity")},
    }


def _errors(record: Record) -> dict[str, Any]:
    single = record.accuracy.get("single", {})
    scatter = record.accuracy.get("replicates", {})
    smoothed = record.accuracy.get("smoothed", {})
    predicted = record.accuracy.get("predicted") or {}
    return {
        **{name: _optional(single, name) for name in _SINGLE},
        **{name: _optional(scatter, name) for name in _SCATTER},
        **{f"smoothed_{name}": _optional(smoothed, name) for name in ("relative_mse", "scale", "distance")},
        "predicted_relative_mse": _optional(predicted, "relative_mse"),
        "relative_mse_z": z_of(record),
        "reference_uncertainty": _optional(record.accuracy.get("reference") or {}, "uncertainty"),
    }


def _trained(record: Record) -> dict[str, Any]:
    """Return how training ended: the step size, and means over seeds of the last loss and of what it cost.

    A mean is infinite where a seed was lost; `training_seeds_lost` says how many were.
    """
    found = record.training
    curves = found.get("curves", [])
    losses = {
        name: mean_end(record, name) if any(name in run for run in curves) else None
        for name in ("loss", "held_out_loss")
    }
    costs = {name: [number(run[name][-1]) for run in curves] for name in ("steps", "losses")}
    return {
        "training_step_size": _optional(found, "step_size"),
        "training_step_limit": _optional(found.get("limit") or {}, "limit"),
        **{f"training_{name}": mean for name, mean in losses.items()},
        **{f"training_{name}": sum(spent) / len(spent) if spent else None for name, spent in costs.items()},
        "training_seeds": len(curves) or None,
        "training_seeds_lost": sum(map(is_lost, curves)) if curves else None,
    }


def _costs(record: Record) -> dict[str, Any]:
    timing, counts, memory = record.timing, record.counts, record.memory
    return {
        **{name: getattr(timing, name, None) for name in _TIMES},
        "samples": len(timing.wall_seconds) if timing else None,
        **{name: getattr(counts.counted, name) if counts else None for name in ("values", "jvps", "vjps")},
        **{name: getattr(memory, name, None) for name in _MEMORIES},
    }


_SINGLE = tuple(each.name for each in fields(Accuracy) if each.type is float)
# What a cell has twice, of one gradient and of its replicates, stands there under the name of the former.
_SCATTER = tuple(
    each.name
    for each in fields(ReplicateAccuracy)
    if each.type in (int, float) and each.name not in (*_SINGLE, "nonfinite")
)
_TIMES = (
    "median_seconds",
    "iqr_seconds",
    "preparation_seconds",
    "first_call_seconds",
    "value_seconds",
    "loss_units",
    "cpu_wall_ratio",
    "disturbed",
    "to_backend_seconds",
    "to_numpy_seconds",
)
_MEMORIES = ("peak_extra_bytes", "preparation_extra_bytes", "device_peak_bytes")


def _optional(values: dict[str, Any], name: str) -> float | None:
    return number(values[name]) if values.get(name) is not None else None


def _cell_text(value: Any) -> Any:
    return str(value) if isinstance(value, list | tuple | dict) else value
