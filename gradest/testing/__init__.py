"""Checks shipped to the authors of plug-ins: plain functions that return results, without a test framework.

    from gradest.testing import check_estimator, raise_on_failure
    raise_on_failure(check_estimator(MyEstimator(num_samples=10)))

Each check goes through the public contract alone. A statistical one states its probability of a false alarm and is
seeded. This package knows no framework.
"""

from gradest.testing.backend_checks import check_backend
from gradest.testing.estimator_checks import CHECKS, STATISTICAL, check_estimator
from gradest.testing.problem_checks import check_problem
from gradest.testing.results import CheckFailedError, CheckResult, raise_on_failure

__all__ = [
    "CHECKS",
    "STATISTICAL",
    "CheckFailedError",
    "CheckResult",
    "check_backend",
    "check_estimator",
    "check_problem",
    "raise_on_failure",
]
