"""The commands of `gradest bench`, by name: the module of the one that is asked for is imported."""

import click

from gradest_bench.command.group import Commands, Group, Place

COMMANDS = {
    "check-suite": Place(
        "gradest_bench.command.suites:check_suite", "Say whether a suite is valid, and how many cells it has."
    ),
    "compare": Place("gradest_bench.command.runs:compare_two", "Compare two runs, cell by cell."),
    "compare-now": Place(
        "gradest_bench.command.compare_now:compare_now",
        "Measure the times of SUITE for two sides beside each other, and say how the second differs from the first.",
    ),
    "export": Place("gradest_bench.command.runs:export_run", "Write a run to TARGET as csv, json or pyperf."),
    "index": Place(
        "gradest_bench.command.pages:index",
        "Write a page over all runs below FOLDER, results/ by default: what each was, and each cell's history.",
    ),
    "list": Place("gradest_bench.command.suites:list_runs", "List the shipped suites, and the runs below results/."),
    "report": Place(
        "gradest_bench.command.pages:report",
        "Write the report of a run, the latest by default: one HTML file that needs no network.",
    ),
    "run": Place(
        "gradest_bench.command.run:run",
        "Run a shipped SUITE, or that of a TOML file; this executes its plug-ins and the files and modules it names.",
    ),
    "show": Place("gradest_bench.command.runs:show", "Print the tables of a run, the latest by default."),
}


@click.group(
    cls=Group,
    commands=Commands(COMMANDS),
    epilog="""\b
Examples:
  gradest bench run quick
  gradest bench show
  gradest bench report""",
)
def bench() -> None:
    """Sweep suites of problems, estimators and backends; keep, compare and report the results."""
