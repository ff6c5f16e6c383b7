"""What can become of a cell of a comparison: a closed set, with its wording for people."""

from enum import StrEnum

from gradest.errors import (
    GradestError,
    InvalidEstimateError,
    MissingDependencyError,
    StepTooSmallError,
    UnsupportedError,
)

_MEMORY_WORDS = ("out of memory", "resource_exhausted", "can't allocate memory", "cannot allocate memory", "bad_alloc")


class Outcome(StrEnum):
    """How a cell ended. `wording` is the message; the reason of a cell says the particulars."""

    OK = "ok"
    UNSUPPORTED = "unsupported"
    MISSING = "missing"
    INVALID = "invalid"
    ERROR = "error"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    INTERRUPTED = "interrupted"
    NOT_TRIED = "not_tried"

    @property
    def wording(self) -> str:
        """The outcome in words, ending in what to try where there is something to try."""
        return _WORDINGS[self]

    @property
    def failed(self) -> bool:
        """Whether the outcome is a fault to look into, rather than a fact about the machine or the method."""
        # limits of time and memory are not among them: whoever ran it has set them
        return self in (Outcome.INVALID, Outcome.ERROR, Outcome.CRASHED, Outcome.NOT_TRIED)


_WORDINGS = {
    Outcome.OK: "ran, and every number is finite",
    Outcome.UNSUPPORTED: "this combination cannot be carried out; the reason says which one can",
    Outcome.MISSING: "a package is not installed; the reason has the command that installs it",
    Outcome.INVALID: "the result has NaN, infinity, or the wrong shape or dtype; look at the inputs and the dtype",
    Outcome.ERROR: "an exception was raised; a run keeps its traceback in the log",
    Outcome.TIMEOUT: "the time limit passed, or would have; raise the limit, shrink the cell, or do as the reason says",
    Outcome.OUT_OF_MEMORY: "the memory limit passed; lower chunk_size or the memory budget, or raise the limit",
    Outcome.CRASHED: "the worker process died; the end of its log is kept",
    Outcome.NOT_TRIED: "no worker could be started for this cell; the reason says why; mend that and resume",
    Outcome.INTERRUPTED: "the run was stopped before this cell ended; resume it",
}


def outcome_of(error: Exception) -> tuple[Outcome, str]:
    """Return how a cell ends in which an exception was raised, and the reason for people.

    Memory that ran out is told by the words of the message: each framework has an exception of its own for it.
    """
    if isinstance(error, MemoryError):  # Python's own comes without a word
        return Outcome.OUT_OF_MEMORY, str(error) or "the interpreter had no memory left"
    reason = str(error) if isinstance(error, GradestError) else f"{type(error).__name__}: {error}"
    if isinstance(error, InvalidEstimateError):
        return Outcome.INVALID, reason
    if isinstance(error, MissingDependencyError):
        return Outcome.MISSING, reason
    if isinstance(error, UnsupportedError | StepTooSmallError):
        return Outcome.UNSUPPORTED, reason
    # Last: an error of gradest's own may name memory in passing.
    if any(word in str(error).lower() for word in _MEMORY_WORDS):
        return Outcome.OUT_OF_MEMORY, reason
    return Outcome.ERROR, reason
