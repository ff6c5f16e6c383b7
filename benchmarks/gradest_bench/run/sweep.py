"""Runs a suite: every cell that has no result yet is identified, measured, and kept as soon as it is done.

This module decides what runs and where its record goes; it measures nothing and prints nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from gradest.measurement.outcome import Outcome
from gradest_bench.results.outcomes import DONE, CellError
from gradest_bench.results.records import Record
from gradest_bench.results.store import Store, latest, read_records
from gradest_bench.run.cell_run import unmeasured
from gradest_bench.run.group import measure_group
from gradest_bench.run.schedule import PlannedCell, TooLarge, groups, size_of
from gradest_bench.run.tasks import run_task, task
from gradest_bench.suite.cells import Cell, digest
from gradest_bench.worker.launch import Launch
from gradest_bench.worker.pool import WorkerPool
from gradest_bench.worker.process import Limits

IDENTIFY_SECONDS = 300.0
"""How long reading the data of a problem may take; that is no cell's time."""


class Listener(Protocol):
    """Is told of a sweep's progress."""

    def planned(self, cells: Sequence[Cell], kept: int) -> None:
        """Learn which cells will run, and how many have a result already."""

    def step(self, cell: Cell) -> None:
        """Learn that a cell has come one step further."""

    def finished(self, record: Record) -> None:
        """Learn that a cell has ended, and is on the disk."""


