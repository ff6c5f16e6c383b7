"""Exports hold what was measured, and other tools read them."""

import csv
import itertools
import json
import math
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from support.bench_runs import faulty_suite, run_suite

import gradest
import gradest_bench
from gradest.errors import InvalidInputError
from gradest_bench.results.export import export
from gradest_bench.results.files import StorageError
from gradest_bench.results.loading import Run
from gradest_bench.results.records import number, rounds_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
        run_suite(faulty_suite("none", "double", "nan"), folder)
    return gradest.bench.load(folder)


def test_csv_has_a_row_for_each_cell(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "run.csv"
    assert export(run, "csv", target) == len(run.records) == 4
    with target.open(encoding="utf-8") as file:
        rows = {row["estimator"]: row for row in csv.DictReader(file)}
    assert rows["nan"]["outcome"] == "invalid"
    assert rows["nan"]["relative_error"] == ""
    assert float(rows["double"]["relative_error"]) == pytest.approx(1.0)
    assert rows["double"]["verdict"] == "wrong"
    timing = next(r.timing for r in run.records if r.cell.estimator.label == "none")
    assert timing is not None
    assert float(rows["none"]["median_seconds"]) == statistics.median(timing.wall_seconds)


def test_json_is_standard_json_of_everything(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "run.json"
    export(run, "json", target)
    found = json.loads(target.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert [record["key"] for record in found["records"]] == [record.key for record in run.records]
    assert found["environment"]["workers"]["numpy"]["versions"]["numpy"]
    null = next(r for r in found["records"] if r["cell"]["estimator"]["name"] == "null")
    assert math.isnan(number(null["accuracy"]["single"]["cosine"]))  # of zeros


def test_data_frame_has_the_rows(run: Run) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = run.frame()
    assert isinstance(frame, pandas.DataFrame)
    assert set(frame["outcome"]) == {"ok", "invalid"}
    assert frame["median_seconds"].dtype.kind == "f"


def test_pyperf_reads_its_format(run: Run, tmp_path: Path) -> None:
    pyperf = pytest.importorskip("pyperf", reason="pyperf is not installed")
    target = tmp_path / "run.pyperf.json"
    assert export(run, "pyperf", target) == 3
    suite = pyperf.BenchmarkSuite.load(str(target))
    medians = {b.get_name(): b.median() for b in suite.get_benchmarks()}
    for record in run.measured:
        assert record.timing is not None
        first = [part[: record.cell.budget.samples_in_round] for part in rounds_of(record.timing)]
        assert medians[record.cell.title] == pytest.approx(statistics.median(itertools.chain(*first)))


def test_pyperf_compares_two_runs_whose_rounds_were_filled_by_other_numbers_of_samples(
    run: Run, tmp_path: Path
) -> None:
    pytest.importorskip("pyperf", reason="pyperf is not installed")
    fuller = []
    for record in run.measured:
        timing = record.timing
        assert timing is not None
        rounds = [[*part, part[-1]] for part in rounds_of(timing)]
        walls, loops = list(itertools.chain(*rounds)), [timing.loops[0]] * sum(map(len, rounds))
        more = replace(timing, wall_seconds=walls, loops=loops, rounds=[len(part) for part in rounds])
        fuller.append(msgspec.structs.replace(record, timing=more))
    export(run, "pyperf", tmp_path / "a.json")
    export(replace(run, records=tuple(fuller)), "pyperf", tmp_path / "b.json")
    command = [sys.executable, "-m", "pyperf", "compare_to", "a.json", "b.json", "-v"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "ERROR when testing" not in done.stdout + done.stderr
    assert "quadratic" in done.stdout


def test_pyperf_has_two_cells_of_one_title(run: Run, tmp_path: Path) -> None:
    """Two grids may ask for one cell with other measures or seeds; pyperf takes no name twice."""
    pyperf = pytest.importorskip("pyperf", reason="pyperf is not installed")
    again = [
        msgspec.structs.replace(r, key=f"{r.key}-{k}", cell=msgspec.structs.replace(r.cell, seeds=tuple(range(k))))
        for k in (2, 3)
        for r in run.measured
    ]
    target = tmp_path / "run.pyperf.json"
    assert export(replace(run, records=(*run.records, *again)), "pyperf", target) == 9
    names = pyperf.BenchmarkSuite.load(str(target)).get_benchmark_names()
    assert len(set(names)) == 9
    assert {name.rpartition(" (")[2] for name in names} == {"1 seed)", "2 seeds)", "3 seeds)"}


def test_pyperf_of_a_run_without_times_is_refused(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("pyperf", reason="pyperf is not installed")
    untimed = Run(run.folder, (), run.environment, "", "", 0)
    with pytest.raises(InvalidInputError, match="use csv or json"):
        export(untimed, "pyperf", tmp_path / "x")


def test_loading_what_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"it has no results\.jsonl"):
        gradest_bench.load(tmp_path)
