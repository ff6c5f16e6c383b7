"""A time during which the machine was disturbed is marked wherever it is shown, and an undisturbed one nowhere."""

import csv
import html
import io
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from rich.console import Console
from scipy import stats
from support.bench_runs import faulty_suite

from gradest import get_problem
from gradest.measurement.compare import compare
from gradest.measurement.comparison import Comparison
from gradest.measurement.timing import Timing
from gradest_bench.command.compare_view import show_comparison
from gradest_bench.command.run_view import show_outcomes, show_records
from gradest_bench.report.compare_figure import comparison_figures
from gradest_bench.report.figure import Axis, Figure, Point, Series
from gradest_bench.report.figures_cost import cost_curves, frontiers
from gradest_bench.report.html import figure_html
from gradest_bench.report.page import report_html
from gradest_bench.report.paper import write_figures, write_panels
from gradest_bench.report.record_numbers import median, slope
from gradest_bench.report.tables import results_table
from gradest_bench.report.units import DISTURBED, DISTURBED_LABEL, DISTURBED_MEANS, seconds
from gradest_bench.results.export import export
from gradest_bench.results.loading import Run
from gradest_bench.results.records import Memory, Record
from gradest_bench.suite.cells import expand
from gradest_bench.suite.schema import parse_suite

SIZES = [4, 8, 16]
TEXT = faulty_suite("none", "double").replace("fields = { size = 3 }", f"vary = {{ size = {SIZES} }}")
CELLS = expand(parse_suite(TEXT.replace('label = "quadratic"', 'label = "quadratic {size}"')))
LINES = re.compile(r"\d (?:us|ms|s|ns)" + re.escape(DISTURBED))
"""A duration with the mark."""


def timing(milliseconds: float, *, disturbed: bool) -> Timing:
    walls = [milliseconds * 1e-3 * (1 + 0.001 * k) for k in range(20)]
    return Timing(
        preparation_seconds=0.5, first_call_seconds=0.25, wall_seconds=walls, loops=[1] * 20, rounds=[4] * 5,
        median_seconds=walls[10], iqr_seconds=walls[10] / 100, cpu_wall_ratio=0.5 if disturbed else 1.0,
        disturbed=disturbed, value_seconds=1e-4, loss_units=walls[10] / 1e-4,
    )  # fmt: skip


