"""Guesses at what makes a wrong scale: the factors that gradient estimators usually forget, by their numbers.

A number alone may fit by chance: 0.8 is (N - 1) / N for five directions. A cause is named only where second signs agree
with it: that the scale changes as it says with another radius, another number of directions and another number of
parameters, as far as these can be changed.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from gradest.testing.block_checks import correlated_blocks
from gradest.testing.subject import Subject

_TOLERANCE = 0.02


@dataclass(frozen=True)
class Setting:
    """Where a scale was found: the smoothing radius and the number of directions, where there are such, and P."""

    sigma: float | None
    number: int | None
    size: int


Scale = Callable[[Setting], tuple[float, float] | None]
"""From a setting to the scale found there and its uncertainty; None where it cannot be found."""

OTHER_SIZE = 5
"""The number of parameters of the problem on which a scale is looked at a second time."""


def explain_factor(
    found: float, uncertainty: float, subject: Subject, *, at: Setting, scale_at: Scale, straight: bool = True
) -> str:
    """Return what a scale of `found` in place of 1 suggests, as the end of a sentence; empty where nothing fits.

    Parameters
    ----------
    at
        Where it was found.
    scale_at
        Finds it elsewhere, for the second signs.
    straight
        Whether the estimate is a multiple of the gradient at all: else no factor explains it.
    """
    if not math.isfinite(found) or abs(found - 1) <= max(uncertainty, _TOLERANCE):
        return ""
    # Before any factor: a scale that comes of shared noise is near one of them by chance, and its cause is another.
    shared = correlated_blocks(subject)
    if shared is not None and shared.is_one_noise:
        return f"; blocks such as {shared.names[0]!r} and {shared.names[1]!r} are moved by the same noise"
    if not straight:
        return ""
    fitting = [(factor, meaning) for factor, meaning in _factors(at) if _fits(found, uncertainty, factor, at)]
    # the scale is looked for elsewhere only where there is something to confirm, and then once for all that fit
    signs = [(other, scale_at(other)) for other in _elsewhere(at)] if fitting else []
    seen = [(other, scale) for other, scale in signs if scale is not None]
    for factor, meaning in fitting:
        if seen and all(_fits(*scale, factor, other) for other, scale in seen):
            return f"; {meaning}"
    return ""


Factor = Callable[[Setting], float]


def _fits(found: float, uncertainty: float, factor: Factor, at: Setting) -> bool:
    expected = factor(at)
    return abs(found - expected) <= max(uncertainty, _TOLERANCE * abs(expected))


def _elsewhere(at: Setting) -> Iterator[Setting]:
    """Yield settings that differ in one thing each."""
    yield replace(at, size=OTHER_SIZE)
    if at.sigma is not None:
        yield replace(at, sigma=2 * at.sigma)
    if at.number is not None:
        # with two directions (N - 1) / N, N and 1 / N are furthest from each other, and from what does not depend on N
        yield replace(at, number=5 if at.number == 2 else 2)


def _factors(at: Setting) -> Iterator[tuple[Factor, str]]:
    """Yield factors and their usual causes, the commoner ones first, as far as the setting has what they are of."""
    yield lambda _: 0.0, "the estimate is zero"
    yield lambda _: -1.0, "the sign is wrong"
    if at.sigma is not None:
        for power, meaning in _RADII:
            yield lambda s, p=power: (s.sigma or 1.0) ** p, meaning  # type: ignore[misc]  # one argument is given
    if at.number is not None and at.number > 1:
        for counted, meaning in _COUNTED:
            yield lambda s, f=counted: f(s.number or 1), meaning  # type: ignore[misc]  # as above
    yield lambda _: 2.0, "a factor 1/2 is missing: central differences divide by 2 sigma (or 2 h)"
    yield lambda _: 0.5, "a factor 2 is missing: pairs are counted as samples, or a one-sided difference divided by 2"
    for root, meaning in _SIZES:
        yield lambda s, p=root: float(s.size) ** p, meaning  # type: ignore[misc]  # as above


_RADII: tuple[tuple[int, str], ...] = (
    (1, "a division by sigma is missing"),
    (2, "two divisions by sigma are missing, or one multiplication is too many"),
    (-1, "it divides by sigma once too often"),
    (-2, "it divides by sigma^3 in place of sigma"),
)
"""Powers of the radius, and their causes."""

_COUNTED: tuple[tuple[Callable[[int], float], str], ...] = (
    (lambda n: (n - 1) / n, "it divides by N where the baseline asks for N - 1"),
    (lambda n: n / (n - 1), "it divides by N - 1 in place of N"),
    (float, "the division by N is missing"),
    (lambda n: 1 / n, "it divides by N once too often"),
)
"""Factors that depend on the number of directions, and their causes."""

_SIZES: tuple[tuple[float, str], ...] = (
    (-1.0, "directions of length 1 in place of sqrt(P): a factor P is missing"),
    (-0.5, "a factor sqrt(P) is missing"),
    (1.0, "a factor P is too much: directions of length P in place of sqrt(P)?"),
    (0.5, "a factor sqrt(P) is too much"),
)
"""Powers of the number of parameters, and their causes."""
