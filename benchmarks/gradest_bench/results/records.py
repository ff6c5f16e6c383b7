"""Defines the record of one cell: plain data, one line of `results.jsonl`, with the version of its schema.

History of the schema: 1, the first; 2, times of several starts of the workers (a record of 1 has one), and of a
stochastic estimate the slope and the squared error of each seed.

JSON has no NaN: numbers that are not finite are kept as the texts "nan", "inf" and "-inf" (msgspec would write null).
This module knows no file and no process.
"""

import itertools
import math
from typing import Any

import msgspec
import numpy as np

from gradest.measurement.accuracy import z_score
from gradest.measurement.findings import Counts
from gradest.measurement.outcome import Outcome
from gradest.measurement.timing import DISTURBED_BELOW, Block, Timing
from gradest_bench.suite.cells import Cell

SCHEMA = 2
READABLE = (1, 2)
"""The schemas whose lines are read as records of today: fields that they lack have defaults."""

COMPARABLE = ("machine", "processor", "cores", "system")
"""The keys of a machine that must agree for two times to be compared."""


class Memory(msgspec.Struct, kw_only=True):
    """Holds bytes: how far one call raised the resident memory of a process of its own, and the device's own peak.

    `preparation_extra_bytes` is what preparing and the first calls took, compilation included. A record without it is
    an earlier one, whose `peak_extra_bytes` holds both.
    """

    peak_extra_bytes: int
    resident_before_bytes: int
    device_peak_bytes: int | None = None
    preparation_extra_bytes: int | None = None


class Record(msgspec.Struct, kw_only=True):
    """States how one cell ended, and everything measured of it."""

    schema: int = SCHEMA
    key: str
    identity: str
    suite: str
    cell: Cell
    outcome: str
    reason: str = ""
    """Why it did not run to its end; of a cell that did, what went wrong in its prediction, if anything did."""
    log_tail: str = ""
    attempts: int = 1
    finished: str = ""
    environment: str = ""
    facts: dict[str, Any] = {}
    """The findings of the worker: num_parameters, path, stochastic, state_bytes, target, data checksum, versions."""
    timing: Timing | None = None
    counts: Counts | None = None
    memory: Memory | None = None
    accuracy: dict[str, Any] = {}
    training: dict[str, Any] = {}
    """What training under the estimator gave: the grid of step sizes, the best of them, a curve for each seed."""

    @property
    def expected(self) -> bool:
        """Whether the suite says that the cell may end so."""
        return self.outcome in self.cell.expect

    @property
    def begun(self) -> bool:
        """Whether some starts of the workers are done and others are not: a resume goes on from there."""
        return self.outcome == Outcome.INTERRUPTED and self.timing is not None and bool(self.timing.starts)

    @property
    def disturbed(self) -> bool:
        """Whether the machine was doing something else while the cell was timed."""
        return self.timing is not None and self.timing.disturbed


def z_of(record: Record) -> float | None:
    """Return how many standard errors the measured relative MSE lies above the predicted one; None without either."""
    scatter = record.accuracy.get("replicates") or {}
    predicted = (record.accuracy.get("predicted") or {}).get("relative_mse")
    if predicted is None or "relative_mse_error" not in scatter:
        return None
    # texts too: JSON has no NaN and no infinity
    measured, error = number(scatter["relative_mse"]), number(scatter["relative_mse_error"])
    found = z_score(measured, error, number(predicted), dtype=record.cell.dtype)
    return None if math.isnan(found) else found


def rounds_of(timing: Timing) -> list[list[float]]:
    """Return the wall seconds of the samples of a cell, those of one round together."""
    parts, start = [], 0
    for count in timing.rounds:
        parts.append(timing.wall_seconds[start : start + count])
        start += count
    return parts


def starts_of(timing: Timing) -> list[list[list[float]]]:
    """Return the rounds of a cell, those of one start of the workers together; a record of schema 1 has one start."""
    rounds, found, start = rounds_of(timing), [], 0
    # no counts stand for one start, as in all records before there were several
    for count in timing.starts or [len(rounds)]:
        found.append(rounds[start : start + count])
        start += count
    # one that was stopped before its first round has nothing to be compared
    return [block for block in found if block]


def blocks_of(timing: Timing) -> list[Block]:
    """Return the blocks that times were made of; each has the loss's median time, as its own was not kept.

    Examples
    --------
    >>> from gradest.measurement.timing import Block, Timing
    >>> from gradest_bench.results.records import blocks_of
    >>> block = Block(wall_seconds=(1.0, 2.0), cpu_seconds=(1.0, 2.0), loops=3, value_seconds=0.5, machine_share=1.0)
    >>> empty = Timing(preparation_seconds=0.0, first_call_seconds=0.0)
    >>> blocks_of(empty.with_blocks([block, block], on_processor=True)) == [block, block]
    True
    """
    found, start = [], 0
    for place, count in enumerate(timing.rounds):
        part = slice(start, start + count)
        found.append(
            Block(
                wall_seconds=tuple(timing.wall_seconds[part]),
                cpu_seconds=tuple(timing.cpu_seconds[part]),
                loops=timing.loops[start],
                value_seconds=number(timing.value_seconds),
                machine_share=timing.machine_shares[place] if timing.machine_shares else None,
            )
        )
        start += count
    return found


def undisturbed_starts(timing: Timing) -> dict[int, list[list[float]]]:
    """Return, by the number of the start, the rounds in which the machine gave what it was asked for.

    A start of which fewer than half of the rounds are left is left out. Of a record that holds no shares, all count.
    """
    shares = iter(timing.machine_shares or [1.0] * len(timing.rounds))
    kept = {}
    for number, block in enumerate(starts_of(timing)):
        # the machine's share, never the cell's own: a cell that waits is judged as any other
        rounds = [
            part
            for part, share in zip(block, itertools.islice(shares, len(block)), strict=True)
            if share >= DISTURBED_BELOW
        ]
        # all starts are compared by as many rounds as the poorest has: one of which little is left costs them theirs
        if 2 * len(rounds) >= len(block):
            kept[number] = rounds
    return kept


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
