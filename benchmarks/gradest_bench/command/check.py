"""Runs `gradest check`: an estimator against contract and theory, or the gradient of a case of the user's own."""

import dataclasses
import inspect
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.markup import escape
from rich.text import Text

import gradest
from gradest import Case, Estimator, InvalidInputError, get_estimator, names
from gradest.registry import find_object
from gradest.testing import CHECKS, CheckResult, check_estimator
from gradest.testing.subject import statistical_settings
from gradest_bench.command.json_output import json_option, print_json
from gradest_bench.command.options import CsvOption, Suggested, complete_field, parse_fields
from gradest_bench.suite.spec_text import has_fields, parse_spec
from gradest_bench.worker.trial import require_loadable

EXIT_INCONCLUSIVE = 3
"""As `gradest bench compare` has it for what cannot be told."""


@click.command(
    epilog="""\b
Examples:
  gradest check es                                    a registered estimator, on NumPy
  gradest check es --set sigma=0.1 --set antithetic=False --set baseline=value
  gradest check 'es(sigma=0.1, antithetic=False, baseline=value)'    the same
  gradest check fd-central --backends numpy,torch     and that the other backends agree
  gradest check my_package.my_module:MyEstimator      a class that can be imported
  gradest check my_estimator.py:MyEstimator           a class in a file
  gradest check 'my_estimator.py:MyEstimator(steps=3)' --json
  gradest check my_file.py:case                       a gradest.Case or (loss, params, *args): is its gradient right?
  gradest check my_file.py:case --gradient my_file.py:my_gradient"""
)
@click.argument(
    "estimator",
    metavar="NAME|module:Class|path.py:Class|path.py:case",
    type=Suggested(lambda: names("estimators"), paths="file"),
)
@click.option("--gradient", metavar="path.py:name", help="Of a case: arrays or a function; by default reverse mode.")
@click.option(
    "--set",
    "fields",
    multiple=True,
    metavar="FIELD=VALUE",
    shell_complete=complete_field("estimators", "estimator"),
    help="A hyper-parameter; repeatable.",
)
@click.option(
    "--backends",
    type=CsvOption(lambda: names("backends")),
    default="numpy",
    show_default=True,
    help="The first does statistics.",
)
@click.option("--checks", type=CsvOption(lambda: CHECKS), help=f"Some checks alone: {', '.join(CHECKS)}.")
@click.option("--false-alarm", default=1e-6, show_default=True, help="Probability that a faultless one fails.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@json_option
def check(
    estimator: str,
    gradient: str | None,
    fields: tuple[str, ...],
    backends: tuple[str, ...],
    checks: tuple[str, ...] | None,
    false_alarm: float,
    seed: int,
    *,
    as_json: bool,
) -> None:
    """Check an estimator: contract, cost, seeds, accuracy, scale, variance; or the gradient of a loss of your own.

    A module or a file that is named is executed. Exit code 1 where a check fails, or where it cannot be told whether a
    gradient is right; 3 where no check of an estimator fails and one is inconclusive: it was made, and sees too little.
    """
    require_loadable(parse_spec(estimator).name)
    case = _case_at(estimator)
    if case is not None:
        _check_case(case, gradient, location=estimator, seed=seed, as_json=as_json)
    if gradient is not None:
        raise InvalidInputError(f"--gradient is for a case; {estimator!r} is an estimator")
    chosen = _estimator(estimator, parse_fields(fields))
    results = check_estimator(chosen, backends=backends, false_alarm=false_alarm, seed=seed, checks=checks)
    if as_json:
        print_json(
            estimator=chosen.name,
            repr=repr(chosen),
            settings={name: repr(value) for name, value in statistical_settings(chosen).items()},
            passed=all(result.passed for result in results),
            checks=[dataclasses.asdict(result) for result in results],
        )
    else:
        show_results(Console(), chosen, results)
    if any(result.failed for result in results):
        sys.exit(1)
    sys.exit(0 if all(result.passed for result in results) else EXIT_INCONCLUSIVE)


def _estimator(text: str, fields: dict[str, Any]) -> Estimator:
    """Return what a name with hyper-parameters in brackets, and those of --set, make."""
    spec = parse_spec(text)
    twice = sorted(set(spec.fields) & set(fields))
    if twice:
        raise InvalidInputError(f"{twice[0]!r} is given in brackets and by --set; keep one")
    return get_estimator(spec.name, **spec.fields, **fields)


_MARKS = {(False, False): ("✓", "green"), (True, False): ("✗", "bold red"), (False, True): ("?", "bold yellow")}
"""By whether a check failed and whether it is inconclusive: its mark, and how that is shown."""


def _case_at(location: str) -> Case | None:
    """Return the case at a place, or None for the name or the class of an estimator."""
    if ":" not in location or has_fields(location) or inspect.isclass(find_object(location)):
        return None
    return Case.load(location)


def _check_case(case: Case, gradient: str | None, *, location: str, seed: int, as_json: bool) -> NoReturn:
    given = None if gradient is None else find_object(gradient)
    found = gradest.check(case, gradient=given, seed=seed)
    if as_json:
        print_json(location=location, passed=bool(found), report=str(found))
    else:
        Console().print(Text(str(found)), soft_wrap=True)
    sys.exit(0 if found else 1)


def show_results(console: Console, estimator: Estimator, results: Sequence[CheckResult]) -> None:
    """Print one line for each check that was made, then the others, each with its reason, and the sum."""
    console.print(f"[bold]{escape(estimator.name)}[/]  {escape(repr(estimator))}", highlight=False)
    changed = statistical_settings(estimator)
    if changed:
        settings = ", ".join(f"{name}={value!r}" for name, value in changed.items())
        console.print(
            f"checks of means and variances run it with {settings}", style="dim", markup=False, highlight=False
        )
    console.print()
    made = [result for result in results if result.applies]
    width = max((len(result.name) for result in made), default=0)
    for result in made:
        mark, style = _MARKS[result.failed, result.inconclusive]
        line = Text.assemble((mark, style), f" {result.name:<{width}}  {result.detail}")
        if result.false_alarm:
            line.append(f"  (false alarm {result.false_alarm:.1g})", style="dim")
        console.print(line, soft_wrap=True)
    skipped = [result for result in results if not result.applies]
    if skipped:
        console.print("\ndo not apply:", style="dim")
        width = max(len(result.name) for result in skipped)
        for result in skipped:
            console.print(Text(f"- {result.name:<{width}}  {result.detail}", style="dim"), soft_wrap=True)
    failed, unsure = (sum(getattr(r, word) for r in made) for word in ("failed", "inconclusive"))
    chance = sum(result.false_alarm for result in made)
    console.print(
        f"\n{len(made)} checks, {failed} failed, {unsure} inconclusive; a faultless estimator fails with probability "
        f"{chance:.1g} at most",
        highlight=False,
    )
