"""The null estimator through the harness: what a timed call costs where nothing is estimated.

    python benchmarks/scripts/null_estimator.py [--backend jax] [--rounds 7]

The cells are the null rows of the suite `quick` (MLP 64-32-10 on digits, four blocks of parameters). Each is measured
as a sweep measures it, by the same code: prepared in a worker process of its backend and timed there in blocks of at
least 50 ms of calls, the last one awaited; nothing is subtracted. The blocks of all cells alternate.
"""

from protocol import probe  # isort: skip  # states one thread and one core, which the workers inherit

import argparse
import statistics
import tempfile
from pathlib import Path

from gradest.measurement.outcome import Outcome
from gradest_bench.report.units import seconds
from gradest_bench.results.outcomes import CellError
from gradest_bench.run.cell_run import CellRun
from gradest_bench.run.schedule import PlannedCell
from gradest_bench.suite.cells import NULL, Cell
from gradest_bench.suite.schema import parse_suite, suite_text
from gradest_bench.suite.selection import chosen_cells
from gradest_bench.worker.launch import Launch
from gradest_bench.worker.pool import WorkerPool

SUITE = "quick"
BACKENDS = ("numpy", "jax", "torch", "mxnet")
BAR_SECONDS = 20e-6


def prepared(cell: Cell, pool: WorkerPool) -> CellRun | None:
    """Return a cell prepared in its worker; None, and a line that says why, where something is not installed."""
    run = CellRun(PlannedCell(cell, identity=""), pool)
    try:
        run.start()
    except CellError as failure:
        if failure.outcome is not Outcome.MISSING:
            raise
        print(f"{label(cell):<28} not measured: {failure.reason}")
        return None
    return run


def block_seconds(run: CellRun, round_number: int) -> float:
    """Return the seconds per call in one more block of a cell; its samples have equal numbers of calls."""
    return statistics.fmean(run.measure(round_number).wall_seconds)


def label(cell: Cell) -> str:
    """Return what a cell's line begins with."""
    return f"null, {cell.backend}, {cell.dtype}"


def main() -> None:
    """Print the median and the range over rounds for each backend and dtype, and the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=BACKENDS, action="append", help="all of them by default")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    suite = parse_suite(suite_text(SUITE))
    backends = options.backend or BACKENDS
    cells = chosen_cells(suite, backends=backends, estimators=(NULL.name,), pythons={})
    cells.sort(key=lambda cell: backends.index(cell.backend))
    with tempfile.TemporaryDirectory() as logs:
        pool = WorkerPool(Launch(pythons={}, logs=Path(logs)))
        try:
            runs = [run for cell in cells if (run := prepared(cell, pool)) is not None]
            before = probe()
            found: dict[str, list[float]] = {label(run.cell): [] for run in runs}
            for turn in range(options.rounds):
                # turned round every other time, as in `protocol.interleave`
                for run in runs[:: 1 if turn % 2 == 0 else -1]:
                    found[label(run.cell)].append(block_seconds(run, turn))
            after = probe()
        finally:
            pool.kill()
    for name, each in found.items():
        median = statistics.median(each)
        print(
            f"{name:<28} {seconds(median)} ({seconds(min(each))} to {seconds(max(each))})"
            f"  bar {seconds(BAR_SECONDS)}: {'met' if median < BAR_SECONDS else 'NOT met'}"
        )
    print(f"{'FMA probe (NumPy float32)':<28} {before:.0f} GFLOP/s before, {after:.0f} after")


if __name__ == "__main__":
    main()