@dataclass
class Sweep:
    """Runs the cells of one suite and keeps their records in a store.

    `executor` is what the one given to `run` is called in the environment of each cell: times that were taken side by
    side are no times of one after the other.
    """

    suite: str
    cells: Sequence[Cell]
    store: Store
    launch: Launch
    listener: Listener
    seed: int = 0
    plugins: Sequence[str] = ()
    executor: str = ""
    _kept: int = 0
    _too_large: TooLarge = field(default_factory=TooLarge)

    def run(self, executor: Executor | None = None) -> list[Record]:
        """Return the last record of every cell of the suite; what was done before is not run again.

        Raises
        ------
        KeyboardInterrupt
            The sweep was stopped; cells in work are kept as interrupted.
        StorageError
            A record could not be written; those before it are kept.
        """
        pool = WorkerPool(self.launch, plugins=self.plugins)
        # once: what this sweep adds is of cells that it has planned already
        before = self._results()
        try:
            waiting = self._plan(pool, before, here=executor is None)
            self.listener.planned([plan.cell for plan in waiting], self._kept)
            parts = groups(waiting, seed=self.seed)
            if executor is None:
                for part in parts:
                    self._run_here(part, pool)
            else:
                pool.close()  # it has identified the cells; each task starts workers of its own
                self._run_elsewhere(parts, executor)
        except BaseException:  # Ctrl-C too: no worker outlives its sweep
            pool.kill()
            raise
        pool.close()
        after = self._results()
        return [after[cell.key] for cell in self.cells if cell.key in after]

    def _results(self) -> dict[str, Record]:
        return latest(read_records(self.store.folder))

    # -- planning ---------------------------------------------------------------------------------------
    def _plan(self, pool: WorkerPool, before: dict[str, Record], *, here: bool) -> list[PlannedCell]:
        """Return the cells that have to run; those that cannot even be identified are recorded at once.

        What was begun goes on `here` alone: what an executor's workers run on is not known before they have run.
        """
        waiting = []
        for cell in self.cells:
            earlier = before.get(cell.key)
            try:
                found = self._identify(cell, pool)
            except CellError as failure:
                if earlier is not None and Outcome(earlier.outcome) in DONE:
                    self._kept += 1  # nothing says that it changed: the next resume asks again
                    continue
                plan = PlannedCell(cell, digest(cell.key), attempts=earlier.attempts if earlier else 0)
                self._keep(unmeasured(self.suite, plan, failure.outcome, failure.reason, failure.log_tail))
                continue
            identity = found.pop("identity")
            if earlier is not None and earlier.identity == identity and Outcome(earlier.outcome) in DONE:
                self._kept += 1
                continue
            # other code or data is another cell: its attempts begin anew
            same = earlier if earlier is not None and earlier.identity == identity else None
            begun = same if here and same is not None and same.begun and self._as_begun(same, pool) else None
            waiting.append(PlannedCell(cell, identity, found, same.attempts if same is not None else 0, begun))
        return waiting

    def _as_begun(self, record: Record, pool: WorkerPool) -> bool:
        """Whether a cell that was begun would be measured as it was: the starts of one record have one environment."""
        found = pool.environments[record.cell.worker]
        return self.store.has_environment(record.environment, record.cell.worker, found["libraries"])

    def _identify(self, cell: Cell, pool: WorkerPool) -> dict[str, Any]:
        worker = pool.worker(cell.worker, cell.backend)
        return worker.request("identify", Limits.of(IDENTIFY_SECONDS), cell=msgspec.to_builtins(cell))

    # -- running ----------------------------------------------------------------------------------------
    def _run_here(self, part: list[PlannedCell], pool: WorkerPool) -> None:
        waiting = self._worth_trying(part)
        records = measure_group(waiting, pool, suite=self.suite, seed=self._group_seed(part), step=self.listener.step)
        told: set[str] = {plan.cell.key for plan in waiting if plan.begun is not None}
        try:
            for record in records:
                self._keep(record, pool.environments)
                told.add(record.key)
        except KeyboardInterrupt:
            for plan in waiting:
                if plan.cell.key not in told:  # what was begun says itself that it was interrupted
                    self._keep(unmeasured(self.suite, plan, Outcome.INTERRUPTED, "stopped by the keyboard"))
            raise

    def _run_elsewhere(self, parts: list[list[PlannedCell]], executor: Executor) -> None:
        futures: dict[Future[Any], list[PlannedCell]] = {}
        for part in parts:
            waiting = self._worth_trying(part)
            if waiting:
                request = task(waiting, self.launch, self.plugins, suite=self.suite, seed=self._group_seed(part))
                # all at once: which of them run beside each other is the executor's to decide
                futures[executor.submit(run_task, request)] = waiting
        try:
            # as they end: a group that takes long keeps no other from the disk
            for future in as_completed(futures):
                self._keep_task(future, futures[future])
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def _keep_task(self, future: "Future[Any]", waiting: list[PlannedCell]) -> None:
        """Keep the records of one task; a task that died leaves its cells crashed."""
        try:
            result = future.result()
        except Exception as error:  # noqa: BLE001 - whatever an executor raises for a task that did not come back
            reason = f"the executor lost the task: {type(error).__name__}: {error}"
            for plan in waiting:
                self._keep(unmeasured(self.suite, plan, Outcome.CRASHED, reason))
            return
        records = [msgspec.convert(found, Record) for found in result["records"]]
        for record in records:
            if not record.begun:  # it came back whole
                self._keep(record, result["environments"], elsewhere=True)

    def _worth_trying(self, part: Iterable[PlannedCell]) -> list[PlannedCell]:
        """Return the cells of a group, less those that are larger than one that ran out of time or memory."""
        waiting = []
        for plan in part:
            hopeless = self._too_large.reason(plan.cell, plan.size)
            if hopeless is None:
                waiting.append(plan)
            else:
                outcome, reason = hopeless
                self._keep(unmeasured(self.suite, plan, Outcome(outcome), reason))
        return waiting

    def _group_seed(self, part: Sequence[PlannedCell]) -> int:
        """Return the seed of a group's order: its own, whatever ran before, so that a resumed sweep draws it again."""
        return int(digest([self.seed, sorted(plan.cell.key for plan in part)])[:8], 16)

    def _keep(
        self, record: Record, environments: Mapping[str, dict[str, Any]] | None = None, *, elsewhere: bool = False
    ) -> None:
        found = (environments or {}).get(record.cell.worker)
        if found is not None:
            # kept with each worker: a run that is resumed may go on with another executor
            libraries = {**found["libraries"], "executor": self.executor} if elsewhere else found["libraries"]
            # before the record: killed in between, the run has an environment too many, and no record without one
            record.environment = self.store.write_environment(
                found["machine"], record.cell.worker, libraries, elsewhere=elsewhere
            )
        self.store.append(record)
        if record.begun:
            return
        size = size_of(record.facts)
        if record.outcome in (Outcome.TIMEOUT.value, Outcome.OUT_OF_MEMORY.value) and size is not None:
            self._too_large.add(record.cell, size, record.outcome)
        # last: what is told to be finished is on the disk
        self.listener.finished(record)
