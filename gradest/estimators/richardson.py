"""The gradient by Richardson extrapolation of central differences, with an estimate of its error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gradest.fields import make_plain
from gradest.finite_differences.coordinate_differences import CoordinateDifferences
from gradest.finite_differences.rules import richardson_rule
from gradest.finite_differences.steps import plain_scale
from gradest.finite_differences.sweep import QuotientSweep


@dataclass(frozen=True)
class Richardson(CoordinateDifferences):
    """Extrapolates central differences at steps h, h/2, ..., h/2^(L-1) to step zero.

    The error estimate, entry by entry, is made of the distance from the extrapolation without the longest step, which
    is that one's truncation error and more than this one's, and a bound on the rounding of the losses. Where the slopes
    of the two sides do not close as the step shrinks, it is all that the quotients span; `Estimate.status` says where.

    Attributes
    ----------
    levels
        L, 2 to 32: the order is 2L. `(4 D(h/2) - D(h)) / 3` for L = 2.
    step, step_mode, path, chunk_size, kinks, scale
        As `FiniteDifference`; the step is the longest one.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest.estimators import Richardson
    >>> estimate = Richardson(levels=3)(lambda x: np.exp(x).sum(), np.array([0.0, 1.0]))
    >>> bool((abs(estimate.gradient - np.exp([0.0, 1.0])) <= estimate.error).all())
    True
    """

    family = "fd-richardson"
    source = "Richardson 1911, doi:10.1098/rsta.1911.0009; Ridders 1982, doi:10.1016/S0141-1195(82)80057-0"
    formula = "g_i = sum_j w_j D_i(h / 2^j), w_j = prod_(l != j) 4^-l / (4^-l - 4^-j)"

    levels: int = 3
    step: str | float = "auto"
    step_mode: str = "relative"
    path: str = "auto"
    chunk_size: int | None = None
    kinks: str = "ignore"
    scale: float | Sequence[Any] | Mapping[str, Any] = field(default=1.0, hash=False)

    def __post_init__(self) -> None:
        make_plain(self)
        object.__setattr__(self, "scale", plain_scale(self.scale))
        object.__setattr__(self, "stochastic", self.step == "noise")  # in its step alone
        object.__setattr__(self, "random_step", self.step == "noise")
        self.sweep()  # refuses a step, a mode or a path that a sweep cannot have

    @property
    def cost_formula(self) -> str:
        """In values; P is the number of coordinates."""
        return "2 L P + 1 values" + ("" if self.kinks == "ignore" else ", + 2 L P + 1 to look for kinks")

    def sweep(self) -> QuotientSweep:
        return QuotientSweep(
            rule=richardson_rule(self.levels),
            step=self.step,
            step_mode=self.step_mode,
            path=self.path,
            chunk_size=self.chunk_size,
            kinks=self.kinks,
            scale=plain_scale(self.scale),
        )
