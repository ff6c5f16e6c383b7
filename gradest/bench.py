"""The way from the library to the results of its harness: `gradest.bench.load(DIR)`.

The harness lies above the core, which imports nothing of it: it is looked up when it is asked for.
"""

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any


def load(folder: str | os.PathLike[str]) -> Any:
    """Return the run that `gradest bench run` kept in a folder, a `gradest_bench.results.loading.Run`.

    `run.rows()` yields one dict a cell, `run.frame()` the same as a pandas data frame.

    Raises
    ------
    GradestError
        The folder holds no run, or one that cannot be read.
    """
    return importlib.import_module("gradest_bench").load(folder)


def frame(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return rows as a pandas data frame.

    Raises
    ------
    MissingDependencyError
        pandas is not installed.
    """
    return importlib.import_module("gradest_bench").frame(rows)


def draw_training(runs: Mapping[str, Sequence[Mapping[str, Any]]], path: str | os.PathLike[str]) -> None:
    """Write the curves of runs of training, each the rows of its log, to a file whose ending says the format.

    Raises
    ------
    MissingDependencyError
        Matplotlib is not installed.
    """
    importlib.import_module("gradest_bench").draw_training(runs, path)
