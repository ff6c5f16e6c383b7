"""Makes every figure for which the records of a run hold the data.

This module draws nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from gradest_bench.report.figure import Figure, backends_of
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
    """Return every figure that the measured cells of a run make, with unique keys.

    A name has the same colour, and a backend the same shape, in all of them.
    """
    found: list[Figure] = []
    for make in _MAKERS:
        found.extend(make(run.measured))
    # names without marks come last: a dashed line is told by its dashes, and takes no colour from what was measured
    series = sorted((one for figure in found for one in figure.series), key=lambda one: one.style == "theory")
    palette = tuple(dict.fromkeys(one.name for one in series))
    backends = backends_of(variant for figure in found for variant in figure.variants)
    return [replace(figure, palette=palette, backends=backends) for figure in found]
