"""Reads the command line: `gradest compare`, `list`, `doctor`, `check`, `graph`, `train`, `new`, `bench`.

This module parses, calls and prints; it computes nothing.
"""

import click

from gradest import __version__
from gradest_bench.command.group import Commands, Group, Place

COMMANDS = {
    "audit": Place(
        "gradest_bench.command.audit:audit_packages",
        "Measure gradient estimators of other installed packages: scale, bias, relative error, beside what they "
        "promise.",
    ),
    "bench": Place(
        "gradest_bench.command.bench:bench",
        "Sweep suites of problems, estimators and backends; keep, compare and report the results.",
    ),
    "check": Place(
        "gradest_bench.command.check:check",
        "Check an estimator: contract, cost, seeds, accuracy, scale, variance; or the gradient of a loss of your own.",
    ),
    "compare": Place(
        "gradest_bench.command.compare:compare",
        "Run estimators side by side and print accuracy and cost: on a problem, or on a loss of your own.",
    ),
    "doctor": Place(
        "gradest_bench.command.listing:doctor",
        "Say what is installed, what is missing and how to get it: versions, BLAS, threads, plug-ins, data.",
    ),
    "graph": Place(
        "gradest_bench.command.graph:graph",
        "Show the steps of a loss with their values, and what a sweep of differentiation leaves at each.",
    ),
    "list": Place(
        "gradest_bench.command.listing:list_names",
        "List estimators (what each needs, takes and gives), backends, problems, datasets: all of these by default.",
    ),
    "new": Place(
        "gradest_bench.command.new:new",
        "Write a package of an estimator, a backend or a problem: it works, passes its checks, and says what to "
        "change.",
    ),
    "train": Place(
        "gradest_bench.command.train:train",
        "Train a problem, or a loss of your own, under several estimators, and print what became of each.",
    ),
}


@click.group(
    cls=Group,
    commands=Commands(COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="""\b
Examples:
  gradest compare --problem quadratic --backends numpy
  gradest list estimators                 what each one costs, needs and gives
  gradest check es                        an estimator against contract and theory
  gradest train --steps 200 --held-out 0.2  what a gradient does to training
  gradest bench run quick                 a suite; then: gradest bench report

\b
Names are completed by the shell, once it is told so in its start-up file:
  bash  eval "$(_GRADEST_COMPLETE=bash_source gradest)"
  zsh   eval "$(_GRADEST_COMPLETE=zsh_source gradest)"
  fish  _GRADEST_COMPLETE=fish_source gradest | source""",
)
@click.version_option(__version__)
def main() -> None:
    """Compare gradient estimators: which gradient, how right, at what cost."""


if __name__ == "__main__":  # python -m gradest_bench.command.main, where no `gradest` is on the path
    main(prog_name="gradest")
