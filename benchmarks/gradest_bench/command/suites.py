"""Runs `gradest bench list` and `check-suite`: which suites and runs there are, and whether a suite is valid."""

from collections.abc import Iterable
from typing import NoReturn

import click
from rich.markup import escape

from gradest.errors import unknown_name
from gradest_bench.command.json_output import json_option, print_json
from gradest_bench.command.options import Suggested
from gradest_bench.command.terminal import open_console, titled_table
from gradest_bench.results.folders import ROOT, runs
from gradest_bench.suite.cells import expand
from gradest_bench.suite.duration import require_possible
from gradest_bench.suite.scaling import parse_as_run
from gradest_bench.suite.schema import (
    Suite,
    parse_suite,
    require_runnable,
    shipped_suites,
    suite_folder,
    suite_text,
)
from gradest_bench.worker.trial import check_names


@click.command(
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


@click.command(
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
    # as it was run: the suite that a run keeps can be checked like any other
    parsed = parse_as_run(suite_text(suite), origin=suite)
    require_runnable(parsed, origin=suite)
    check_names(parsed, suite_folder(suite))
    require_possible(parsed)
    minutes = parsed.expected_minutes
    if as_json:
        print_json(name=parsed.name, valid=True, cells=len(expand(parsed)), expected_minutes=minutes)
        return
    click.echo(f"{parsed.name}: valid, {len(expand(parsed))} cells" + (f", {minutes:g} min" if minutes else ""))
