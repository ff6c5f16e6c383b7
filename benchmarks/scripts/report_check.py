"""Opens the pages of the harness in Chromium, uses them as a reader would, and says what did not go well.

Run by `make report-check`, as the tests need no browser: a run is made, and its report, a comparison and an index are
opened at the width of a laptop and of a phone. Each switch is pressed, each view that an address names is opened again,
figures are saved; and a report of 10,000 cells is opened, with the time that this takes. Exit code: 0, 1 where anything
went wrong, 2 where there is no browser.
"""

import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from gradest_bench.report.compare_page import comparison_html
from gradest_bench.report.history import read_entries
from gradest_bench.report.index_page import index_html
from gradest_bench.report.page import report_html
from gradest_bench.results.loading import Run, load
from gradest_bench.results.records import Record, plain
from gradest_bench.results.run_comparison import compare_runs

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SUITE = """
name = "pages"
title = "A small <run>"
question = "Is everything there?"
seeds = [0, 1, 2, 3, 4, 5, 6, 7]
[budget]
starts = 4
repetitions = 1
minimum_samples = 2
minimum_seconds = 0.01
[[grid]]
backends = ["numpy"]
problems = [{ name = "quadratic", label = "quadratic {size}", vary = { size = [4, 8, 16] } }]
estimators = [
    { name = "reverse", label = "reverse" }, { name = "forward", label = "forward" },
    { name = "fd-central", label = "central {step}", vary = { step = [1e-8, 1e-5, 1e-2] } },
    { name = "es", label = "ES {num_samples}", vary = { num_samples = [5, 50, 500] } },
]
"""
MANY_CELLS, MOST_SECONDS, TRIES = 10_000, 3.0, 3
MOST_BYTES = 1_500_000
"""A page may be larger by so much than the results that it shows."""
WIDTHS = (1280, 500)
"""Of a laptop, and the least that Chromium's window has; a phone's is that of a frame inside."""
PHONE = 375
CATCHER = 'window.seenErrors = []; addEventListener("error", (event) => seenErrors.push(event.message));'
PLANTED = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"

Finding = tuple[str, bool, str]
"""What should be so, whether it is, and what was seen."""
TOLD = "10,000 cells"
"""Findings that begin so are numbers, told also where all is well."""


class Browser:
    """Opens pages in Chromium without a window, each with a profile of its own that is gone afterwards."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program = program
        self.folder = folder

    def open(self, text: str, *, width: int = 1280, address: str = "") -> "subprocess.CompletedProcess[str]":
        """Return what the browser printed: the document as it has become, and its console."""
        page = self.folder / "page.html"
        page.write_text(text, encoding="utf-8")
        # a profile keeps what earlier pages were told, and two browsers may not share one
        with tempfile.TemporaryDirectory() as profile:
            command = [
                self.program, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
                f"--user-data-dir={profile}", f"--window-size={width},900", "--virtual-time-budget=900000",
                "--dump-dom", page.as_uri() + address,
            ]  # fmt: skip
            return subprocess.run(command, check=True, capture_output=True, text=True, timeout=180)

    def use(self, text: str, *, width: int = 1280, address: str = "") -> tuple[dict[str, Any], str]:
        """Return what a reader saw who used everything on a page, and what stood on the console."""
        script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
        done = self.open(with_scripts(text, CATCHER, script), width=width, address=address)
        return seen_in(done.stdout), done.stderr


def with_scripts(text: str, first: str, last: str) -> str:
    """Return a page without its policy, which would not let them run, with a script before all else and one behind."""
    # the first comes before all scripts of the page: an error in one of those must not be missed
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', f"<script>{first}</script>", text, count=1)
    return text.replace("</body>", f"<script>{last}</script></body>")


def seen_in(document: str) -> dict[str, Any]:
    """Return what a script left in the title of a document; nothing where it did not come to its end."""
    found = re.search(r"<title>seen:(.*?)</title>", document, re.DOTALL)
    return json.loads(html.unescape(found.group(1))) if found is not None else {}


def control(browser: Browser) -> Iterator[Finding]:
    """Yield whether errors would be noticed at all: of a page that has one."""
    seen, console = browser.use(
        '<!DOCTYPE html><meta http-equiv="Content-Security-Policy" content=""><script>no()</script>'
    )
    yield "an error in a page is noticed", "CONSOLE" in console and not seen, console[-200:]


def policy(browser: Browser, page: str) -> Iterator[Finding]:
    """Yield whether a script that slipped into a page stays without effect, and the page's own has its."""
    done = browser.open(page.replace("<main>", f"<main>{PLANTED}", 1))
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    said = title.group(1) if title else "no title"
    yield "a planted script does not run", title is not None and said != "taken", said
    yield "the page's own script runs", re.search(r"\d+ of \d+ rows", done.stdout) is not None, ""


def used(browser: Browser, name: str, page: str, width: int) -> Iterator[Finding]:
    """Yield what a reader finds who uses everything on a page, and that its address brings the view back."""
    seen, console = browser.use(page, width=width)
    where = f"{name}, {width} px"
    yield f"{where}: nothing on the console", "CONSOLE" not in console, console[-300:]
    yield f"{where}: used to the end", bool(seen), ""
    for claim in ("errors", "requests"):
        yield f"{where}: no {claim}", seen.get(claim) == [], str(seen.get(claim))
    for claim, found in seen.items():
        if isinstance(found, bool):
            yield f"{where}: {claim}", found, ""
    if "saved" in seen:
        # in whatever order the browser was done with them
        kinds = ["image/svg+xml", "image/png"]
        yield f"{where}: pictures are saved", sorted(seen["saved"]) == sorted(kinds), str(seen["saved"])
        yield from restored(browser, where, page, seen["address"])


