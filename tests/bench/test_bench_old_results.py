"""Results that an earlier version has kept are read, shown, reported and compared as those of today."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import gradest
from gradest.estimate import Cost
from gradest_bench.command.main import main
from gradest_bench.report.page import report_html
from gradest_bench.results.run_comparison import compare_runs

KEPT = Path(__file__).parents[1] / "support" / "run_of_schema_1"
"""A run of the version before cells were measured by `gradest.measurement`, as it lay on the disk."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(KEPT, tmp_path / "run"))


def test_every_figure_is_read(folder: Path) -> None:
    run = gradest.bench.load(folder)
    by_name = {record.cell.estimator.name: record for record in run.records}
    assert set(by_name) == {"null", "reverse", "es", "complex-step"}
    record = by_name["es"]
    assert record.counts.counted == Cost(values=20)
    assert record.counts.stated == record.counts.counted
    assert record.timing.median_seconds > 0
    assert len(record.timing.wall_seconds) == sum(record.timing.rounds)
    assert record.accuracy["predicted"]["relative_mse"] == pytest.approx(0.4)
    assert len(list(run.rows())) == len(run.records)


def test_it_is_reported_and_compared(folder: Path) -> None:
    run = gradest.bench.load(folder)
    page = report_html(run)
    assert "complex-step" in page
    assert not compare_runs(run, run).worse


def test_the_commands_take_it(folder: Path) -> None:
    for command in (["show", str(folder)], ["report", str(folder)], ["compare", str(folder), str(folder)]):
        result = CliRunner().invoke(main, ["bench", *command])
        # one start of the workers says nothing of times: what cannot be judged is no success
        assert result.exit_code == (3 if command[0] == "compare" else 0), (command, result.output)
