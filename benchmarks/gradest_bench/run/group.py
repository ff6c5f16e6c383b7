"""Measures one group of cells: prepared together, timed in interleaved rounds, judged, recorded.

This is the whole of what runs elsewhere when a sweep has an executor. This module knows no results folder.
"""

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gradest.measurement.outcome import Outcome
from gradest_bench.results.outcomes import CellError
from gradest_bench.results.records import Record
from gradest_bench.run.cell_run import CellRun, unmeasured
from gradest_bench.run.schedule import PlannedCell, rounds
from gradest_bench.suite.cells import Cell
from gradest_bench.worker.pool import WorkerPool

Step = Callable[[Cell], None]
"""Called with a cell after each step that was made of it."""


def no_step(cell: Cell) -> None:
    """Take no notice of a step."""


def steps_of(cell: Cell) -> int:
    """Return how many steps a cell has: judging once; in each start of the workers, preparing and timing each round."""
    return 1 + _starts_of(cell) * (1 + (cell.budget.repetitions if "time" in cell.measure else 0))


@dataclass
class _GroupRun:
    """Keeps the cells of a group that are still under way; one that ends in an error becomes a record and leaves."""

    suite: str
    running: dict[str, CellRun]
    pool: WorkerPool
    step: Step

    def attempt(self, run: CellRun, action: Callable[[], object]) -> Record | None:
        """Carry out one action; return the record of a cell that this ended."""
        try:
            action()
        except CellError as failure:
            del self.running[run.cell.key]
            return run.record(self.suite, failure)
        except Exception as error:  # noqa: BLE001  # a reply may lack or hold anything; it is this cell's outcome alone
            del self.running[run.cell.key]
            return run.record(self.suite, run.broken(error))
        self.step(run.cell)
        return None


def measure_group(
    planned: Sequence[PlannedCell], pool: WorkerPool, *, suite: str, seed: int, step: Step = no_step
) -> Iterator[Record]:
    """Yield the record of each cell when it is done, and after each start of the workers that of what it has begun.

    The order of measuring is drawn from `seed`.

    Whatever goes wrong is an outcome of cells: of one, or of all that were not done, and never the end of the sweep.
    """
    group = _GroupRun(suite, {plan.cell.key: CellRun(plan, pool) for plan in planned}, pool, step)
    # what has no record yet: a fault of the harness has to end these, and no others
    waiting = {plan.cell.key: plan for plan in planned}
    try:
        for record in _records(group, seed):
            if not record.begun:
                waiting.pop(record.key, None)
            yield record
        pool.release()
    except Exception as error:  # noqa: BLE001  # a fault of the harness itself: other groups may not meet it
        reason = f"the harness failed while it measured this group: {type(error).__name__}: {error}"
        for plan in waiting.values():
            yield unmeasured(suite, plan, Outcome.ERROR, reason, traceback.format_exc())


def _records(group: _GroupRun, seed: int) -> Iterator[Record]:
    starts = max((_starts_of(run.cell) for run in group.running.values()), default=0)
    for start in range(starts):
        running = [run for run in group.running.values() if run.planned.starts_done <= start < _starts_of(run.cell)]
        if not running:
            continue  # a sweep that was stopped has made this start
        if start:
            group.pool.close()  # what a process is slow by, it is slow by throughout: only another one shows it
        # another order in each start: a cell would else follow the same one, and its caches, throughout
        yield from _measure_start(group, running, seed=seed + start)
        for run in [run for run in running if run.cell.key in group.running]:
            # accuracy is the same in every start; a cell's last start completes its record
            record = group.attempt(run, run.judge) if start == 0 else None
            if record or start + 1 == _starts_of(run.cell):
                group.running.pop(run.cell.key, None)
                yield record or run.record(group.suite, None)
            else:
                yield run.so_far(group.suite)


def _measure_start(group: _GroupRun, running: Sequence[CellRun], *, seed: int) -> Iterator[Record]:
    """Prepare and time the cells in one start of the workers; yield the records of those that ended."""
    for run in running:
        if record := group.attempt(run, run.start):
            yield record
    # times are taken in turns, so that what disturbs the machine for a while falls on all cells alike; accuracy is
    # judged after them, so that nobody's replicates run between timed samples
    timed = [run.cell for run in running if run.cell.key in group.running and "time" in run.cell.measure]
    for number, cells in rounds(timed, seed=seed):
        for cell in cells:
            timed_run = group.running.get(cell.key)
            if timed_run is not None and (record := group.attempt(timed_run, _measure(timed_run, number))):
                yield record


def _starts_of(cell: Cell) -> int:
    """Return in how many starts of the workers a cell takes part: one, where it has no times."""
    return cell.budget.starts if "time" in cell.measure else 1


def _measure(run: CellRun, number: int) -> Callable[[], object]:
    return lambda: run.measure(number)
