"""What a check found: a value that is true or false, prints itself and can be asserted."""

import math
from dataclasses import dataclass
from enum import StrEnum
from html import escape


class Verdict(StrEnum):
    """What can be said of a gradient."""

    RIGHT = "right"
    WRONG = "wrong"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Defect:
    """Where a gradient is wrong.

    Attributes
    ----------
    block, index
        The parameter's name and the worst entry of it.
    claimed, expected
        The two values there; `expected_by` says which method the second one is of.
    relative_size
        The block's error relative to the block's length.
    cause
        What is probably wrong, in words.
    """

    block: str
    index: tuple[int, ...]
    claimed: float
    expected: float
    expected_by: str
    relative_size: float
    cause: str


@dataclass(frozen=True)
class BlockCheck:
    """What was found of one parameter.

    Attributes
    ----------
    name
        Of the parameter.
    verdict
        RIGHT, WRONG, or CANNOT_TELL where rounding or a kink hides a defect as large as the block's gradient itself.
    resolution
        The least error that would have been seen, relative to the length of the block's gradient; absolute where that
        is zero.
    rate
        Median order of the Taylor remainder: 2 right, 1 wrong; NaN where the remainders are rounding alone.
    kink
        Whether the loss has a kink at the point itself.
    """

    name: str
    verdict: Verdict
    resolution: float
    rate: float
    kink: bool


@dataclass(frozen=True, repr=False)
class GradientCheck:
    """What `gradest.check` found; true where the gradient is right to the resolution that is stated.

    Attributes
    ----------
    verdict
        WRONG if any block is; CANNOT_TELL if nothing could be told of any block; else RIGHT, which may leave single
        blocks untold: they are named when this is printed.
    claimed_by
        Whose gradient it is.
    blocks
        One entry for each parameter.
    defects
        Where it is wrong, the worst first.
    compared
        By what it was judged, in words.
    noise
        The standard deviation of rounding and noise in the loss.
    evaluations
        How many values of the loss it took.
    """

    verdict: Verdict
    claimed_by: str
    blocks: tuple[BlockCheck, ...]
    defects: tuple[Defect, ...]
    compared: tuple[str, ...]
    noise: float
    evaluations: int

    def __bool__(self) -> bool:
        return self.verdict is Verdict.RIGHT

    @property
    def rate(self) -> float:
        """The median order of the Taylor remainders: 2.00 right, 1.00 wrong; NaN where there are none."""
        return _median([block.rate for block in self.blocks])

    @property
    def resolution(self) -> float:
        """The coarsest resolution of the blocks that were told; infinite if none was."""
        # A block that could not be told has a resolution beyond its own size, which says nothing of the others.
        told = [block.resolution for block in self.blocks if block.verdict is not Verdict.CANNOT_TELL]
        return max(told, default=math.inf)

    def __str__(self) -> str:
        rate = "no remainder above rounding" if math.isnan(self.rate) else f"Taylor remainder of rate {self.rate:.2f}"
        head = f"{self.claimed_by}: {self.verdict} ({rate} (2 right, 1 wrong); resolution {self.resolution:.1e}"
        lines = [f"{head}; {self.evaluations} values)", f"  compared with {', '.join(self.compared)}"]
        for found in self.defects:
            lines.append(
                f"  {found.block}{list(found.index)}: claimed {found.claimed:.6g}, {found.expected_by} gives "
                f"{found.expected:.6g}; the block is off by {found.relative_size:.2g}: {found.cause}"
            )
        for block in self.blocks:
            if block.verdict is Verdict.CANNOT_TELL:
                hidden = f"rounding hides errors below {block.resolution:.2g} times the block's length"
                kink = "the loss has a kink there, and the gradient is near what its two sides give"
                lines.append(f"  {block.name}: cannot tell; {kink if block.kink else hidden}")
            elif block.verdict is Verdict.RIGHT and block.kink:
                # two gradients that differ there are both right, and whoever reads it of one alone cannot know
                passes = "what lies between its two sides' slopes passes"
                lines.append(f"  {block.name}: the loss has a kink there: {passes}")
        return "\n".join(lines)

    __repr__ = __str__  # what a prompt and a failed assertion show

    def _repr_html_(self) -> str:
        """Return the same text for a notebook, which would else show the fields."""
        return f"<pre>{escape(str(self))}</pre>"


def _median(rates: list[float]) -> float:
    known = sorted(rate for rate in rates if not math.isnan(rate))
    return known[len(known) // 2] if known else math.nan
