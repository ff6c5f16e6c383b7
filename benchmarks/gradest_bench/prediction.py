"""What theory predicts for an estimator on one objective, beside what was measured there.

This module knows no file and no process.
"""

from collections.abc import Callable, Iterable
from typing import Any

from gradest.estimator import Estimator
from gradest.objective import Objective
from gradest.reference import Reference


def predicted_accuracy(
    estimator: Estimator, objective: Objective, reference: Reference, replicates: Callable[[], Iterable[Any]]
) -> dict[str, Any]:
    """Return the parts of an accuracy record that theory adds; none where it has no formula."""
    return {}
