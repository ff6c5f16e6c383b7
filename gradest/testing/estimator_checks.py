"""Checks of an estimator, ours or a plug-in's, through the public contract alone; each check says what it means."""

from collections.abc import Callable, Sequence

from gradest.errors import UnsupportedError, unknown_name
from gradest.estimator import Estimator
from gradest.real_numbers import real_number
from gradest.testing import (
    accuracy_checks,
    block_checks,
    contract_checks,
    enumeration_checks,
    expectation_checks,
    invariance_checks,
    number_checks,
    rng_checks,
    state_checks,
)
from gradest.testing.results import CheckResult, not_applicable, raised
from gradest.testing.subject import Subject, named_backends

CHECKS: dict[str, Callable[[Subject], CheckResult]] = {
    "configuration": contract_checks.check_configuration,
    "result": contract_checks.check_result,
    "value": contract_checks.check_value,
    "cost": contract_checks.check_cost,
    "inputs": contract_checks.check_inputs,
    "fresh results": contract_checks.check_fresh_results,
    "preparation": contract_checks.check_preparation,
    "state": state_checks.check_state,
    "non-finite": contract_checks.check_non_finite,
    "rng": rng_checks.check_rng,
    "seeds": rng_checks.check_seeds,
    "streams": rng_checks.check_streams,
    "resolution": rng_checks.check_resolution,
    "distinct directions": rng_checks.check_distinct_directions,
    "pairs": rng_checks.check_pairs,
    "blocks": block_checks.check_blocks,
    "chunks": invariance_checks.check_chunks,
    "workers": invariance_checks.check_workers,
    "backends": invariance_checks.check_backends,
    "offset": invariance_checks.check_offset,
    "accuracy": accuracy_checks.check_accuracy,
    "order": accuracy_checks.check_order,
    "enumeration": enumeration_checks.check_enumeration,
    "direction": expectation_checks.check_direction,
    "unbiasedness": expectation_checks.check_unbiasedness,
    "covariance": expectation_checks.check_covariance,
    "scale": expectation_checks.check_scale,
    "variance": expectation_checks.check_variance,
    "own number": number_checks.check_own_number,
    "smoothing": expectation_checks.check_smoothing,
    "independence": expectation_checks.check_independence,
}
"""Every check of an estimator by name, in the order in which they are made."""

STATISTICAL = ("unbiasedness", "covariance", "scale", "variance", "own number", "smoothing", "independence")
"""The checks that can fail by chance; they share the false-alarm probability equally (Bonferroni)."""


def check_estimator(
    estimator: Estimator,
    *,
    backends: Sequence[str] = ("numpy",),
    false_alarm: float = 1e-6,
    seed: int = 0,
    checks: Sequence[str] | None = None,
) -> list[CheckResult]:
    """Check one estimator in every way that applies to it, and return the results; its faults are results, not errors.

    Parameters
    ----------
    backends
        Where it is run; statistical checks use the first, and the others must agree with it.
    false_alarm
        The probability that a faultless estimator fails any check, over the choice of `seed`. It holds in the limit
        of many replicates; see `gradest.testing.statistics` for how far that is.
    seed
        Of every estimate; the same seed gives the same results.
    checks
        Names of `CHECKS`; all by default.

    Raises
    ------
    UnknownNameError
        There is no check, or no backend, of a name.
    MissingDependencyError
        A backend's framework is not installed.
    InvalidInputError, InvalidTypeError
        `backends` are one string or none, or `false_alarm` is no probability.

    Examples
    --------
    >>> import gradest
    >>> from gradest.testing import check_estimator
    >>> results = check_estimator(gradest.get_estimator("fd-central"), checks=["cost", "inputs"])
    >>> [(result.name, result.passed) for result in results]
    [('cost', True), ('inputs', True)]
    """
    chosen = tuple(CHECKS) if checks is None else tuple(checks)
    for name in chosen:
        if name not in CHECKS:
            raise unknown_name("check", name, CHECKS)
    real_number("false_alarm", false_alarm, "(0, 1)", example=1e-6)
    # Divided among all statistical checks, made or not: one that is asked for alone keeps its bound.
    subject = Subject(estimator, named_backends(backends), seed, false_alarm / len(STATISTICAL))
    return [_carry_out(name, subject) for name in chosen]


def _carry_out(name: str, subject: Subject) -> CheckResult:
    try:
        return CHECKS[name](subject)
    except UnsupportedError as error:
        return not_applicable(name, str(error))
    except Exception as error:  # noqa: BLE001 - an estimator may raise anything; it is a finding, and is reported
        return CheckResult(name, False, raised(error))
