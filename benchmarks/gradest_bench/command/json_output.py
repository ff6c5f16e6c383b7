"""Prints what `--json` asks for: one object, whose fields docs/command-line.md states, and nothing else on the stream.

Every object has `schema`, a number that grows where a field is renamed, removed or means something else; new fields may
come at any time. JSON has no NaN: numbers that are not finite are the texts "nan", "inf" and "-inf".
"""

import json
from typing import Any

import click

from gradest_bench.results.records import plain

SCHEMA = 1

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")


def print_json(**content: Any) -> None:
    """Print one object of plain data."""
    click.echo(json.dumps({"schema": SCHEMA, **plain(content)}, allow_nan=False, indent=1, ensure_ascii=True))
