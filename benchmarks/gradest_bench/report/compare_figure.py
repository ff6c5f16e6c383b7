"""Makes the figures of a comparison of estimators: error against cost, one for each dtype, for any drawer."""

from collections.abc import Sequence

from gradest.measurement.comparison import CellResult
from gradest_bench.report.figure import Axis, Figure, Point, Series
from gradest_bench.report.units import DISTURBED_LABEL, seconds

TITLE = "Which gradient, how right, at what cost: lower left is better"


def comparison_figures(results: Sequence[CellResult]) -> list[Figure]:
    """Return a figure for each dtype: a mark for each cell that ran, coloured by estimator, shaped by backend.

    An error below the reference's own uncertainty is drawn there: nothing smaller can be told.
    """
    # a cell without a time has no place along the axis of costs
    shown = [result for result in results if result.timing is not None and result.accuracy is not None]
    names = dict.fromkeys(result.cell.estimator for result in shown)
    backends = dict.fromkeys(result.cell.backend for result in shown)
    figures = []
    for dtype in dict.fromkeys(result.cell.dtype for result in shown):
        series = (
            Series(name, backend, points, style="marks")
            for name in names
            for backend in backends
            if (points := tuple(_point(r) for r in shown if _cell(r) == (name, backend, dtype)))
        )
        figures.append(
            Figure(
                key=f"compare-{dtype}",
                title=dtype,
                sentence=TITLE,
                x=Axis("time for one gradient, ms"),
                y=Axis("relative L2 error"),
                series=tuple(series),
                pale_means=DISTURBED_LABEL,
            )
        )
    return figures


def _cell(result: CellResult) -> tuple[str, str, str]:
    return result.cell.estimator, result.cell.backend, result.cell.dtype


def _point(result: CellResult) -> Point:
    timing = result.timing
    assert timing is not None  # as for all that are shown
    assert timing.median_seconds is not None
    error = result.relative_error
    taken = seconds(timing.median_seconds, disturbed=timing.disturbed)
    tip = f"{result.cell.estimator} on {result.cell.backend}: {error:.1e}, {taken}"
    return Point(timing.median_seconds * 1e3, error, tip, pale=timing.disturbed)
