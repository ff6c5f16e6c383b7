"""How worker processes are started: which interpreter, which environment variables, where their logs go.

This module starts nothing.
"""

import importlib.util
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gradest.errors import InvalidInputError
from gradest_bench.suite.cells import digest
from gradest_bench.worker.environment import THREAD_VARIABLES

_ROOTS = ("", "backends", "benchmarks")
"""The folders of a checkout that packages are imported from."""
_LONGEST_NAME = 80
_SINGLE_THREAD_XLA = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads="


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How workers are started: interpreter of each worker by name, folder of logs, threads of each library.

    `folder` is that of the suite: the files that it names are looked for there first. A worker in `checkouts` runs the
    code of that folder instead of this one's.
    """

    pythons: Mapping[str, str]
    logs: Path
    threads: int = 1
    folder: Path | None = None
    checkouts: Mapping[str, Path] = field(default_factory=dict)

    def environment(self, worker: str = "") -> dict[str, str]:
        """Return the environment variables of a worker: threads pinned before anything is imported."""
        pinned = dict.fromkeys(THREAD_VARIABLES, str(self.threads))
        checkout = self.checkouts.get(worker)
        roots = source_roots() if checkout is None else [str(checkout / name) for name in _ROOTS]
        # XLA reads no variable of threads: it is told by flags
        flags = f"{os.environ.get('XLA_FLAGS', '')} {_SINGLE_THREAD_XLA}{self.threads}".strip()
        return {
            **os.environ,
            **pinned,
            # a thread that waits by spinning takes the processor from whoever is measured beside it
            "OMP_WAIT_POLICY": "PASSIVE",
            "XLA_FLAGS": flags if self.threads == 1 else os.environ.get("XLA_FLAGS", ""),
            # first what runs this: a worker must not find another gradest that is installed
            "PYTHONPATH": os.pathsep.join([*roots, os.environ.get("PYTHONPATH", "")]).strip(os.pathsep),
            # sets of names have one order in all workers, and so has what a framework compiles from them
            "PYTHONHASHSEED": "0",
            "GRADEST_BENCH_PARENT": str(os.getpid()),
        }


def require_checkout(folder: Path) -> Path:
    """Return the whole path of a checkout of gradest, if it is one.

    Raises
    ------
    InvalidInputError
        It lacks what a worker imports.
    """
    needed = ("gradest/__init__.py", "benchmarks/gradest_bench/worker/__main__.py")
    lacking = [name for name in needed if not (folder / name).is_file()]
    if lacking:
        raise InvalidInputError(
            f"a checkout of gradest was asked for; {folder} has no {lacking[0]}; give the folder that holds setup.cfg, "
            "or the path of a Python"
        )
    return folder.resolve()


def require_interpreters(pythons: Mapping[str, str], *, option: str = "--python") -> None:
    """Refuse an interpreter that was named by an option and is no program.

    Raises
    ------
    InvalidInputError
        There is no file of that name, or it cannot be executed.
    """
    for worker, python in pythons.items():
        if shutil.which(python) is None:
            found = "a file that cannot be executed" if Path(python).exists() else "no such program"
            raise InvalidInputError(
                f"{option} asks for the interpreter {python!r} of {worker!r}; found {found}; give the path of a Python "
                "in an environment that has gradest"
            )


def log_name(worker: str) -> str:
    """Return the name of a worker's log: one for each worker, and no way out of the folder of logs."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", worker).strip(".-")[:_LONGEST_NAME]
    # "numpy:new" reads well without; "a/b:C" and "a:b:C" would have one name
    plain = bool(safe) and "-" not in worker and worker.replace(":", "-", 1) == safe
    return f"{safe}.log" if plain else f"{safe or 'worker'}-{digest(worker)[:8]}.log"


def source_roots() -> list[str]:
    """Return the folders of this checkout that workers import from; none where gradest is installed as a wheel."""
    roots = []
    for package in ("gradest", "gradest_bench", "gradest_numpy"):
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            root = Path(spec.origin).parents[1]
            # of a wheel nothing needs to be said; Debian calls the folder otherwise
            if root.name not in ("site-packages", "dist-packages"):
                roots.append(str(root))
    return list(dict.fromkeys(roots))
