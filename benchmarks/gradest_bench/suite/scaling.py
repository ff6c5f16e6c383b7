"""Scales a suite by what `--budget` says, and keeps the factor in the text of a run, so that its cells are known later.

This module knows no class of a problem or an estimator: whoever reads a run need not have them.
"""

import math
import re
from dataclasses import dataclass

import msgspec

from gradest.errors import InvalidInputError
from gradest_bench.suite.additions import extended, text_with, without_added
from gradest_bench.suite.cells import Spec
from gradest_bench.suite.limits import require_few
from gradest_bench.suite.schema import Suite, most_seeds, parse_form

LEAST_SEEDS = 8
"""Fewer seeds say too little of a scatter to judge it by; a suite that states fewer keeps them."""
_SCALED_BY = "# run with --budget "
_REPEATED = "# run with --repeat\n"
REPEATED_STARTS, REPEATED_ROUNDS, REPEATED_SAMPLES = 7, 5, 3
"""What finds a change of a tenth in half of the cells or more: starts, rounds in each, samples in each round."""


def scaled(suite: Suite, factor: float) -> Suite:
    """Return a suite with its repetitions, seconds, seeds and losses of training multiplied by a factor.

    Of what is counted one is left at least.

    Raises
    ------
    InvalidInputError
        The factor is not positive or not finite, or asks for too many seeds.
    """
    if not 0 < factor < math.inf:
        raise InvalidInputError(f"--budget must be positive and finite; found {factor}; try 0.5")
    # before they are listed: the memory of no machine holds what a factor can ask for
    require_few(cells=0, seeds=most_seeds(suite) * factor, origin=f"suite {suite.name!r} with --budget {factor:g}")
    if factor == 1:
        return suite
    budget = msgspec.structs.replace(
        suite.budget,
        repetitions=max(1, round(suite.budget.repetitions * factor)),
        minimum_samples=max(1, round(suite.budget.minimum_samples * factor)),
        minimum_seconds=suite.budget.minimum_seconds * factor,
    )
    grids = [
        grid if grid.seeds is None else msgspec.structs.replace(grid, seeds=_scaled_seeds(grid.seeds, factor))
        for grid in suite.grid
    ]
    training = suite.training
    if training is not None:
        training = msgspec.structs.replace(training, losses=training.losses * factor)
    seeds = _scaled_seeds(suite.seeds, factor)
    return msgspec.structs.replace(suite, budget=budget, grid=grids, seeds=seeds, training=training)


def repeated(suite: Suite, *, starts: int = REPEATED_STARTS) -> Suite:
    """Return a suite whose times can be compared with those of another run: several starts, each of enough rounds."""
    budget = msgspec.structs.replace(
        suite.budget,
        starts=starts,
        repetitions=REPEATED_ROUNDS,
        minimum_samples=REPEATED_ROUNDS * REPEATED_SAMPLES,
    )
    return msgspec.structs.replace(suite, budget=budget)


@dataclass(frozen=True)
class AsRun:
    """States what a run keeps of its suite: the suite's own text, and by which options it was run."""

    text: str
    budget: float = 1.0
    repeat: bool = False
    added: tuple[Spec, ...] = ()

    def __str__(self) -> str:
        """Return the text that is kept: with first lines that say how it is scaled and repeated, and a last one."""
        text = text_with(self.text, self.added)
        # in this order, which `read_as_run` undoes: what is put in front last is taken off first
        kept = f"{_REPEATED}{text}" if self.repeat else text
        # every digit: the seconds of a cell are part of its key, and a rounded factor gives other cells
        return kept if self.budget == 1 else f"{_SCALED_BY}{self.budget!r}\n{kept}"

    @property
    def options(self) -> str:
        """The options as they are typed, but for estimators, which a suite has among its own."""
        given = (f"--budget {self.budget!r}" if self.budget != 1 else "", "--repeat" if self.repeat else "")
        return " ".join(filter(None, given))

    def changed(self, suite: Suite) -> Suite:
        """Return a suite as these options have it run."""
        # scaled first: --repeat states its rounds and samples outright, and a factor must not change those
        suite = scaled(extended(suite, self.added), self.budget)
        return repeated(suite) if self.repeat else suite


def read_as_run(text: str) -> AsRun:
    """Return the suite and the options of a text that a run kept; a text of another hand has none."""
    rest, added = without_added(text)
    # only what is written by the text of `AsRun`: any other comment is its author's
    first = re.match(re.escape(_SCALED_BY) + r"(\d+\.?\d*(?:e[+-]?\d+)?)\n", rest)
    budget = 1.0
    if first is not None:
        budget, rest = float(first.group(1)), rest[first.end() :]
    return AsRun(rest.removeprefix(_REPEATED), budget, rest.startswith(_REPEATED), tuple(added))


def parse_as_run(text: str, *, origin: str) -> Suite:
    """Return the suite that the text of a run states, as it was run; any other as it stands.

    Raises as `parse_suite` does, but for the name: an earlier version took other names.
    """
    return read_as_run(text).changed(parse_form(text, origin=origin))


def _scaled_seeds(seeds: list[int], factor: float) -> list[int]:
    # at least as many as a verdict needs, and never more than the suite had because of that
    count = max(min(LEAST_SEEDS, len(seeds)), round(len(seeds) * factor))
    if count <= len(seeds):
        return seeds[:count]
    start = max(seeds) + 1  # the seeds of the suite stay, so that their estimates are the same
    return [*seeds, *range(start, start + count - len(seeds))]
