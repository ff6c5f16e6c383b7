"""Reads the command line: `gradest compare`, `list`, `doctor`, `check`, `bench`.

This module parses, calls and prints; it computes nothing.
"""

import sys
from pathlib import Path

import click

from gradest import GradestError, __version__, get_problem
from gradest.measurement.compare import compare as compare_gradients
from gradest_bench.command.bench import bench
from gradest_bench.command.check import check
from gradest_bench.command.compare_view import progress_bar, show_comparison
from gradest_bench.command.listing import list_group, show_doctor
from gradest_bench.command.options import CsvOption, parse_fields
from gradest_bench.command.terminal import open_console
from gradest_bench.report.compare_figure import TITLE, comparison_figures
from gradest_bench.report.paper import write_panels

DEMO_ESTIMATORS = "analytic,reverse,forward,fd-central,es"


class _Group(click.Group):
    """Turns gradest's own errors into one line and exit code 2; other exceptions keep their traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except GradestError as error:  # says itself what to try; a traceback would hide that
            click.echo(f"gradest: {error}", err=True)
            ctx.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
def main() -> None:
    """Compare gradient estimators: which gradient, how right, at what cost."""


@main.command(
    epilog="""\b
Examples:
  gradest compare                                     five estimators, four backends, two dtypes, real data
  gradest compare --backends numpy,torch --estimators reverse,fd-central,es
  gradest compare --problem quadratic --set size=50 --set condition=100 --dtypes float64
  gradest compare --problem mlp --set dataset=mnist5k --set widths=[128] --set batch=100
  gradest list estimators                             every name that --estimators takes"""
)
@click.option("--problem", default="mlp", show_default=True, help="A name from `gradest list problems`.")
@click.option("--set", "fields", multiple=True, metavar="FIELD=VALUE", help="A field of the problem; repeatable.")
@click.option("--estimators", type=CsvOption(), default=DEMO_ESTIMATORS, show_default=True, help="Names, by commas.")
@click.option("--backends", type=CsvOption(), default="numpy,jax,torch,mxnet", show_default=True)
@click.option("--dtypes", type=CsvOption(), default="float64,float32", show_default=True)
@click.option("--kernel", type=click.Choice(["portable", "native"]), default="portable", show_default=True)
@click.option("--replicates", default=64, show_default=True, help="Independent estimates of each stochastic one.")
@click.option("--budget", default=0.3, show_default=True, help="Seconds each cell is timed once warm.")
@click.option("--seed", default=0, show_default=True)
@click.option("--plot", type=click.Path(path_type=Path), help="Write a PNG (or PDF, SVG) of error against cost here.")
@click.option("--demo", is_flag=True, help="The defaults, with the plot written to gradest-demo.png.")
def compare(
    problem: str,
    fields: tuple[str, ...],
    estimators: tuple[str, ...],
    backends: tuple[str, ...],
    dtypes: tuple[str, ...],
    kernel: str,
    replicates: int,
    budget: float,
    seed: int,
    plot: Path | None,
    demo: bool,
) -> None:
    """Run estimators on backends and print accuracy and cost side by side.

    The error is relative to the closed-form gradient in extended precision. A cell that cannot run says why.
    """
    console = open_console()
    chosen = get_problem(problem, **parse_fields(fields))
    with progress_bar(console) as progress:
        results = compare_gradients(
            chosen,
            estimators=estimators,
            backends=backends,
            dtypes=dtypes,
            kernel=kernel,
            replicates=replicates,
            budget_seconds=budget,
            seed=seed,
            progress=progress,
        )
    show_comparison(console, chosen, results)
    target = plot or (Path("gradest-demo.png") if demo else None)
    if target is not None:
        write_panels(comparison_figures(results), target, title=TITLE)
        console.print(f"plot: {target.resolve()}")
    sys.exit(1 if any(result.outcome.failed for result in results) else 0)


@main.command("list")
@click.argument("group", type=click.Choice(["estimators", "backends", "problems", "datasets", "rules"]), required=False)
def list_names(group: str | None) -> None:
    """List estimators (with cost, target and source), backends, problems, datasets: all of these by default; or rules.

    Rules are those by which NumPy functions are differentiated.
    """
    console = open_console()
    for each in (group,) if group else ("estimators", "backends", "problems", "datasets"):
        list_group(console, each)


@main.command()
def doctor() -> None:
    """Say what is installed, what is missing and how to get it: versions, BLAS, threads, plug-ins, data."""
    show_doctor(open_console())


main.add_command(bench)
main.add_command(check)

if __name__ == "__main__":  # python -m gradest_bench.command.main, where no `gradest` is on the path
    main(prog_name="gradest")
