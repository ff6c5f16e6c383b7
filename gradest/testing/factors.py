"""Guesses at what makes a wrong scale: the factors that gradient estimators usually forget, by their numbers."""

import math
from collections.abc import Callable, Iterator

from gradest.testing.block_checks import correlated_blocks
from gradest.testing.known_problems import Cubic
from gradest.testing.subject import Subject

_TOLERANCE = 0.02


def explain_factor(
    found: float,
    uncertainty: float,
    subject: Subject,
    *,
    sigma: float | None = None,
    scale_with: Callable[[int], tuple[float, float]] | None = None,
) -> str:
    """Return what a scale of `found` in place of 1 suggests, as the end of a sentence; empty where nothing fits.

    Parameters
    ----------
    scale_with
        From a number of directions to the scale found with so many, and its uncertainty. A factor that depends on their
        number is named only where it is right for two of them: one alone may fit by chance.
    """
    if not math.isfinite(found) or abs(found - 1) <= max(uncertainty, _TOLERANCE):
        return ""
    shared = correlated_blocks(subject)
    if shared is not None and shared.is_one_noise:
        return f"; blocks such as {shared.names[0]!r} and {shared.names[1]!r} are moved by the same noise"
    number = subject.with_few_samples().__dict__.get("num_samples")
    known = number if isinstance(number, int) and number > 1 else None
    for factor, meaning in _factors(sigma):
        if _fits(found, uncertainty, factor):
            return f"; {meaning}"
    counted = () if known is None else _COUNTED
    for factor_of, meaning in counted:
        assert known is not None
        if _fits(found, uncertainty, factor_of(known)) and _holds_elsewhere(factor_of, scale_with):
            return f"; {meaning}"
    for factor, meaning in _sizes():
        if _fits(found, uncertainty, factor):
            return f"; {meaning}"
    return ""


_ANOTHER_NUMBER = 2
"""With two directions (N - 1) / N, N and 1 / N are furthest from each other, and from what does not depend on N."""


def _fits(found: float, uncertainty: float, factor: float) -> bool:
    return abs(found - factor) <= max(uncertainty, _TOLERANCE * abs(factor))


def _holds_elsewhere(
    factor_of: Callable[[int], float], scale_with: Callable[[int], tuple[float, float]] | None
) -> bool:
    return scale_with is None or _fits(*scale_with(_ANOTHER_NUMBER), factor_of(_ANOTHER_NUMBER))


def _factors(sigma: float | None) -> Iterator[tuple[float, str]]:
    """Yield factors that depend on sigma alone and their usual causes, the commoner ones first."""
    yield 0.0, "the estimate is zero"
    yield -1.0, "the sign is wrong"
    if sigma is not None:
        yield sigma, "a division by sigma is missing"
        yield sigma**2, "two divisions by sigma are missing, or one multiplication is too many"
        yield 1 / sigma, "it divides by sigma once too often"
        yield 1 / sigma**2, "it divides by sigma^3 in place of sigma"


_COUNTED: tuple[tuple[Callable[[int], float], str], ...] = (
    (lambda n: (n - 1) / n, "it divides by N where the baseline asks for N - 1"),
    (lambda n: n / (n - 1), "it divides by N - 1 in place of N"),
    (float, "the division by N is missing"),
    (lambda n: 1 / n, "it divides by N once too often"),
)
"""Factors that depend on the number of directions, and their causes."""


def _sizes() -> Iterator[tuple[float, str]]:
    """Yield the factors that are left, of halves and of the number of parameters."""
    size = Cubic().layout.num_parameters
    yield 2.0, "a factor 1/2 is missing: central differences divide by 2 sigma (or 2 h)"
    yield 0.5, "a factor 2 is missing: pairs are counted as samples, or a one-sided difference divided by 2"
    yield 1 / size, "directions of length 1 in place of sqrt(P): a factor P is missing"
    yield 1 / math.sqrt(size), "a factor sqrt(P) is missing"
    yield float(size), "a factor P is too much: directions of length P in place of sqrt(P)?"
    yield math.sqrt(size), "a factor sqrt(P) is too much"
