"""Estimators that estimate nothing: they show what everything around an estimate costs."""

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from gradest.backend import Leaves
from gradest.estimate import Cost, KernelResult
from gradest.estimator import Estimator, PreparedKernel, Target
from gradest.layout import Layout
from gradest.objective import Objective


@dataclass(frozen=True)
class Null(Estimator):
    """Returns zeros without an evaluation: the cost of the harness itself, a permanent row of every table."""

    name = "null"
    source = "a control"
    formula = "0"
    cost_formula = "nothing"

    @property
    def target(self) -> Target:
        """Nothing."""
        return Target.NOTHING

    def cost(self, layout: Layout) -> Cost:
        return Cost()

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        zeros_like = objective.ops.zeros_like

        def kernel(leaves: Leaves, rng: Any) -> KernelResult:
            return KernelResult(None, tuple(zeros_like(leaf) for leaf in leaves))

        return PreparedKernel(kernel, "zeros")
