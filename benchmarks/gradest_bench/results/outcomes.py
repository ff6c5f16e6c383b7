"""Says what each outcome of a cell means for a resume and for the exit code of a run.

This module knows nothing of workers or files.
"""

from collections.abc import Collection, Iterable

from gradest.errors import GradestError
from gradest.measurement.outcome import Outcome
from gradest_bench.results.records import Record

DONE = frozenset({Outcome.OK, Outcome.UNSUPPORTED, Outcome.INVALID})
"""The outcomes that a resume leaves as they are; the others are run again."""

EXIT_STORAGE = 74
"""The exit code for results that could not be written (EX_IOERR of sysexits.h)."""
EXIT_NOTHING = 5
"""The exit code of a run that measured nothing, where nothing else went wrong: no package was there, say."""
EXIT_WRONG = 6
"""The exit code for an estimate that was measured and judged wrong, where its suite does not expect it."""
EXIT_CODES = {
    Outcome.OK: 0,
    Outcome.UNSUPPORTED: 0,
    Outcome.MISSING: 0,
    Outcome.INVALID: 1,
    Outcome.ERROR: 1,
    Outcome.NOT_TRIED: 1,
    Outcome.CRASHED: 3,
    Outcome.TIMEOUT: 4,
    Outcome.OUT_OF_MEMORY: 4,
    Outcome.INTERRUPTED: 130,
}
_SEVERITY = (130, 1, EXIT_WRONG, 3, 4, EXIT_NOTHING, 0)
"""Exit codes, the worst first: an error is a fault to mend, a limit of time or memory may be the machine's."""


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """Return the exit code of a run: that of its worst outcome.

    0: all measured, unsupported or not installed; 1: an error, an invalid estimate, or a worker that cannot start;
    3: a crash; 4: a limit of time or memory; 130: interrupted.
    """
    return worst(EXIT_CODES[outcome] for outcome in outcomes)


def worst(codes: Iterable[int]) -> int:
    """Return the exit code that comes first in severity; 0 for none."""
    found = set(codes)
    return next((code for code in _SEVERITY if code in found), 0)


def exit_code_of_run(records: Collection[Record]) -> int:
    """Return the exit code of a run: that of its worst outcome that its suite does not expect, or `EXIT_NOTHING`.

    A run of which each cell ended as its suite expects is a success, also where none was to be measured.
    """
    # one that may fail and ends well is among these, and no failure: `expect` allows an end, and demands none
    surprising = [Outcome(record.outcome) for record in records if not record.expected]
    found = exit_code(surprising)
    if found == 0 and (surprising or not records) and Outcome.OK not in (record.outcome for record in records):
        return EXIT_NOTHING
    return found


class CellError(GradestError):
    """A cell has ended with an outcome other than ok. `outcome`, `reason` and `log_tail` say which and why."""

    def __init__(self, outcome: Outcome, reason: str, log_tail: str = "") -> None:
        super().__init__(outcome, reason, log_tail)
        self.outcome = outcome
        self.reason = reason
        self.log_tail = log_tail
