"""The commands of `gradest bench`: they parse, call and print, and compute nothing."""

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gradest.errors import InvalidInputError
from gradest.outcome import Outcome
from gradest_bench.cells import expand
from gradest_bench.comparison import compare_runs
from gradest_bench.comparison_view import show_run_comparison
from gradest_bench.executors import open_executor
from gradest_bench.export import FORMATS, export
from gradest_bench.figures import figures_of
from gradest_bench.folders import ROOT, latest_run, new_folder, runs
from gradest_bench.loading import load
from gradest_bench.options import CsvOption
from gradest_bench.outcomes import EXIT_STORAGE, exit_code
from gradest_bench.paper import write_figures
from gradest_bench.process import Launch
from gradest_bench.records import Record
from gradest_bench.report import report_html
from gradest_bench.stopping import stoppable
from gradest_bench.store import RESULTS, StorageError, Store, latest, read_records
from gradest_bench.suite import parse_suite, shipped_suites, suite_text
from gradest_bench.suite_names import check_names, chosen_cells, scaled
from gradest_bench.sweep import Sweep
from gradest_bench.terminal import ProgressBar, open_console, show_outcomes, show_records

_FOLDER = click.Path(path_type=Path, file_okay=False)
_MANY_CELLS = 120
"""A run of more cells is shown by its outcomes alone."""


@click.group()
def bench() -> None:
    """Sweep suites of problems, estimators and backends; keep, compare and report the results."""


@bench.command()
@click.argument("suite")
@click.option("--backends", type=CsvOption(), default=(), help="Names or patterns; all of the suite by default.")
@click.option("--estimators", type=CsvOption(), default=(), help="Names or patterns; all of the suite by default.")
@click.option("--out", type=_FOLDER, help="The run's folder; by default a new one below results/.")
@click.option("--resume", is_flag=True, help="Go on in --out, or in the latest run of this suite.")
@click.option("--python", "pythons", multiple=True, metavar="BACKEND[:VARIANT]=PATH", help="Interpreter of a worker.")
@click.option("--executor", help="local:N, dask:ADDRESS or module:callable.")
@click.option("--budget", default=1.0, show_default=True, help="Multiplies repetitions, seconds and seeds.")
@click.option("--threads", default=1, show_default=True, help="Threads of each library in each worker.")
@click.pass_context
def run(
    context: click.Context,
    suite: str,
    backends: tuple[str, ...],
    estimators: tuple[str, ...],
    out: Path | None,
    resume: bool,
    pythons: tuple[str, ...],
    executor: str | None,
    budget: float,
    threads: int,
) -> None:
    """Run a shipped SUITE, or that of a TOML file.

    A cell that fails is an outcome; the run goes on. Exit code: 0, or 1 for an error or an invalid estimate, 3 for a
    crash, 4 for a limit of time or memory, 74 if results cannot be written, 130 if interrupted.
    """
    console = open_console()
    text = suite_text(suite)
    parsed = parse_suite(text, origin=suite)
    check_names(parsed)
    parsed = scaled(parsed, budget)
    interpreters = _pythons(pythons)
    cells = chosen_cells(parsed, backends=backends, estimators=estimators, pythons=interpreters)
    as_run = text if budget == 1 else f"# run with --budget {budget:g}\n{text}"
    folder = out or (latest_run(as_run) if resume else new_folder(parsed.name))
    if not resume and (folder / RESULTS).exists():
        raise InvalidInputError(f"{folder} holds results; use --resume to go on there, or another --out")
    console.print(f"{parsed.name}: {len(cells)} cells -> {folder}", highlight=False)
    try:
        with stoppable(), Store(folder) as store, open_executor(executor) as pool, ProgressBar(console) as progress:
            store.write_suite(as_run)
            launch = Launch(pythons=interpreters, logs=store.logs, threads=threads)
            records = Sweep(
                suite=parsed.name,
                cells=cells,
                store=store,
                launch=launch,
                listener=progress,
                seed=parsed.seed,
                plugins=parsed.plugins,
            ).run(pool)
    except KeyboardInterrupt:
        console.print(
            f"\ninterrupted; every finished cell is kept. Go on with:\n  {_resume_line(folder)}", highlight=False
        )
        context.exit(exit_code([Outcome.INTERRUPTED]))
    except StorageError as error:
        click.echo(f"gradest: {error}", err=True)
        context.exit(EXIT_STORAGE)
    _show(console, records)
    console.print(f"results: {folder}   report: gradest bench report {folder}", highlight=False)
    context.exit(exit_code(Outcome(record.outcome) for record in records if not record.expected))


