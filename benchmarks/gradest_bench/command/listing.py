"""Runs `gradest list` and `gradest doctor`: what is there, what is missing or broken, and what can run on a loss."""

from collections.abc import Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from gradest import Applicability, InvalidInputError, applicable, names
from gradest.errors import unknown_name
from gradest_bench.command import inventory
from gradest_bench.command.inventory import Row
from gradest_bench.command.json_output import json_option, print_json
from gradest_bench.command.terminal import open_console, titled_table, wide_enough
from gradest_bench.suite.resolving import loss_at

DEFAULT_GROUPS = ("estimators", "backends", "problems", "datasets")
REGISTERED = ("estimators", "backends", "problems")
GROUPS = (*DEFAULT_GROUPS, "optimizers", "rules")

plugin_option = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=click.Path(dir_okay=False),
    metavar="FILE.py",
    help="Shows what a file defines too; this executes it. Repeatable.",
)


def _complete_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the group that was typed which were begun; a group without a registry has none to offer."""
    group = ctx.params.get("group")
    return [name for name in names(group) if name.startswith(incomplete)] if group in REGISTERED else []


@click.command(
    "list",
    epilog="""\b
Examples:
  gradest list
  gradest list estimators                              what each one costs, needs and gives, a row each
  gradest list estimators es forward-gradient          what some take, with units; formula, source
  gradest list estimators --for my_file.py:case        which can run on a loss of your own, and why others cannot
  gradest list estimators --plugin my_estimator.py     with those of a file
  gradest list problems --json""",
)
@click.argument("group", type=click.Choice(GROUPS), required=False)
@click.argument("chosen", metavar="[NAMES]...", nargs=-1, shell_complete=_complete_names)
@click.option("--long", "at_length", is_flag=True, help="Everything of every estimator.")
@click.option(
    "--for",
    "location",
    metavar="path.py:case",
    help="A gradest.Case, (loss, params, *args), a function that returns either, or a Problem. The file is executed.",
)
@plugin_option
@json_option
def list_names(
    group: str | None,
    chosen: tuple[str, ...],
    location: str | None,
    plugins: tuple[str, ...],
    *,
    at_length: bool,
    as_json: bool,
) -> None:
    """List estimators (what each needs, takes and gives), backends, problems, datasets: all of these by default.

    With NAMES those of the group alone, at length. Optimizers and rules, those by which NumPy functions are
    differentiated, are listed where they are asked for.
    """
    console = open_console()
    if location is not None:
        if group not in (None, "estimators") or chosen:
            found = " ".join((group or "", *chosen))
            raise InvalidInputError(f"--for asks which estimators can run on a loss; found {found!r} beside it")
        _list_applicable(console, location, plugins, as_json=as_json)
        return
    groups = (group,) if group else DEFAULT_GROUPS
    rows = {each: _named(each, chosen, _rows(each, plugins)) for each in groups}
    if as_json:
        print_json(**rows, plugins=inventory.plugin_rows(plugins))
        return
    for each in groups:
        view = _show_estimators_at_length if each == "estimators" and (chosen or at_length) else _VIEWS[each]
        view(console, rows[each])
    _show_broken(console, inventory.plugin_rows(plugins))


def _named(group: str, chosen: Sequence[str], rows: list[Row]) -> list[Row]:
    """Return the rows of these names, all of them where none is asked for."""
    known = [row["name"] for row in rows]
    for name in chosen:
        if name not in known:
            raise unknown_name(group.removesuffix("s"), name, known)
    return [row for row in rows if not chosen or row["name"] in chosen]


def _rows(group: str, plugins: Sequence[str]) -> list[Row]:
    if group == "estimators":
        return inventory.estimators(plugins)
    if group == "problems":
        return inventory.problems(plugins)
    return {
        "backends": inventory.backends,
        "datasets": inventory.datasets,
        "optimizers": inventory.optimizers,
        "rules": inventory.rules,
    }[group]()


@click.command(
    epilog="""\b
