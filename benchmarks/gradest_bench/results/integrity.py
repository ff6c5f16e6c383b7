"""Says whether what was read has the form that everything else takes for granted; a run may be another's, or damaged.

This module knows no file.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import msgspec

from gradest.dtypes import epsilon
from gradest.errors import InvalidInputError
from gradest.measurement.accuracy import Accuracy, ReplicateAccuracy
from gradest.measurement.outcome import Outcome
from gradest.measurement.timing import Timing
from gradest.theory import Prediction
from gradest_bench.results.records import Record, number
from gradest_bench.suite.cells import Cell
from gradest_bench.suite.limits import require_plain

_NEEDED = {
    "single": ("relative_error", "cosine"),
    "replicates": ("replicates", "relative_mse", "relative_mse_error"),
    "smoothed": ("relative_mse", "uncertainty", "bias_noise"),
    "predicted": ("relative_mse",),
    "reference": ("uncertainty",),
}
"""The numbers that each part of an accuracy must have, if it is there; `predicted` may lack them."""
_MAY_LACK = ("predicted", "reference")
"""The parts that are null where there is nothing to say; the others are left out then."""
_LENGTHS = ("relative_error", "relative_mse", "uncertainty", "squared_errors")
"""Of these, roots and logarithms are taken."""
_TEXTS = ("method", "exact_for", "source", "target")
_SERIES = ("slopes", "squared_errors")
"""What in an accuracy is a text, and what has a number for each seed; all else that is known is a number."""
_KNOWN = {
    *(each.name for kind in (Accuracy, ReplicateAccuracy, Prediction) for each in fields(kind)),
    *(
        "method",
        "uncertainty",
        "distance",
        "value",
        "gradient_norm",
        "noise_scale",
        "noise_scale_error",
    ),  # of references
}
"""What else there is was added by a later version, and is left alone."""
_COUNTS = ("num_parameters", "data_entries", "value_flops", "evaluations")
"""The facts of a cell that are counts; of one that was measured, the first two are known."""
_MOST_COUNT = 2**63
"""JSON's integers have no end, and those that no float can hold end the arithmetic of every reader."""


class DamagedError(ValueError):
    """What was read is JSON, and no record or environment."""


def require_sound(record: Record) -> None:
    """Refuse a record that no version of gradest can have written whole.

    Raises
    ------
    DamagedError
        Its outcome is none, a time is not positive, its samples do not add up, its accuracy lacks a number or has what
        is none, a count is none, or its training lacks a curve.
    """
    known = [outcome.value for outcome in Outcome]
    if record.outcome not in known:
        raise DamagedError(f"its outcome is {record.outcome!r:.60}; this version knows {', '.join(known)}")
    _require_cell(record.cell)
    if record.timing is not None:
        _require_times(record.timing)
    _require_counts(record)
    if record.accuracy:
        if not record.accuracy.get("single"):
            raise DamagedError("its accuracy has no 'single'")
        for part in (*_NEEDED, "blocks"):
            if part in record.accuracy:
                _require_numbers(part, record.accuracy[part])
    if record.training:
        _require_curves(record.training)
    if not record.key:
        raise DamagedError("its key is empty")


def require_environment(found: object) -> None:
    """Refuse what is no environment of a run.

    Raises
    ------
    DamagedError
        It is no object, or its machine or a worker is none.
    """
    if not isinstance(found, dict):
        raise DamagedError(f"an object was expected; found {type(found).__name__}")
    machine, workers = found.get("machine"), found.get("workers")
    if not isinstance(machine, dict) or not isinstance(workers, dict):
        raise DamagedError("its machine and its workers must be objects")
    memory = machine.get("memory_bytes", 0)
    if type(memory) is not int or not 0 <= memory < _MOST_COUNT:
        raise DamagedError(f"its memory_bytes is no count: {memory!r:.60}")
    for name, libraries in workers.items():
        inside = libraries if isinstance(libraries, dict) else {}
        parts = (inside.get("versions", {}), inside.get("variables", {}), inside.get("machine", {}))
        lists = [inside.get(part, []) for part in ("pools", "devices", "warnings")]
        if (
            "worker" not in inside
            or not all(isinstance(part, dict) for part in parts)
            or not all(isinstance(part, list) for part in lists)
            or not all(isinstance(pool, dict) for pool in lists[0])
        ):
            raise DamagedError(f"its worker {name!r:.60} has not the form of one")


def _require_cell(cell: Cell) -> None:
    try:
        epsilon(cell.dtype)
    except (TypeError, ValueError):
        raise DamagedError(f"its dtype is {cell.dtype!r:.60}, which this version does not know") from None
    for spec in (cell.problem, cell.estimator):
        try:
            require_plain(spec.fields, origin="its cell")
        except InvalidInputError as error:
            raise DamagedError(str(error)) from None


