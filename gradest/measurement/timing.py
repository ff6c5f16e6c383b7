"""The one clock of gradest: warm-up, calibrated repetitions, waiting for the device; and what a timed cell holds.

No backend and no estimator times itself. Times are seconds of `time.perf_counter`; processor time is recorded
beside them, because on a shared machine the two differ and a disturbed measurement should say so.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any, TypeVar

_RUN_QUEUE = Path("/proc/thread-self/schedstat")

Call = Callable[[], Any]
Wait = Callable[[Any], None]
Result = TypeVar("Result")

DISTURBED_BELOW = 0.8
"""A machine that gives a loop that waits for nothing less than this share of its wall time is doing something else."""

_PROBE_SECONDS = 0.005
"""How long that loop runs, before each block and after it: longer than a scheduler lets another process wait."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """Repeated samples of one call, taken without a pause.

    Attributes
    ----------
    wall_seconds, cpu_seconds
        Wall and processor seconds a call, one number for each sample.
    loops
        How many calls a sample has, calibrated to last long enough to be measured.
    value_seconds
        The seconds of one evaluation of the loss, measured beside it.
    machine_share
        The processor seconds that the machine gave for a second that was asked of it, by loops just before and just
        after, and by the samples themselves; None where it was not measured.
    """

    wall_seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    loops: int
    value_seconds: float
    machine_share: float | None = None


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The times of one cell, in seconds a call unless said otherwise; samples are in the order they were taken.

    Attributes
    ----------
    preparation_seconds, first_call_seconds
        Binding the estimator; its first call, which may compile.
    wall_seconds, cpu_seconds, loops
        For each sample: wall and processor seconds a call, and how many calls it has.
    rounds
        The number of samples of each round.
    starts
        The number of rounds of each start of the workers; empty for one start.
    median_seconds, iqr_seconds
        Of the wall seconds; the interquartile range is None for fewer than two samples.
    machine_shares
        Of each round, the share of its processor that the machine gave; empty where that was not measured.
    cpu_wall_ratio, disturbed, waiting
        Processor seconds per wall second; whether the machine was doing something else; and whether the ratio is low
        though it was not: the call itself waits, for a lock, a file or another process.
    value_seconds, loss_units
        One evaluation of the loss, and the median in units of it.
    to_backend_seconds, to_numpy_seconds
        What all parameters take from NumPy to the backend, and back.
    """

    preparation_seconds: float
    first_call_seconds: float
    wall_seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    loops: list[int] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    machine_shares: list[float] = field(default_factory=list)
    median_seconds: float | None = None
    iqr_seconds: float | None = None
    cpu_wall_ratio: float | None = None
    disturbed: bool = False
    waiting: bool = False
    value_seconds: float | None = None
    loss_units: float | None = None
    to_backend_seconds: float | None = None
    to_numpy_seconds: float | None = None

    def with_blocks(self, blocks: Sequence[Block], *, on_processor: bool, starts: Sequence[int] = ()) -> "Timing":
        """Return the times with all that follows from the blocks, one a round, and how many each start has.

        `on_processor` says that the work is done by the processor: only then is waiting a sign of anything. Whether it
        is the machine that let the call wait, or the call itself, is told by the shares that the machine gave.
        """
        if not blocks:
            return self
        walls = [seconds for block in blocks for seconds in block.wall_seconds]
        cpus = [seconds for block in blocks for seconds in block.cpu_seconds]
        loops = [block.loops for block in blocks for _ in block.wall_seconds]
        wall = sum(w * n for w, n in zip(walls, loops, strict=True))
        ratio = sum(p * n for p, n in zip(cpus, loops, strict=True)) / wall if wall > 0 else None
        shares = [block.machine_share for block in blocks if block.machine_share is not None]
        waits = on_processor and ratio is not None and ratio < DISTURBED_BELOW * _given(blocks)
        # an earlier record has no shares: of it, nobody can say which of the two it was
        disturbed = median(shares) < DISTURBED_BELOW if shares else waits
        middle, value = median(walls), median(block.value_seconds for block in blocks)
        return replace(
            self,
            wall_seconds=walls,
            cpu_seconds=cpus,
            loops=loops,
            rounds=[len(block.wall_seconds) for block in blocks],
            starts=list(starts),
            median_seconds=middle,
            iqr_seconds=_interquartile_range(walls),
            cpu_wall_ratio=ratio,
            machine_shares=shares if len(shares) == len(blocks) else [],
            disturbed=disturbed,
            waiting=waits and not disturbed,
            value_seconds=value,
            loss_units=middle / value,
        )


