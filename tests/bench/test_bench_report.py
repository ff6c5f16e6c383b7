"""The report: one file without network, every figure with its sentence, and in a browser no error, sorting, filters."""

import base64
import hashlib
import io
import math
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from rich.console import Console
from support.bench_runs import faulty_suite, run_suite
from support.pages import outline, plain_text

import gradest
from gradest_bench.command.run_view import show_records
from gradest_bench.report.figures import figures_of
from gradest_bench.report.page import report_html
from gradest_bench.report.paper import write_figures
from gradest_bench.report.units import at_most
from gradest_bench.results.invocations import Invocation
from gradest_bench.results.loading import Run, load
from gradest_bench.results.store import Store

SUITE = """
name = "small"
title = "A small <run>"
question = "Is everything there?"
seeds = [0, 1, 2, 3, 4, 5, 6, 7]
[budget]
repetitions = 1
minimum_samples = 1
minimum_seconds = 0.01
[[grid]]
backends = ["numpy"]
problems = [{ name = "quadratic", label = "quadratic {size}", vary = { size = [4, 8, 16] } }]
estimators = [
    { name = "reverse", label = "reverse" }, { name = "forward", label = "forward" },
    { name = "fd-central", label = "central {step}", vary = { step = [1e-8, 1e-5, 1e-2] } },
    { name = "es", label = "ES {num_samples}", vary = { num_samples = [5, 50, 500] } },
    { name = "support.bench_faults:Faulty", label = "{fault}", vary = { fault = ["double", "nan"] } },
]
[[grid]]
backends = ["numpy"]
measure = ["accuracy"]
problems = [{ name = "mlp", label = "MLP", fields = { widths = [3], batch = 8 } }]
estimators = [{ name = "reverse", label = "reverse" }]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("report") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
        run_suite(SUITE, folder)
    with Store(folder) as store:
        store.write_suite(SUITE)
    return load(folder)


def test_report_is_one_well_formed_file_without_network(run: Run) -> None:
    text = report_html(run)
    assert all(address.startswith(("#", "data:")) for address in outline(text).addresses)
    assert not re.search(r"url\(|@import|https?://", text)
    assert "A small &lt;run&gt;" in text


def test_a_terminal_and_the_page_show_one_error_of_a_random_estimate(run: Run) -> None:
    """The root mean square over its seeds, where both have the word "rel. error" or "relative error"."""
    file = io.StringIO()
    show_records(Console(file=file, width=250), run.records, run.verdicts)
    for record in run.records:
        scatter = record.accuracy.get("replicates")
        if scatter and record.cell.estimator.name == "es":
            shown = f"{math.sqrt(scatter['relative_mse']):.1e}"
            (line,) = [
                each for each in file.getvalue().split(record.cell.problem.label + ",")[1].splitlines()
                if f" {record.cell.estimator.label} " in each
            ][:1]  # fmt: skip
            assert line.split("│")[3].strip() == shown
            assert line.split("│")[4].strip() == f"{scatter['cosine']:.4f}"
    assert "root mean square over seeds" in plain_text(report_html(run))


def resumed(run: Run) -> Run:
    """Return a run that was begun ten seconds before its first cell ended, and resumed a day after its last."""
    records = [msgspec.structs.replace(r, finished="2026-03-01T10:00:10+00:00") for r in run.records]
    records[-1] = msgspec.structs.replace(records[-1], finished="2026-03-02T10:02:00+00:00")
    begins = (
        ("2026-03-01T10:00:00+00:00", "gradest bench run 'my suite.toml'"),
        ("2026-03-02T10:00:00+00:00", "again"),
    )
    made = tuple(Invocation(began=began, command=command) for began, command in begins)
    return replace(run, records=tuple(records), invocations=made)


def test_the_head_says_when_how_and_on_what_the_run_was_made(run: Run) -> None:
    text = plain_text(report_html(resumed(run)))
    head = text[: text.index("Summary")]
    for words in (
        "2026-03-01 10:00 UTC",
        "2 min 10 s",  # the day between a stop and a resume is none of it
        "gradest bench run 'my suite.toml'; again",
        f"small, {run.num_cells} cells: 1 round, each cell at least 1 sample and 0.01 s, up to 8 seeds",
        f"gradest {gradest.__version__}",
        f"numpy {np.__version__}",
        "[[grid]]",
    ):
        assert words in head, words
    file = (run.folder / "results.jsonl").read_bytes()
    assert f"SHA-256 {hashlib.sha256(file).hexdigest()}" in head
    assert re.search(r"@misc\{gradest-small-[0-9a-f]{12},", head)


def test_a_run_that_kept_no_beginning_is_said_to_have_taken_at_least_so_long(run: Run) -> None:
    assert "at least" in plain_text(report_html(replace(resumed(run), invocations=())))
    assert "at least 1 day" not in plain_text(report_html(replace(resumed(run), invocations=())))


def test_every_figure_has_a_sentence_and_data(run: Run) -> None:
    figures = figures_of(run)
    assert len({figure.key for figure in figures}) == len(figures)
    for figure in figures:
        assert figure.sentence.strip().endswith(".")
        assert any(series.points for series in figure.series)
    kinds = {figure.key.split("-")[0] for figure in figures}
    assert kinds == {"frontier", "step", "scaling", "time", "problems", "blocks"}


def test_a_name_has_one_colour_and_a_backend_one_shape_in_all_figures(run: Run) -> None:
    colours: dict[str, set[int]] = {}
    shapes: dict[str, set[str]] = {}
    for figure in figures_of(run):
        for series in figure.series:
            colours.setdefault(series.name, set()).add(figure.colour(series.name))
            shapes.setdefault(series.variant.partition(" ")[0], set()).add(figure.shape(series.variant))
    assert len(colours) > 3
    assert all(len(found) == 1 for found in colours.values()), colours
    assert all(len(found) == 1 for found in shapes.values()), shapes


def test_keys_and_screen_readers_reach_what_is_seen(run: Run) -> None:
    text = report_html(run)
    assert text.index('class="skip" href="#summary"') < text.index("<header>")
    marks = re.findall(r'<path class="mark[^>]*tabindex[^>]*>', text)
    assert len(marks) > 10
    assert all('role="img" aria-label="' in mark for mark in marks)
    tables = text.count("<table>")
    assert tables == text.count("<caption>") == text.count('class="scroll" tabindex="0" role="region"') > 1
    assert "<th>" not in text
    assert 'class="dashed"' in text


def test_the_heading_of_numbers_stands_over_them(run: Run) -> None:
    text = report_html(run)
    results = text[text.index('data-name="results"') :]
    headings = re.findall(r'<th scope="col"( class="number")?>', results[: results.index("</thead>")])
    first_row = results[results.index("<tbody>") : results.index("</tr>", results.index("<tbody>"))]
    cells = re.findall(r"<td([^>]*)>", first_row)
    assert [bool(style) for style in headings] == ["data-value" in cell for cell in cells]
    assert 0 < sum(map(bool, headings)) < len(headings)


def test_columns_are_explained_without_a_script(run: Run) -> None:
    text = report_html(run)
    explained = set(re.findall("<dt>(.*?)</dt>", text[text.index("what the columns mean") :]))
    results = text[text.index('data-name="results"') :]
    shown = re.findall(
        r'<th scope="col"[^>]*><button type="button">(.*?)</button>', results[: results.index("</thead>")]
    )
    plain = {"estimator", "backend", "dtype", "problem"}
    assert explained == set(shown) - plain


def test_the_spread_of_seeds_is_drawn_and_heard(run: Run) -> None:
    figure = next(figure for figure in figures_of(run) if figure.key.startswith("frontier-evaluations"))
    judged = [r for r in run.measured if r.accuracy.get("replicates")]
    record = next(r for r in judged if f"{r.cell.problem.label}, {r.cell.dtype}" in figure.title)
    errors = np.sqrt([float(each) for each in record.accuracy["replicates"]["squared_errors"]])
    points = [point for series in figure.series for point in series.points if point.high is not None]
    assert len(points) >= 3
    drawn = min(points, key=lambda point: abs(point.y - math.sqrt(record.accuracy["replicates"]["relative_mse"])))
    assert drawn.low is not None
    assert drawn.high is not None
    # of eight seeds the tenth and ninetieth percentile lie between the two that are outermost
    assert sorted(errors)[0] < drawn.low < sorted(errors)[1]
    assert sorted(errors)[-2] < drawn.high < sorted(errors)[-1]
    assert "four fifths of 8 seeds" in drawn.tip
    assert "Bars: the middle four fifths of the seeds." in report_html(run)


def test_an_error_below_the_references_own_is_told_as_a_bound(run: Run) -> None:
    record = next(r for r in run.measured if r.cell.estimator.name == "reverse")
    known = record.accuracy["single"]["relative_error"]
    accuracy = {**record.accuracy, "reference": {**record.accuracy["reference"], "uncertainty": 3.3 * known + 1e-12}}
    text = report_html(replace(run, records=(msgspec.structs.replace(record, accuracy=accuracy),)))
    assert f"&lt; {at_most(3.3 * known + 1e-12)}</td>" in text


def test_dashed_lines_have_an_entry_of_their_own_in_the_legend(run: Run) -> None:
    text = report_html(run)
    for figure in re.findall("<figure.*?</figure>", text, re.DOTALL):
        lines = re.findall(r'<g class="series c\d+ theory"[^>]*><polyline', figure)
        entry = re.findall(r'data-kind="style" value="theory".*?</svg>(.*?)</button>', figure)
        assert bool(lines) == bool(entry)
        assert entry in ([], ["frontier"] if 'data-key="frontier' in figure else ["theory"])


def test_many_figures_are_folded_away_and_then_left_out_with_the_command_that_draws_them(run: Run) -> None:
    record = next(r for r in run.measured if r.cell.estimator.name == "reverse" and r.timing)
    records = []
    for k in range(70):
        problem = msgspec.structs.replace(record.cell.problem, label=f"problem {k}", fields={"seed": k})
        for name in ("reverse", "forward"):
            estimator = msgspec.structs.replace(record.cell.estimator, label=name, name=name)
            cell = msgspec.structs.replace(record.cell, problem=problem, estimator=estimator)
            records.append(msgspec.structs.replace(record, cell=cell, key=cell.key))
    text = report_html(replace(run, records=tuple(records), num_cells=len(records)))
    assert "Error against cost: 140 figures" in text
    assert text.count('data-key="frontier') == 60
    assert "this draws the other 80 too" in plain_text(text)
    assert "<details open><summary>Error against cost" not in text
    assert text.count("<tr>") >= len(records)


HOSTILE = "<img src=x onerror=alert(1)> \x1b[31m \ud800 \u202e & ' \""


def test_what_stands_in_records_reaches_the_page_spelled_out(run: Run, tmp_path: Path) -> None:
    record = next(r for r in run.measured if r.timing)
    problem = msgspec.structs.replace(record.cell.problem, label=HOSTILE)
    hostile = [
        msgspec.structs.replace(record, cell=msgspec.structs.replace(record.cell, problem=problem)),
        msgspec.structs.replace(record, key="other", outcome="error", reason=HOSTILE, log_tail=HOSTILE),
    ]
    environment = {"machine": {"processor": HOSTILE}, "workers": {}}
    made = (Invocation(began=HOSTILE, command=HOSTILE),)
    text = report_html(
        Run(tmp_path, tuple(hostile), environment, HOSTILE, HOSTILE, 2, suite_text=HOSTILE, invocations=made)
    )
    (tmp_path / "page.html").write_text(text, encoding="utf-8")  # half of a pair has no place in a file
    assert "<img" not in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)
    assert "\\x1b[31m" in text
    assert "\\ud800" in text


def test_theory_is_drawn_beside_what_was_measured(run: Run) -> None:
    for kind in ("step", "scaling"):
        figure = next(figure for figure in figures_of(run) if figure.key.startswith(kind))
        assert {series.style for series in figure.series} == {"line", "theory"}


def test_a_setting_that_is_no_number_has_no_place_on_an_axis(run: Run) -> None:
    """A rule in place of a number, or a default that the suite does not state, beside cells that vary it."""
    records = []
    for record in run.records:
        estimator = record.cell.estimator
        fields = {**estimator.fields, "sigma": "auto"} if estimator.name == "es" else estimator.fields
        default = {name: value for name, value in fields.items() if name != "num_samples"}
        for number, each in enumerate((fields, default) if estimator.name == "es" else (fields,)):
            cell = msgspec.structs.replace(record.cell, estimator=msgspec.structs.replace(estimator, fields=each))
            records.append(msgspec.structs.replace(record, key=f"{record.key}{number}", cell=cell))
    figures = [f for f in figures_of(replace(run, records=tuple(records))) if f.key.startswith("scaling-num_samples")]
    assert len(figures) == 3  # one for each size of the problem
    for figure in figures:
        assert {series.name for series in figure.series} == {"es, sigma = auto"}
        assert {tuple(point.x for point in series.points) for series in figure.series} == {(5.0, 50.0, 500.0)}


def test_wrong_estimator_and_coverage_are_stated(run: Run) -> None:
    text = report_html(run)
    assert f"{len(run.measured)} of {run.num_cells}" in text
    assert "Wrong: double on numpy float64, quadratic 4: relative error 1" in text
    assert "NaN or infinite" in text


def test_the_noise_scale_of_a_problem_with_examples_is_in_the_table(run: Run) -> None:
    wanted = gradest.noise_scale(gradest.get_problem("mlp", widths=(3,), batch=8)).value
    facts = {r.cell.problem.label: r.accuracy["reference"]["noise_scale"] for r in run.measured if r.accuracy}
    assert facts["MLP"] == pytest.approx(wanted, rel=1e-9)
    assert facts["quadratic 4"] is None
    text = report_html(run)
    assert "noise scale" in text
    assert f">{wanted:.4g}</td>" in text


def test_report_of_a_run_where_nothing_worked_says_so(tmp_path: Path) -> None:
    run_suite(faulty_suite("raise").replace('"bench_faults', '"bench_faults'), tmp_path)
    found = load(tmp_path)
    nothing = Run(tmp_path, tuple(r for r in found.records if r.outcome != "ok"), found.environment, "t", "q", 2)
    text = report_html(nothing)
    assert "Nothing was measured" in text
    assert "this estimator raises" in text


def test_figures_for_papers_have_their_data_beside_them(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    figures = figures_of(run)[:1]
    for path in write_figures(figures, tmp_path):
        assert path.read_bytes().startswith(b"%PDF")
        assert "<svg" in path.with_suffix(".svg").read_text(encoding="utf-8")
        lines = path.with_suffix(".csv").read_text(encoding="utf-8").splitlines()
        assert len(lines) > 1
    assert len(list(tmp_path.iterdir())) == 3 * len(figures)


def sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_policy_names_the_style_and_the_script_of_the_page_and_nothing_else(run: Run) -> None:
    text = report_html(run)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)
    assert policy is not None
    assert text.index("Content-Security-Policy") < text.index("<title>")
    (style,), (script,) = (re.findall(f"<{name}>(.*?)</{name}>", text, re.DOTALL) for name in ("style", "script"))
    sources = dict(part.strip().split(" ", 1) for part in policy.group(1).split(";"))
    assert sources == {
        "default-src": "'none'", "script-src": f"'sha256-{sha256(script)}'", "style-src": f"'sha256-{sha256(style)}'",
        "img-src": "data:", "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
