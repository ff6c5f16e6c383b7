"""Makes every figure for which the records of a run hold the data.

This module draws nothing.
"""

from collections.abc import Callable, Iterable, Sequence

from gradest_bench.report.figure import Figure, alike
from gradest_bench.report.figures_accuracy import es_scaling, step_curves
from gradest_bench.report.figures_cost import cost_curves, frontiers
from gradest_bench.report.figures_problems import block_errors, errors_by_problem
from gradest_bench.report.figures_training import training_curves
from gradest_bench.results.loading import Run
from gradest_bench.results.records import Record

_MAKERS: tuple[Callable[[Sequence[Record]], Iterable[Figure]], ...] = (
    step_curves,
    es_scaling,
    cost_curves,
    frontiers,
    errors_by_problem,
    block_errors,
    training_curves,
)


def figures_of(run: Run) -> list[Figure]:
    """Return every figure that the measured cells of a run make, with unique keys, and alike in colours and shapes."""
    return alike(figure for make in _MAKERS for figure in make(run.measured))
