"""Runs the commands of `gradest bench`. They parse, call and print, and compute nothing."""

from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import click
from rich.markup import escape

from gradest.errors import InvalidInputError, unknown_name
from gradest_bench.command.compare_now import compare_now
from gradest_bench.command.group import Group
from gradest_bench.command.json_output import json_option, print_json
from gradest_bench.command.options import ExportFile, OutputFile, OutputFolder, RunFolder, Suggested
from gradest_bench.command.run import run
from gradest_bench.command.run_comparison_view import comparison_fields, show_run_comparison
from gradest_bench.command.run_view import show_records
from gradest_bench.command.terminal import open_console, titled_table
from gradest_bench.report.compare_page import comparison_html
from gradest_bench.report.figures import figures_of
from gradest_bench.report.history import read_entries
from gradest_bench.report.index_page import index_html
from gradest_bench.report.page import report_html
from gradest_bench.report.paper import require_drawing, write_figures
from gradest_bench.results.anonymity import anonymous
from gradest_bench.results.export import FORMATS, export
from gradest_bench.results.files import replace_text
from gradest_bench.results.folders import ROOT, latest_run, runs
from gradest_bench.results.loading import load
from gradest_bench.results.run_comparison import compare_runs
from gradest_bench.suite.cells import expand
from gradest_bench.suite.duration import require_possible
from gradest_bench.suite.schema import Suite, parse_suite, shipped_suites, suite_folder, suite_text
from gradest_bench.worker.trial import check_names

_FOLDER = RunFolder()
_ANONYMOUS = click.option(
    "--anonymous", "blind", is_flag=True, help="Without any path, printed text or kernel; no run names user or host."
)


@click.group(
    cls=Group,
    epilog="""\b
Examples:
  gradest bench run quick
  gradest bench show
  gradest bench report""",
)
def bench() -> None:
    """Sweep suites of problems, estimators and backends; keep, compare and report the results."""


bench.add_command(run)
bench.add_command(compare_now)


@bench.command(
    epilog="""\b
Examples:
  gradest bench show                                 the latest run
  gradest bench show results/quick-20260101-120000   a run
  gradest bench show --problem mlp --json            its cells as rows, for a program"""
)
@click.argument("folder", type=_FOLDER, required=False)
@click.option("--problem", help="Only problems whose label contains this.")
@json_option
def show(folder: Path | None, problem: str | None, *, as_json: bool) -> None:
    """Print the tables of a run, the latest by default."""
    found = load(folder or latest_run())
    if as_json:
        rows = [row for row in found.rows() if problem is None or problem in row["problem"]]
        print_json(folder=str(found.folder), title=found.title, num_cells=found.num_cells, cells=rows)
        return
    shown = [r for r in found.records if problem is None or problem in r.cell.problem.label]
    console = open_console()
    show_records(console, shown, found.verdicts)  # a part is judged as in the whole run
    if found.num_cells > len(found.records):
        console.print(
            f"{found.num_cells - len(found.records)} cells of the suite have no result here: the run was stopped, "
            "was of a part of the suite, or its results were cut; gradest bench run --resume measures what is missing",
            highlight=False,
        )


@bench.command(
    "list",
    epilog="""\b
Examples:
  gradest bench list
  gradest bench list --tag theory   suites of one kind
  gradest bench list --json""",
)
@click.option("--tag", help="Only suites that have it, such as accuracy or cost.")
@json_option
def list_runs(tag: str | None, *, as_json: bool) -> None:
    """List the shipped suites, and the runs below results/."""
    console = open_console()
    found = {
        name: parse_suite(file.read_text(encoding="utf-8"), origin=name) for name, file in shipped_suites().items()
    }
    if tag is not None:
        found = {name: suite for name, suite in found.items() if tag in suite.tags} or _no_suite(tag, found.values())
    if as_json:
        suites = [
            {
                "name": name,
                "cells": len(expand(s)),
                "expected_minutes": s.expected_minutes,
                "tags": s.tags,
                "title": s.title,
                "question": s.question,
            }
            for name, s in found.items()
        ]
        print_json(suites=suites, runs=[str(folder) for folder in runs()])
        return
    table = titled_table("suites", "name", "cells", "minutes", "tags", "question")
    for name, suite in found.items():
        minutes = "" if suite.expected_minutes is None else f"{suite.expected_minutes:g}"
        table.add_row(name, str(len(expand(suite))), minutes, escape(", ".join(suite.tags)), escape(suite.question))
    console.print(table)
    for folder in runs():
        console.print(escape(str(folder)), highlight=False)
    if not runs():
        console.print(escape(f"no runs below {ROOT.resolve()}"), highlight=False)


def _no_suite(tag: str, suites: Iterable[Suite]) -> NoReturn:
    raise unknown_name("tag of a suite", tag, sorted({known for suite in suites for known in suite.tags}))


