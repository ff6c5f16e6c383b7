"""How the scripts of this folder measure: interleaved blocks, ratios within a round, a probe of the machine.

Two callables are compared by running them in alternate blocks of at least `block_seconds`, so that a drift of the
machine falls on both; the figure is the median over rounds of the ratio within a round. Single calls would
alternate cold caches instead. Each callable returns only when its result is there. Compilation is excluded by
running every callable before the first block. Import this module before any framework: it states one thread, and
keeps the process on one core, because XLA reads the number of cores and no variable.
"""

import ctypes
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import numpy as np  # noqa: E402  # after the threads are stated

Call = Callable[[], object]

PROBE_SIZE = 512
"""The size of the square float32 product that shows the machine's rate of fused multiply-adds."""


@dataclass(frozen=True)
class Interleaved:
    """Seconds per call of each callable in each round, and the rate of the FMA probe around them.

    Attributes
    ----------
    seconds
        Name -> one figure a round.
    probe_gflops
        float32 GFLOP/s of a NumPy product before the first and after the last round.
    """

    seconds: Mapping[str, Sequence[float]]
    probe_gflops: tuple[float, float]

    def median(self, name: str) -> float:
        """Return the median seconds per call."""
        return statistics.median(self.seconds[name])

    def ratios(self, name: str, peer: str) -> list[float]:
        """Return ours / peer's, one figure a round."""
        return [ours / theirs for ours, theirs in zip(self.seconds[name], self.seconds[peer], strict=True)]

    def ratio(self, name: str, peer: str) -> float:
        """Return the median over rounds of ours / peer's."""
        return statistics.median(self.ratios(name, peer))

    def line(self, label: str, name: str, peer: str, bar: float | None = None) -> str:
        """Return one line for people: both medians, the ratio with its range over rounds, and the bar."""
        each = self.ratios(name, peer)
        verdict = "" if bar is None else f"  bar {bar:g}: {'met' if self.ratio(name, peer) <= bar else 'NOT met'}"
        return (
            f"{label:<28} peer {_span(self.median(peer))}  ours {_span(self.median(name))}  "
            f"ratio {self.ratio(name, peer):.3f} ({min(each):.3f} to {max(each):.3f}){verdict}"
        )

    def probe_line(self) -> str:
        """Return the probe's line: a throttled or shared machine shows as a difference between the two rates."""
        before, after = self.probe_gflops
        return f"{'FMA probe (NumPy float32)':<28} {before:.0f} GFLOP/s before, {after:.0f} after"


def interleave(calls: Mapping[str, Call], *, rounds: int = 7, block_seconds: float = 0.05) -> Interleaved:
    """Return the time of each callable, measured in alternate blocks; the order turns around every other round."""
    repetitions = {name: _calibrate(call, block_seconds) for name, call in calls.items()}
    before = probe()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds):
        # turned round, as whoever comes second meets the caches of the first
        for name in tuple(calls)[:: 1 if turn % 2 == 0 else -1]:
            seconds[name].append(_block(calls[name], repetitions[name]) / repetitions[name])
    return Interleaved(seconds, (before, probe()))


def probe() -> float:
    """Return the float32 GFLOP/s of one square NumPy product, best of a few."""
    square = np.ones((PROBE_SIZE, PROBE_SIZE), dtype=np.float32)
    # the least: whatever disturbs makes it slower, never faster
    best = min(_block(lambda: square @ square, 4) / 4 for _ in range(5))
    return 2 * PROBE_SIZE**3 / best / 1e9


RETURNING = {"MALLOC_MMAP_THRESHOLD_": "200000"}
"""For the environment of a process whose memory is measured: glibc gives freed memory back at once.

It would keep blocks of up to 32 MB for later, some of them or all, and the peak would be that of its habits.
"""


def peak_extra_mb(call: Call) -> float:
    """Return by how much the peak of this process rises while the call runs, in MiB."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)  # what was freed and kept for later would be taken for what the call needs not
    before = _resident_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again from what is resident now
    call()
    return _resident_mb("VmHWM") - before


def _resident_mb(field: str) -> float:
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith(field))
    return int(line.split()[1]) / 1024


def _calibrate(call: Call, block_seconds: float) -> int:
    """Return how many calls fill a block, after the calls that compile and warm up."""
    _block(call, 2)
    repetitions = 1
    while (spent := _block(call, repetitions)) < block_seconds:
        # a tenth more than a block takes: aimed at exactly, half of the blocks would fall short
        repetitions = max(repetitions + 1, round(1.1 * repetitions * block_seconds / max(spent, 1e-9)))
    return repetitions


def _block(call: Call, repetitions: int) -> float:
    start = time.perf_counter()
    for _ in range(repetitions):
        call()
    return time.perf_counter() - start


def _span(seconds: float) -> str:
    return f"{seconds * 1e3:9.3f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:9.2f} us"
