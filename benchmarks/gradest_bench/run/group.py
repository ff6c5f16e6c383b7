"""Measures one group of cells: prepared together, timed in interleaved rounds, judged, recorded.

This is the whole of what runs elsewhere when a sweep has an executor. This module knows no results folder.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gradest_bench.results.outcomes import CellError
from gradest_bench.results.records import Record
from gradest_bench.run.cell_run import CellRun
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
        self.step(run.cell)
        return None


def measure_group(
    planned: Sequence[PlannedCell], pool: WorkerPool, *, suite: str, seed: int, step: Step = no_step
) -> Iterator[Record]:
    """Yield the record of each cell when it is done; the order of measuring is drawn from `seed`."""
    group = _GroupRun(suite, {plan.cell.key: CellRun(plan, pool) for plan in planned}, step)
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
        yield record or run.record(suite, None)
    pool.release()


def _measure(run: CellRun, number: int) -> Callable[[], object]:
    return lambda: run.measure(number)
