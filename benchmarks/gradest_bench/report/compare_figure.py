"""The plot of a comparison: error against cost, one panel for each dtype."""

from collections.abc import Sequence
from pathlib import Path

from gradest.errors import InvalidInputError, MissingDependencyError
from gradest.measurement.compare import CellResult

_MARKERS = {"numpy": "o", "jax": "s", "torch": "^", "mxnet": "D"}


def plot_comparison(results: Sequence[CellResult], path: Path) -> None:
    """Write the plot to `path`; its ending (.png, .pdf, .svg) says the format.

    Raises
    ------
    MissingDependencyError
        Matplotlib is not installed.
    InvalidInputError
        No cell ran, so there is nothing to plot.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "the plot needs matplotlib, which is not installed; install it with: pip install 'gradest[report]'"
        ) from error
    shown = [result for result in results if result.timing is not None and result.accuracy is not None]
    if not shown:
        raise InvalidInputError("a plot was asked for; no cell ran, so there is nothing to plot")
    dtypes = list(dict.fromkeys(result.cell.dtype for result in shown))
    names = list(dict.fromkeys(result.cell.estimator for result in shown))
    figure = Figure(figsize=(5.4 * len(dtypes), 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(dtypes), sharex=True, sharey=True, squeeze=False)[0]
    for panel, dtype in zip(panels, dtypes, strict=True):
        for result in shown:
            if result.cell.dtype != dtype or result.timing is None or result.accuracy is None:
                continue
            panel.loglog(
                result.timing.median_seconds * 1e3,
                max(result.accuracy.relative_error, result.reference_uncertainty),
                _MARKERS.get(result.cell.backend, "x"),
                color=f"C{names.index(result.cell.estimator)}",
                markersize=8,
                markeredgecolor="white",
            )
        panel.set_title(dtype)
        panel.set_xlabel("time for one gradient, ms")
        panel.grid(visible=True, which="major", alpha=0.3)
    panels[0].set_ylabel("relative L2 error against the extended-precision gradient")
    for k, name in enumerate(names):
        panels[0].plot([], [], "o", color=f"C{k}", label=name)
    for backend in dict.fromkeys(result.cell.backend for result in shown):
        panels[0].plot([], [], _MARKERS.get(backend, "x"), color="0.4", label=backend)
    figure.legend(loc="outside right upper", frameon=False)
    figure.suptitle("Which gradient, how right, at what cost: lower left is better")
    figure.savefig(path, dpi=150)
