"""In which order cells are measured: small ones first, in groups that share a problem, shuffled within.

This module knows no process and no file.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gradest_bench.suite.cells import Cell, digest

GROUP_CELLS = 24
"""The most cells that are prepared at one time; what is lost when a sweep is killed is at most these."""


@dataclass(frozen=True)
class Size:
    """How much a cell computes: parameters, entries of data, evaluations of the loss."""

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
            same_limits = (cell.budget.timeout_seconds, cell.budget.memory_limit_mb) == (
                smaller.budget.timeout_seconds,
                smaller.budget.memory_limit_mb,
            )
            if same_limits and size.at_least(limit) and smaller.key != cell.key:
                return outcome, f"not tried: a smaller one ended so ({smaller.title})"
        return None


def _kind(cell: Cell) -> tuple[str, ...]:
    fields = {name: value for name, value in cell.estimator.fields.items() if name != "num_samples"}
    return (cell.worker, cell.dtype, cell.kernel, cell.device, cell.problem.name, cell.estimator.name, digest(fields))


def groups(cells: Iterable[tuple[Cell, Size]], *, seed: int) -> list[list[Cell]]:
    """Return the cells in groups of one problem and dtype, all backends together, smallest problems first.

    Within a group the order is drawn from `seed`; a group has at most `GROUP_CELLS` cells.
    """
    together: dict[tuple[str, str], list[tuple[Cell, Size]]] = {}
    for cell, size in cells:
        key = (digest([cell.problem.name, cell.problem.fields]), cell.dtype)
        together.setdefault(key, []).append((cell, size))
    order = random.Random(seed)
    ordered = sorted(together.values(), key=lambda group: max((s.num_parameters, s.data_entries) for _, s in group))
    found: list[list[Cell]] = []
    for group in ordered:
        order.shuffle(group)
        group.sort(key=lambda pair: pair[1].evaluations // 1000)
        parts = range(0, len(group), GROUP_CELLS)
        found.extend([cell for cell, _ in group[start : start + GROUP_CELLS]] for start in parts)
    return found


def rounds(cells: Sequence[Cell], *, seed: int) -> Iterable[tuple[int, list[Cell]]]:
    """Yield each round's number and the cells to measure in it, in an order drawn anew from `seed`."""
    order = random.Random(seed)
    for number in range(max((cell.budget.repetitions for cell in cells), default=0)):
        running = [cell for cell in cells if number < cell.budget.repetitions]
        order.shuffle(running)
        yield number, running
