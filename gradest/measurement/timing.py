"""The one clock of gradest: warm-up, calibrated repetitions, waiting for the device; and what a timed cell holds.

No backend and no estimator times itself. Times are seconds of `time.perf_counter`; processor time is recorded
beside them, because on a shared machine the two differ and a disturbed measurement should say so.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median, quantiles
from typing import Any

Call = Callable[[], Any]
Wait = Callable[[Any], None]

DISTURBED_BELOW = 0.8
"""A cell whose processor time is less than this share of its wall time was disturbed by the machine."""


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
    """

    wall_seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    loops: int
    value_seconds: float


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
    cpu_wall_ratio, disturbed
        Processor seconds per wall second, and whether that is so low that the machine was doing something else.
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
    median_seconds: float | None = None
    iqr_seconds: float | None = None
    cpu_wall_ratio: float | None = None
    disturbed: bool = False
    value_seconds: float | None = None
    loss_units: float | None = None
    to_backend_seconds: float | None = None
    to_numpy_seconds: float | None = None

    def with_blocks(self, blocks: Sequence[Block], *, on_processor: bool, starts: Sequence[int] = ()) -> "Timing":
        """Return the times with all that follows from the blocks, one a round, and how many each start has.

        `on_processor` says that the work is done by the processor: only then is waiting a sign of disturbance.
        """
        if not blocks:
            return self
        walls = [seconds for block in blocks for seconds in block.wall_seconds]
        cpus = [seconds for block in blocks for seconds in block.cpu_seconds]
        loops = [block.loops for block in blocks for _ in block.wall_seconds]
        wall = sum(w * n for w, n in zip(walls, loops, strict=True))
        ratio = sum(p * n for p, n in zip(cpus, loops, strict=True)) / wall if wall > 0 else None
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
            disturbed=on_processor and ratio is not None and ratio < DISTURBED_BELOW,
            value_seconds=value,
            loss_units=middle / value,
        )


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
    processor, start = time.process_time(), time.perf_counter()
    for _ in range(count):
        result = call()
    wait(result)
    return time.perf_counter() - start, time.process_time() - processor


def calibrate(call: Call, wait: Wait, block_seconds: float) -> int:
    """Return how many calls last `block_seconds`, by doubling; the calls made here are the warm-up."""
    time_once(call, wait)
    count = 1
    while (seconds := time_block(call, wait, count)[0]) < block_seconds:
        count = max(2 * count, int(count * 1.2 * block_seconds / max(seconds, 1e-9)) if seconds > 1e-4 else 8 * count)
    return count
