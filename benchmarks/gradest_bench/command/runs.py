"""Runs `gradest bench show`, `compare` and `export`, of runs that are kept. They parse, call and print."""

from pathlib import Path

import click

from gradest.errors import InvalidInputError
from gradest_bench.command.json_output import json_option, print_json
from gradest_bench.command.options import ExportFile, OutputFile, RunFolder, anonymous_option
from gradest_bench.command.run_comparison_view import comparison_fields, show_run_comparison
from gradest_bench.command.run_view import show_records
from gradest_bench.command.terminal import open_console
from gradest_bench.report.compare_page import comparison_html
from gradest_bench.report.units import counted
from gradest_bench.results.anonymity import anonymous
from gradest_bench.results.export import FORMATS, export
from gradest_bench.results.files import replace_text
from gradest_bench.results.folders import latest_run
from gradest_bench.results.loading import load
from gradest_bench.results.run_comparison import compare_runs


@click.command(
    epilog="""\b
Examples:
  gradest bench show                                 the latest run
  gradest bench show results/quick-20260101-120000   a run
  gradest bench show --problem mlp --json            its cells as rows, for a program"""
)
@click.argument("folder", type=RunFolder(), required=False)
@click.option("--problem", help="Only problems whose label contains this.")
@json_option
def show(folder: Path | None, problem: str | None, *, as_json: bool) -> None:
    """Print the tables of a run, the latest by default."""
    found = load(folder or latest_run())
    labels = dict.fromkeys(record.cell.problem.label for record in found.records)
    if problem is not None and labels and not any(problem in label for label in labels):
        raise InvalidInputError(
            f"--problem asks for problems whose label contains {problem!r}; {found.folder} has {', '.join(labels)}"
        )
    if as_json:
        rows = [row for row in found.rows() if problem is None or problem in row["problem"]]
        print_json(folder=str(found.folder), title=found.title, num_cells=found.num_cells, cells=rows)
        return
    shown = [r for r in found.records if problem is None or problem in r.cell.problem.label]
    console = open_console()
    show_records(console, shown, found.verdicts)  # a part is judged as in the whole run
    if found.num_cells > len(found.records):
        missing = found.num_cells - len(found.records)
        console.print(
            f"{counted(missing, 'cell')} of the suite {'has' if missing == 1 else 'have'} no result here: the run was "
            "stopped, was of a part of the suite, or its results were cut; gradest bench run --resume measures what is "
            "missing",
            highlight=False,
        )


@click.command(
    "compare",
    epilog="""\b
Examples:
  gradest bench compare results/before results/after
  gradest bench compare results/before results/after --json   for a program
  gradest bench compare results/before results/after --html changes.html   side by side, as a page""",
)
@click.argument("before", type=RunFolder())
@click.argument("after", type=RunFolder())
@click.option(
    "--strict", is_flag=True, help="Exit code 3 also where not all could be told, or the first alone has a cell."
)
@click.option("--html", "page", type=OutputFile(), help="Also write both side by side as a page that needs no network.")
@json_option
@click.pass_context
def compare_two(
    context: click.Context, before: Path, after: Path, page: Path | None, *, strict: bool, as_json: bool
) -> None:
    """Compare two runs, cell by cell.

    Exit code 1 if anything became slower, less accurate, or stopped working; 3 if no time could be judged, as the
    workers were started too few times, or, of runs without times, no error; 4 if no time could, as the machine was too
    disturbed.
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


@click.command(
    "export",
    epilog="""\b
Examples:
  gradest bench export csv cells.csv                  the latest run
  gradest bench export pyperf times.json --run results/before""",
)
@click.argument("form", type=click.Choice(FORMATS))
@click.argument("target", type=ExportFile())
@click.option("--run", "folder", type=RunFolder(), help="The latest run by default.")
@anonymous_option
def export_run(form: str, target: Path, folder: Path | None, *, blind: bool) -> None:
    """Write a run to TARGET as csv, json or pyperf."""
    found = load(folder or latest_run())
    count = export(anonymous(found) if blind else found, form, target)
    click.echo(f"{count} cells -> {target}")
