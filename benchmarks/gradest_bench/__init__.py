"""The benchmark harness of gradest: sweeps, worker processes, results, reports and the command line."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradest_bench.results.loading import Run, load

__all__ = ["Run", "load"]


def __getattr__(name: str) -> Any:
    """Import what reads results when it is first asked for: workers import this package and need none of it."""
    if name in __all__:
        from gradest_bench.results import loading

        return getattr(loading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
