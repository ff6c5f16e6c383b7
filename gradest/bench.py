"""The way from the library to the results of its harness: `gradest.bench.load(DIR)`.

The harness lies above the core, which imports nothing of it: it is looked up when it is asked for.
"""

import importlib
import os
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
