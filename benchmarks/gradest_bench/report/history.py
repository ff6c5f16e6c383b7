"""Collects what became of each cell over many runs: its times and errors in the order of the runs.

A cell is the same where the same is asked of it, with whatever effort; times of two machines are two histories. This
module draws nothing.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gradest.errors import GradestError
from gradest_bench.results.invocations import Span, span
from gradest_bench.results.loading import Run, load
from gradest_bench.results.records import COMPARABLE, Record
from gradest_bench.suite.cells import digest

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Entry:
    """Holds one run of an index, or in `fault` why it cannot be read."""

    folder: Path
    run: Run | None
    made: Span | None = None
    fault: str = ""

    @property
    def suite(self) -> str:
        """The name of the suite that was run."""
        if self.run is None:
            return ""
        return self.run.suite.name if self.run.suite is not None else next((r.suite for r in self.run.records), "")


@dataclass(frozen=True)
class History:
    """Holds the records of one cell on one machine, one for each run of a suite; None where a run has none."""

    title: str
    machine: str
    records: tuple[Record | None, ...]

    @property
    def known(self) -> list[Record]:
        """The records that there are, in the order of the runs."""
        return [record for record in self.records if record is not None]


def read_entries(folders: Iterable[Path]) -> list[Entry]:
    """Return the runs of folders, the earliest first; one that is damaged is an entry that says so."""
    return sorted(map(_entry, folders), key=lambda entry: (entry.made.first if entry.made else _NEVER, entry.folder))


def _entry(folder: Path) -> Entry:
    try:
        run = load(folder)
    except GradestError as error:  # one damaged run must not hide all the others
        return Entry(folder, None, fault=str(error))
    return Entry(folder, run, span(run.invocations, run.records))


def histories(runs: Sequence[Run]) -> list[History]:
    """Return the history of each cell of runs of one suite, given from the earliest on, in the order of the latest."""
    found: dict[tuple[str, str, int], dict[int, Record]] = {}
    # from the latest back, so that its cells, and their order, come first
    for place in reversed(range(len(runs))):
        # a suite may have a cell twice, with other seeds or measures: the n-th is one history with the n-th
        times = Counter[tuple[str, str]]()
        for record in runs[place].records:
            which = _asked(record), _machine(runs[place], record)
            found.setdefault((*which, times[which]), {})[place] = record
            times[which] += 1
    return [
        History(next(iter(kept.values())).cell.title, machine, tuple(kept.get(k) for k in range(len(runs))))
        for (_, machine, _), kept in found.items()
    ]


def _asked(record: Record) -> str:
    """Return what is asked of a cell, as a digest; seeds, samples and rounds are how hard one looks, not at what."""
    cell = record.cell
    return digest(
        [
            [cell.problem.name, cell.problem.fields, cell.estimator.name, cell.estimator.fields],
            [cell.title, cell.worker, cell.backend, cell.dtype, cell.kernel, cell.device],
        ]
    )


def _machine(run: Run, record: Record) -> str:
    """Return the machine that a record was measured on, in words: what must agree for times to be compared."""
    worker = run.environment.get("workers", {}).get(record.environment, {})
    # an executor may have run a worker on another machine, which then stands with it
    machine = worker.get("machine") or run.environment.get("machine", {})
    words = [f"{machine[key]} cores" if key == "cores" else str(machine[key]) for key in COMPARABLE if machine.get(key)]
    return ", ".join(words) or "not kept"