Examples:
  gradest doctor
  gradest doctor --plugin my_estimator.py    what a file defines, or why it fails to load
  gradest doctor --json                      the same for a program, or for a report of a fault"""
)
@plugin_option
@json_option
def doctor(plugins: tuple[str, ...], *, as_json: bool) -> None:
    """Say what is installed, what is missing and how to get it: versions, BLAS, threads, plug-ins, data."""
    backends = inventory.backends()  # imports every framework that is here: only then are its thread pools listed
    here, datasets, found = inventory.machine(), inventory.datasets(), inventory.plugin_rows(plugins)
    if as_json:
        print_json(**here, backends=backends, datasets=datasets, plugins=found)
        return
    console = open_console()
    say = [
        f"gradest {here['gradest']}   Python {here['python']} at {here['prefix']}",
        f"{here['platform']}   {here['processors']} processors",
        "packages: " + ", ".join(f"{k} {v or 'not installed'}" for k, v in here["packages"].items()),
    ]
    for line in say:
        console.print(line, highlight=False, markup=False)
    _show_backends(console, backends)
    title = "thread pools, with every backend that is here loaded"
    table = titled_table(title, "library", "version", "kernels for", "threads", box=box.SIMPLE_HEAD)
    for pool in here["thread_pools"]:
        table.add_row(*(escape(str(pool[key])) for key in ("library", "version", "kernels", "threads")))
    console.print(table)
    _show_datasets(console, datasets)
    _show_plugins(console, found)


def _show_estimators(console: Console, rows: Sequence[Row]) -> None:
    """Print a row for each: what it costs, needs and gives."""
    table = titled_table("estimators: P parameters, N samples", "name", "cost", "needs", "gives", box=box.SIMPLE_HEAD)
    for row in rows:
        if row["error"] is not None:
            table.add_row(escape(row["name"]), "", escape(f"broken: {row['error']}"), "")
            continue
        gives = f"{row['gives']}{', at random' if row['stochastic'] else ''}"
        table.add_row(*map(escape, (row["name"], row["cost"], row["needs"], gives)))
    wide_enough(console, [table]).print(table)  # the name of one from a file is a path, and is to be copied whole
    console.print(
        "what one takes (hyper-parameters, defaults, units), its formula and source: gradest list estimators NAME; "
        "of all of them: --long",
        style="dim",
        highlight=False,
    )


def _show_estimators_at_length(console: Console, rows: Sequence[Row]) -> None:
    console.print("estimators: P parameters, N samples", style="bold", highlight=False)
    for row in rows:
        console.print(f"  {row['name']}", style="bold", highlight=False, markup=False)
        if row["error"] is not None:
            _show_line(console, "broken", row["error"])
            continue
        for label in ("estimate", "cost", "needs"):
            _show_line(console, label, row[label])
        for number, field in enumerate(row["takes"]):
            text = f"{field['name']}={field['default']!r}  {field['meaning']}"
            _show_line(console, "takes" if number == 0 else "", text)
        chance = "a random estimate" if row["stochastic"] else "the same at each call"
        _show_line(console, "gives", f"{row['gives']}; {chance}")
        _show_line(console, "source", row["source"])
    console.print()


def _show_line(console: Console, label: str, text: str) -> None:
    grid = Table.grid(Column(width=9, style="dim"), Column())  # a long text is folded beside its label, not below it
    grid.add_row(label, Text(text))
    console.print(Padding(grid, (0, 0, 0, 6)))


def _show_backends(console: Console, rows: Sequence[Row]) -> None:
    table = titled_table("backends", "name", "here", "dtypes", "native", "devices", box=box.SIMPLE_HEAD)
    for row in rows:
        name = row["name"]
        if row["error"] is not None:  # the command that installs it has brackets: pip install 'gradest[jax]'
            table.add_row(escape(name), escape(row["error"]), "", "", "")
            continue
        # of JAX its compiler too, which has a version of its own; all others are in --json
        versions = ", ".join(f"{k} {v}" for k, v in row["versions"].items() if k in (name, f"{name}lib"))
        native = ", ".join(row["native"]) or "none (gradest's engines)"
        table.add_row(*map(escape, (name, versions, ", ".join(row["dtypes"]), native, ", ".join(row["devices"]))))
    console.print(table)


def _show_problems(console: Console, rows: Sequence[Row]) -> None:
    table = titled_table("problems", "name", "loss", "fields", box=box.SIMPLE_HEAD)
    for row in rows:
        if row["error"] is not None:
            table.add_row(escape(row["name"]), escape(f"broken: {row['error']}"), "")
            continue
        fields = ", ".join(f"{field}={default!r}" for field, default in row["fields"].items())
        table.add_row(*map(escape, (row["name"], row["loss"], fields)))
    console.print(table)


def _show_datasets(console: Console, rows: Sequence[Row]) -> None:
    table = titled_table("datasets", "name", "here", box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(escape(row["name"]), escape(row["state"]))
    console.print(table)


def _show_optimizers(console: Console, rows: Sequence[Row]) -> None:
    console.print("optimizers: x parameters, g gradient, s step size, t step", style="bold", highlight=False)
    for row in rows:
        fields = ", ".join(f"{field}={default!r}" for field, default in row["fields"].items())
        console.print(f"  {row['name']}", style="bold", highlight=False, markup=False)
        for label, text in (("step", row["formula"]), ("takes", fields), ("source", row["source"])):
            _show_line(console, label, text)
    console.print()


def _show_rules(console: Console, rows: Sequence[Row]) -> None:
    """Print the functions of users' losses through which derivatives go on backends that interpret them."""
    for row in rows:
        title = f"rules of differentiation on {row['name']}: {len(row['functions'])} functions"
        console.print(title, style="bold", highlight=False, markup=False)
        console.print(Padding(Text("\n".join(row["functions"])), (0, 0, 0, 2)))


