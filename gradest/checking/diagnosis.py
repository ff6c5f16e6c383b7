"""What is probably wrong with a gradient, read off a block of it beside what the block should be."""

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from gradest.lengths import norm_of, unit_of
from gradest.operations import NumpyArray

TRANSPOSED = "a transposed block"

_FITS = 0.02
"""How much of the block an explanation may leave unexplained, relative to the block's length."""


def likely_cause(
    claimed: NumpyArray,
    right: NumpyArray,
    params: NumpyArray,
    shape: tuple[int, ...],
    *,
    tolerance: float,
    others: Mapping[str, NumpyArray],
    unit: float = 1.0,
) -> str:
    """Return the likeliest cause of a difference between a claimed block and the right one, in words.

    Parameters
    ----------
    claimed, right, params
        The block's entries, flat and of one length: all of them, or those that were looked at.
    shape
        Of the whole block: a transposition can be told only where all entries are there.
    tolerance
        Relative error of `right`.
    others
        The right values of the other blocks by name, for a gradient that is in the wrong place.
    unit
        What all of these are told in, but the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest.checking.diagnosis import likely_cause
    >>> right = np.array([1.0, -2.0, 3.0])
    >>> likely_cause(-right, right, np.ones(3), (3,), tolerance=1e-6, others={})
    'a wrong sign'
    >>> likely_cause(2 * right, right, np.ones(3), (3,), tolerance=1e-6, others={})
    'a factor of 2'
    """
    size = norm_of(right)
    difference = claimed - right
    length = norm_of(difference)
    # Never above 0.3 of the difference itself: every explanation would fit a gradient that is nearly right.
    within = min(max(_FITS * length, 4 * tolerance * size), 0.3 * length)

    def fits(candidate: NumpyArray) -> bool:
        return candidate.shape == claimed.shape and norm_of(claimed - candidate) <= within

    if not claimed.any():
        return "no gradient at all: every entry is zero (a detached or forgotten block)"
    if not right.any():
        return "a gradient where the loss does not depend on these parameters"
    if fits(-right):
        return "a wrong sign"
    # The factor of least squares: a wrong sign is told above, as -1 would be named a factor too.
    factor = float(claimed @ right) / size**2
    if fits(factor * right):
        return f"a factor of {_named(factor)}"
    moved = list(others.items())
    found = next((told for told, block in [*_turned(right, shape), *moved] if fits(block)), None)
    if found is not None:
        return found if found == TRANSPOSED else f"the gradient of {found!r} in the place of this one"
    scale = unit_of(params)  # squares of parameters may be out of range
    sized = params / scale
    weight = float(difference @ sized) / max(float(sized @ sized), float(np.finfo(float).tiny))
    if norm_of(difference - weight * sized) <= within and weight:
        kind = "a missing term" if weight < 0 else "a term too many"
        return f"{kind}: {abs(weight) * unit / scale:.3g} times the parameters (weight decay?)"
    return _of_values(claimed, right, within) or _of_entries(difference, claimed, right, unit)


def _turned(right: NumpyArray, shape: tuple[int, ...]) -> list[tuple[str, NumpyArray]]:
    """Return what a block is when it is transposed, or read in the wrong order, with either sign; none for vectors."""
    if len(shape) < 2 or right.size != math.prod(shape):
        return []
    turned = (right.reshape(shape).T.ravel(), right.reshape(shape[::-1]).T.ravel())
    return [(TRANSPOSED, sign * block) for block in turned for sign in (1.0, -1.0)]


def _of_entries(difference: NumpyArray, claimed: NumpyArray, right: NumpyArray, unit: float) -> str:
    """Return what the sizes of the entries' errors show."""
    if right.size > 1 and float(np.ptp(difference)) <= _FITS * float(np.abs(difference).max()):
        return f"a constant {float(difference.mean()) * unit:.3g} added to every entry"
    # A twentieth of the worst: rounding in the others is not counted as wrong.
    wrong = np.abs(difference) > 0.05 * np.abs(difference).max()
    if wrong.sum() <= max(1, right.size // 4):
        zeros = bool(np.all(claimed[wrong] == 0))
        return f"{int(wrong.sum())} of {right.size} entries" + (" left at zero" if zeros else ": an index or a slice")
    relative = norm_of(difference) / norm_of(right)
    if relative < 1e-2:
        return f"precision: all entries are off by about {relative:.1g}, as of a coarser dtype or a difference quotient"
    return "a missing or wrong term"


def _of_values(claimed: NumpyArray, right: NumpyArray, within: float) -> str:
    """Return whether the right numbers are there, in other places or with other signs; "" where they are not."""
    if norm_of(np.sort(claimed) - np.sort(right)) <= within:
        return "the right entries in another order: swapped, reversed or reshaped"
    if norm_of(np.abs(claimed) - np.abs(right)) <= within:
        return f"a wrong sign of {int((claimed * right < 0).sum())} of {right.size} entries"
    return ""


def _named(factor: float) -> str:
    if abs(factor - 1.0) < 1e-3:  # not "1": what is wrong would be rounded away
        return f"1 {'+' if factor > 1.0 else '-'} {abs(factor - 1.0):.2g}"
    near = Fraction(factor).limit_denominator(512)
    small, large = sorted((abs(near.numerator), near.denominator))
    # Counts that a formula has: of all numbers one in a thousand is near some fraction, such as 296/499.
    counts = small <= 2 or large - small == 1 or large <= 16
    return str(near) if near and counts and abs(float(near) / factor - 1) < 1e-3 else f"{factor:.4g}"
