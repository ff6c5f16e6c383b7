"""Estimators that estimate nothing: they show what everything around an estimate costs."""

from concurrent.futures import Executor
from dataclasses import dataclass

from gradest.backend import Leaves
from gradest.directions.keys import Rng
from gradest.estimate import Cost, KernelResult
from gradest.estimator import Estimator, PreparedKernel
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.target import Target


@dataclass(frozen=True)
class Null(Estimator):
    """Returns zeros and evaluates nothing, so that its time is the cost of the harness itself.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest.estimators import Null
    >>> estimate = Null()(lambda x: (x * x).sum(), np.array([1.0, 2.0]))
    >>> estimate.gradient.tolist(), str(estimate.cost)
    ([0.0, 0.0], 'nothing')
    """

    family = "null"
    source = "a control"
    formula = "0"
    cost_formula = "nothing"
    needs = "nothing"

    @property
    def target(self) -> Target:
        """Nothing: zeros are no estimate."""
        return Target.NOTHING

    def cost(self, layout: Layout) -> Cost:
        return Cost()

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        make_zeros = objective.scoped(lambda: tuple(objective.ops.zeros_like(leaf) for leaf in objective.start))
        zeros = make_zeros()  # once: making arrays costs a framework more than all that surrounds an estimate

        def kernel(leaves: Leaves, rng: Rng) -> KernelResult:
            return KernelResult(None, zeros)

        return PreparedKernel(kernel, "zeros")
