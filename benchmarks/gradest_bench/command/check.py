"""Runs `gradest check`: an estimator against contract and theory, or the gradient of a case of the user's own."""

import inspect
import sys
from collections.abc import Sequence

import click
from rich.console import Console
from rich.text import Text

import gradest
from gradest import Case, Estimator, get_estimator
from gradest.registry import find_object
from gradest.testing import CHECKS, CheckResult, check_estimator
from gradest.testing.subject import statistical_settings
from gradest_bench.command.options import CsvOption, parse_fields
from gradest_bench.worker.trial import require_loadable


@click.command(
    epilog="""\b
Examples:
  gradest check es                                    a registered estimator, on NumPy
  gradest check es --set sigma=0.1 --set antithetic=False --set baseline=value
  gradest check fd-central --backends numpy,torch     and that the other backends agree
  gradest check my_package.my_module:MyEstimator      a class that can be imported
  gradest check my_estimator.py:MyEstimator           a class in a file
  gradest check my_file.py:case                       a gradest.Case or (loss, params, *args): is its gradient right?
  gradest check my_file.py:case --gradient my_file.py:my_gradient"""
)
@click.argument("estimator", metavar="NAME|module:Class|path.py:Class|path.py:case")
@click.option("--gradient", metavar="path.py:name", help="Of a case: arrays or a function; by default reverse mode.")
@click.option("--set", "fields", multiple=True, metavar="FIELD=VALUE", help="A hyper-parameter; repeatable.")
@click.option("--backends", type=CsvOption(), default="numpy", show_default=True, help="The first does statistics.")
@click.option("--checks", type=CsvOption(), help=f"Some checks alone: {', '.join(CHECKS)}.")
@click.option("--false-alarm", default=1e-6, show_default=True, help="Probability that a faultless one fails.")
@click.option("--seed", default=0, show_default=True)
def check(
    estimator: str,
    gradient: str | None,
    fields: tuple[str, ...],
    backends: tuple[str, ...],
    checks: tuple[str, ...] | None,
    false_alarm: float,
    seed: int,
) -> None:
    """Check an estimator: contract, cost, seeds, accuracy, scale, variance; or the gradient of a loss of your own.

    A module or a file that is named is executed. Exit code 1 where a check fails, or where it cannot be told whether a
    gradient is right.
    """
    require_loadable(estimator)
    case = _case_at(estimator)
    if case is not None:
        given = None if gradient is None else find_object(gradient)
        found = gradest.check(case, gradient=given, seed=seed)
        Console().print(Text(str(found)), soft_wrap=True)
        sys.exit(0 if found else 1)
    if gradient is not None:
        raise gradest.InvalidInputError(f"--gradient is for a case; {estimator!r} is an estimator")
    chosen = get_estimator(estimator, **parse_fields(fields))
    results = check_estimator(chosen, backends=backends, false_alarm=false_alarm, seed=seed, checks=checks)
    show_results(Console(), chosen, results)
    sys.exit(0 if all(result.passed for result in results) else 1)


def _case_at(location: str) -> Case | None:
    """Return the case at a place, or None for the name or the class of an estimator."""
    if ":" not in location or inspect.isclass(find_object(location)):
        return None
    return Case.load(location)


def show_results(console: Console, estimator: Estimator, results: Sequence[CheckResult]) -> None:
    """Print one line for each check that was made, then the others by name, and the sum."""
    console.print(f"[bold]{estimator.name}[/]  {estimator!r}", highlight=False)
    changed = statistical_settings(estimator)
    if changed:
        settings = ", ".join(f"{name}={value!r}" for name, value in changed.items())
        console.print(f"[dim]checks of means and variances run it with {settings}[/]", highlight=False)
    console.print()
    made = [result for result in results if result.applies]
    width = max((len(result.name) for result in made), default=0)
    for result in made:
        mark, style = ("✓", "green") if result.passed else ("✗", "bold red")
        line = Text.assemble((mark, style), f" {result.name:<{width}}  {result.detail}")
        if result.false_alarm:
            line.append(f"  (false alarm {result.false_alarm:.1g})", style="dim")
        console.print(line, soft_wrap=True)
    skipped = [result.name for result in results if not result.applies]
    if skipped:
        console.print(f"[dim]- do not apply: {', '.join(skipped)}[/]", highlight=False)
    failed = sum(not result.passed for result in made)
    chance = sum(result.false_alarm for result in made)
    console.print(
        f"\n{len(made)} checks, {failed} failed; a faultless estimator fails with probability {chance:.1g} at most",
        highlight=False,
    )
