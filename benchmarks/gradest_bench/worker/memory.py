"""How far one call raises the memory of its process: resident peak, by the kernel's own mark.

Meant for a fresh process, where nothing freed earlier can be used again unseen. This module knows no clock.
"""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from gradest.errors import UnsupportedError
from gradest.objective import Objective

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def measure_memory(open_session: Callable[[], object], objective: Objective) -> dict[str, Any]:
    """Return the bytes by which preparing and calling an estimator, by `open_session`, raised the resident peak.

    Raises
    ------
    UnsupportedError
        The system has no resident peak that can be reset.
    """
    if not _CLEAR_REFS.exists():
        raise UnsupportedError("peak memory was asked for; it needs Linux's /proc/self/clear_refs")
    value = objective.prepare_value()  # so that what any evaluation needs once is there before
    objective.backend.wait([value(objective.start)])
    gc.collect()
    objective.backend.reset_peak_memory(objective.device)
    before = psutil.Process().memory_info().rss
    _CLEAR_REFS.write_text(_RESET_PEAK, encoding="ascii")
    session = open_session()
    peak = _resident_peak()
    del session
    return {
        "peak_extra_bytes": max(0, peak - before),
        "resident_before_bytes": before,
        "device_peak_bytes": objective.backend.peak_memory_bytes(objective.device),
    }


def _resident_peak() -> int:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise UnsupportedError("peak memory was asked for; /proc/self/status has no VmHWM")
