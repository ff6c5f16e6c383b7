"""How long a suite takes: what its author states, and what its own budget says that cannot be undercut.

This module knows no result and no worker.
"""

from collections.abc import Iterable

from gradest.errors import InvalidInputError
from gradest_bench.suite.cells import Cell, expand
from gradest_bench.suite.schema import Suite


def least_seconds(cells: Iterable[Cell]) -> float:
    """Return what a suite asks to be timed for, in sum: no run of its cells is shorter.

    Examples
    --------
    >>> from gradest_bench.suite.cells import expand
    >>> from gradest_bench.suite.duration import least_seconds
    >>> from gradest_bench.suite.schema import parse_suite, suite_text
    >>> round(least_seconds(expand(parse_suite(suite_text("quick")))), 3)
    7.2
    """
    return sum(cell.budget.starts * cell.budget.minimum_seconds for cell in cells if "time" in cell.measure)


def most_seconds(cells: Iterable[Cell]) -> float:
    """Return the sum of the limits of time: a run is longer only by what starts its workers.

    Examples
    --------
    >>> from gradest_bench.suite.cells import expand
    >>> from gradest_bench.suite.duration import most_seconds
    >>> from gradest_bench.suite.schema import parse_suite, suite_text
    >>> most_seconds(expand(parse_suite(suite_text("quick"))))
    2880.0
    """
    # the limit holds for each start of the workers; what has no times has one start
    return sum((cell.budget.starts if "time" in cell.measure else 1) * cell.budget.timeout_seconds for cell in cells)


def require_possible(suite: Suite) -> None:
    """Refuse a suite that states less time than it asks to be timed for, or more than its limits allow.

    Raises
    ------
    InvalidInputError
        The message has both times.

    Examples
    --------
    >>> from gradest_bench.suite.duration import require_possible
    >>> from gradest_bench.suite.schema import parse_suite, suite_text
    >>> require_possible(parse_suite(suite_text("quick")))
    """
    if suite.expected_minutes is None:
        return
    cells = expand(suite)
    least, most = least_seconds(cells) / 60, most_seconds(cells) / 60
    if not least <= suite.expected_minutes <= most:
        raise InvalidInputError(
            f"suite {suite.name!r}: expected_minutes: {suite.expected_minutes:g} was stated; its budget asks for at "
            f"least {least:.3g} of timing and ends each cell after {most:.3g} in all; state what a run took"
        )
