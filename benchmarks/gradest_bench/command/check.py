"""Runs `gradest check`: an estimator, a backend or a problem against its contract, or the gradient of a user's case."""

import dataclasses
import inspect
import sys
from collections.abc import Mapping, Sequence
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
from gradest_bench.command.check_plugin import KINDS, check_kind, made
from gradest_bench.command.json_output import json_option, print_json
from gradest_bench.command.options import CsvOption, Suggested, complete_field, parse_fields
from gradest_bench.suite.spec_text import has_fields, parse_spec
from gradest_bench.worker.trial import require_loadable


def _names_of_kinds() -> tuple[str, ...]:
    return tuple(name for kind in KINDS for name in names(f"{kind}s"))


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
  gradest check backend torch                         arrays, operations, what is native, that every estimator runs
  gradest check problem my_problem.py:Mine            axes of populations, the closed form, agreement of backends
  gradest check my_file.py:case                       a gradest.Case or (loss, params, *args): is its gradient right?
  gradest check my_file.py:case --gradient my_gradient"""
)
@click.argument(
    "estimator",
    metavar="[backend|estimator|problem] NAME|module:Class|path.py:Class|path.py:case",
    type=Suggested(lambda: (*KINDS, *names("estimators")), paths="file"),
)
@click.argument("name", required=False, metavar="", type=Suggested(_names_of_kinds, paths="file"))
@click.option(
    "--gradient",
    metavar="[path.py:]name",
    help="Of a case: arrays or a function, of the case's own file by its name alone; by default reverse mode.",
)
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
    name: str | None,
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

    A backend or a problem is checked where that word comes first. A module or a file that is named is executed. Exit
    code 1 where a check fails, or where it cannot be told whether a gradient is right; 3 where no check of an estimator
    fails and one is inconclusive: it was made, and sees too little.
    """
    kind = _kind(estimator, name)
    estimator = estimator if name is None else name
    # in a process of its own first: what it does at import may end this one
    require_loadable(parse_spec(estimator).name)
    if kind in ("backend", "problem"):
        spec = parse_spec(estimator)
        heading, results = check_kind(kind, spec.name, {**spec.fields, **parse_fields(fields)}, backends)
        _finish(heading, results, as_json=as_json, kind=kind)
    case = _case_at(estimator)
    if case is not None:
        _check_case(case, gradient, location=estimator, seed=seed, as_json=as_json)
    if gradient is not None:
        raise InvalidInputError(f"--gradient is for a case; {estimator!r} is an estimator")
    chosen, made_or_not = made(lambda: _estimator(estimator, parse_fields(fields)))
    if chosen is None:
        _finish(estimator, [made_or_not], as_json=as_json, estimator=estimator)
    results = check_estimator(chosen, backends=backends, false_alarm=false_alarm, seed=seed, checks=checks)
    settings = {field: repr(value) for field, value in statistical_settings(chosen).items()}
    about: dict[str, Any] = {"estimator": chosen.name, "repr": repr(chosen), "settings": settings}
    _finish(f"{chosen.name}  {chosen!r}", results, as_json=as_json, **about)


def _kind(first: str, name: str | None) -> str:
    """Return the kind of thing that is checked, by the first of two words."""
    if name is not None and first not in KINDS:
        raise InvalidInputError(
            f"one name, or one of {', '.join(KINDS)} and a name, was asked for; found {first!r} and {name!r}"
        )
    if name is None and first in KINDS:
        raise InvalidInputError(f"a name was asked for after {first!r}; 'gradest list {first}s' prints those there are")
    return "estimator" if name is None else first


def _finish(heading: str, results: Sequence[CheckResult], *, as_json: bool, **about: Any) -> NoReturn:
    """Print results, and end with the exit code that they come to."""
    passed = all(result.passed for result in results)
    if as_json:
        print_json(**about, passed=passed, checks=[dataclasses.asdict(result) for result in results])
    else:
        show_results(Console(), heading, results, settings=about.get("settings", {}))
    # a failure outweighs what could not be told
    if any(result.failed for result in results):
        sys.exit(1)
    # nothing failed, and that is not yet a pass: a script must be able to tell the two
    sys.exit(0 if passed else EXIT_INCONCLUSIVE)


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
    # brackets hold hyper-parameters, which a case has none of
    if ":" not in location or has_fields(location) or inspect.isclass(find_object(location)):
        return None
    return Case.load(location)


def _gradient_at(gradient: str, location: str) -> Any:
    """Return the gradient at a place, or of a name in the file or module of the case."""
    place = gradient if ":" in gradient else f"{location.rpartition(':')[0]}:{gradient}"
    found = find_object(place)
    if found is None:  # which would ask for reverse mode in its place
        raise InvalidInputError(f"a gradient was asked for at {place!r}, as arrays or a function; found None")
    return found


def _check_case(case: Case, gradient: str | None, *, location: str, seed: int, as_json: bool) -> NoReturn:
    given = None if gradient is None else _gradient_at(gradient, location)
    found = gradest.check(case, gradient=given, seed=seed)
    if as_json:
        print_json(location=location, passed=bool(found), report=str(found))
    else:
        Console().print(Text(str(found)), soft_wrap=True)
    sys.exit(0 if found else 1)


def show_results(
    console: Console, heading: str, results: Sequence[CheckResult], *, settings: Mapping[str, str]
) -> None:
    """Print one line for each check that was made, then the others, each with its reason, and the sum."""
    name, _, more = heading.partition("  ")
    console.print(f"[bold]{escape(name)}[/]  {escape(more)}", highlight=False)
    if settings:
        changed = ", ".join(f"{field}={value}" for field, value in settings.items())
        console.print(
            f"checks of means and variances run it with {changed}", style="dim", markup=False, highlight=False
        )
    console.print()
    carried_out = [result for result in results if result.applies]
    width = max((len(result.name) for result in carried_out), default=0)
    first: dict[str, str] = {}  # what stops an estimator stops most checks of it: it is said once
    for result in carried_out:
        mark, style = _MARKS[result.failed, result.inconclusive]
        before = first.setdefault(result.detail, result.name) if result.failed else result.name
        detail = result.detail if before == result.name else f'the same as "{before}"'
        line = Text.assemble((mark, style), f" {result.name:<{width}}  {detail}")
        if result.false_alarm:
            line.append(f"  (false alarm {result.false_alarm:.1g})", style="dim")
        console.print(line, soft_wrap=True)
    skipped = [result for result in results if not result.applies]
    if skipped:
        console.print("\ndo not apply:", style="dim")
        width = max(len(result.name) for result in skipped)
        for result in skipped:
            console.print(Text(f"- {result.name:<{width}}  {result.detail}", style="dim"), soft_wrap=True)
    failed, unsure = (sum(getattr(r, word) for r in carried_out) for word in ("failed", "inconclusive"))
    # a bound (Boole): checks share their estimates, and are not independent
    chance = sum(result.false_alarm for result in carried_out)
    sum_of_all = f"\n{len(carried_out)} check{'s' * (len(carried_out) != 1)}, {failed} failed, {unsure} inconclusive"
    told = f"; a faultless estimator fails with probability {chance:.1g} at most" if chance else ""
    console.print(sum_of_all + told, highlight=False)