_VIEWS: dict[str, Any] = {
    "estimators": _show_estimators,
    "backends": _show_backends,
    "problems": _show_problems,
    "datasets": _show_datasets,
    "optimizers": _show_optimizers,
    "rules": _show_rules,
}


def _show_plugins(console: Console, rows: Sequence[Row]) -> None:
    """Print each plug-in with where it is from; those that fail with the reason."""
    working = [f"{row['group']}/{row['name']} ({row['from']})" for row in rows if row["error"] is None]
    console.print(f"plug-ins: {', '.join(working) or 'none'}", highlight=False, markup=False)
    _show_broken(console, rows)


def _show_broken(console: Console, rows: Sequence[Row]) -> None:
    for row in rows:
        if row["error"] is not None:
            where = f"{row['group']}/{row['name']}" if row["group"] else row["name"]
            console.print(f"broken plug-in {where}: {row['error']}", highlight=False, markup=False, soft_wrap=True)


def _list_applicable(console: Console, location: str, plugins: Sequence[str], *, as_json: bool) -> None:
    """Print which estimators can run on a loss, then why the others cannot, those with one reason together."""
    # a broken plug-in cannot run on anything; `gradest doctor` says why
    known = {row["name"]: row for row in inventory.estimators(plugins) if row["error"] is None}
    found = applicable(loss_at(location), estimators=list(known))
    if as_json:
        rows = [
            {
                "name": each.estimator,
                "runs": bool(each),
                "outcome": str(each.outcome),
                "reason": each.reason,
                "path": each.path,
                "cost": None if each.cost is None else str(each.cost),
                **{name: known[each.estimator][name] for name in ("needs", "gives", "stochastic")},
            }
            for each in found
        ]
        print_json(location=location, estimators=rows)
        return
    console.print(f"estimators that can run on {location}:", style="bold", markup=False, highlight=False)
    table = titled_table("", "name", "cost", "path", "gives", box=box.SIMPLE_HEAD)
    for each in found:
        if each:
            row = known[each.estimator]
            gives = f"{row['gives']}{', at random' if row['stochastic'] else ''}"
            table.add_row(*map(escape, (each.estimator, str(each.cost), each.path, gives)))
    wide_enough(console, [table]).print(table)
    _show_refusals(console, found)
    console.print(
        "the loss was evaluated three times at most: what more values show (noise, steps, how right) is seen by "
        "`gradest compare`",
        style="dim",
        highlight=False,
    )


def _show_refusals(console: Console, found: Sequence[Applicability]) -> None:
    refused: dict[str, list[str]] = {}
    for each in found:
        if not each:
            refused.setdefault(each.reason, []).append(each.estimator)
    if refused:
        console.print("the others cannot:", style="bold", highlight=False)
    for reason, named in refused.items():
        console.print(f"  {', '.join(named)}\n    {reason}", highlight=False, markup=False)
