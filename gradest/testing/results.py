"""The result of a check: a figure beside its bound, and the same in words. This module knows no check."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gradest.errors import GradestError
from gradest.importing import users_line

_LISTED = 8
"""More of what is beyond a bound is counted, not listed."""


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
        Whether the check could be made; where not, `detail` says why and what would make it apply, and `passed` is
        true.
    inconclusive
        Whether it was made and sees too little to say anything; `passed` is false then, and nothing is known to be
        wrong.

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
    inconclusive: bool = False

    @property
    def failed(self) -> bool:
        """Whether something is wrong: neither passed nor inconclusive."""
        return not self.passed and not self.inconclusive

    def __str__(self) -> str:
        found = "passed" if self.passed else "inconclusive" if self.inconclusive else "FAILED"
        return f"{self.name}: {found if self.applies else 'does not apply'}: {self.detail}"


def worse(found: float, before: float) -> bool:
    """Return whether an error is worse than the worst before it; NaN is worse than any number, and nothing than NaN.

    Examples
    --------
    >>> from gradest.testing.results import worse
    >>> nan = float("nan")
    >>> worse(2.0, 1.0), worse(nan, 1.0), worse(2.0, nan)
    (True, True, False)
    """
    # As not <=, since every comparison with NaN is false: > would let a NaN pass for better.
    return not (found <= before or math.isnan(before))


def judged(name: str, figure: float, bound: float, detail: str, *, false_alarm: float = 0.0) -> CheckResult:
    """Return the result of a check that passes where `figure <= bound`."""
    return CheckResult(name, bool(figure <= bound), detail, float(figure), float(bound), false_alarm)


def resolved(result: CheckResult, resolution: float, limit: float, advice: str) -> CheckResult:
    """Return a result, inconclusive where it passed and could not have seen a fault of size `limit`.

    Examples
    --------
    >>> from gradest.testing.results import judged, resolved
    >>> loose = judged("scale", 0.1, 0.68, "found 0.9 +- 0.13")
    >>> found = resolved(loose, 0.68, 0.35, "take more directions")
    >>> found.passed, found.failed, found.inconclusive
    (False, False, True)
    """
    if not result.passed or resolution <= limit:
        return result
    said = f"; it would not see a fault below {resolution:.2g}, and should see one of {limit:.2g}: {advice}"
    return replace(result, passed=False, inconclusive=True, detail=result.detail + said)


def worst_of(name: str, found: Iterable[tuple[float, str]], bound: float) -> CheckResult:
    """Return the result of a check of many figures in units of rounding, each with where; those too large are listed.

    Examples
    --------
    >>> from gradest.testing.results import worst_of
    >>> print(worst_of("operations", [(1.0, "exp"), (90.0, "tanh"), (70.0, "log")], 32))
    operations: FAILED: 90 units of rounding: tanh; 70 units of rounding: log
    """
    # NaN has no order, and would leave the others unsorted around it.
    ordered = sorted(found, key=lambda each: math.inf if math.isnan(each[0]) else each[0], reverse=True)
    beyond = [(figure, where) for figure, where in ordered if not figure <= bound]
    listed = "; ".join(f"{figure:.3g} units of rounding: {where}" for figure, where in beyond[:_LISTED])
    if beyond:
        more = f"; and {len(beyond) - _LISTED} more" if len(beyond) > _LISTED else ""
        return judged(name, beyond[0][0], bound, listed + more)
    if not ordered:
        return not_applicable(name, "there is nothing to judge; in float64 or float32 there would be")
    figure, where = ordered[0]
    return judged(name, figure, bound, f"at worst {figure:.3g} units of rounding: {where}")


def claimed(name: str, faults: Iterable[str], fine: str) -> CheckResult:
    """Return the result of a check that passes where no fault was found; `fine` says what was found then."""
    found = tuple(dict.fromkeys(faults))  # told once, however many dtypes or shapes it was found in
    return CheckResult(name, not found, "; ".join(found) or fine, float(len(found)), 0.0)


DETERMINISTIC = "it is deterministic; one that draws random numbers states stochastic = True"
NO_LENGTH = (
    "its estimates are not random, or not of the gradient's length; state stochastic = True and a target of "
    "Target.GRADIENT or Target.SMOOTHED"
)
"""Why checks of random estimates, and of their length, do not apply, and what makes them apply."""


def not_applicable(name: str, why: str) -> CheckResult:
    """Return the result of a check that could not be made; `why` ends in what makes it apply, after a semicolon."""
    return CheckResult(name, True, why, applies=False)


def raise_on_failure(results: Iterable[CheckResult], *, strict: bool = False) -> None:
    """Raise where a check failed; with `strict` also where one is inconclusive.

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
    failed = [str(result) for result in results if result.failed or (strict and not result.passed)]
    if failed:
        raise CheckFailedError("\n".join((f"{len(failed)} checks failed:", *failed)))


def raised(error: BaseException) -> str:
    """Return that the subject of a check raised an error, which one, and at which line of the subject's own."""
    told, where = f"{type(error).__name__}: {error}".rstrip(": "), users_line(error)
    return f"raised {told}" + (f" ({where})" if where else "")
