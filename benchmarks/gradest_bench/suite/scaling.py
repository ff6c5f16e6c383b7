"""Scales a suite by what `--budget` says, and keeps the factor in the text of a run, so that its cells are known later.

This module knows no class of a problem or an estimator: whoever reads a run need not have them.
"""

import math
import re

import msgspec

from gradest.errors import InvalidInputError
from gradest_bench.suite.additions import added_in, extended
from gradest_bench.suite.schema import Suite, parse_suite

_SCALED_BY = "# run with --budget "


def scaled(suite: Suite, factor: float) -> Suite:
    """Return a suite with its repetitions, seconds and seeds multiplied by a factor, one of each at least.

    Raises
    ------
    InvalidInputError
        The factor is not positive, or not finite.
    """
    if not 0 < factor < math.inf:
        raise InvalidInputError(f"--budget must be positive and finite; found {factor}; try 0.5")
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
    return msgspec.structs.replace(suite, budget=budget, grid=grids, seeds=_scaled_seeds(suite.seeds, factor))


def text_as_run(text: str, budget: float) -> str:
    """Return the text of a suite as a run keeps it: where it is scaled, with a first line that says by how much."""
    return text if budget == 1 else f"{_SCALED_BY}{budget:g}\n{text}"


def parse_as_run(text: str, *, origin: str) -> Suite:
    """Return the suite that the text of a run states, as it was run. Raises as `parse_suite` does."""
    suite = extended(parse_suite(text, origin=origin), added_in(text))
    first = re.match(re.escape(_SCALED_BY) + r"([0-9.e+-]+)\n", text)
    return suite if first is None else scaled(suite, float(first.group(1)))


def _scaled_seeds(seeds: list[int], factor: float) -> list[int]:
    count = max(min(2, len(seeds)), round(len(seeds) * factor))  # a scatter needs two
    if count <= len(seeds):
        return seeds[:count]
    start = max(seeds) + 1  # the seeds of the suite stay, so that their estimates are the same
    return [*seeds, *range(start, start + count - len(seeds))]
