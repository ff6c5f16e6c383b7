"""Compares two runs cell by cell: times by blocks, errors by least effects, never across machines.

This module writes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec
import numpy as np

from gradest.errors import InvalidInputError
from gradest.measurement.outcome import Outcome
from gradest.measurement.timing import Timing
from gradest_bench.results.accuracy_change import WORSE, AccuracyChange, accuracy_changes
from gradest_bench.results.environment_change import differences_of_environments
from gradest_bench.results.loading import Run
from gradest_bench.results.records import Record, starts_of, undisturbed_starts
from gradest_bench.results.significance import (
    LEAST_APART,
    LEAST_PAIRED,
    Logs,
    Ratio,
    block_floor,
    enough_blocks,
    ratios_with_law,
)
from gradest_bench.suite.cells import Cell, distinct_titles

Starts = Mapping[int, Sequence[Sequence[float]]]
"""The rounds of each start of the workers that can be used, by its number."""
MINIMUM_EFFECT = 0.05
"""A change of a time by less is not reported, however certain."""
SLOWER, FASTER, NO_CHANGE = "slower", "faster", "no change"
CANNOT_TELL, TOO_FEW_STARTS, TOO_DISTURBED = "cannot tell", "too few starts", "machine too disturbed"
EXIT_WORSE, EXIT_UNJUDGED, EXIT_DISTURBED = 1, 3, 4


@dataclass(frozen=True)
class TimeChange:
    """States how the time of one cell differs: B / A from the least samples of blocks, and between medians, unjudged.

    `key` is that of the cell. `starts` is how many starts of the workers could be used; `ratio` is None where they are
    too few to say how sure it is. `disturbed` says that there were enough, and that the machine was doing something
    else in some of them.
    """

    title: str
    starts: int
    ratio: Ratio | None
    ratio_of_medians: float
    disturbed: bool = False
    key: str = ""

    @property
    def verdict(self) -> str:
        """Return "slower", "faster", "no change", or why none of them can be said; none of them is the residue."""
        if self.ratio is None:
            return TOO_DISTURBED if self.disturbed else TOO_FEW_STARTS
        low, high, effect = self.ratio.low, self.ratio.high, 1 + MINIMUM_EFFECT
        # that it changed, the interval says; by how much, the ratio: to ask the end of the interval for both finds less
        if low > 1 and self.ratio.ratio > effect:
            return SLOWER
        if high < 1 and self.ratio.ratio < 1 / effect:
            return FASTER
        # nothing found is not "no change": for that, all that is possible must lie within the effect
        return NO_CHANGE if low >= 1 / effect and high <= effect else CANNOT_TELL


@dataclass(frozen=True)
class RunComparison:
    """Holds what became of each cell that both runs have, and what only one of them has."""

    times: tuple[TimeChange, ...]
    accuracies: tuple[AccuracyChange, ...]
    outcomes: tuple[tuple[str, str, str], ...]
    only_before: int
    only_after: int
    versions: tuple[str, ...]
    """What both ran on and is not the same, in words."""
    paired: bool = False
    """Whether each start of one was measured beside one of the other."""
    trained: int = 0
    """How many cells both runs trained; their curves are not compared."""

    @property
    def least_starts(self) -> int:
        """The starts of the workers below which no time is judged."""
        return LEAST_PAIRED if self.paired else LEAST_APART

    @property
    def worse(self) -> bool:
        """Whether anything became slower, less accurate, or stopped working."""
        return (
            any(change.verdict == SLOWER for change in self.times)
            or any(change.verdict == WORSE for change in self.accuracies)
            or any(before == Outcome.OK for _, before, _ in self.outcomes)
        )

    def exit_code(self, *, strict: bool = False) -> int:
        """Return 1 for a change for the worse; 3 where nothing or no time was judged or, if strict, not all; else 0.

        Instead of 3 it is 4 where the machine was too disturbed: another minute may do, and no other setting. What the
        first run had and the second has not was not judged either; what is new has nothing to be judged by.
        """
        if self.worse:
            return EXIT_WORSE
        times = [change.verdict for change in self.times]
        errors = [change.verdict for change in self.accuracies]
        unjudged = [verdict for verdict in times if verdict in (TOO_FEW_STARTS, TOO_DISTURBED)]
        none_judged = len(unjudged) == len(times) if times else set(errors) <= {CANNOT_TELL}
        not_all = bool(unjudged) or CANNOT_TELL in (*times, *errors) or self.only_before > 0
        if none_judged or (strict and not_all):
            return EXIT_DISTURBED if TOO_DISTURBED in unjudged else EXIT_UNJUDGED
        return 0


def compare_runs(before: Run, after: Run, *, paired: bool = False) -> RunComparison:
    """Return how run B differs from run A, cell by cell as they were asked.

    `paired` says that start k of one was measured beside start k of the other, whose minutes were then the same.

    Raises
    ------
    InvalidInputError
        The runs are of different machines or thread settings, or have no cell in common; the message names the key.
    """
    known = {record.key: record for record in before.records}
    pairs = [(known[record.key], record) for record in after.records if record.key in known]
    if not pairs:
        raise InvalidInputError(
            f"{before.folder} and {after.folder} have no cell in common{_nearest_miss(before, after)}; compare runs of "
            "one suite, with the same seeds, --budget and --repeat"
        )
    measured = [(a, b) for a, b in pairs if a.outcome == b.outcome == Outcome.OK]
    versions = differences_of_environments(before, after, measured)
    titles = distinct_titles({record.key: record.cell for record in after.records})
    return RunComparison(
        times=_time_changes(measured, titles, paired=paired),
        accuracies=accuracy_changes(measured, titles),
        outcomes=tuple((titles[b.key], a.outcome, b.outcome) for a, b in pairs if a.outcome != b.outcome),
        only_before=len(before.records) - len(pairs),
        only_after=len(after.records) - len(pairs),
        versions=versions,
        paired=paired,
        trained=sum(1 for a, b in measured if a.training and b.training),
    )


def _nearest_miss(before: Run, after: Run) -> str:
    """Return in words how one cell was asked otherwise in two runs that share none: that of the fewest differences."""
    empty = [str(run.folder) for run in (before, after) if not run.records]
    if empty:
        return f": {' and '.join(empty)} {'has' if len(empty) == 1 else 'have'} no result yet"
    first = _asked_in_words(before.records[0].cell)
    others = [_asked_in_words(record.cell) for record in after.records]
    names = [[name for name in {**first, **b} if first.get(name) != b.get(name)] for b in others]
    differing, second = min(zip(names, others, strict=True), key=lambda pair: len(pair[0]))
    return ": they differ in " + ", ".join(f"{name} ({first.get(name)} and {second.get(name)})" for name in differing)


def _asked_in_words(cell: Cell) -> dict[str, Any]:
    """Return what is asked of a cell, with the names that a suite's budget has for how often it is measured."""
    asked, budget = cell.asked, cell.budget
    del asked["effort"]
    counts = {name: getattr(budget, name) for name in ("starts", "repetitions", "minimum_samples", "minimum_seconds")}
    return {**asked, **counts}


