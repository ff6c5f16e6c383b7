"""Runs `gradest bench report` and `index`: pages about a run, and about all of them. They parse, call and print."""

from pathlib import Path

import click

from gradest.errors import InvalidInputError
from gradest_bench.command.options import OutputFile, OutputFolder, RunFolder, anonymous_option
from gradest_bench.report.figures import figures_of
from gradest_bench.report.history import read_entries
from gradest_bench.report.index_page import index_html
from gradest_bench.report.page import report_html
from gradest_bench.report.paper import require_drawing, write_figures
from gradest_bench.results.anonymity import anonymous
from gradest_bench.results.files import replace_text
from gradest_bench.results.folders import ROOT, latest_run, runs
from gradest_bench.results.loading import load


@click.command(
    epilog="""\b
Examples:
  gradest bench report                                         report.html in the latest run
  gradest bench report results/before --out before.html
  gradest bench report --figures figures                       and each figure as PDF, SVG and CSV
  gradest bench report --anonymous                             for a review that is blind"""
)
@click.argument("folder", type=RunFolder(), required=False)
@click.option("--out", type=OutputFile(), help="By default report.html in the folder.")
@click.option("--figures", type=OutputFolder(), help="Also write every figure as PDF, SVG and CSV into this folder.")
@anonymous_option
def report(folder: Path | None, out: Path | None, figures: Path | None, *, blind: bool) -> None:
    """Write the report of a run, the latest by default: one HTML file that needs no network."""
    if figures is not None:
        # before the run is read and its page written: who lacks Matplotlib is told at once
        require_drawing()
    found = load(folder or latest_run())
    target = out or found.folder / "report.html"
    if blind:
        # after the place to write is known: an anonymous run does not say where its folder is
        found = anonymous(found)
    replace_text(target, report_html(found))
    click.echo(f"report: {target.resolve()}")
    if figures is not None:
        written = write_figures(figures_of(found), figures)
        click.echo(f"{len(written)} figures -> {figures}")


@click.command(
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
