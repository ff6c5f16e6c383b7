"""The gradient by reverse-mode automatic differentiation."""

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from gradest.backend import Leaves
from gradest.estimate import Cost, KernelResult
from gradest.estimator import Estimator, PreparedKernel
from gradest.layout import Layout
from gradest.objective import Objective


@dataclass(frozen=True)
class Reverse(Estimator):
    """Pulls the loss's cotangent 1 back through its operations: the exact gradient for one VJP.

    Attributes
    ----------
    engine
        "native" (the framework's own), "gradest" (the tape of `gradest.autodiff`), or "auto": native where there
        is one.
    """

    name = "reverse"
    source = "Linnainmaa 1976, doi:10.1007/BF01931367; Griewank & Walther 2008, doi:10.1137/1.9780898717761"
    formula = "J^T 1"
    cost_formula = "1 vjp"

    engine: str = "auto"

    def cost(self, layout: Layout) -> Cost:
        return Cost(vjps=1)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        gradient, path = objective.prepare_gradient(self.engine)

        def kernel(leaves: Leaves, rng: Any) -> KernelResult:
            return KernelResult(*gradient(leaves))

        return PreparedKernel(kernel, path)
