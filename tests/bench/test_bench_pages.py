"""The pages of two runs and of many: all that the terminal says and more, escaped, without a network or a script."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from support.bench_runs import faulty_suite
from support.pages import outline, plain_text, rows

from gradest.measurement.timing import Timing
from gradest_bench.command.main import main
from gradest_bench.report.compare_page import comparison_html
from gradest_bench.report.history import Entry, histories, read_entries
from gradest_bench.report.html import number_cell, table
from gradest_bench.report.index_page import index_html
from gradest_bench.results.invocations import INVOCATIONS
from gradest_bench.results.loading import Run, load
from gradest_bench.results.records import Record
from gradest_bench.results.run_comparison import compare_runs
from gradest_bench.results.store import Store
from gradest_bench.suite.cells import expand
from gradest_bench.suite.schema import parse_suite

HOSTILE = "<img src=x onerror=alert(1)> \x1b[31m \ud800 & ' \""
SUITE = faulty_suite("none", "double", "nan")
CELLS = expand(parse_suite(SUITE))
MACHINE = {"machine": "x86_64", "processor": "Test 1", "cores": 2, "system": "Linux", "gradest": "0.1.0"}
STARTS = 6
"""Enough to judge; of six on either side, exchanging them all but turns one ratio round."""


def keep_run(
    folder: Path,
    *,
    day: int = 1,
    factor: float = 1.0,
    error: float = 1e-9,
    numpy: str = "1.26.4",
    cores: int = 2,
    failed: bool = False,
) -> Path:
    """Keep a run of made-up numbers: the first cell takes `factor` times as long and has `error`, or has failed."""
    with Store(folder) as store:
        store.write_suite(SUITE)
        libraries = {"python": "3.11", "versions": {"numpy": numpy}, "devices": ["cpu"], "pools": [], "variables": {}}
        name = store.write_environment({**MACHINE, "cores": cores}, "numpy", {**libraries, "warnings": []})
        for number, cell in enumerate(CELLS):
            scale = factor if number == 0 else 1.0
            walls = [scale * 1e-3 * (number + 1) * (1 + 0.002 * start) for start in range(STARTS) for _ in range(2)]
            timing = Timing(
                preparation_seconds=0.1,
                first_call_seconds=0.1,
                wall_seconds=walls,
                cpu_seconds=walls,
                loops=[1] * len(walls),
                value_seconds=1e-3,
                rounds=[2] * STARTS,
                starts=[1] * STARTS,
                median_seconds=sorted(walls)[STARTS],
            )
            gone = failed and number == 0
            record = Record(
                key=cell.key,
                identity="",
                suite="faults",
                cell=cell,
                outcome="error" if gone else "ok",
                reason="it is gone" if gone else "",
                finished=f"2026-03-{day:02}T10:00:20+00:00",
                environment=name,
                facts={"stochastic": False, "num_parameters": 2000, "data_entries": 0, "target": "gradient"},
                timing=None if gone else timing,
                accuracy={} if gone else {"single": {"relative_error": error if number == 0 else 1e-9, "cosine": 1.0}},
            )
            store.append(record)
    line = {"began": f"2026-03-{day:02}T10:00:00+00:00", "command": "gradest bench run faults.toml"}
    (folder / INVOCATIONS).write_text(json.dumps(line) + "\n", encoding="utf-8")
    return folder


def page_of(before: Path, after: Path) -> str:
    runs = load(before), load(after)
    return comparison_html(*runs, compare_runs(*runs))


def test_two_runs_side_by_side_say_what_changed_and_how_surely(tmp_path: Path) -> None:
    before = keep_run(tmp_path / "before")
    after = keep_run(tmp_path / "after", day=2, factor=2.0, error=1e-3, numpy="1.26.5")
    page = page_of(before, after)
    assert all(address.startswith(("#", "data:")) for address in outline(page).addresses)
    times = {row[0]: row for row in rows(page, "times")}
    assert set(times) == {cell.title for cell in CELLS}
    slow = times[CELLS[0].title]
    assert slow[1] != slow[2]
    assert float(slow[3]) == pytest.approx(2.0)
    low, high = map(float, slow[4].split(" .. "))
    assert 1 < low < 2 < high
    assert slow[-1] == "slower"
    assert all(row[-1] != "slower" for title, row in times.items() if title != slow[0])
    assert [CELLS[0].title, "relative error", "1.000e-09", "1.000e-03", "worse"] in rows(page, "accuracies")
    assert rows(page, "environments")[0] == ["numpy", "numpy", "1.26.4", "1.26.5", "differs"]
    text = plain_text(page)
    for words in (
        "first: before",
        "second: after",
        "2026-03-01 10:00",
        "2026-03-02 10:00",
        "1 slower",
        "any false change",
    ):
        assert words in text, words
    # the figure has a mark and an interval for each time, and a line of no change
    assert page.count('role="img" aria-label="') == page.count('class="bar"') == len(CELLS)
    assert re.search(r'value="theory".*?</svg>no change</button>', page)


def doubled(run: Run) -> Run:
    """Return a run that has each cell twice: the second, of other seeds, takes ten times as long."""
    slower = []
    for record in run.records:
        assert record.timing is not None
        walls = [10 * wall for wall in record.timing.wall_seconds]
        timing = replace(record.timing, wall_seconds=walls, median_seconds=sorted(walls)[STARTS])
        cell = msgspec.structs.replace(record.cell, seeds=(0, 1, 2))
        slower.append(msgspec.structs.replace(record, key=cell.key, cell=cell, timing=timing))
    return replace(run, records=(*run.records, *slower), num_cells=2 * run.num_cells)


def test_two_cells_of_one_title_are_shown_with_their_own_times(tmp_path: Path) -> None:
    runs = doubled(load(keep_run(tmp_path / "a"))), doubled(load(keep_run(tmp_path / "b", day=2)))
    page = comparison_html(*runs, compare_runs(*runs))
    times = {row[0]: row for row in rows(page, "times")}
    title = CELLS[0].title
    assert set(times) == {f"{cell.title} ({seeds})" for cell in CELLS for seeds in ("1 seed", "3 seeds")}
    assert [times[f"{title} ({seeds})"][1] for seeds in ("1 seed", "3 seeds")] == ["1.01 ms", "10.1 ms"]
    found = histories(runs)
    assert len(found) == 2 * len(CELLS)
    assert all(len(history.known) == 2 for history in found)


def test_what_stopped_working_is_an_outcome_of_its_own(tmp_path: Path) -> None:
    page = page_of(keep_run(tmp_path / "a"), keep_run(tmp_path / "b", failed=True))
    assert rows(page, "other outcomes") == [[CELLS[0].title, "ok", "error"]]
    assert CELLS[0].title not in {row[0] for row in rows(page, "times")}


def test_the_command_writes_the_page_beside_what_it_prints(tmp_path: Path) -> None:
    before, after, page = keep_run(tmp_path / "a"), keep_run(tmp_path / "b", factor=2.0), tmp_path / "page.html"
    done = CliRunner().invoke(main, ["bench", "compare", str(before), str(after), "--html", str(page)])
    assert done.exit_code == 1, done.output
    assert "1 slower" in done.output
    assert page.read_text(encoding="utf-8") == page_of(before, after)


def test_an_index_has_every_run_and_the_history_of_every_cell(tmp_path: Path) -> None:
    keep_run(tmp_path / "one")
    keep_run(tmp_path / "two", day=2, failed=True)
    keep_run(tmp_path / "three", day=3, factor=3.0)
    (tmp_path / "three" / "report.html").write_text("", encoding="utf-8")
    done = CliRunner().invoke(main, ["bench", "index", str(tmp_path)])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert [address for address in outline(page).addresses if address[0] not in "#d"] == ["./three/report.html"]
    shown = rows(page, "runs")
    assert [row[0] for row in shown] == ["three", "two", "one"]
    assert [row[6] for row in shown] == ["0", "1", "0"]
    assert shown[0][3] == "20 s"
    cells = {row[0]: row for row in rows(page, "cells of faults")}
    assert set(cells) == {cell.title for cell in CELLS}
    first = cells[CELLS[0].title]
    assert (first[1], first[4], first[7]) == ("3", "3", "ok → error → ok")
    lines = re.findall(r'aria-label="times of .*?</svg>', page)
    assert len(lines) == len(CELLS)
    # a run in which it failed is a gap: two dots and no line between them
    assert (lines[0].count("<circle"), lines[0].count("<polyline")) == (2, 0)
    assert (lines[1].count("<circle"), lines[1].count("<polyline")) == (3, 1)


def test_times_of_two_machines_are_two_histories(tmp_path: Path) -> None:
    runs = [load(keep_run(tmp_path / "a")), load(keep_run(tmp_path / "b", day=2, cores=64))]
    found = histories(runs)
    assert len(found) == 2 * len(CELLS)
    assert {len(history.known) for history in found} == {1}
    same = histories([runs[0], load(keep_run(tmp_path / "c", day=3))])
    assert {len(history.known) for history in same} == {2}


def test_a_run_that_cannot_be_read_is_named_and_hides_no_other(tmp_path: Path) -> None:
    keep_run(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "results.jsonl").write_text("[]\n", encoding="utf-8")
    page = index_html(read_entries([tmp_path / "good", tmp_path / "bad"]), tmp_path)
    assert [row[0] for row in rows(page, "runs")] == ["good"]
    assert "1 folder cannot be read" in plain_text(page)
    assert "line 1 is damaged" in plain_text(page)


def test_an_index_of_nothing_is_refused_with_what_to_do(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["bench", "index", str(tmp_path)])
    assert done.exit_code == 2
    assert "there are no runs below" in done.output
    assert "gradest bench run" in done.output


def hostile(run: Run) -> Run:
    """Return a run in which every text that a page shows is another's and means ill."""
    problem = msgspec.structs.replace(run.records[0].cell.problem, label=HOSTILE)
    records = tuple(
        msgspec.structs.replace(r, cell=msgspec.structs.replace(r.cell, problem=problem), suite=HOSTILE)
        for r in run.records
    )
    machine = {**run.environment["machine"], "gradest": HOSTILE}
    worker = {**run.environment["workers"]["numpy"], "versions": {HOSTILE: HOSTILE}, "warnings": [HOSTILE]}
    return Run(run.folder, records, {"machine": machine, "workers": {"numpy": worker}}, HOSTILE, HOSTILE, len(records))


