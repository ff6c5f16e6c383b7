"""Functions in float32 that NumPy carries out slowly: tanh without AVX-512, log1p one entry at a time.

`tanh(x + d) = 1 - 2 / (exp(2 x) exp(2 d) + 1)`: all directions share `exp(2 x)`, and the two sides `exp(2 d)`. Right
to 3e-7 absolutely beside the rounding of x + d; tanh itself is right relatively, which shows in small results alone.

`log1p(x) = 2 artanh(x / (2 + x))`, by the series of artanh where it is short. Right relatively to 3e-7.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

REACH = 20.0
"""The largest |x| and |d| for which the exponentials are used: their products are far from overflow."""

LOG1P_SERIES = ((3e-4, ()), (0.029, (3,)), (0.12, (5, 3)), (0.23, (7, 5, 3)))
"""For arguments up to a size: the divisors of the terms after the first; the first one left out is below 1e-8."""

BLOCK_ENTRIES = 32_768
"""Entries of a block: its temporaries stay in the cache."""


def tanh_both_sides(x: Float32, change: Float32, radius: float) -> Float32:
    """Return `tanh(x + radius c_k)` for the K changes and then `tanh(x - radius c_k)`: `(2 K, *x.shape)`.

    Where |x| or |d| exceeds `REACH`, or is NaN, tanh itself is called.
    """
    count, entries = len(change), x.size
    result = np.empty((2, count, entries), np.float32)
    centre, changes, twice = x.reshape(entries), change.reshape(count, entries), np.float32(2 * radius)
    near = bool(np.abs(centre).max(initial=0) <= REACH)
    growth = np.exp(2 * centre) if near else centre
    room = np.empty(min(BLOCK_ENTRIES, entries), np.float32)
    for start in range(0, entries, BLOCK_ENTRIES):
        part = slice(start, start + BLOCK_ENTRIES)
        at, step = centre[part], room[: len(centre[part])]
        for k in range(count):
            above, below = result[:, k, part]
            np.multiply(changes[k, part], twice, out=step)
            if near and step.max() <= 2 * REACH and step.min() >= -2 * REACH:
                np.exp(step, out=step)
                _tanh_of_growth(np.multiply(growth[part], step, out=above))
                _tanh_of_growth(np.divide(growth[part], step, out=below))
            else:
                step *= np.float32(0.5)
                np.tanh(np.add(at, step, out=above), out=above)
                np.tanh(np.subtract(at, step, out=below), out=below)
    return result.reshape(2 * count, *x.shape)


def _tanh_of_growth(growth: Float32) -> None:
    """Write `1 - 2 / (g + 1)` over g."""
    growth += np.float32(1)
    np.divide(np.float32(2), growth, out=growth)
    np.subtract(np.float32(1), growth, out=growth)


def log1p(x: Any) -> Any:
    """Return log(1 + x), of the array's dtype; float32 arrays near zero by a series."""
    if type(x) is not np.ndarray or x.dtype != np.float32 or x.size == 0:
        return np.log1p(x)
    reach = max(x.max(), -x.min())
    divisors = next((divisors for size, divisors in LOG1P_SERIES if reach <= size), None)
    if divisors is None:  # far from zero, or NaN, which is no smaller than anything
        return np.log1p(x)
    # Differences are mostly of small steps, whose series has one term or two: each more is two passes over memory.
    z = x + np.float32(2)
    np.divide(x, z, out=z)
    if not divisors:
        z *= np.float32(2)
        return z
    # The factor 2 of the series is part of its coefficients: a power of two rounds nothing, and saves a pass.
    square = z * z
    total = square * np.float32(2 / divisors[0])
    for divisor in divisors[1:]:
        total += np.float32(2 / divisor)
        total *= square
    total += np.float32(2)
    total *= z
    return total
