"""How far one call raises the memory of its process: resident peak, by the kernel's own mark.

Meant for a fresh process, where nothing freed earlier can be used again unseen. Preparing and the first calls, which
may compile, are measured apart from the call that follows. This module knows no clock.
"""

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from gradest.errors import UnsupportedError
from gradest.measurement.session import Session
from gradest.objective import Objective

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
# by proc(5), VmHWM begins again at what is resident now
_RESET_PEAK = "5"


def measure_memory(open_session: Callable[[], Session], objective: Objective) -> dict[str, Any]:
    """Return the bytes by which a call of an estimator raised the resident peak, and those of what came before it.

    `preparation_extra_bytes` is what preparing and the first calls in `open_session` took, compilation included;
    `peak_extra_bytes` is what one more call took, above what the prepared estimator keeps.

    Raises
    ------
    UnsupportedError
        The system has no resident peak that can be reset, or does not take back what is free.
    """
    if not _CLEAR_REFS.exists():
        raise UnsupportedError("peak memory was asked for; it needs Linux's /proc/self/clear_refs")
    value = objective.prepare_value()  # so that what any evaluation needs once is there before
    objective.backend.wait([value(objective.start)])
    before = _from_here(objective)
    session = open_session()
    opened_peak = _resident_peak()
    before_call = _from_here(objective)
    estimate = session.call(session.seeds[0])
    session.wait(estimate)
    peak = _resident_peak()
    return {
        # a library may give pages back meanwhile: the call took no less than nothing
        "peak_extra_bytes": max(0, peak - before_call),
        "preparation_extra_bytes": max(0, opened_peak - before),
        "resident_before_bytes": before,
        "device_peak_bytes": objective.backend.peak_memory_bytes(objective.device),
    }


def _from_here(objective: Objective) -> int:
    """Return the resident bytes, with everything given back that is free, and let all peaks begin here."""
    # cycles would else be freed in the middle of the call, and make room for it
    gc.collect()
    _give_back()
    objective.backend.reset_peak_memory(objective.device)
    before: int = psutil.Process().memory_info().rss
    _CLEAR_REFS.write_text(_RESET_PEAK, encoding="ascii")
    return before


def _give_back() -> None:
    """Let the C library return its free pages: what the first call left would hide what the next one takes."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError as error:
        raise UnsupportedError(
            "peak memory was asked for; it needs glibc's malloc_trim, which this C library has not"
        ) from error


def _resident_peak() -> int:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            # what /proc calls kB is 1,024 bytes
            return int(line.split()[1]) * 1024
    raise UnsupportedError("peak memory was asked for; /proc/self/status has no VmHWM")
