"""One-point residual feedback in the fewest lines, to be read and spoiled: it remembers one value between estimates."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradest import Cost, KernelResult, Layout, Objective, PreparedStatefulKernel, State, StatefulEstimator
from gradest.directions import Directions, as_tangents, root_key


@dataclass(frozen=True)
class PlainResidualFeedback(StatefulEstimator):
    """Estimates by one new value each time: `(f(x + sigma u) - f(x' + sigma u')) u / sigma`, x' and u' the last ones.

    The last value is independent of the new direction, so subtracting it changes no expectation. The first estimate
    has none to subtract, and evaluates one along a direction of its own.
    """

    family = "residual-feedback"
    stochastic = True
    source = "Zhang, Zhou, Ji & Zavlanos 2020, arXiv:2006.10820"
    formula = "(f(x_t + s u_t) - f(x_{t-1} + s u_{t-1})) u_t / s"
    cost_formula = "1 value; 2 the first time"

    sigma: float = 0.1

    def cost(self, layout: Layout) -> Cost:
        return Cost(values=2)

    def cost_from(self, layout: Layout, state: State) -> Cost:
        return Cost(values=2 if state is None else 1)

    def init_state(self, objective: Objective) -> State:
        return None

    def prepare_stateful_kernel(
        self, objective: Objective, *, executor: Executor | None = None
    ) -> PreparedStatefulKernel:
        value: Callable[[Any], Any] = objective.prepare_value()
        backend = objective.backend

        def kernel(leaves: Any, rng: Any, state: State) -> tuple[KernelResult, State]:
            drawn = Directions(root_key(rng), objective.layout, num_samples=2, memory_budget_bytes=1 << 20)
            moves = [
                backend.array(np.asarray(block.dense(objective.ops)[0]), dtype=objective.dtype, device=objective.device)
                for block in as_tangents(drawn.block(0, 1))
            ]
            if state is None:
                others = [block.dense(objective.ops)[0] for block in as_tangents(drawn.block(1, 2))]
                state = float(value(tuple(x + self.sigma * u for x, u in zip(leaves, others, strict=True))))
            new = float(value(tuple(x + self.sigma * u for x, u in zip(leaves, moves, strict=True))))
            slope = (new - state) / self.sigma
            return KernelResult(None, tuple(slope * u for u in moves)), new

        return PreparedStatefulKernel(kernel, "loop")
