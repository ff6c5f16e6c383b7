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
    """Return how many steps a cell has: preparing, timing each round, judging."""
    return 2 + (cell.budget.repetitions if "time" in cell.measure else 0)


@dataclass
class _GroupRun:
    """Keeps the cells of a group that are still under way; one that ends in an error becomes a record and leaves."""

    suite: str
    running: dict[str, CellRun]
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
    """Yield the record of each cell when it is done; the order of measuring is drawn from `seed`.

    Whatever goes wrong is an outcome of cells: of one, or of all that were not done, and never the end of the sweep.
    """
    group = _GroupRun(suite, {plan.cell.key: CellRun(plan, pool) for plan in planned}, step)
    waiting = {plan.cell.key: plan for plan in planned}
    try:
        for record in _records(group, seed):
            waiting.pop(record.key, None)
            yield record
        pool.release()
    except Exception as error:  # noqa: BLE001  # a fault of the harness itself: other groups may not meet it
        reason = f"the harness failed while it measured this group: {type(error).__name__}: {error}"
        for plan in waiting.values():
            yield unmeasured(suite, plan, Outcome.ERROR, reason, traceback.format_exc())


def _records(group: _GroupRun, seed: int) -> Iterator[Record]:
    for run in list(group.running.values()):
        if record := group.attempt(run, run.prepare):
            yield record
    # times are taken in turns, so that what disturbs the machine for a while falls on all cells alike; accuracy is
    # judged after them, so that nobody's replicates run between timed samples
    timed = [run.cell for run in group.running.values() if "time" in run.cell.measure]
    for number, cells in rounds(timed, seed=seed):
        for cell in cells:
            timed_run = group.running.get(cell.key)
            if timed_run is not None and (record := group.attempt(timed_run, _measure(timed_run, number))):
                yield record
    for run in list(group.running.values()):
        record = group.attempt(run, run.judge)
        yield record or run.record(group.suite, None)


def _measure(run: CellRun, number: int) -> Callable[[], object]:
    return lambda: run.measure(number)