def _given(blocks: Sequence[Block]) -> float:
    """Return the share of their wall time that the machine gave to all blocks together, as far as it was measured.

    A single round that is held up for long lowers the processor seconds a wall second of all rounds, and the median of
    the shares not at all: against 1 it would look as if the call had waited.
    """
    walls = [sum(block.wall_seconds) * block.loops for block in blocks]
    shares = [1.0 if block.machine_share is None else block.machine_share for block in blocks]
    whole = sum(walls)
    return sum(share * wall for share, wall in zip(shares, walls, strict=True)) / whole if whole > 0 else 1.0


def _interquartile_range(samples: Sequence[float]) -> float | None:
    if len(samples) < 2:
        return None
    low, _, high = quantiles(samples, n=4, method="inclusive")
    return high - low


class Stopwatch:
    """Adds up the seconds of the blocks that it is held around.

    Examples
    --------
    >>> from gradest.measurement.timing import Stopwatch
    >>> watch = Stopwatch(60.0)
    >>> with watch:
    ...     pass
    >>> watch.seconds >= 60.0
    True
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._start = 0.0

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *raised: object) -> None:
        self.seconds += time.perf_counter() - self._start


def time_once(call: Call, wait: Wait) -> tuple[float, Any]:
    """Return the seconds of one call, its result awaited, and the result."""
    start = time.perf_counter()
    result = call()
    wait(result)
    return time.perf_counter() - start, result


def time_block(call: Call, wait: Wait, count: int) -> tuple[float, float]:
    """Return the wall and the processor seconds of `count` calls, of which the last result is awaited.

    It is awaited within the clock, once for all of them, as a queue of a device is drained.
    """
    # Of the whole process: the threads that a framework works with are its work too.
    processor, start = time.process_time(), time.perf_counter()
    for _ in range(count):
        result = call()
    wait(result)
    return time.perf_counter() - start, time.process_time() - processor


def machine_share(call: Callable[[], Result]) -> tuple[float, Result]:
    """Return which share of the time that it asked for the machine gave this thread, and what the call returned.

    It is measured by a loop that waits for nothing, before the call and after, and over the call itself where the
    kernel counts how long a thread stood ready and was not let run: a call that waits of itself does not lower it.
    """
    before = _spin()
    stood, processor = _stood_ready(), time.thread_time()
    result = call()
    ran, stood_since = time.thread_time() - processor, _stood_ready()
    after = _spin()
    given, asked = before[0] + after[0], before[1] + after[1]
    if stood is not None and stood_since is not None:
        # The loops miss a call that is interrupted in its middle. Of one that sleeps while threads of a framework work
        # neither number is large, and the loops alone tell.
        given, asked = given + ran, asked + ran + (stood_since - stood)
    return given / asked, result


def _spin() -> tuple[float, float]:
    """Return the processor and the wall seconds of a loop of arithmetic."""
    # of this thread alone: those that a library keeps spinning would count as time that was given to it
    processor, start = time.thread_time(), time.perf_counter()
    while (wall := time.perf_counter() - start) < _PROBE_SECONDS:
        sum(range(100))
    return time.thread_time() - processor, wall


def _stood_ready() -> float | None:
    """Return the seconds that this thread has stood in the run queue since it began; None where no kernel says so."""
    try:
        # Of the thread: /proc/self is that of the process's first one. Nanoseconds run, nanoseconds waited, turns.
        return int(_RUN_QUEUE.read_text().split()[1]) * 1e-9
    except (OSError, ValueError, IndexError):  # another system, or a sandbox: `machine_share` has its loops
        return None


def calibrate(call: Call, wait: Wait, block_seconds: float) -> int:
    """Return how many calls last `block_seconds`, by doubling; the calls made here are the warm-up."""
    time_once(call, wait)
    count = 1
    while (seconds := time_block(call, wait, count)[0]) < block_seconds:
        # A fifth more than the rate says, lest it takes another turn; below 0.1 ms the clock tells no rate.
        count = max(2 * count, int(count * 1.2 * block_seconds / max(seconds, 1e-9)) if seconds > 1e-4 else 8 * count)
    return count
