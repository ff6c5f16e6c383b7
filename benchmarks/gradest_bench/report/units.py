"""Writes durations and sizes for people, in the same words everywhere: terminal tables, figures and the page."""

DISTURBED = "~"
"""Stands behind a time during which the machine was doing something else."""
DISTURBED_LABEL = "machine disturbed"
DISTURBED_MEANS = "the machine was doing something else during this time: measure again before relying on it"


def mark(*, disturbed: bool) -> str:
    """Return what stands behind a number that comes from a time: nothing, or the mark of a disturbed one."""
    return DISTURBED if disturbed else ""


def seconds(value: float, *, disturbed: bool = False) -> str:
    """Return a duration in the unit that suits it, marked where the machine was disturbed."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}{mark(disturbed=disturbed)}"
    return f"{value / 1e-9:.3g} ns{mark(disturbed=disturbed)}"


def bytes_text(count: float) -> str:
    """Return a number of bytes in the unit that suits it."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:g} B"
