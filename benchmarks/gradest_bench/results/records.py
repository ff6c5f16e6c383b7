"""The record of one cell, as it stands on one line of `results.jsonl`. Versioned; plain data only.

History of the schema: 1, the first.

JSON has no NaN: numbers that are not finite are kept as the texts "nan", "inf" and "-inf" (msgspec would write null).
This module knows no file and no process.
"""

import math
from typing import Any

import msgspec
import numpy as np

from gradest_bench.suite.cells import Cell

SCHEMA = 1

Number = float | str
"""A float, or "nan", "inf", "-inf"."""

COMPARABLE = ("machine", "processor", "cores", "system")
"""The keys of a machine that must agree for two times to be compared."""


class Timing(msgspec.Struct, kw_only=True):
    """Holds the times of one cell, in seconds a call unless said otherwise; samples are in the order they were taken.

    `loops` are the calls in each sample, `rounds` the number of samples of each round. `loss_units` is the median in
    units of one evaluation of the loss (`value_seconds`).
    """

    preparation_seconds: float
    first_call_seconds: float
    wall_seconds: list[float] = []
    cpu_seconds: list[float] = []
    loops: list[int] = []
    rounds: list[int] = []
    median_seconds: float | None = None
    iqr_seconds: float | None = None
    cpu_wall_ratio: float | None = None
    disturbed: bool = False
    value_seconds: float | None = None
    loss_units: float | None = None
    to_backend_seconds: float | None = None
    to_numpy_seconds: float | None = None


class Counts(msgspec.Struct, kw_only=True):
    """Holds evaluations: what the estimator states before it runs, and what one call was counted to make."""

    stated: dict[str, int]
    counted: dict[str, int]


class Memory(msgspec.Struct, kw_only=True):
    """Holds bytes: how far one call raised the resident memory of a process of its own, and the device's own peak."""

    peak_extra_bytes: int
    resident_before_bytes: int
    device_peak_bytes: int | None = None


class Record(msgspec.Struct, kw_only=True):
    """States how one cell ended, and everything measured of it."""

    schema: int = SCHEMA
    key: str
    identity: str
    suite: str
    cell: Cell
    outcome: str
    reason: str = ""
    log_tail: str = ""
    attempts: int = 1
    finished: str = ""
    environment: str = ""
    facts: dict[str, Any] = {}
    """What the worker found: num_parameters, path, stochastic, target, data checksum, versions of code."""
    timing: Timing | None = None
    counts: Counts | None = None
    memory: Memory | None = None
    accuracy: dict[str, Any] = {}

    @property
    def expected(self) -> bool:
        """Whether the suite says that the cell may end so."""
        return self.outcome in self.cell.expect


def plain(value: Any) -> Any:
    """Return nested data as Python's own numbers and texts; what is not finite becomes a text.

    Raises
    ------
    TypeError
        Something in it is not plain data.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        return number if math.isfinite(number) else str(number)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    raise TypeError(f"a result must be plain data; found {type(value).__name__}: {value!r}")


def number(value: Any) -> float:
    """Return a stored number as a float, "nan" and "inf" included; NaN for None."""
    return math.nan if value is None else float(value)