def compare_variants(run: Run, before: str, after: str) -> RunComparison:
    """Return how the cells of workers "backend:after" differ from those of "backend:before", measured in one run.

    Raises
    ------
    InvalidInputError
        As `compare_runs` does.
    """
    return compare_runs(_variant(run, before), _variant(run, after), paired=True)


def _variant(run: Run, name: str) -> Run:
    records = [
        # under one key, as if one worker had been asked: only so are the two sides one cell
        msgspec.structs.replace(record, key=record.cell.shared_key, cell=record.cell.for_worker(record.cell.backend))
        for record in run.records
        if record.cell.worker == f"{record.cell.backend}:{name}"
    ]
    return replace(run, folder=run.folder / name, records=tuple(records), num_cells=len(records))


@dataclass(frozen=True)
class _Timed:
    """Holds the times of one cell in both runs: the rounds of each start that can be used, by its number."""

    key: str
    before: Timing
    after: Timing
    paired: bool

    @cached_property
    def kept(self) -> tuple[Starts, Starts]:
        """The undisturbed starts of either side; of pairs, those of which neither is disturbed."""
        before, after = undisturbed_starts(self.before), undisturbed_starts(self.after)
        if self.paired:
            both = sorted(before.keys() & after.keys())
            return {k: before[k] for k in both}, {k: after[k] for k in both}
        return before, after

    @property
    def enough(self) -> bool:
        """Whether a change could be found with the starts that are left."""
        return enough_blocks(*map(len, self.kept), paired=self.paired)

    @property
    def disturbed(self) -> bool:
        """Whether a change could be found with all starts, and cannot with those that are left."""
        whole = (len(starts_of(side)) for side in (self.before, self.after))
        return enough_blocks(*whole, paired=self.paired) and not self.enough


def _time_changes(
    pairs: Sequence[tuple[Record, Record]], titles: Mapping[str, str], *, paired: bool
) -> tuple[TimeChange, ...]:
    """Judge all cells together: whole starts are exchanged, the same ones for all cells."""
    timed = [
        _Timed(b.key, a.timing, b.timing, paired)
        for a, b in pairs
        if a.timing is not None and b.timing is not None and a.timing.wall_seconds and b.timing.wall_seconds
    ]
    if not timed:
        return ()
    floors = [_floors(*cell.kept) for cell in timed]
    ratios = ratios_with_law(*(_as_rows(side) for side in zip(*floors, strict=True)), paired=paired)
    return tuple(
        TimeChange(
            titles[cell.key],
            starts=min(map(len, cell.kept)),
            ratio=ratio,
            ratio_of_medians=_ratio_of_medians(cell.before, cell.after),
            disturbed=cell.disturbed,
            key=cell.key,
        )
        for cell, ratio in zip(timed, ratios, strict=True)
    )


def _as_rows(floors: Sequence[Mapping[int, float]]) -> Logs:
    """Return what each cell has of each start, `(cells, starts)`, NaN for a start that cannot be used."""
    rows = np.full((len(floors), 1 + max((k for kept in floors for k in kept), default=0)), np.nan)
    for row, kept in zip(rows, floors, strict=True):
        # by number: of pairs, start k of one side belongs to start k of the other
        row[list(kept)] = list(kept.values())
    return rows


def _ratio_of_medians(before: Timing, after: Timing) -> float:
    return float(np.median(after.wall_seconds) / np.median(before.wall_seconds))


def _floors(before: Starts, after: Starts) -> tuple[dict[int, float], dict[int, float]]:
    """Return the logs of the least samples of the starts of both sides, of as many rounds and samples on either."""
    every = [*before.values(), *after.values()]
    rounds = min(map(len, every), default=0)
    # the least of more samples is lower: both sides give the same number
    samples = min((len(part) for block in every for part in block[:rounds]), default=0)
    a, b = (
        {k: block_floor(block, num_rounds=rounds, num_samples=samples) for k, block in side.items()}
        for side in (before, after)
    )
    return a, b
