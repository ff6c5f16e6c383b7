"""The one clock of gradest: warm-up, calibrated repetitions, waiting for the device.

No backend and no estimator times itself. Times are seconds of `time.perf_counter`; processor time is recorded
beside them, because on a shared machine the two differ and a disturbed measurement should say so.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

Call = Callable[[], Any]
Wait = Callable[[Any], None]


@dataclass(frozen=True)
class Timing:
    """Repeated measurements of one call.

    Attributes
    ----------
    samples_seconds
        Seconds a call in each block of calls.
    calls_per_block
        How many calls a block has, calibrated to last long enough to be measured.
    processor_share
        Processor seconds per second of the process while measuring; well below 1 (on one thread), the machine
        was doing something else.
    """

    samples_seconds: tuple[float, ...]
    calls_per_block: int
    processor_share: float

    @property
    def median_seconds(self) -> float:
        """The median of the samples."""
        return median(self.samples_seconds)

    @property
    def spread(self) -> float:
        """The interquartile range of the samples relative to their median; 0 for fewer than two samples."""
        if len(self.samples_seconds) < 2:
            return 0.0
        low, _, high = quantiles(self.samples_seconds, n=4, method="inclusive")
        return (high - low) / self.median_seconds


def time_once(call: Call, wait: Wait) -> tuple[float, Any]:
    """Return the seconds of one call, its result awaited, and the result."""
    start = time.perf_counter()
    result = call()
    wait(result)
    return time.perf_counter() - start, result


def measure(
    calls: Mapping[str, tuple[Call, Wait]],
    *,
    block_seconds: float = 0.02,
    budget_seconds: float = 0.3,
    minimum_blocks: int = 3,
    seed: int = 0,
    after_block: Callable[[], None] | None = None,
) -> dict[str, Timing]:
    """Return the steady time of each call, measured side by side.

    Each is warmed up once and calibrated to blocks of at least `block_seconds`; then blocks of all calls
    alternate, in an order drawn anew each round from `seed`, so that a drift of the machine meets all alike. A call
    takes part until its blocks have lasted `budget_seconds`, and in `minimum_blocks` at least. Results are
    awaited within the clock, once a block for the calls in it, as a queue of a device is drained.
    """
    lengths = {name: calibrate(call, wait, block_seconds) for name, (call, wait) in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    used = dict.fromkeys(calls, 0.0)
    processor = dict.fromkeys(calls, 0.0)
    order = random.Random(seed)
    running = list(calls)
    while running:
        order.shuffle(running)
        for name in running:
            call, wait = calls[name]
            seconds, processor_seconds = time_block(call, wait, lengths[name])
            samples[name].append(seconds / lengths[name])
            used[name] += seconds
            processor[name] += processor_seconds
            if after_block is not None:
                after_block()
        running = [n for n in running if len(samples[n]) < minimum_blocks or used[n] < budget_seconds]
    return {name: Timing(tuple(samples[name]), lengths[name], processor[name] / used[name]) for name in calls}


def time_block(call: Call, wait: Wait, count: int) -> tuple[float, float]:
    """Return the wall and the processor seconds of `count` calls, of which the last result is awaited."""
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