def run_of(*, disturbed: bool, factor: float = 1.0) -> Run:
    records = []
    for number, cell in enumerate(CELLS):
        size = cell.problem.fields["size"]
        records.append(
            Record(
                key=cell.key, identity="", suite="", cell=cell, outcome="ok",
                finished="2026-01-01T00:00:00+00:00", timing=timing(factor * (number + 1) * size, disturbed=disturbed),
                accuracy={"single": {"relative_error": 10.0**-number, "cosine": 1.0, "norm_ratio": 1.0}},
                facts={"stochastic": False, "num_parameters": size, "data_entries": 0, "value_flops": 1000},
            )
        )  # fmt: skip
    return Run(Path("run"), tuple(records), {}, "title", "question", len(records))


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def printed(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


@pytest.mark.parametrize("disturbed", [True, False])
def test_in_the_table_of_a_run(disturbed: bool) -> None:
    screen = console()
    run = run_of(disturbed=disturbed)
    show_records(screen, run.records, run.verdicts)
    rows = [line for line in printed(screen).splitlines() if "numpy" in line and "│" in line]
    assert len(rows) == len(CELLS)
    for row in rows:
        assert row.count(DISTURBED) == (3 if disturbed else 0)  # the time, its spread, the same in losses
    assert ("cells were disturbed" in printed(screen)) is disturbed


@pytest.mark.parametrize(("waits", "told"), [("none", "2 cells waited: by themselves"), ("null", "for the machine")])
def test_no_cell_is_said_to_wait_by_itself_where_the_null_estimator_waits_too(waits: str, told: str) -> None:
    records = []
    for record in run_of(disturbed=False).records[:4]:
        assert record.timing is not None
        waiting = record.cell.estimator.label in (waits, "none")
        records.append(msgspec.structs.replace(record, timing=replace(record.timing, waiting=waiting)))
    screen = console()
    show_outcomes(screen, records)
    assert told in printed(screen)
    assert ("by themselves" in printed(screen)) is (waits != "null")


@pytest.mark.parametrize("disturbed", [True, False])
def test_in_the_table_of_the_page_where_it_can_be_filtered_by(disturbed: bool) -> None:
    text = results_table(run_of(disturbed=disturbed))
    rows = re.findall(r"<tr><td.*?</tr>", text)
    assert len(rows) == len(CELLS)
    for row in rows:
        assert row.count(f"{DISTURBED}</td>") == (5 if disturbed else 0)  # and the loss's rate, the processor's share
        assert ('class="warn" data-value' in row) is disturbed


@pytest.mark.parametrize("disturbed", [True, False])
def test_in_the_sentences_of_the_page(disturbed: bool) -> None:
    summary = html.unescape(report_html(run_of(disturbed=disturbed)).partition('<section id="figures">')[0])
    summary = summary.partition("<body>")[2]
    sentences = [line for line in re.findall("<li>(.*?)</li>", summary) if re.search(r"\d (us|ms|s)\b", line)]
    assert sentences
    assert all(bool(LINES.search(sentence)) is disturbed for sentence in sentences)
    assert (f"{DISTURBED}: {DISTURBED_MEANS}" in summary) is disturbed


@pytest.mark.parametrize("disturbed", [True, False])
def test_in_the_tips_and_marks_of_figures_of_time(disturbed: bool) -> None:
    records = run_of(disturbed=disturbed).records
    figures = [figure for figure in (*frontiers(records), *cost_curves(records)) if "time" in figure.key]
    assert {figure.key.split("-")[0] for figure in figures} == {"frontier", "time"}
    for figure in figures:
        points = [point for series in figure.series if series.style != "theory" for point in series.points]
        assert points
        assert all(bool(LINES.search(point.tip)) is disturbed for point in points)
        assert all(point.pale is disturbed for point in points)
        text = figure_html(figure, "key")
        assert text.count("mark pale") == (len(points) if disturbed else 0)
        assert (f"Pale marks: {DISTURBED_LABEL}" in text) is disturbed


def test_a_mark_is_pale_for_its_time_alone() -> None:
    records = [
        msgspec.structs.replace(record, memory=Memory(peak_extra_bytes=5, resident_before_bytes=1))
        for record in run_of(disturbed=True).records
    ]
    figures = [figure for figure in (*frontiers(records), *cost_curves(records)) if "memory" in figure.key]
    assert figures
    assert not any(figure.has_pale for figure in figures)


@pytest.mark.parametrize("pale", [True, False])
def test_in_figures_for_papers_and_their_data(pale: bool, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    points = (Point(1.0, 1.0, "", pale=pale), Point(2.0, 2.0, ""))
    figure = Figure("k", "t", "s.", Axis("x"), Axis("y"), (Series("a", "numpy", points),), pale_means="why")
    write_figures([figure], tmp_path)
    with (tmp_path / "k.csv").open(encoding="utf-8") as file:
        assert [row["pale"] for row in csv.DictReader(file)] == [str(pale), "False"]
    write_panels([figure], tmp_path / "panels.svg", title="title")
    for name in ("k.svg", "panels.svg"):
        assert ("opacity: 0.45" in (tmp_path / name).read_text(encoding="utf-8")) is pale, name
        assert ("pale: why" in (tmp_path / name).read_text(encoding="utf-8")) is pale, name


def results(*, disturbed: bool) -> Comparison:
    found = compare(
        get_problem("quadratic"), estimators=("reverse",), backends=("numpy",), dtypes=("float64",),
        budget_seconds=0.01,
    )  # fmt: skip
    return replace(found, cells=tuple(replace(result, timing=timing(1.0, disturbed=disturbed)) for result in found))


@pytest.mark.parametrize("disturbed", [True, False])
def test_in_the_table_and_the_figure_of_compare(disturbed: bool) -> None:
    found = results(disturbed=disturbed)
    screen = console()
    show_comparison(screen, found)
    assert bool(LINES.search(printed(screen))) is disturbed
    assert (DISTURBED_MEANS in printed(screen)) is disturbed
    (figure,) = comparison_figures(found)
    (point,) = figure.series[0].points
    assert point.pale is disturbed
    assert bool(LINES.search(point.tip)) is disturbed


def test_in_what_is_exported(tmp_path: Path) -> None:
    pytest.importorskip("pyperf", reason="pyperf is not installed")
    run = run_of(disturbed=True)
    export(run, "csv", tmp_path / "run.csv")
    with (tmp_path / "run.csv").open(encoding="utf-8") as file:
        assert {row["disturbed"] for row in csv.DictReader(file)} == {"True"}
    export(run, "pyperf", tmp_path / "run.json")
    found = re.findall(r'"gradest_disturbed": ?"(\w+)"', (tmp_path / "run.json").read_text(encoding="utf-8"))
    assert set(found) == {"True"}


def test_no_sentence_rests_on_a_disturbed_time() -> None:
    page = report_html(run_of(disturbed=True))
    text = page[page.index('id="summary"') :]
    assert "the fastest gradient with" not in text
    assert "Which gradient is the fastest is not said of " in text
    assert "which are best in error and time together is not said" in text
    assert "Too few of these sizes were measured undisturbed" in text
    assert "time grows" not in text
    calm = report_html(run_of(disturbed=False))
    assert "the fastest gradient with" in calm
    assert "is not said" not in calm
    assert "time grows (median, and range over backends): " in calm


def test_a_disturbed_cell_is_left_out_of_what_is_said_of_the_others() -> None:
    records = run_of(disturbed=False).records
    slow = records[-1]
    quick = msgspec.structs.replace(slow, key="quick", timing=timing(1e-3, disturbed=True))
    (sentence,) = re.findall(r"<li>[^<]*the fastest gradient[^<]*", report_html(run_with(slow, quick)))
    assert "(1 disturbed left out)" in sentence
    assert seconds(median(slow)) in sentence
    calm = msgspec.structs.replace(quick, timing=timing(1e-3, disturbed=False))
    (sentence,) = re.findall(r"<li>[^<]*the fastest gradient[^<]*", report_html(run_with(slow, calm)))
    assert "left out" not in sentence
    assert seconds(median(calm)) in sentence


def test_times_that_noise_may_have_put_in_order_are_called_noise() -> None:
    *_, first = run_of(disturbed=False).records
    worker = first.cell.worker

    def sentence(*seconds: float) -> str:
        spec = first.cell.estimator
        cells = [
            msgspec.structs.replace(first.cell, estimator=msgspec.structs.replace(spec, label=f"e{k}"))
            for k in range(len(seconds))
        ]
        records = [
            msgspec.structs.replace(first, key=cell.key, cell=cell, timing=timing(median, disturbed=False))
            for cell, median in zip(cells, seconds, strict=True)
        ]
        (found,) = re.findall(r"<li>[^<]*the fastest gradient[^<]*", report_html(run_with(*records)))
        return found

    assert "noise" not in sentence(1.0, 1.4, 2.0)
    alike = f"e1 on {worker} and e2 on {worker} take less than a third more, which may be noise"
    assert alike in sentence(1.0, 1.2, 1.3, 1.4)
    assert f"e3 on {worker} and 1 more take less" in sentence(1.0, 1.01, 1.02, 1.03, 1.04)


def run_with(*records: Record) -> Run:
    return Run(Path("run"), records, {}, "title", "question", len(records))


def test_a_slope_has_the_standard_error_of_least_squares() -> None:
    x, y = [1.0, 2.0, 5.0, 9.0], [3.0, 5.5, 17.0, 24.0]
    wanted = stats.linregress(np.log(x), np.log(y))
    found = slope([Point(a, b, "") for a, b in zip(x, y, strict=True)])
    assert found == pytest.approx((wanted.slope, wanted.stderr), rel=1e-9)
