"""The report: one file without network, every figure with its sentence, and in a browser no error, sorting, filters."""

import base64
import hashlib
import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.bench_runs import faulty_suite, run_suite

import gradest
from gradest_bench.report.figures import figures_of
from gradest_bench.report.page import report_html
from gradest_bench.report.paper import write_figures
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
BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
DRIVER = """
const errors = [];
window.addEventListener("error", (event) => errors.push(event.message));
"""
ACTIONS = """
const block = document.querySelector('.table[data-name="results"]');
const rows = () => [...block.querySelectorAll("tbody tr")].filter((row) => !row.hidden).map((r) => r.textContent);
const all = rows().length;
const input = block.querySelector("input");
input.value = "reverse -mlp"; input.dispatchEvent(new Event("input"));
const filtered = rows();
const count = block.querySelector("output").textContent;
input.value = ""; input.dispatchEvent(new Event("input"));
const heads = [...block.querySelectorAll("th")];
const column = heads.findIndex((head) => head.textContent === "relative error");
const values = () => [...block.querySelectorAll("tbody tr")].map((row) => row.cells[column].dataset.value);
heads[column].querySelector("button").click();
const ascending = values();
heads[column].querySelector("button").click();
const descending = values();
const tip = document.getElementById("tip");
const mark = document.querySelector("figure .mark");
mark.focus();
// A window that the system has not given the focus to, as on a busy machine, sends no such event by itself.
if (tip.style.display === "") mark.dispatchEvent(new FocusEvent("focusin", { bubbles: true }));
const figure = document.querySelector("figure");
const before = figure.querySelectorAll(".series.off").length;
figure.querySelector(".legend button").click();
const off = figure.querySelectorAll(".series.off").length;
const requests = performance.getEntriesByType("resource").map((entry) => entry.name);
const wide = document.documentElement.scrollWidth <= innerWidth + 1;
document.title = "seen:" + JSON.stringify({ all, filtered, count, ascending, descending, errors, before, off, requests,
  wide, tip: tip.textContent, shown: tip.style.display });
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


class Outline(html.parser.HTMLParser):
    """Checks that tags are closed in order, and collects addresses that a browser would fetch."""

    VOID = frozenset({"meta", "link", "input", "br", "path", "line", "rect", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_report_is_one_well_formed_file_without_network(run: Run) -> None:
    text = report_html(run)
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    assert all(address.startswith(("#", "data:")) for address in outline.addresses)
    assert not re.search(r"url\(|@import|https?://", text)
    assert "A small &lt;run&gt;" in text


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


def test_columns_are_explained_without_a_script(run: Run) -> None:
    text = report_html(run)
    explained = set(re.findall("<dt>(.*?)</dt>", text))
    results = text[text.index('data-name="results"') :]
    shown = re.findall(r'<th scope="col"><button type="button">(.*?)</button>', results[: results.index("</thead>")])
    plain = {"problem", "dtype", "estimator", "backend", "path"}
    assert explained == set(shown) - plain


def test_theory_is_drawn_beside_what_was_measured(run: Run) -> None:
    for kind in ("step", "scaling"):
        figure = next(figure for figure in figures_of(run) if figure.key.startswith(kind))
        assert {series.style for series in figure.series} == {"line", "theory"}


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


def browse(page: Path, width: int) -> "subprocess.CompletedProcess[str]":
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
        f"--user-data-dir={page.parent / 'profile'}", f"--window-size={width},900", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_error_in_the_browser_would_be_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!DOCTYPE html><script>undefinedFunction()</script>", encoding="utf-8")
    assert "CONSOLE" in browse(page, 800).stderr


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


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_a_script_that_slipped_into_the_page_does_not_run(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    planted = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
    page.write_text(report_html(run).replace("<main>", f"<main>{planted}", 1), encoding="utf-8")
    done = browse(page, 800)
    assert "<title>A small &lt;run&gt;</title>" in done.stdout
    assert re.search(r"\d+ of \d+ rows", done.stdout), "the page's own script runs"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [390, 1280])
def test_browser_shows_it_without_an_error(run: Run, tmp_path: Path, width: int) -> None:
    page = tmp_path / "report.html"
    allowed = " ".join(f"'sha256-{sha256(script)}'" for script in (DRIVER, ACTIONS))
    text = report_html(run).replace("script-src ", f"script-src {allowed} ", 1)
    # after the policy, which holds of what follows it alone
    text = text.replace("<meta name=", f"<script>{DRIVER}</script><meta name=", 1)
    page.write_text(text.replace("</body>", f"<script>{ACTIONS}</script></body>"), encoding="utf-8")
    done = browse(page, width)
    assert "CONSOLE" not in done.stderr, done.stderr
    found = re.search(r"<title>seen:(.*?)</title>", done.stdout, re.DOTALL)
    assert found is not None
    seen: dict[str, Any] = json.loads(html.unescape(found.group(1)))
    assert seen["errors"] == []
    assert seen["requests"] == []
    assert seen["all"] == len(run.measured)
    assert len(seen["filtered"]) == 3
    assert all("reverse" in row for row in seen["filtered"])
    assert seen["count"] == f"3 of {seen['all']} rows"
    numbers = [float(value) for value in seen["ascending"] if value]
    assert numbers == sorted(numbers)
    assert [float(value) for value in seen["descending"] if value] == numbers[::-1]
    assert seen["off"] > seen["before"] == 0
    assert seen["shown"] == "block"
    assert "relative error" in seen["tip"]
    assert seen["wide"], "the page is wider than the window"
