"""Carries one cell through its worker: keeps what has been measured of it so far, and makes its record.

This module knows requests and replies, and no file.
"""

import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from gradest.measurement.findings import Counts
from gradest.measurement.outcome import Outcome
from gradest.measurement.timing import Block, Timing
from gradest_bench.results.outcomes import CellError
from gradest_bench.results.records import Memory, Record, blocks_of, plain
from gradest_bench.run.schedule import PlannedCell
from gradest_bench.suite.cells import digest
from gradest_bench.worker.pool import WorkerPool
from gradest_bench.worker.process import Limits, WorkerProcess

MINIMUM_BLOCK_SECONDS = 0.05
"""Shorter blocks would meet cold caches each time (interleaved single calls inflate small problems 2-3 times)."""


class CellRun:
    """Carries out one planned cell, request by request, within its limits."""

    def __init__(self, planned: PlannedCell, pool: WorkerPool) -> None:
        self.planned = planned
        self.cell = planned.cell
        self.facts = dict(planned.facts)
        self.counts: Counts | None = None
        self.memory: Memory | None = None
        self.accuracy: dict[str, Any] = {}
        self.training: dict[str, Any] = {}
        self._first: Timing | None = None
        self._blocks: list[Block] = []
        self._starts: list[int] = []
        self._conversions: tuple[float | None, float | None] = (None, None)
        self._pool = pool
        self._spent = 0.0
        self._prepared_by = 0
        if planned.begun is not None:
            self._go_on_from(planned.begun)

    def _go_on_from(self, begun: Record) -> None:
        """Take what a sweep that was stopped has measured; the first calls of that one stand."""
        assert begun.timing is not None  # as in every record of a cell that was begun
        # without the samples, which are among the blocks: they would be there twice
        self._first = replace(begun.timing, wall_seconds=[], cpu_seconds=[], loops=[], rounds=[], starts=[])
        self._blocks, self._starts = blocks_of(begun.timing), list(begun.timing.starts)
        self._conversions = begun.timing.to_backend_seconds, begun.timing.to_numpy_seconds
        self.facts |= begun.facts
        self.counts, self.memory = begun.counts, begun.memory
        self.accuracy, self.training = begun.accuracy, begun.training

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
        timing, counts = msgspec.convert(facts.pop("timing"), Timing), msgspec.convert(facts.pop("counts"), Counts)
        if self._first is None:  # after the death of a worker, the first measurement stands
            self._first, self.counts = timing, counts
            self.facts.update(facts)

    def start(self) -> None:
        """Prepare the cell for the rounds of one more start of the workers; raises as `prepare` does."""
        self._starts.append(0)
        self.prepare()

    def measure(self, round_number: int) -> Block:
        """Time one block of the cell, and return it."""
        self.prepare()
        budget = self.cell.budget
        found = self._ask(
            self._worker(),
            "block",
            key=self.cell.key,
            round_number=round_number,
            samples=budget.samples_in_round,
            seconds=max(MINIMUM_BLOCK_SECONDS, budget.minimum_seconds / budget.repetitions),
        )
        block = msgspec.convert(found["block"], Block)
        self._blocks.append(block)
        self._starts[-1] += 1
        # measured once in a process: each block of it brings the same two numbers
        self._conversions = found["conversion_seconds"]
        return block

    @property
    def timing(self) -> Timing | None:
        """What was timed so far; None where the cell was not prepared."""
        if self._first is None:
            return None
        forth, back = self._conversions
        first = replace(self._first, to_backend_seconds=forth, to_numpy_seconds=back)
        # one start is what a record without the field has: its rounds belong together, whichever process died meanwhile
        starts = self._starts if self.cell.budget.starts > 1 else ()
        return first.with_blocks(self._blocks, on_processor=self.facts.get("device", "cpu") == "cpu", starts=starts)

    def judge(self) -> None:
        """Measure accuracy, training, and memory in a process of its own, where asked."""
        if "accuracy" in self.cell.measure:
            self.prepare()
            self.accuracy = self._ask(self._worker(), "accuracy", key=self.cell.key)
        if "training" in self.cell.measure:
            self.prepare()
            self.training = self._ask(self._worker(), "training", cell=msgspec.to_builtins(self.cell))
        if "memory" in self.cell.measure:
            # the peak of a process is that of all it ever did: only one that did nothing else shows this cell's
            worker = self._pool.fresh(self.cell.worker, self.cell.backend)
            try:
                found = self._ask(worker, "memory", cell=msgspec.to_builtins(self.cell))
            finally:
                worker.kill()
            self.memory = Memory(**found)

    def broken(self, error: Exception) -> CellError:
        """Return the outcome of a cell whose worker answered what cannot be read; that worker is ended."""
        worker = self._pool.living(self.cell.worker)
        if worker is not None:
            worker.kill()  # what it says of the next cell could not be believed either
        reason = f"the worker's reply cannot be read: {type(error).__name__}: {error}"
        return CellError(Outcome.CRASHED, reason, traceback.format_exc())

    def so_far(self, suite: str) -> Record:
        """Return what there is of a cell that has starts of the workers before it, for a sweep that goes on later."""
        reason = f"{len(self._starts)} of {self.cell.budget.starts} starts of the workers are done"
        found = self.record(suite, CellError(Outcome.INTERRUPTED, reason))
        # to be stopped is no failed try
        found.attempts = self.planned.attempts
        return found

    def record(self, suite: str, failure: CellError | None) -> Record:
        """Return what came of the cell."""
        return Record(
            key=self.cell.key,
            identity=self.planned.identity or digest(self.cell.key),
            suite=suite,
            cell=self.cell,
            outcome=(failure.outcome if failure else Outcome.OK).value,
            reason=failure.reason if failure else self.accuracy.get("prediction_fault", ""),
            log_tail=failure.log_tail if failure else "",
            # a worker that could not be started has not tried the cell
            attempts=self.planned.attempts + (failure is None or failure.outcome is not Outcome.NOT_TRIED),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            facts=plain(self.facts),
            timing=self.timing,
            counts=self.counts,
            memory=self.memory,
            accuracy=self.accuracy,
            training=self.training,
        )

    def _limits(self) -> Limits:
        budget = self.cell.budget
        # a cell pays for its own requests alone: others of its group are measured in between; and for each start anew
        left = time.monotonic() + budget.timeout_seconds * max(len(self._starts), 1) - self._spent
        return Limits(deadline=left, timeout_seconds=budget.timeout_seconds, memory_limit_mb=budget.memory_limit_mb)

    def _worker(self) -> WorkerProcess:
        return self._pool.worker(self.cell.worker, self.cell.backend)

    def _ask(self, worker: WorkerProcess, op: str, **arguments: Any) -> dict[str, Any]:
        worker.mark_log()  # what the worker prints from here on belongs to this cell
        start = time.monotonic()
        try:
            return worker.request(op, self._limits(), **arguments)
        finally:
            self._spent += time.monotonic() - start


def unmeasured(suite: str, plan: PlannedCell, outcome: Outcome, reason: str, log_tail: str = "") -> Record:
    """Return the record of a cell that was not measured."""
    # whoever could not try is no attempt: a cell is not given up for the faults of an interpreter
    tried = outcome is not Outcome.NOT_TRIED
    return Record(
        key=plan.cell.key,
        identity=plan.identity,
        suite=suite,
        cell=plan.cell,
        outcome=outcome.value,
        reason=reason,
        log_tail=log_tail,
        attempts=plan.attempts + tried,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        facts=plan.facts,
    )