@bench.command(
    "check-suite",
    epilog="""\b
Examples:
  gradest bench check-suite quick
  gradest bench check-suite my_suite.toml --json""",
)
@click.argument("suite", type=Suggested(shipped_suites, paths="file"))
@json_option
def check_suite(suite: str, *, as_json: bool) -> None:
    """Say whether a suite is valid, and how many cells it has.

    This executes its plug-ins, and the files and modules that it names, in a process of their own.
    """
    parsed = parse_suite(suite_text(suite), origin=suite)
    check_names(parsed, suite_folder(suite))
    require_possible(parsed)
    minutes = parsed.expected_minutes
    if as_json:
        print_json(name=parsed.name, valid=True, cells=len(expand(parsed)), expected_minutes=minutes)
        return
    click.echo(f"{parsed.name}: valid, {len(expand(parsed))} cells" + (f", {minutes:g} min" if minutes else ""))


@bench.command(
    "compare",
    epilog="""\b
Examples:
  gradest bench compare results/before results/after
  gradest bench compare results/before results/after --json   for a program
  gradest bench compare results/before results/after --html changes.html   side by side, as a page""",
)
@click.argument("before", type=_FOLDER)
@click.argument("after", type=_FOLDER)
@click.option("--strict", is_flag=True, help="Exit code 3 also where any time could not be told.")
@click.option("--html", "page", type=OutputFile(), help="Also write both side by side as a page that needs no network.")
@json_option
@click.pass_context
def compare_two(
    context: click.Context, before: Path, after: Path, page: Path | None, *, strict: bool, as_json: bool
) -> None:
    """Compare two runs, cell by cell.

    Exit code 1 if anything became slower, less accurate, or stopped working; 3 if no time could be judged, as the
    workers were started too few times; 4 if none could, as the machine was too disturbed.
    """
    first, second = load(before), load(after)
    found = compare_runs(first, second)
    if page is not None:
        replace_text(page, comparison_html(first, second, found))
    if as_json:
        print_json(before=str(before), after=str(after), page=page and str(page), **comparison_fields(found))
    else:
        show_run_comparison(open_console(), found)
        if page is not None:
            click.echo(f"page: {page.resolve()}")
    context.exit(found.exit_code(strict=strict))


@bench.command(
    "export",
    epilog="""\b
Examples:
  gradest bench export csv cells.csv                  the latest run
  gradest bench export pyperf times.json --run results/before""",
)
@click.argument("form", type=click.Choice(FORMATS))
@click.argument("target", type=ExportFile())
@click.option("--run", "folder", type=_FOLDER, help="The latest run by default.")
@_ANONYMOUS
def export_run(form: str, target: Path, folder: Path | None, *, blind: bool) -> None:
    """Write a run to TARGET as csv, json or pyperf."""
    found = load(folder or latest_run())
    count = export(anonymous(found) if blind else found, form, target)
    click.echo(f"{count} cells -> {target}")


@bench.command(
    epilog="""\b
Examples:
  gradest bench report                                         report.html in the latest run
  gradest bench report results/before --out before.html
  gradest bench report --figures figures                       and each figure as PDF, SVG and CSV
  gradest bench report --anonymous                             for a review that is blind"""
)
@click.argument("folder", type=_FOLDER, required=False)
@click.option("--out", type=OutputFile(), help="By default report.html in the folder.")
@click.option("--figures", type=OutputFolder(), help="Also write every figure as PDF, SVG and CSV into this folder.")
@_ANONYMOUS
def report(folder: Path | None, out: Path | None, figures: Path | None, *, blind: bool) -> None:
    """Write the report of a run, the latest by default: one HTML file that needs no network."""
    if figures is not None:
        require_drawing()
    found = load(folder or latest_run())
    target = out or found.folder / "report.html"
    if blind:
        found = anonymous(found)
    replace_text(target, report_html(found))
    click.echo(f"report: {target.resolve()}")
    if figures is not None:
        written = write_figures(figures_of(found), figures)
        click.echo(f"{len(written)} figures -> {figures}")


@bench.command(
    epilog="""\b
Examples:
  gradest bench index                                  results/index.html, over all runs below results/
  gradest bench index /data/runs --out runs.html"""
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=ROOT)
@click.option("--out", type=OutputFile(), help="By default index.html in the folder.")
def index(folder: Path, out: Path | None) -> None:
    """Write a page over all runs below FOLDER, results/ by default: what each was, and each cell's history.

    A run has a link where its report was written: gradest bench report. A folder that cannot be read is named.
    """
    found = runs(folder)
    if not found:
        raise InvalidInputError(
            f"there are no runs below {folder.resolve()}; give their folder, or run: gradest bench run"
        )
    target = out or folder / "index.html"
    replace_text(target, index_html(read_entries(found), target.parent))
    click.echo(f"index: {target.resolve()}")
