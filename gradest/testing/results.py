"""The result of a check: a figure beside its bound, and the same in words. This module knows no check."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gradest.errors import GradestError


class CheckFailedError(GradestError, AssertionError):
    """A check failed; the message has one line for each that did."""


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Attributes
    ----------
    name
        What was checked, such as "scale".
    passed
        Whether the figure keeps its bound; a NaN does not.
    detail
        What was found, what was expected, and what the difference suggests.
    figure, bound
        The number that was judged and the largest one allowed; NaN for checks without a number.
    false_alarm
        The probability that a faultless subject fails this check; 0 for a check that is not statistical.
    applies
        Whether the check could be made; where not, `detail` says why and `passed` is true.

    Examples
    --------
    >>> from gradest.testing import CheckResult
    >>> result = CheckResult("cost", True, "8 values")
    >>> result.name, result.passed
    ('cost', True)
    """

    name: str
    passed: bool
    detail: str
    figure: float = math.nan
    bound: float = math.nan
    false_alarm: float = 0.0
    applies: bool = True

    def __str__(self) -> str:
        word = ("passed" if self.passed else "FAILED") if self.applies else "does not apply"
        return f"{self.name}: {word}: {self.detail}"


def worse(found: float, before: float) -> bool:
    """Return whether an error is worse than the worst before it; NaN is worse than any number, and nothing than NaN.

    Examples
    --------
    >>> from gradest.testing.results import worse
    >>> nan = float("nan")
    >>> worse(2.0, 1.0), worse(nan, 1.0), worse(2.0, nan)
    (True, True, False)
    """
    return not (found <= before or math.isnan(before))


def judged(name: str, figure: float, bound: float, detail: str, *, false_alarm: float = 0.0) -> CheckResult:
    """Return the result of a check that passes where `figure <= bound`."""
    return CheckResult(name, bool(figure <= bound), detail, float(figure), float(bound), false_alarm)


def claimed(name: str, faults: Iterable[str], fine: str) -> CheckResult:
    """Return the result of a check that passes where no fault was found; `fine` says what was found then."""
    found = tuple(faults)
    return CheckResult(name, not found, "; ".join(found) or fine, float(len(found)), 0.0)


def not_applicable(name: str, why: str) -> CheckResult:
    """Return the result of a check that could not be made."""
    return CheckResult(name, True, why, applies=False)


def raise_on_failure(results: Iterable[CheckResult]) -> None:
    """Raise where a check failed.

    Raises
    ------
    CheckFailedError
        It is an AssertionError, so that test runners count it as a failure.

    Examples
    --------
    >>> from gradest.testing import CheckFailedError, CheckResult, raise_on_failure
    >>> raise_on_failure([CheckResult("cost", True, "8 values")])
    >>> try:
    ...     raise_on_failure([CheckResult("cost", False, "counted 9 values, declared 8")])
    ... except CheckFailedError as error:
    ...     print("refused:", "counted 9 values" in str(error))
    refused: True
    """
    failed = [str(result) for result in results if not result.passed]
    if failed:
        raise CheckFailedError("\n".join((f"{len(failed)} checks failed:", *failed)))
