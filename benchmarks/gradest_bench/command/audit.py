"""Runs `gradest audit`: what gradient estimators of other packages give, beside what they promise."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.markup import escape

from gradest import __version__
from gradest_bench.audit.adapter import Adapter
from gradest_bench.audit.adapters import adapters
from gradest_bench.audit.measure import FALSE_ALARM, REPLICATES, SAMPLES, Audit, audit, tests_of
from gradest_bench.command.json_output import json_option, print_json
from gradest_bench.command.options import OutputFile
from gradest_bench.command.terminal import open_console, titled_table, wide_enough
from gradest_bench.results.files import replace_text
from gradest_bench.results.records import plain


@click.command(
    "audit",
    epilog="""\b
Examples:
  gradest audit                            every adapter whose package is installed
  gradest audit scipy torchopt             those whose names begin so
  gradest audit --out audit.json           the whole, with versions, for a page or a program""",
)
@click.argument("names", nargs=-1)
@click.option("--list", "only_list", is_flag=True, help="Name the adapters and what they need, and measure nothing.")
@click.option("--replicates", type=click.IntRange(min=1), default=REPLICATES, show_default=True)
@click.option("--out", type=OutputFile(), help="Also write everything as JSON into this file.")
@json_option
def audit_packages(
    names: tuple[str, ...], replicates: int, out: Path | None, *, only_list: bool, as_json: bool
) -> None:
    """Measure gradient estimators of other installed packages: scale, bias, relative error, beside what they promise.

    On linear, quadratic and cubic losses, whose smoothed gradients are known. A package is imported, and so executed.
    Exit code: 0, whatever is found; the verdicts are about other people's code.
    """
    chosen = adapters(names)
    if only_list:
        _list(chosen, as_json=as_json)
        return
    # of all that are chosen, before any is known to be installed: the level is shared, and must not depend on that
    tests = tests_of(chosen)
    found = []
    for adapter in chosen:
        found.append(audit(adapter, tests=tests, replicates=replicates))
        if not as_json:
            click.echo(f"{len(found)} of {len(chosen)}: {adapter.name}", err=True)
    fields = _fields(found)
    if out is not None:
        replace_text(out, json.dumps(plain(fields), indent=1) + "\n")
    if as_json:
        print_json(**fields)
    else:
        _show(found)


def _list(chosen: Sequence[Adapter], *, as_json: bool) -> None:
    rows = [
        {"name": a.name, "packages": list(a.packages), "claim": a.claim.value, "reference": a.reference} for a in chosen
    ]
    if as_json:
        print_json(adapters=rows)
        return
    for adapter in chosen:
        click.echo(f"{adapter.name}  ({', '.join(adapter.packages)}): {adapter.claim.value}; {adapter.reference}")


def _fields(found: list[Audit]) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "gradest": __version__,
        "python": platform.python_version(),
        "false_alarm": FALSE_ALARM,
        "samples": SAMPLES,
        "audits": [asdict(each) for each in found],
    }


def _show(found: list[Audit]) -> None:
    table = titled_table("audit", "estimator", "versions", "promises", "verdict", "because", box=box.SIMPLE_HEAD)
    for each in found:
        versions = ", ".join(f"{name} {version}" for name, version in each.versions.items())
        table.add_row(*map(escape, (each.name, versions, each.claim, each.verdict, each.reason)))
    console = open_console()
    wide_enough(console, [table]).print(table)
    console.print(
        f"all tests together call an estimator that keeps its promise wrong with a probability of {FALSE_ALARM:g}",
        style="dim",
        highlight=False,
    )
