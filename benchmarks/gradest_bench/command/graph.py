"""Runs `gradest graph`: the computation of a loss of one's own, as a table or a drawing."""

import dataclasses
from pathlib import Path

import click

import gradest
from gradest import Case, InvalidInputError
from gradest_bench.command.json_output import json_option, print_json
from gradest_bench.command.options import OutputFile
from gradest_bench.results.files import replacing
from gradest_bench.worker.trial import require_loadable

FORMATS = (".svg", ".dot")


@click.command(
    epilog="""\b
Examples:
  gradest graph my_file.py:case                     a gradest.Case or (loss, params, *args): a table of its steps
  gradest graph my_file.py:case --mode forward      tangents by the first entry of the first parameter
  gradest graph my_file.py:case --out loss.svg      a drawing; .dot for Graphviz"""
)
@click.argument("location", metavar="path.py:case|module:case")
@click.option("--mode", type=click.Choice(("reverse", "forward")), default="reverse", show_default=True)
@click.option("--out", type=OutputFile(), help="A file to draw it in: .svg or .dot.")
@click.option("--max-nodes", type=click.IntRange(min=1), default=400, show_default=True)
@json_option
def graph(location: str, mode: str, out: Path | None, max_nodes: int, *, as_json: bool) -> None:
    """Show the steps of a loss with their values, and what a sweep of differentiation leaves at each.

    The file that is named is executed.
    """
    if out is not None and out.suffix not in FORMATS:
        raise InvalidInputError(f"--out names a drawing by its ending, one of {', '.join(FORMATS)}; found {str(out)!r}")
    require_loadable(location)
    found = gradest.graph(Case.load(location), mode=mode, max_nodes=max_nodes)
    if out is not None:
        with replacing(out) as file:
            file.write_text(found.svg() if out.suffix == ".svg" else found.dot(), encoding="utf-8")
    if as_json:
        rows = [
            {**dataclasses.asdict(node), "value": node.value.tolist(), "derivative": None}
            | ({} if node.derivative is None else {"derivative": node.derivative.tolist()})
            for node in found.nodes
        ]
        print_json(location=location, mode=found.mode, nodes=rows)
    else:
        click.echo(out if out is not None else found)