def test_what_stands_in_records_reaches_no_page_raw(tmp_path: Path) -> None:
    folder = keep_run(tmp_path / "javascript:alert(1)<b>")
    (folder / "report.html").write_text("", encoding="utf-8")
    run = hostile(load(folder))
    entry = read_entries([folder])[0]
    pages = [
        comparison_html(run, run, compare_runs(run, run)),
        index_html([Entry(folder, run, entry.made), Entry(tmp_path, None, fault=HOSTILE)], tmp_path),
    ]
    for page in pages:
        page.encode("utf-8")  # half of a pair has no place in a file
        assert "<img" not in page
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", page)
        assert "\\x1b[31m" in page
        assert not [address for address in outline(page).addresses if not address.startswith(("#", "data:", "./"))]


@pytest.mark.parametrize(
    ("value", "read"), [(math.inf, "Infinity"), (-math.inf, "-Infinity"), (0.25, "0.25"), (math.nan, ""), (None, "")]
)
def test_a_script_reads_the_numbers_of_a_table(value: float | None, read: str) -> None:
    """Of "inf" it reads no number, and an infinite error was sorted with those that were not measured."""
    assert f'data-value="{read}"' in table("t", ["error"], [[number_cell(value, "shown")]])


@pytest.mark.parametrize("count", [1, 200, 201, 1000])
def test_a_long_table_has_all_its_rows_for_a_reader_without_a_script(count: int) -> None:
    text = table("numbers", ["n"], [[number_cell(float(k), f"{k} <")] for k in range(count)])
    outline(text)
    found = re.findall(r"<tr><td.*?</tr>", text)
    assert [int(plain_text(row).split()[0]) for row in found] == list(range(count))
    first, _, rest = text.partition("<noscript>")
    # what a browser with scripts makes elements of when it opens the page
    assert first.count("<tr><td") == min(count, 200)
    assert rest.count("<tr><td") == max(count - 200, 0)
    assert f'data-rows="{count}"' in first