def _resume_line(folder: Path) -> str:
    arguments = [argument for argument in sys.argv[1:] if argument != "--resume"]
    if "--out" not in arguments:
        arguments += ["--out", str(folder)]
    return " ".join(["gradest", *arguments, "--resume"])


def _pythons(texts: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise InvalidInputError(f"--python asks for BACKEND=PATH or BACKEND:VARIANT=PATH; found {text!r}")
        found[name] = path
    return found


def _show(console: Console, records: list[Record]) -> None:
    if len(records) > _MANY_CELLS:
        show_outcomes(console, records)
    else:
        show_records(console, records)


@bench.command()
@click.argument("folder", type=_FOLDER, required=False)
@click.option("--problem", help="Only problems whose label contains this.")
def show(folder: Path | None, problem: str | None) -> None:
    """Print the tables of a run, the latest by default."""
    records = list(latest(read_records(folder or latest_run())).values())
    show_records(open_console(), [r for r in records if problem is None or problem in r.cell.problem.label])


@bench.command("list")
def list_runs() -> None:
    """List the shipped suites, and the runs below results/."""
    console = open_console()
    table = Table(title="suites", title_justify="left", title_style="bold")
    for heading in ("name", "cells", "question"):
        table.add_column(heading)
    for name, file in shipped_suites().items():
        suite = parse_suite(file.read_text(encoding="utf-8"), origin=name)
        table.add_row(name, str(len(expand(suite))), escape(suite.question))
    console.print(table)
    for folder in runs():
        console.print(str(folder), highlight=False)
    if not runs():
        console.print(f"no runs below {ROOT.resolve()}", highlight=False)


@bench.command("check-suite")
@click.argument("suite")
def check_suite(suite: str) -> None:
    """Say whether a suite is valid, and how many cells it has."""
    parsed = parse_suite(suite_text(suite), origin=suite)
    check_names(parsed)
    click.echo(f"{parsed.name}: valid, {len(expand(parsed))} cells")


@bench.command("compare")
@click.argument("before", type=_FOLDER)
@click.argument("after", type=_FOLDER)
@click.pass_context
def compare_two(context: click.Context, before: Path, after: Path) -> None:
    """Compare two runs, cell by cell. Exit code 1 if anything became slower, less accurate, or stopped working."""
    found = compare_runs(load(before), load(after))
    show_run_comparison(open_console(), found)
    context.exit(1 if found.worse else 0)


@bench.command("export")
@click.argument("form", type=click.Choice(FORMATS))
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--run", "folder", type=_FOLDER, help="The latest run by default.")
def export_run(form: str, target: Path, folder: Path | None) -> None:
    """Write a run to TARGET as csv, json or pyperf."""
    count = export(load(folder or latest_run()), form, target)
    click.echo(f"{count} cells -> {target}")


@bench.command()
@click.argument("folder", type=_FOLDER, required=False)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="By default report.html in the folder.")
@click.option("--figures", type=_FOLDER, help="Also write every figure as PDF, SVG and CSV into this folder.")
def report(folder: Path | None, out: Path | None, figures: Path | None) -> None:
    """Write the report of a run, the latest by default: one HTML file that needs no network."""
    found = load(folder or latest_run())
    target = out or found.folder / "report.html"
    target.write_text(report_html(found), encoding="utf-8")
    click.echo(f"report: {target.resolve()}")
    if figures is not None:
        written = write_figures(figures_of(found), figures)
        click.echo(f"{len(written)} figures -> {figures}")
