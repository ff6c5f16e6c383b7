"""Finite-difference rules (stencils), as weighted sums of difference quotients at multiples of one step.

Every central rule, Richardson's included, is a sum of central quotients; one-sided rules have a single quotient from
the point itself. Quotients rather than single losses are weighed because each has an error of its own: a quotient of
losses that are near each other loses little to rounding, whatever the loss's size. Weights are exact fractions, so
that a sum of weights which should be 1 is. This module evaluates nothing.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from gradest.theory import central_coefficients
from gradest.whole_numbers import whole_number


@dataclass(frozen=True)
class QuotientRule:
    """A finite-difference rule: `f'(x) ~ sum_j weights[j] D(multiples[j] h)`, with D a difference quotient.

    `D(h)` is `(f(x + h e) - f(x - h e)) / 2h` where `side` is 0, else `(f(x + side h e) - f(x)) / (side h)`.
    `lower` are the weights of a rule two orders lower on the same quotients: the distance of the two tells the
    lower one's truncation error. `share` is what part of that distance is the error of the rule itself, where it is
    known: with a `lower` of the same order over a longer step.
    """

    side: int
    multiples: tuple[float, ...]
    weights: tuple[Fraction, ...]
    lower: tuple[Fraction, ...] | None = None
    share: float | None = None

    @property
    def order(self) -> int:
        """The power of the step in the truncation error."""
        return 1 if self.side else 2 * sum(1 for w in self.weights if w)

    @property
    def remainder(self) -> float:
        """R in the truncation error `R / (p + 1)! |f^(p+1)| h^p`: the first Taylor term that the weights do not cancel.

        Without the factorial, which of Richardson's rules of 29 levels and more would leave zero.
        """
        if self.side:
            return 1.0
        terms = (w * Fraction(m) ** self.order for w, m in zip(self.weights, self.multiples, strict=True))
        return float(abs(sum(terms, Fraction())))

    @property
    def amplification(self) -> float:
        """A in `A e / h`, the rounding error for an error of at most e in each evaluation."""
        # A central quotient is two evaluations over two steps; a one-sided one is two over one step.
        terms = (abs(w) / Fraction(m) for w, m in zip(self.weights, self.multiples, strict=True))
        return float(sum(terms, Fraction())) * (2.0 if self.side else 1.0)

    @property
    def evaluations(self) -> int:
        """How many displaced losses a coordinate takes."""
        return len(self.multiples) * (1 if self.side else 2)


MOST_QUOTIENTS = 32
"""How many central quotients a rule has at most: long before, each further one adds more rounding than it saves."""


def central_rule(order: int) -> QuotientRule:
    """Return the central rule of an even order 2k as a weighted sum of k central quotients.

    Raises
    ------
    InvalidInputError
        The order is not even and positive, or more than twice `MOST_QUOTIENTS`.
    """
    order = whole_number("order", order, most=2 * MOST_QUOTIENTS)

    def weights(order: int) -> tuple[Any, ...]:
        # Fornberg's weights are of losses; w_j (f_j - f_-j) / h is 2 j w_j times the quotient over the distance 2 j h.
        return tuple(2 * j * w for j, w in central_coefficients(order).items() if j > 0)

    best = weights(order)
    multiples = tuple(float(j) for j in range(1, len(best) + 1))
    lower = (*weights(order - 2), type(best[0])(0)) if order > 2 else None
    return QuotientRule(0, multiples, best, lower)


ONE_SIDED = {
    scheme: QuotientRule(side, (1.0,), central_rule(2).weights) for scheme, side in (("forward", 1), ("backward", -1))
}


LONGER = 4.25
"""How many times as long the step is that a rule without a lower one is held against: no multiple of a period."""

_CAUTION = 4.0  # times what the leading term of the series makes of the distance


def with_error(rule: QuotientRule) -> QuotientRule:
    """Return a rule of one quotient with another beside it, over a longer step, that tells its truncation error.

    `D(L h) - D(h) ~ (L^p - 1) C h^p` for order p. The estimate stays that of the short step.
    """
    if rule.lower is not None:
        return rule
    zero, one = Fraction(0), Fraction(1)
    share = _CAUTION / (LONGER**rule.order - 1)
    return QuotientRule(rule.side, (1.0, LONGER), (one, zero), (zero, one), share)


def richardson_rule(levels: int) -> QuotientRule:
    """Return Richardson's extrapolation of `levels` central quotients, each at half the step of the one before.

    Halves, and not other fractions, because a step halved is exact in binary.

    Raises
    ------
    InvalidInputError
        There are fewer than two levels, or more than `MOST_QUOTIENTS`.
    """
    levels = whole_number("levels", levels, least=2, most=MOST_QUOTIENTS)
    multiples = tuple(0.5**level for level in range(levels))
    lower = (Fraction(0), *_extrapolation(multiples[1:]))
    return QuotientRule(0, multiples, _extrapolation(multiples), lower)


def _extrapolation(multiples: tuple[float, ...]) -> tuple[Fraction, ...]:
    """Return Lagrange's weights at zero for a polynomial in the squared step: central errors are even in it."""
    squares = [Fraction(m) ** 2 for m in multiples]
    return tuple(math.prod((y / (y - x) for y in squares if y != x), start=Fraction(1)) for x in squares)
