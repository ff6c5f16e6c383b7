"""The forward gradient: random directions weighted by exact directional derivatives."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gradest.backend import Leaves
from gradest.directions import Key, Noise, as_tangents, root_key
from gradest.directions.keys import Rng
from gradest.errors import InvalidInputError
from gradest.estimate import Cost, KernelResult
from gradest.estimator import PreparedKernel
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import Array, Data
from gradest.refusals import FORWARD_MODE
from gradest.sampling.sampler import DirectionSampler, Draws, add_leaves, narrowed, place, weighted_sum
from gradest.sampling.workers import Crew, Group, task_groups
from gradest.situation import Situation
from gradest.target import Target
from gradest.theory import Prediction, predict_forward_gradient, projection_relative_mse


@dataclass(frozen=True, kw_only=True)
class ForwardGradient(DirectionSampler):
    """Averages random directions weighted by the slope of the loss along each, by forward-mode differentiation.

    Unbiased for any differentiable loss, with relative mean squared error `(P + 1) / N` for normal directions.

    Attributes
    ----------
    projection
        Whether the estimate is the gradient's projection on the span of the directions, `(1/P) sum_i (g.v_i) v_i`
        for "orthogonal" ones: relative mean squared error `1 - N/P`, biased towards zero, exact at N = P. It needs
        distribution="orthogonal" and `num_samples <= P`.
    engine
        "native" (the framework's own forward mode), "gradest" (dual numbers), or "auto": native where there is one.

    Examples
    --------
    >>> import gradest
    >>> from gradest.estimators import ForwardGradient
    >>> quadratic = gradest.get_problem("quadratic", size=3)
    >>> estimate = ForwardGradient(num_samples=3, distribution="orthogonal")(quadratic, rng=0)
    >>> exact = gradest.get_estimator("analytic")(quadratic)
    >>> bool(abs(estimate.gradient["x"] - exact.gradient["x"]).max() < 1e-12)  # a full frame leaves no error
    True
    """

    family = "forward-gradient"
    source = "Baydin et al. 2022, arXiv:2202.08587; Fluegel et al. 2024, arXiv:2410.17764 (projection)"
    formula = "(1/N) sum_i v_i (grad f . v_i)"
    cost_formula = "N JVPs"
    needs = FORWARD_MODE

    projection: bool = False
    engine: str = "auto"

    def __post_init__(self) -> None:
        """Refuse a projection on directions that are not orthogonal."""
        super().__post_init__()
        if self.projection and self.distribution != "orthogonal":
            raise InvalidInputError(
                f"projection=True was asked for with distribution={self.distribution!r}; it is the projection on a "
                "span only for distribution='orthogonal'"
            )

    @property
    def target(self) -> Target:
        """The gradient; its direction alone where it is a projection."""
        return Target.DIRECTION if self.projection else Target.GRADIENT

    def cost(self, layout: Layout) -> Cost:
        return Cost(jvps=self.num_samples)

    def predict(self, at: Situation) -> Prediction | None:
        """Return the relative mean squared error, exact for any differentiable loss."""
        if not np.any(at.gradient):
            return None
        plain = predict_forward_gradient(
            self.distribution,
            num_parameters=at.layout.num_parameters,
            num_samples=self.num_samples,
            blocks=at.layout.shapes,
            shares=at.shares,
            rank=self.rank,
        )
        if not self.projection:
            return plain
        left = projection_relative_mse(num_parameters=at.layout.num_parameters, num_samples=self.num_samples)
        return replace(plain, relative_mse=left, bias_order=0)

    def parts(self, objective: Objective) -> "ForwardGradientKernel":
        """Return the kernel whose parts workers carry out."""
        return ForwardGradientKernel(self, objective)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        num_parameters = objective.layout.num_parameters
        if self.projection and self.num_samples > num_parameters:
            raise InvalidInputError(
                f"projection=True was asked for with num_samples={self.num_samples} directions in {num_parameters} "
                f"dimensions; pass num_samples={num_parameters} or fewer"
            )
        self.directions((0, 0), objective)  # refuses now what would not fit the memory budget later
        crew = Crew(self, objective, executor, budget_bytes=self.memory_budget_bytes)
        groups = task_groups(self.blocks(objective.layout), objective)
        # Directions have length sqrt(P): the projection on their span divides by P, the unbiased mean by N.
        scale = 1.0 / (num_parameters if self.projection else self.num_samples)

        def kernel(leaves: Leaves, rng: Rng) -> KernelResult:
            key = root_key(rng)
            total: Leaves | None = None
            value = None
            # Each JVP gives the loss too, the same in every block: the last one is as good as any.
            for loss, part in crew.run(ForwardGradientKernel.slopes, leaves, groups, [(key,)] * len(groups)):
                value, total = loss, add_leaves(total, part)
            return KernelResult(value, narrowed(objective, total, scale))

        return PreparedKernel(kernel, crew.kernel.path)


class ForwardGradientKernel:
    """A forward gradient on one objective, in parts for workers."""

    def __init__(self, estimator: ForwardGradient, objective: Objective) -> None:
        self.objective = objective
        self.path = objective.choose_engine(estimator.engine, "value_and_jvps")
        native = self.path == "native"
        self._step = _native_step(objective) if native else objective.stepped(_interpreted_step(objective))
        self._estimator = estimator
        self._source: tuple[Key, Draws] | None = None

    def slopes(self, leaves: Leaves, group: Group, key: Key) -> tuple[Any, Leaves]:
        """Return the loss and `sum_k (grad f . v_k) v_k` over the group's directions."""
        # Groups of one estimate share a key: orthogonal frames kept by the source are then drawn once.
        if self._source is None or self._source[0] != key:
            self._source = (key, self._estimator.directions(key, self.objective))
        total: Leaves | None = None
        value = None
        for block in group:
            value, part = self._step(leaves, place(self.objective, self._source[1].block(*block)))
            total = add_leaves(total, part)
        return value, total or ()


Step = Callable[..., tuple[Array, Leaves]]


def _interpreted_step(objective: Objective) -> Step:
    """Return a step by gradest's dual numbers, which use the structure of the directions."""

    def step(leaves: Leaves, noise: Noise, data: Data) -> tuple[Array, Leaves]:
        tangents = as_tangents(noise)
        value, slopes = objective.evaluate_jvps(leaves, tangents, data)
        return value, weighted_sum(objective, tangents, slopes)

    return step


def _native_step(objective: Objective) -> Step:
    """Return a step by the framework's own forward mode, which takes dense tangents alone."""
    jvps, ops = objective.prepare_jvps(), objective.ops

    def step(leaves: Leaves, noise: Noise) -> tuple[Array, Leaves]:
        tangents = as_tangents(noise)
        value, slopes = jvps(leaves, tuple(tangent.dense(ops) for tangent in tangents))
        return value, weighted_sum(objective, tangents, slopes)

    return step