def _require_counts(record: Record) -> None:
    """Refuse facts, evaluations and bytes that count nothing."""
    measured = record.timing or record.accuracy or record.memory or record.training
    lacking = [name for name in _COUNTS[:2] if name not in record.facts]
    # what ended otherwise may have ended before they were known
    if lacking and measured and record.outcome == Outcome.OK:
        raise DamagedError(f"its facts have no {lacking[0]!r}")
    given: dict[str, Any] = {name: record.facts[name] for name in _COUNTS if name in record.facts}
    if record.counts is not None:
        given |= asdict(record.counts.counted)
    if record.memory is not None:
        found = msgspec.structs.asdict(record.memory)
        given |= {name: count for name, count in found.items() if count is not None}
    for name, count in given.items():
        # not isinstance: True is an integer to Python
        if type(count) is not int or not 0 <= count < _MOST_COUNT:
            raise DamagedError(f"its {name} is no count: {count!r:.60}")


def _require_times(timing: Timing) -> None:
    walls = timing.wall_seconds
    # comparisons take logarithms and ratios of them: one zero would make a run that cannot be compared
    if not all(math.isfinite(wall) and wall > 0 for wall in walls):
        raise DamagedError("a time is not positive and finite")
    for name in (each.name for each in fields(timing) if each.name.endswith(("_seconds", "_units", "_ratio"))):
        found = getattr(timing, name)
        # what was never timed is None
        if isinstance(found, float) and not 0 <= found < math.inf:
            raise DamagedError(f"its {name} is {found}")
    if walls and not (timing.median_seconds and timing.value_seconds):
        raise DamagedError("it has samples, and no median of them or no time of the loss beside them")
    if min(timing.rounds, default=1) < 1 or sum(timing.rounds) != len(walls):
        raise DamagedError(f"its rounds have {sum(timing.rounds)} samples; it has {len(walls)}")
    if not len(timing.cpu_seconds) == len(timing.loops) == len(walls) or min(timing.loops, default=1) < 1:
        raise DamagedError(f"its {len(walls)} samples have {len(timing.loops)} loops, or one of none")
    if timing.starts and (min(timing.starts) < 0 or sum(timing.starts) != len(timing.rounds)):
        raise DamagedError(f"its starts have {sum(timing.starts)} rounds; it has {len(timing.rounds)}")
    # none in records from before shares were kept
    if len(timing.machine_shares) not in (0, len(timing.rounds)):
        raise DamagedError(
            f"it has {len(timing.machine_shares)} shares of the machine; and {len(timing.rounds)} rounds"
        )


def _require_curves(training: Mapping[str, Any]) -> None:
    """Refuse what is no training: runs whose columns of numbers have one length, at step sizes that are numbers."""
    curves, grid = (_list_of(training.get(name)) for name in ("curves", "grid"))
    if not curves or not grid:
        raise DamagedError("its training has no curves, or no grid of step sizes")
    for run in (*curves, *grid):
        columns = [run.get(name) for name in ("steps", "losses", "seconds", "loss")] if isinstance(run, Mapping) else []
        # in parallel columns: one that is shorter would pair the losses of a curve with the costs of other steps
        if not columns or not all(isinstance(c, list) and len(c) == len(columns[0] or ()) > 0 for c in columns):
            raise DamagedError("a curve of its training has columns of other lengths, or none")
        if not isinstance(run.get("ended"), str):
            raise DamagedError("a curve of its training does not say how it ended")
        for column in columns:
            _require_column(column)
    sizes = [training.get("step_size"), *(run.get("step_size") for run in grid)]
    limit = training.get("limit") or {}
    _require_column([*sizes, limit.get("limit") if isinstance(limit, Mapping) else limit])
    if not all(type(size) in (int, float) for size in sizes) or not all(type(run.get("seed")) is int for run in curves):
        raise DamagedError("a step size or a seed of its training is no number")


def _list_of(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _require_column(values: Any) -> None:
    try:
        for value in values:
            number(value)
    except (TypeError, ValueError, OverflowError):
        raise DamagedError("a curve of its training has what is no number") from None


def _require_numbers(part: str, values: Any) -> None:
    """Refuse a part of an accuracy that lacks a number, or has something else in its place."""
    if values is None and part in _MAY_LACK:
        return
    if not isinstance(values, Mapping):
        raise DamagedError(f"its {part} is no object")
    # theory may say what an estimator estimates and not how far off it is: "predicted" may lack a number
    for name in _NEEDED.get(part, ()):
        if values and name not in values and part != "predicted":
            raise DamagedError(f"its {part} has no {name!r}")
    for name, value in values.items():
        if part == "blocks" or name in _KNOWN:  # blocks have the names of parameters
            _require_value(part, name, value)


def _require_value(part: str, name: str, value: Any) -> None:
    if part != "blocks" and name in _TEXTS:
        if not isinstance(value, str):
            raise DamagedError(f"{part}.{name} is no text: {value!r:.60}")
        return
    try:
        # "nan" and "inf" are numbers here; what they mean is for the readers to say
        numbers = [number(each) for each in ((value or ()) if name in _SERIES else [value])]
    except (TypeError, ValueError, OverflowError):
        raise DamagedError(f"{part}.{name} is no number: {value!r:.60}") from None
    if part != "blocks" and name in _LENGTHS and min(numbers, default=0.0) < 0:
        raise DamagedError(f"{part}.{name} is no length: {value!r:.60}")
