"""The gradient by Richardson extrapolation of central differences, with an estimate of its error."""

from concurrent.futures import Executor
from dataclasses import dataclass

from gradest.errors import InvalidInputError, unknown_name
from gradest.estimate import Cost
from gradest.estimator import Estimator, PreparedKernel
from gradest.finite_differences.rules import richardson_rule
from gradest.finite_differences.steps import MODES, check_step
from gradest.finite_differences.sweep import QuotientSweep
from gradest.layout import Layout
from gradest.objective import Objective


@dataclass(frozen=True)
class Richardson(Estimator):
    """Extrapolates central differences at steps h, h/2, ..., h/2^(L-1) to step zero.

    The error estimate, entry by entry, is the distance from the extrapolation without the longest step, which is
    that one's truncation error and more than this one's, plus a bound on the rounding of the losses. It holds for
    smooth losses; a kink within reach of a step escapes it (`FiniteDifference.kink_crossings` finds those).

    Attributes
    ----------
    levels
        L, 2 or more: the order is 2L. `(4 D(h/2) - D(h)) / 3` for L = 2.
    step, step_mode, path, chunk_size
        As `FiniteDifference`; the step is the longest one.
    """

    family = "fd-richardson"
    source = "Richardson 1911, doi:10.1098/rsta.1911.0009; Ridders 1982, doi:10.1016/S0141-1195(82)80057-0"
    formula = "g_i = sum_j w_j D_i(h / 2^j), w_j = prod_(l != j) 4^-l / (4^-l - 4^-j)"
    cost_formula = "2 L P values"

    levels: int = 3
    step: str | float = "auto"
    step_mode: str = "relative"
    path: str = "auto"
    chunk_size: int | None = None

    def __post_init__(self) -> None:
        check_step(self.step, ("auto", "noise"))
        for asked, known, what in (
            (self.step_mode, MODES, "step_mode"),
            (self.path, ("auto", "black-box", "structured"), "path"),
        ):
            if asked not in known:
                raise unknown_name(what, asked, known)
        if isinstance(self.levels, bool) or not isinstance(self.levels, int) or self.levels < 2:
            raise InvalidInputError(
                f"levels must be an integer of 2 or more; found {self.levels!r}; use scheme='central' for one level"
            )

    def _sweep(self) -> QuotientSweep:
        return QuotientSweep(
            rule=richardson_rule(self.levels),
            step=self.step,
            step_mode=self.step_mode,
            path=self.path,
            chunk_size=self.chunk_size,
        )

    def cost(self, layout: Layout) -> Cost:
        return self._sweep().cost(layout)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        return self._sweep().prepare(objective)
