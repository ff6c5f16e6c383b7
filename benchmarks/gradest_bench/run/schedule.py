"""Puts the cells that are to run in order: small ones first, in groups that share a problem, shuffled within.

This module knows no process and no file.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gradest_bench.results.records import Record
from gradest_bench.suite.cells import Cell, digest

Item = TypeVar("Item")

GROUP_CELLS = 24
"""The most cells that are prepared at one time; what is lost when a sweep is killed is at most these."""
EVALUATIONS_ALIKE = 1000
"""Within a group, cells whose evaluations differ by less are in random order: the sizes are of one class."""


@dataclass(frozen=True)
class Size:
    """States how much a cell computes: parameters, entries of data, evaluations of the loss."""

    num_parameters: int
    data_entries: int
    evaluations: int

    def at_least(self, other: "Size") -> bool:
        """Whether nothing of this size is smaller than the other's."""
        return (
            self.num_parameters >= other.num_parameters
            and self.data_entries >= other.data_entries
            and self.evaluations >= other.evaluations
        )


@dataclass(frozen=True)
class PlannedCell:
    """Holds a cell that is to run, with what is known of it before.

    Attributes
    ----------
    identity
        The hash of all that decides its result: what is asked, code, versions, data.
    facts
        What its worker found when it identified the cell; empty where no worker could.
    attempts
        How often it was tried before.
    begun
        What a sweep that was stopped has measured of it, in whole starts of the workers.
    """

    cell: Cell
    identity: str
    facts: dict[str, Any] = field(default_factory=dict)
    attempts: int = 0
    begun: Record | None = None

    @property
    def starts_done(self) -> int:
        """The starts of the workers in which it was timed already."""
        return len(self.begun.timing.starts) if self.begun is not None and self.begun.timing is not None else 0

    @property
    def size(self) -> Size:
        """The size that its worker found."""
        size = size_of(self.facts)
        assert size is not None  # a cell that no worker could identify has ended already, and is in no group
        return size


def size_of(facts: Mapping[str, Any]) -> Size | None:
    """Return the size among the facts of a cell; None where no worker came to know it."""
    if "num_parameters" not in facts:
        return None
    return Size(facts["num_parameters"], facts["data_entries"], facts["evaluations"])


class TooLarge:
    """Remembers what ran out of time or memory, so that nothing larger of the same kind is tried."""

    def __init__(self) -> None:
        self._limits: dict[tuple[str, ...], list[tuple[Size, Cell, str]]] = {}

    def add(self, cell: Cell, size: Size, outcome: str) -> None:
        """Remember that a cell of this size ended in this outcome."""
        self._limits.setdefault(_kind(cell), []).append((size, cell, outcome))

    def reason(self, cell: Cell, size: Size) -> tuple[str, str] | None:
        """Return the outcome and the reason for which a cell need not be tried, or None."""
        for limit, smaller, outcome in self._limits.get(_kind(cell), ()):
            # of cells of one size, which differ in another field of their problem, neither says anything of the other
            if size.at_least(limit) and size != limit and _asks_as_much(cell, smaller):
                return outcome, f"not tried: a smaller one ended so ({smaller.title})"
        return None


def _asks_as_much(cell: Cell, other: Cell) -> bool:
    """Whether nothing less is measured of a cell than of another, within the same limits."""
    a, b = cell.budget, other.budget
    return (
        (a.timeout_seconds, a.memory_limit_mb) == (b.timeout_seconds, b.memory_limit_mb)
        and set(cell.measure) >= set(other.measure)
        and len(cell.seeds) >= len(other.seeds)
    )


def _kind(cell: Cell) -> tuple[str, ...]:
    # the number of samples is part of a cell's size, not of its kind: more of them is the same thing, larger
    fields = {name: value for name, value in cell.estimator.fields.items() if name != "num_samples"}
    return (cell.worker, cell.dtype, cell.kernel, cell.device, cell.problem.name, cell.estimator.name, digest(fields))


def groups(planned: Iterable[PlannedCell], *, seed: int) -> list[list[PlannedCell]]:
    """Return the cells in groups of one problem and dtype, all backends together, smallest problems first.

    Within a group the order is drawn from `seed`; a group has at most `GROUP_CELLS` cells, and what differs in its
    worker alone is in one group.
    """
    together: dict[tuple[str, str], list[PlannedCell]] = {}
    for plan in planned:
        key = (digest([plan.cell.problem.name, plan.cell.problem.fields]), plan.cell.dtype)
        together.setdefault(key, []).append(plan)
    order = random.Random(seed)
    found: list[list[PlannedCell]] = []
    # small problems first: what runs out of time or memory is then known before anything larger is tried
    for group in sorted(together.values(), key=_largest_problem):
        variants = _variants(group, lambda plan: plan.cell)
        order.shuffle(variants)
        # cheap cells come first, so that little is lost when a sweep is stopped; sort() keeps what is alike shuffled
        variants.sort(key=lambda plans: max(plan.size.evaluations for plan in plans) // EVALUATIONS_ALIKE)
        parts: list[list[PlannedCell]] = [[]]
        for plans in variants:
            # variants stay together, if need be in a part that is too large: apart they could not be compared
            if parts[-1] and len(parts[-1]) + len(plans) > GROUP_CELLS:
                parts.append([])
            parts[-1].extend(plans)
        found.extend(parts)
    return found


def _variants(items: Iterable[Item], cell_of: Callable[[Item], Cell]) -> list[list[Item]]:
    """Return lists of items whose cells differ in their worker alone."""
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(cell_of(item).shared_key, []).append(item)
    return list(found.values())


def _largest_problem(group: Sequence[PlannedCell]) -> tuple[int, int]:
    return max((plan.size.num_parameters, plan.size.data_entries) for plan in group)


def rounds(cells: Sequence[Cell], *, seed: int) -> Iterable[tuple[int, list[Cell]]]:
    """Yield each round's number and the cells to measure in it, in an order drawn anew from `seed`.

    Cells that differ in their worker alone come one after the other: what they are compared in is the same minute.
    """
    order = random.Random(seed)  # a fixed order would let one cell always meet the caches that another left
    for number in range(max((cell.budget.repetitions for cell in cells), default=0)):
        running = _variants((cell for cell in cells if number < cell.budget.repetitions), lambda cell: cell)
        order.shuffle(running)
        for variants in running:
            order.shuffle(variants)
        yield number, [cell for variants in running for cell in variants]
