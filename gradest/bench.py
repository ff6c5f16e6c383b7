"""The way from the library to the results of its harness: `gradest.bench.load(DIR)`.

The harness lies above the core, which imports nothing of it: it is looked up when it is asked for.
"""

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from gradest.errors import MissingDependencyError


def load(folder: str | os.PathLike[str]) -> Any:
    """Return the run that `gradest bench run` kept in a folder, a `gradest_bench.results.loading.Run`.

    `run.rows()` yields one dict a cell, `run.frame()` the same as a pandas data frame.

    Raises
    ------
    GradestError
        The folder holds no run, or one that cannot be read.
    """
    # By its name, here and below: an import of what lies above the core would be a circle.
    return importlib.import_module("gradest_bench").load(folder)


def frame(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return rows as a pandas data frame.

    Raises
    ------
    MissingDependencyError
        pandas is not installed.
    """
    return importlib.import_module("gradest_bench").frame(rows)


def draw_training(runs: Mapping[str, Sequence[Mapping[str, Any]]], path: str | os.PathLike[str] | None = None) -> Any:
    """Return a Matplotlib figure of runs of training, each the rows of its log; write it where a path is given.

    Raises
    ------
    MissingDependencyError
        Matplotlib is not installed.
    """
    return importlib.import_module("gradest_bench").draw_training(runs, path)


def progress_bar() -> AbstractContextManager[Callable[[str, int, int], None]]:
    """Return a progress bar to be used in a `with` statement, for `progress=` of `gradest.compare`.

    In a notebook it is a bar below the cell, in a terminal one in its last line; elsewhere it is a few lines, one for
    each twentieth of the work. It goes to the error stream, or leaves no trace.

    Raises
    ------
    MissingDependencyError
        A package of the harness is not installed.

    Examples
    --------
    >>> import gradest
    >>> with gradest.bench.progress_bar() as progress:
    ...     found = gradest.compare(
    ...         gradest.get_problem("quadratic"), estimators=["reverse"], backends=["numpy"], progress=progress,
    ...         budget_seconds=0.01,
    ...     )
    >>> len(found)
    2
    """
    try:
        found: AbstractContextManager[Callable[[str, int, int], None]] = importlib.import_module(
            "gradest_bench"
        ).progress_bar()
    except ImportError as error:
        raise MissingDependencyError(
            f"a progress bar needs the packages of the harness, of which {error.name!r} is not installed; "
            f"install it with: pip install {error.name}"
        ) from error
    return found
