"""Prints what `--json` asks for: one object, whose fields docs/command-line.md states, and nothing else on the stream.

Every object has `schema`, a number that grows where a field is renamed, removed or means something else; new fields may
come at any time. JSON has no NaN: numbers that are not finite are the texts "nan", "inf" and "-inf".
"""

import json
import sys
from contextlib import redirect_stdout
from typing import Any

import click

from gradest_bench.results.records import plain

SCHEMA = 1

_STREAM = "gradest.stdout"


def _alone_on_its_stream(context: click.Context, option: click.Parameter, asked: bool) -> bool:
    """Send to standard error what a user's file, loss or estimator prints while the command runs."""
    if asked:
        context.meta[_STREAM] = sys.stdout
        context.with_resource(redirect_stdout(sys.stderr))
    return asked


json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    is_eager=True,  # before an argument that loads a file
    callback=_alone_on_its_stream,
    help="Print one JSON object and nothing else.",
)


def print_json(**content: Any) -> None:
    """Print one object of plain data."""
    # standard output as it was before the option turned it round
    stream = click.get_current_context().meta.get(_STREAM)
    # ASCII: no terminal's encoding can break it
    text = json.dumps({"schema": SCHEMA, **plain(content)}, allow_nan=False, indent=1, ensure_ascii=True)
    click.echo(text, file=stream)
