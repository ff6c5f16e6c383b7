"""Runs `gradest compare`: estimators side by side, on a problem on several backends, or on a loss of the user's own."""

import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from gradest import Case, Comparison, InvalidInputError, Problem, get_problem, names
from gradest.measurement.compare import BACKENDS, DTYPES, ESTIMATORS, REPLICATES
from gradest.measurement.compare import compare as compare_gradients
from gradest_bench.command.compare_view import show_comparison
from gradest_bench.command.json_output import json_option, print_json
from gradest_bench.command.options import SECONDS, CsvOption, OutputFile, Suggested, complete_field, parse_fields
from gradest_bench.command.progress_bar import progress_bar
from gradest_bench.command.terminal import open_console
from gradest_bench.report.compare_figure import TITLE, comparison_figures
from gradest_bench.report.paper import require_drawing, write_panels
from gradest_bench.suite.resolving import loss_at, make_estimators
from gradest_bench.suite.selection import DTYPES as KNOWN_DTYPES

DEMO_ESTIMATORS = "analytic,reverse,forward,fd-central,es"
_OF_PROBLEMS = {"problem": "--problem", "fields": "--set", "demo": "--demo"}
_OF_PLACES = {"backends": "--backends", "dtypes": "--dtypes", "kernel": "--kernel"}
"""Options that say which problem, and where a problem runs, by their parameter here."""


@click.command(
    epilog="""\b
Examples:
  gradest compare                                     five estimators, four backends, two dtypes, real data
  gradest compare --backends numpy,torch --estimators reverse,fd-central,es
  gradest compare --estimators 'es(sigma=0.1, num_samples=50),es(sigma=0.01),fd-central(step=1e-4)'
  gradest compare --estimators 'my_estimator.py:MyEstimator(steps=3),reverse'
  gradest compare --problem quadratic --set size=50 --set condition=100 --dtypes float64
  gradest compare --problem mlp --set dataset=mnist5k --set 'widths=[128]' --set batch=100
  gradest compare --problem quadratic --json          the same numbers for a program
  gradest compare my_file.py:case                     a loss of your own: where its arrays are
  gradest compare my_file.py:case --estimators 'reverse,es(sigma=0.1)' --plot errors.png
  gradest compare my_file.py:case --estimators '*'    all estimators: those that cannot run say why
  gradest list estimators                             every name that --estimators takes; with a name, its fields"""
)
@click.argument("location", metavar="[path.py:case]", required=False, type=Suggested(tuple, paths="file"))
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
    show_default=f"{DEMO_ESTIMATORS}; of a case {','.join(ESTIMATORS)}",
    help="Names or patterns, by commas; hyper-parameters in brackets after a name.",
)
@click.option("--backends", type=CsvOption(lambda: names("backends")), default=",".join(BACKENDS), show_default=True)
@click.option(
    "--dtypes", type=CsvOption(lambda: KNOWN_DTYPES, closed="dtype"), default=",".join(DTYPES), show_default=True
)
@click.option("--kernel", type=click.Choice(["portable", "native"]), default="portable", show_default=True)
@click.option("--replicates", default=REPLICATES, show_default=True, help="Estimates of each stochastic one.")
@click.option("--budget", type=SECONDS, default=0.3, show_default=True, help="Seconds each cell is timed once warm.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--plot", type=OutputFile(), help="Write a PNG (or PDF, SVG) of error against cost here.")
@click.option("--demo", is_flag=True, help="The defaults, with the plot written to gradest-demo.png.")
@json_option
@click.pass_context
def compare(
    context: click.Context,
    location: str | None,
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
    """Run estimators side by side and print accuracy and cost: on a problem, or on a loss of your own.

    A loss is named by its place, path.py:case: a gradest.Case, (loss, params, *args), a function that returns either,
    or a Problem. The file is executed. A case runs on the backend and in the dtype of its own arrays.

    The error of a problem is relative to its closed-form gradient in extended precision, that of a case to the best
    reference that it allows, which is named. A cell that cannot run says why. Exit code: 0, or 1 where a cell ended in
    an error or an invalid estimate.
    """
    console = open_console()
    target = _target(plot, demo=demo)
    chosen = get_problem(problem, **parse_fields(fields)) if location is None else _loss(context, location)
    where: dict[str, Any] = {"backends": backends, "dtypes": dtypes, "kernel": kernel}
    # the defaults of the option are those of a problem, of which the closed form is known
    asked = location is None or bool(_given(context, ["estimators"]))
    # one object and nothing else: a bar would be in front of it where the output is a terminal
    with nullcontext() if as_json else progress_bar(console) as progress:
        found = compare_gradients(
            chosen,
            estimators=make_estimators(estimators) if asked else None,
            # a case runs where its own arrays are: options that name another place were refused above
            **(where if isinstance(chosen, Problem) else {}),
            replicates=replicates,
            budget_seconds=budget,
            seed=seed,
            progress=progress,
        )
    if isinstance(chosen, Case) and location is not None:
        found = found.named(location)
    _show(found, target, as_json=as_json)
    # what is not installed, or cannot be carried out, is a fact and no failure
    sys.exit(1 if any(result.outcome.failed for result in found) else 0)


def _show(found: Comparison, target: Path | None, *, as_json: bool) -> None:
    console = open_console()
    if not as_json:  # before the plot: where no cell ran there is none, and the table says why
        show_comparison(console, found)
    if target is not None:
        write_panels(comparison_figures(found), target, title=TITLE)
    if as_json:
        print_json(**found.to_dict(), plot=target and str(target))
    elif target is not None:
        console.print(f"plot: {target.resolve()}", markup=False, highlight=False)


def _loss(context: click.Context, location: str) -> Problem | Case:
    """Return the problem or the case at a place, refusing options that say the same otherwise."""
    _refuse(context, _OF_PROBLEMS, f"{location!r} says already what is compared on")
    found = loss_at(location)
    if isinstance(found, Case):
        _refuse(context, _OF_PLACES, f"{location!r} is a case, which runs where its own arrays are")
    return found


def _refuse(context: click.Context, options: dict[str, str], why: str) -> None:
    given = _given(context, options)
    if given:
        raise InvalidInputError(f"{', '.join(options[name] for name in given)} was given, and {why}; leave it out")


def _given(context: click.Context, options: Iterable[str]) -> list[str]:
    """Return which options were written, whatever their defaults are."""
    return [name for name in options if context.get_parameter_source(name) is not ParameterSource.DEFAULT]


def _target(plot: Path | None, *, demo: bool) -> Path | None:
    target = plot or (Path("gradest-demo.png") if demo else None)
    if target is not None:
        require_drawing(target)  # before minutes of computing
    return target
