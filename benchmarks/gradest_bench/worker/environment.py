"""What is recorded of the machine and of one worker's libraries, so that numbers can be compared or refused.

This module knows no suite and no result.
"""

import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

import psutil
from threadpoolctl import threadpool_info

from gradest.backend import Backend
from gradest.version import __version__

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "MXNET_CPU_WORKER_NTHREADS",
)
_RECORDED_VARIABLES = (*THREAD_VARIABLES, "OMP_WAIT_POLICY", "OPENBLAS_CORETYPE", "XLA_FLAGS", "CUDA_VISIBLE_DEVICES")
_POOL_FIELDS = ("user_api", "internal_api", "prefix", "version", "architecture", "threading_layer", "num_threads")
_AVX512_KERNELS = ("skylakex", "cooperlake", "sapphirerapids", "zen4", "zen5")
"""OpenBLAS's names; an OpenBLAS that is older than a processor falls back on kernels of AVX2, and says nothing."""


def machine() -> dict[str, Any]:
    """Return what does not depend on a worker: processor, cores, memory, system."""
    return {
        "machine": platform.machine(),
        # on Linux Python has the architecture there, or nothing
        "processor": _cpu_field("model name") or platform.processor(),
        # those that this process may use: a container, or taskset, grants fewer than there are
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.system(),
        "kernel": platform.release(),
        "gradest": __version__,
    }


def libraries(backend: Backend) -> dict[str, Any]:
    """Return what one worker runs on: Python, versions, thread pools and their BLAS kernels, pinned variables."""
    # of libraries that are loaded: the backend comes as an argument, and its framework is imported by now
    pools = [{field: pool.get(field) for field in _POOL_FIELDS if field in pool} for pool in threadpool_info()]
    return {
        "gradest": __version__,
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "versions": backend.versions(),
        "devices": list(backend.devices()),
        "pools": pools,
        "variables": {name: os.environ[name] for name in _RECORDED_VARIABLES if os.environ.get(name)},
        "warnings": blas_warnings(pools, has_avx512="avx512f" in _cpu_field("flags").split()),
    }


def blas_warnings(pools: list[dict[str, Any]], *, has_avx512: bool) -> list[str]:
    """Return a sentence for every OpenBLAS that runs narrower kernels than the processor has."""
    return [
        f"{pool.get('prefix')} {pool.get('version')} runs {pool['architecture']} kernels on a processor with AVX-512, "
        "at about half of its speed in float32; OPENBLAS_CORETYPE=SKYLAKEX in the environment changes that"
        for pool in pools
        if has_avx512
        and pool.get("internal_api") == "openblas"
        and str(pool.get("architecture", "")).lower() not in _AVX512_KERNELS
    ]


def _cpu_field(name: str) -> str:
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return ""
    found = re.search(rf"^{name}\s*:\s*(.*)$", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    return found.group(1) if found else ""
