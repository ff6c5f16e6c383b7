"""Guesses at what makes a wrong scale: the factors that gradient estimators usually forget, by their numbers."""

import math
from collections.abc import Iterator

from gradest.testing.known_problems import Cubic
from gradest.testing.subject import Subject

_TOLERANCE = 0.02


def explain_factor(found: float, uncertainty: float, subject: Subject, *, sigma: float | None = None) -> str:
    """Return what a scale of `found` in place of 1 suggests, as the end of a sentence; empty where nothing fits."""
    if not math.isfinite(found) or abs(found - 1) <= max(uncertainty, _TOLERANCE):
        return ""
    for factor, meaning in _factors(subject, sigma):
        if abs(found - factor) <= max(uncertainty, _TOLERANCE * abs(factor)):
            return f"; {meaning}"
    return ""


def _factors(subject: Subject, sigma: float | None) -> Iterator[tuple[float, str]]:
    """Yield factors and their usual causes, the commoner ones first."""
    yield 0.0, "the estimate is zero"
    yield -1.0, "the sign is wrong"
    if sigma is not None:
        yield sigma, "a division by sigma is missing"
        yield sigma**2, "two divisions by sigma are missing, or one multiplication is too many"
        yield 1 / sigma, "it divides by sigma once too often"
        yield 1 / sigma**2, "it divides by sigma^3 in place of sigma"
    size = Cubic().layout.num_parameters
    number = subject.with_few_samples().__dict__.get("num_samples")
    if isinstance(number, int) and number > 1:
        yield (number - 1) / number, "it divides by N where the baseline asks for N - 1"
        yield number / (number - 1), "it divides by N - 1 in place of N"
        yield float(number), "the division by N is missing"
        yield 1 / number, "it divides by N once too often"
    yield 2.0, "a factor 1/2 is missing: central differences divide by 2 sigma (or 2 h)"
    yield 0.5, "a factor 2 is missing: pairs are counted as samples, or a one-sided difference divided by 2"
    yield 1 / size, "directions of length 1 in place of sqrt(P): a factor P is missing"
    yield 1 / math.sqrt(size), "a factor sqrt(P) is missing"
    yield float(size), "a factor P is too much: directions of length P in place of sqrt(P)?"
    yield math.sqrt(size), "a factor sqrt(P) is too much"
