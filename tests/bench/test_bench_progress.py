"""What is said while a sweep goes on: in a terminal a bar, in a log few lines and no long silence."""

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from gradest_bench.command.progress import LINES, ProgressLines
from gradest_bench.command.run_view import ProgressBar
from gradest_bench.results.store import latest, read_records


def test_progress_in_a_log_is_neither_silent_nor_endless(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLines(Console(width=200)) as lines:
        for done in range(10_001):
            lines.advance(done, 10_000)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == LINES
    assert said[-1] == "10000 of 10000 cells"
    with ProgressLines(Console(width=200), silent_seconds=0.01) as lines:
        lines.doing("a slow [cell]")
        while "now: a slow [cell]" not in capsys.readouterr().out:  # the line comes, or the test never ends
            time.sleep(0.01)


def test_cells_that_end_before_any_is_planned_are_among_those_that_are_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    records = read_records(Path(__file__).parents[1] / "support" / "run_of_schema_1")
    early, *others = latest(records).values()  # of the first, say, no worker could be started
    with ProgressBar(Console(width=200)) as progress:
        progress.finished(early)
        progress.planned([record.cell for record in others], 0)
        for record in others:
            progress.finished(record)
    whole = len(others) + 1
    assert capsys.readouterr().out.splitlines() == [f"{done} of {whole} cells" for done in range(2, whole + 1)]
    with ProgressBar(Console(width=200, force_terminal=True, file=io.StringIO())) as bar:
        bar.finished(early)
        bar.planned([record.cell for record in others], 0)
        assert not bar._progress.tasks[0].finished
        for record in others:
            bar.finished(record)
        assert bar._progress.tasks[0].completed == bar._progress.tasks[0].total
