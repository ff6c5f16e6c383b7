"""An estimator that takes 200 MB at a moment that it is told, for the tests of the harness."""

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradest.backend import Leaves
from gradest.estimate import Cost, KernelResult
from gradest.estimator import Estimator, PreparedKernel
from gradest.layout import Layout
from gradest.objective import Objective

BYTES = 200_000_000


@dataclass(frozen=True)
class Greedy(Estimator):
    """Returns the closed-form gradient, and fills memory: in preparing, in the first call, in each, or to keep it."""

    name = "greedy"
    source = "a control"
    formula = "closed form"
    cost_formula = "1 VJP"

    when: str = "never"

    def cost(self, layout: Layout) -> Cost:
        return Cost(vjps=1)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        closed_form, calls = objective.prepare_closed_form(), [0]
        kept: list[np.ndarray] = []
        if self.when == "prepare":
            _fill()
        if self.when == "kept":
            kept += _fill()

        def kernel(leaves: Leaves, rng: Any) -> KernelResult:
            calls[0] += 1
            if self.when == "call" or (self.when == "first" and calls[0] == 1):
                _fill()
            if kept:
                kept[0][0] += 1.0  # they are used, and nothing is taken for them
            value, gradient = closed_form(leaves)
            return KernelResult(value, gradient)

        return PreparedKernel(kernel, "greedy")


def _fill() -> list[np.ndarray]:
    # in parts so small that the C library keeps them for itself when they are freed
    return [np.ones(8192) for _ in range(BYTES // (8 * 8192))]
