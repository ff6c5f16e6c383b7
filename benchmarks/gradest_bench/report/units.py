"""Writes durations and sizes for people, in the same words everywhere: terminal tables, figures and the page."""

import math

TICK = 1e-9
"""Seconds below which a time is told as a bound."""
_ROUNDS_UP = 0.9995
"""What is shown with three digits as one of a unit, and not as 1e+03 of the next below."""
DISTURBED = "~"
"""Stands behind a time during which the machine was doing something else."""
DISTURBED_LABEL = "machine disturbed"
DISTURBED_MEANS = "the machine was doing something else during this time: measure again before relying on it"


def mark(*, disturbed: bool) -> str:
    """Return what stands behind a number that comes from a time: nothing, or the mark of a disturbed one."""
    return DISTURBED if disturbed else ""


def seconds(value: float, *, disturbed: bool = False) -> str:
    """Return a duration in the unit that suits it, marked where the machine was disturbed; below a clock's tick, so.

    Examples
    --------
    >>> from gradest_bench.report.units import seconds
    >>> seconds(0.99996), seconds(1234.5), seconds(0.012, disturbed=True), seconds(1e-10)
    ('1 s', '1,234 s', '12 ms~', '< 1 ns')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= _ROUNDS_UP * scale:
            return f"{_three_digits(value / scale)} {unit}{mark(disturbed=disturbed)}"
    # no clock shows less than a nanosecond: a number would be one of its rounding
    return f"{'< 1' if value < TICK else f'{value / TICK:.3g}'} ns{mark(disturbed=disturbed)}"


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 * _ROUNDS_UP else f"{value:.3g}"


def counted(count: int, word: str) -> str:
    """Return a number and what it counts, in the plural unless it is one.

    Examples
    --------
    >>> from gradest_bench.report.units import counted
    >>> counted(1, "seed"), counted(12000, "cell")
    ('1 seed', '12,000 cells')
    """
    return f"{count:,} {word}{'s' * (count != 1)}"


def bytes_text(count: float) -> str:
    """Return a number of bytes in the unit that suits it."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= _ROUNDS_UP * scale:
            return f"{_three_digits(count / scale)} {unit}"
    return f"{count:g} B"


def at_most(value: float) -> str:
    """Return a number with one digit, rounded up, as a bound has to be.

    Examples
    --------
    >>> from gradest_bench.report.units import at_most
    >>> at_most(3.2e-15), at_most(9.9e-3)
    ('4e-15', '1e-02')
    """
    if not 0 < value < math.inf:
        return f"{value:.0e}"
    power = 10.0 ** math.floor(math.log10(value))
    return f"{math.ceil(round(value / power, 6)) * power:.0e}"