def restored(browser: Browser, where: str, page: str, address: str) -> Iterator[Finding]:
    """Yield whether an address brings back what its reader saw: a filter, an order, a scale, what was switched off."""
    document = browser.open(page, address=address).stdout
    for part, sign in (
        ("filter.", ""),
        ("sort.", 'aria-sort="descending"'),
        ("y.", ">y: linear<"),
        ("off.", "series off"),
    ):
        in_it = part in address and (sign in document or re.search(sign.replace(" ", ".* "), document) is not None)
        yield f"{where}: the address brings back {part.rstrip('.')}", in_it, address


def narrow(browser: Browser, name: str, page: str) -> Iterator[Finding]:
    """Yield whether a page fits the width of a phone, in a frame: no window of Chromium's is as narrow."""
    script = (
        "addEventListener('load', () => { const inside = document.querySelector('iframe').contentDocument;"
        "document.title = 'seen:' + JSON.stringify({ width: inside.documentElement.scrollWidth }); });"
    )
    # as text, and not by its address: pages of files may not look into each other
    frame = f'<iframe srcdoc="{html.escape(page)}" style="width:{PHONE}px;height:800px;border:0"></iframe>'
    width = seen_in(browser.open(f"<!DOCTYPE html><title></title>{frame}<script>{script}</script>").stdout).get("width")
    yield f"{name}: fits {PHONE} px", width is not None and width <= PHONE, f"{width} px"


def many(run: Run) -> Run:
    """Return a run of 10,000 cells: the measured ones again and again, on problems of other names."""
    records: list[Record] = []
    # rounded up: whole runs, so a few cells more than were asked for
    for number in range(-(-MANY_CELLS // len(run.measured))):
        for record in run.measured:
            problem = msgspec.structs.replace(
                record.cell.problem, label=f"{record.cell.problem.label}, no {number}", fields={"number": number}
            )
            cell = msgspec.structs.replace(record.cell, problem=problem)
            records.append(msgspec.structs.replace(record, cell=cell, key=f"{record.key}-{number}"))
    return replace(run, records=tuple(records), num_cells=len(records))


def opening(browser: Browser, run: Run) -> Iterator[Finding]:
    """Yield how long 10,000 cells take to be opened, and how many bytes they are beside the results."""
    large = many(run)
    page = report_html(large)
    data = sum(len(json.dumps(plain(msgspec.to_builtins(record, enc_hook=plain)))) for record in large.records)
    size = len(page.encode())
    yield (
        "10,000 cells: a page of 1.5 MB over its data at most",
        size <= data + MOST_BYTES,
        f"{size:,} of {data:,} bytes",
    )
    script = (
        "addEventListener('load', () => requestAnimationFrame(() => setTimeout(() => { const t = performance.timing;"
        "document.title = 'seen:' + JSON.stringify({ seconds: (t.loadEventEnd - t.navigationStart) / 1000 }); })));"
    )
    tried = []
    while len(tried) < TRIES and min(tried, default=MOST_SECONDS + 1) > MOST_SECONDS:
        # the least of a few: other programs of the machine only ever add to what the page takes
        tried.append(seen_in(browser.open(with_scripts(page, CATCHER, script)).stdout).get("seconds", float("inf")))
    said = ", ".join(f"{seconds:.1f} s" for seconds in tried)
    yield f"{TOLD}: open in {MOST_SECONDS:g} s", min(tried) <= MOST_SECONDS, said
    seen, console = browser.use(page)
    yield f"{TOLD}: used to the end", bool(seen) and "CONSOLE" not in console, "" if seen else console[-300:]
    yield f"{TOLD}: 200 rows at a time", seen.get("present") == 200, str(seen.get("rows"))


def pages(folder: Path) -> tuple[Run, dict[str, str]]:
    """Make two runs; return the first, and the pages of them by their names."""
    (folder / "pages.toml").write_text(SUITE, encoding="utf-8")
    runs = []
    for name in ("first", "second"):
        out = folder / "results" / name
        start = "from gradest_bench.command.main import main; main()"
        command = [sys.executable, "-c", start, "bench", "run", str(folder / "pages.toml"), "--out", str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        runs.append(load(out))
    first, second = runs
    entries = read_entries(run.folder for run in runs)
    return first, {
        "report": report_html(first),
        "comparison": comparison_html(first, second, compare_runs(first, second)),
        "index": index_html(entries, folder / "results"),
    }


def findings(browser: Browser, folder: Path) -> Iterator[Finding]:
    """Yield all that is checked."""
    yield from control(browser)
    run, made = pages(folder)
    yield from policy(browser, made["report"])
    for name, page in made.items():
        for width in WIDTHS:
            yield from used(browser, name, page, width)
        yield from narrow(browser, name, page)
    yield from opening(browser, run)


def main(write: Callable[[str], object] = sys.stdout.write) -> int:
    """Check everything, write a line for each finding, and return the exit code."""
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        write(f"no browser was found, and these checks need one: install Chromium ({', '.join(BROWSERS)})\n")
        return 2
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        for claim, holds, seen in findings(Browser(program, Path(name)), Path(name)):
            bad += not holds
            said = f": {seen}" if seen and (not holds or claim.startswith(TOLD)) else ""
            write(f"{'ok  ' if holds else 'FAIL'} {claim}{said}\n")
    write(f"{bad} went wrong\n" if bad else "all went well\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
