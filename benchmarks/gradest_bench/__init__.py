"""The benchmark harness of gradest: sweeps, worker processes, results, reports and the command line."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradest_bench.command.progress_bar import progress_bar
    from gradest_bench.report.training_figure import draw_training
    from gradest_bench.results.loading import Run, load
    from gradest_bench.results.tables import frame

_PLACES = {
    "Run": "gradest_bench.results.loading",
    "draw_training": "gradest_bench.report.training_figure",
    "frame": "gradest_bench.results.tables",
    "load": "gradest_bench.results.loading",
    "progress_bar": "gradest_bench.command.progress_bar",
}

__all__ = ["Run", "draw_training", "frame", "load", "progress_bar"]


def __getattr__(name: str) -> Any:
    """Import what reads results when it is first asked for: workers import this package and need none of it."""
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
