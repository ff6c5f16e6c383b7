"""Stateful estimators that break the laws of a state."""

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from support.plain_residual_feedback import PlainResidualFeedback

from gradest import Cost, Layout, Objective, PreparedStatefulKernel, State


@dataclass(frozen=True)
class WritesToItsState(PlainResidualFeedback):
    """Keeps the last value in a dict that it writes to."""

    def init_state(self, objective: Objective) -> State:
        return {"last": None}

    def cost_from(self, layout: Layout, state: State) -> Cost:
        return super().cost_from(layout, state["last"])

    def prepare_stateful_kernel(
        self, objective: Objective, *, executor: Executor | None = None
    ) -> PreparedStatefulKernel:
        kernel = super().prepare_stateful_kernel(objective, executor=executor)

        def call(leaves: Any, rng: Any, state: State) -> Any:
            result, state["last"] = kernel.call(leaves, rng, state["last"])
            return result, state

        return PreparedStatefulKernel(call, "loop")


@dataclass(frozen=True)
class RemembersElsewhere(PlainResidualFeedback):
    """Keeps the last value beside the state that it hands on."""

    def prepare_stateful_kernel(
        self, objective: Objective, *, executor: Executor | None = None
    ) -> PreparedStatefulKernel:
        kernel = super().prepare_stateful_kernel(objective, executor=executor)
        hidden: list[State] = []

        def call(leaves: Any, rng: Any, state: State) -> Any:
            result, after = kernel.call(leaves, rng, hidden.pop() if hidden else state)
            hidden.append(after)
            return result, after

        return PreparedStatefulKernel(call, "loop")


@dataclass(frozen=True)
class CostOfTheFirstAlone(PlainResidualFeedback):
    """States one value for every estimate, though the first evaluates two."""

    def cost(self, layout: Layout) -> Cost:
        return Cost(values=1)

    def cost_from(self, layout: Layout, state: State) -> Cost:
        return Cost(values=1)
