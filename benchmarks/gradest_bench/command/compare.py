"""Runs `gradest compare`: estimators on backends, on one problem of the suite, side by side."""

import dataclasses
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from gradest import Problem, get_problem, names
from gradest.measurement.compare import CellResult
from gradest.measurement.compare import compare as compare_gradients
from gradest_bench.command.compare_view import progress_bar, show_comparison
from gradest_bench.command.json_output import json_option, print_json
from gradest_bench.command.options import SECONDS, CsvOption, OutputFile, Suggested, complete_field, parse_fields
from gradest_bench.command.terminal import open_console
from gradest_bench.report.compare_figure import TITLE, comparison_figures
from gradest_bench.report.paper import require_drawing, write_panels
from gradest_bench.suite.resolving import make_estimators
from gradest_bench.suite.selection import DTYPES

DEMO_ESTIMATORS = "analytic,reverse,forward,fd-central,es"


@click.command(
    epilog="""\b
Examples:
  gradest compare                                     five estimators, four backends, two dtypes, real data
  gradest compare --backends numpy,torch --estimators reverse,fd-central,es
  gradest compare --estimators 'es(sigma=0.1, num_samples=50),es(sigma=0.01),fd-central(step=1e-4)'
  gradest compare --estimators 'my_estimator.py:MyEstimator(steps=3),reverse'
  gradest compare --problem quadratic --set size=50 --set condition=100 --dtypes float64
  gradest compare --problem mlp --set dataset=mnist5k --set widths=[128] --set batch=100
  gradest compare --problem quadratic --json          the same numbers for a program
  gradest list estimators                             every name that --estimators takes, with its fields"""
)
@click.option(
    "--problem",
    type=Suggested(lambda: names("problems")),
    default="mlp",
    show_default=True,
    help="A name from `gradest list problems`.",
)
@click.option(
    "--set",
    "fields",
    multiple=True,
    metavar="FIELD=VALUE",
    shell_complete=complete_field("problems", "problem"),
    help="A field of the problem; repeatable.",
)
@click.option(
    "--estimators",
    type=CsvOption(lambda: names("estimators")),
    default=DEMO_ESTIMATORS,
    show_default=True,
    help="Names, by commas; hyper-parameters in brackets.",
)
@click.option(
    "--backends", type=CsvOption(lambda: names("backends")), default="numpy,jax,torch,mxnet", show_default=True
)
@click.option("--dtypes", type=CsvOption(lambda: DTYPES, closed="dtype"), default="float64,float32", show_default=True)
@click.option("--kernel", type=click.Choice(["portable", "native"]), default="portable", show_default=True)
@click.option("--replicates", default=64, show_default=True, help="Independent estimates of each stochastic one.")
@click.option("--budget", type=SECONDS, default=0.3, show_default=True, help="Seconds each cell is timed once warm.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--plot", type=OutputFile(), help="Write a PNG (or PDF, SVG) of error against cost here.")
@click.option("--demo", is_flag=True, help="The defaults, with the plot written to gradest-demo.png.")
@json_option
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
    *,
    demo: bool,
    as_json: bool,
) -> None:
    """Run estimators on backends and print accuracy and cost side by side.

    The error is relative to the closed-form gradient in extended precision. A cell that cannot run says why. Exit code:
    0, or 1 where a cell ended in an error or an invalid estimate.
    """
    console = open_console()
    target = _target(plot, demo=demo)
    chosen = get_problem(problem, **parse_fields(fields))
    with nullcontext() if as_json else progress_bar(console) as progress:
        results = compare_gradients(
            chosen,
            estimators=make_estimators(estimators),
            backends=backends,
            dtypes=dtypes,
            kernel=kernel,
            replicates=replicates,
            budget_seconds=budget,
            seed=seed,
            progress=progress,
        )
    if target is not None:
        write_panels(comparison_figures(results), target, title=TITLE)
    if as_json:
        print_json(problem=_problem(chosen), cells=[_cell(result) for result in results], plot=target and str(target))
    else:
        show_comparison(console, chosen, results)
        if target is not None:
            console.print(f"plot: {target.resolve()}", markup=False, highlight=False)
    sys.exit(1 if any(result.outcome.failed for result in results) else 0)


def _target(plot: Path | None, *, demo: bool) -> Path | None:
    target = plot or (Path("gradest-demo.png") if demo else None)
    if target is not None:
        require_drawing(target)  # before minutes of computing
    return target


def _problem(problem: Problem) -> dict[str, Any]:
    return {"name": problem.name, "repr": repr(problem), "num_parameters": problem.layout.num_parameters}


def _cell(result: CellResult) -> dict[str, Any]:
    found = dataclasses.asdict(dataclasses.replace(result, predicted=None))
    predicted: Sequence[str] = ("relative_mse", "cosine", "exact_for", "bias_order")
    return {
        **found.pop("cell"),
        **found,
        "outcome": str(result.outcome),
        "cost": None if result.cost is None else dataclasses.asdict(result.cost),
        "predicted": result.predicted and {name: getattr(result.predicted, name) for name in predicted},
        "loss_units": result.loss_units,
    }
