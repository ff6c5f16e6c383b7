"""One cell on its way: what has been measured of it so far, and the record that comes of it.

This module knows requests and replies, and no file.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median, quantiles
from typing import Any

import msgspec

from gradest.measurement.outcome import Outcome
from gradest_bench.results.outcomes import CellError
from gradest_bench.results.records import Counts, Memory, Record, Timing, plain
from gradest_bench.suite.cells import Cell, digest
from gradest_bench.worker.pool import WorkerPool
from gradest_bench.worker.process import Limits, WorkerProcess

DISTURBED_BELOW = 0.8
"""A cell whose processor time is less than this share of its wall time was disturbed by the machine."""
MINIMUM_BLOCK_SECONDS = 0.05
"""Shorter blocks would meet cold caches each time (interleaved single calls inflate small problems 2-3 times)."""


@dataclass(frozen=True)
class Planned:
    """A cell to run, with its identity, what is known of it before it runs, and how often it was tried before."""

    cell: Cell
    identity: str
    facts: dict[str, Any] = field(default_factory=dict)
    attempts: int = 0


class CellRun:
    """Carries out one planned cell, request by request, within its limits."""

    def __init__(self, planned: Planned, pool: WorkerPool) -> None:
        self.planned = planned
        self.cell = planned.cell
        self.facts = dict(planned.facts)
        self.timing: Timing | None = None
        self.counts: Counts | None = None
        self.memory: Memory | None = None
        self.accuracy: dict[str, Any] = {}
        self._value_seconds: list[float] = []
        self._pool = pool
        self._spent = 0.0
        self._prepared_by = 0

    def prepare(self) -> None:
        """Prepare the cell in its worker, unless that very process has it.

        Raises
        ------
        CellError
            It ended otherwise than well; so do the methods below.
        """
        worker = self._worker()
        if worker.pid == self._prepared_by:
            return
        facts = self._ask(worker, "prepare", cell=msgspec.to_builtins(self.cell))
        self._prepared_by = worker.pid
        times = {name: facts.pop(name) for name in ("preparation_seconds", "first_call_seconds")}
        counts = Counts(stated=facts.pop("stated"), counted=facts.pop("counted"))
        if self.timing is None:  # after the death of a worker, the first measurement stands
            self.timing, self.counts = Timing(**times), counts
            self.facts.update(facts)

    def measure(self, round_number: int) -> None:
        """Time one block of the cell."""
        self.prepare()
        budget, timing = self.cell.budget, self.timing
        assert timing is not None
        found = self._ask(
            self._worker(),
            "block",
            key=self.cell.key,
            round_number=round_number,
            samples=-(-budget.minimum_samples // budget.repetitions),
            seconds=max(MINIMUM_BLOCK_SECONDS, budget.minimum_seconds / budget.repetitions),
        )
        timing.wall_seconds += found["wall_seconds"]
        timing.cpu_seconds += found["cpu_seconds"]
        timing.loops += [found["loops"]] * len(found["wall_seconds"])
        timing.rounds.append(len(found["wall_seconds"]))
        timing.to_backend_seconds, timing.to_numpy_seconds = found["conversion_seconds"]
        self._value_seconds.append(found["value_seconds"])

    def judge(self) -> None:
        """Measure accuracy, and memory in a process of its own, where asked."""
        if "accuracy" in self.cell.measure:
            self.prepare()
            self.accuracy = self._ask(self._worker(), "accuracy", key=self.cell.key)
        if "memory" in self.cell.measure:
            worker = self._pool.fresh(self.cell.worker, self.cell.backend)
            try:
                found = self._ask(worker, "memory", cell=msgspec.to_builtins(self.cell))
            finally:
                worker.kill()
            self.memory = Memory(**found)

    def record(self, suite: str, failure: CellError | None) -> Record:
        """Return what came of the cell."""
        if self.timing is not None:
            summarise(self.timing, self._value_seconds, on_processor=self.facts.get("device", "cpu") == "cpu")
        return Record(
            key=self.cell.key,
            identity=self.planned.identity or digest(self.cell.key),
            suite=suite,
            cell=self.cell,
            outcome=(failure.outcome if failure else Outcome.OK).value,
            reason=failure.reason if failure else "",
            log_tail=failure.log_tail if failure else "",
            attempts=self.planned.attempts + 1,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            facts=plain(self.facts),
            timing=self.timing,
            counts=self.counts,
            memory=self.memory,
            accuracy=self.accuracy,
        )

    def _limits(self) -> Limits:
        budget = self.cell.budget
        left = time.monotonic() + budget.timeout_seconds - self._spent
        return Limits(deadline=left, timeout_seconds=budget.timeout_seconds, memory_limit_mb=budget.memory_limit_mb)

    def _worker(self) -> WorkerProcess:
        return self._pool.worker(self.cell.worker, self.cell.backend)

    def _ask(self, worker: WorkerProcess, op: str, **arguments: Any) -> dict[str, Any]:
        worker.mark_log()
        start = time.monotonic()
        try:
            return worker.request(op, self._limits(), **arguments)
        finally:
            self._spent += time.monotonic() - start


def summarise(timing: Timing, value_seconds: list[float], *, on_processor: bool) -> None:
    """Fill in median, spread, processor share and units of one loss from the samples."""
    if not timing.wall_seconds:
        return
    timing.median_seconds = median(timing.wall_seconds)
    if len(timing.wall_seconds) > 1:
        low, _, high = quantiles(timing.wall_seconds, n=4, method="inclusive")
        timing.iqr_seconds = high - low
    wall = sum(w * n for w, n in zip(timing.wall_seconds, timing.loops, strict=True))
    processor = sum(p * n for p, n in zip(timing.cpu_seconds, timing.loops, strict=True))
    timing.cpu_wall_ratio = processor / wall if wall > 0 else None
    timing.disturbed = on_processor and timing.cpu_wall_ratio is not None and timing.cpu_wall_ratio < DISTURBED_BELOW
    if value_seconds:
        timing.value_seconds = median(value_seconds)
        timing.loss_units = timing.median_seconds / timing.value_seconds
