"""Reads the command line: `gradest compare`, `list`, `doctor`, `check`, `graph`, `train`, `new`, `bench`.

This module parses, calls and prints; it computes nothing.
"""

import click

from gradest import __version__
from gradest_bench.command.audit import audit_packages
from gradest_bench.command.bench import bench
from gradest_bench.command.check import check
from gradest_bench.command.compare import compare
from gradest_bench.command.graph import graph
from gradest_bench.command.group import Group
from gradest_bench.command.listing import doctor, list_names
from gradest_bench.command.new import new
from gradest_bench.command.train import train


@click.group(
    cls=Group,
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


for command in (audit_packages, bench, check, compare, doctor, graph, list_names, new, train):
    main.add_command(command)

if __name__ == "__main__":  # python -m gradest_bench.command.main, where no `gradest` is on the path
    main(prog_name="gradest")
