"""The gradient of the smoothed loss as a mean of gradients at random points."""

from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from gradest.backend import Leaves, as_float64
from gradest.directions import Key, as_tangents, root_key
from gradest.directions.keys import Rng
from gradest.directions.laws import law_of
from gradest.errors import UnsupportedError
from gradest.estimate import Cost, KernelResult
from gradest.estimator import PreparedKernel
from gradest.evaluation import ValuesSeen
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import Array, NumpyArray
from gradest.refusals import REVERSE_MODE
from gradest.sampling.sampler import (
    DirectionSampler,
    Draws,
    add_leaves,
    caster,
    narrowed,
    place,
    require_sigma,
    summed_in,
)
from gradest.sampling.workers import Crew, Group, task_groups
from gradest.situation import Situation
from gradest.target import Smoothing, Target
from gradest.theory import Prediction, local_model, predict_pathwise


@dataclass(frozen=True, kw_only=True)
class SmoothedGradient(DirectionSampler):
    """Averages exact gradients at random points `x + sigma v_i` (the pathwise, or reparametrised, estimate).

    Relative mean squared error `sigma^2 |H|_F^2 / (N |g|^2)`, exact for quadratic losses; zero for linear ones.

    Attributes
    ----------
    sigma
        Smoothing radius, in units of the parameters.
    antithetic
        Whether gradients come in pairs at `x + sigma v` and `x - sigma v`: exact for quadratic losses.
    engine
        What computes each gradient: "native", "gradest" or "auto"; see `Reverse`.

    Examples
    --------
    >>> import gradest
    >>> from gradest.estimators import SmoothedGradient
    >>> quadratic = gradest.get_problem("quadratic", size=3)
    >>> estimate = SmoothedGradient(num_samples=4, antithetic=True)(quadratic, rng=0)
    >>> exact = gradest.get_estimator("analytic")(quadratic)
    >>> bool(abs(estimate.gradient["x"] - exact.gradient["x"]).max() < 1e-12), str(estimate.cost)
    (True, '8 VJPs')
    """

    family = "smoothed"
    source = "Bonnet 1964, doi:10.1007/BF03014720; Mohamed et al. 2020, arXiv:1906.10652 (pathwise estimators)"
    formula = "(1/N) sum_i grad f(x + s v_i)"
    cost_formula = "N VJPs (2N antithetic)"
    needs = REVERSE_MODE

    num_samples: int = 10
    sigma: float = 0.01
    antithetic: bool = False
    engine: str = "auto"

    def __post_init__(self) -> None:
        """Refuse a radius out of range, and directions whose mean is not zero."""
        super().__post_init__()
        require_sigma(self.sigma)
        if not law_of(self.distribution).centred and not self.antithetic:
            raise UnsupportedError(
                f"distribution={self.distribution!r} has directions of mean not zero, which would move the points to "
                "one side; pass antithetic=True, or distribution='normal'"
            )

    @property
    def target(self) -> Target:
        """The gradient of the smoothed loss."""
        return Target.SMOOTHED

    @property
    def smoothing(self) -> Smoothing:
        """The law and the radius of the points."""
        return Smoothing(self.distribution, self.sigma)

    def cost(self, layout: Layout) -> Cost:
        return Cost(vjps=self.num_samples * (2 if self.antithetic else 1))

    def predict(self, at: Situation) -> Prediction | None:
        """Return the error that theory states, exact for quadratic losses; None where the curvature is not known."""
        if at.hessian is None or not np.any(at.gradient):
            return None
        # In a pair H v cancels: grad f(x + s v) + grad f(x - s v) = 2 grad f(x) for quadratic f, whatever the law.
        law = "normal" if self.antithetic else self.distribution
        model = local_model(at.gradient, hessian=at.hessian, value=at.value)
        plain = predict_pathwise(law, num_samples=self.num_samples, sigma=self.sigma, model=model)
        return replace(plain, relative_mse=0.0) if self.antithetic else plain

    def parts(self, objective: Objective) -> "SmoothedKernel":
        """Return the kernel whose parts workers carry out."""
        return SmoothedKernel(self, objective)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        self.directions((0, 0), objective)  # refuses now what would not fit the memory budget later
        crew = Crew(self, objective, executor, budget_bytes=self.memory_budget_bytes)
        groups = task_groups(self.blocks(objective.layout), objective)
        scale = 1.0 / self.cost(objective.layout).vjps

        def kernel(leaves: Leaves, rng: Rng) -> KernelResult:
            total: Leaves | None = None
            seen = ValuesSeen()
            for part, values in crew.run(SmoothedKernel.gradients, leaves, groups, [(root_key(rng),)] * len(groups)):
                total = add_leaves(total, part)
                seen.see(values)
            # Of log p reverse mode gives 1 / p where the loss itself is NaN, and the mean would hide it.
            seen.warn(objective.first_look, remedy="try a smaller sigma")
            return KernelResult(None, narrowed(objective, total, scale))

        return PreparedKernel(kernel, crew.kernel.path)


class SmoothedKernel:
    """A pathwise estimate on one objective, in parts for workers."""

    def __init__(self, estimator: SmoothedGradient, objective: Objective) -> None:
        self.objective = objective
        self._gradient, self.path = objective.prepare_gradient(estimator.engine)
        self._estimator = estimator
        self._source: tuple[Key, Draws] | None = None
        radius = estimator.sigma
        self._radii = (radius, -radius) if estimator.antithetic else (radius,)

    def gradients(self, leaves: Leaves, group: Group, key: Key) -> tuple[Leaves, NumpyArray]:
        """Return the sum of the gradients at the points of the group's directions, and the losses there."""
        # Groups of one estimate share a key: orthogonal frames kept by the source are then drawn once.
        if self._source is None or self._source[0] != key:
            self._source = (key, self._estimator.directions(key, self.objective))
        objective, ops = self.objective, self.objective.ops
        cast = caster(objective)
        total: Leaves | None = None
        losses: list[Array] = []
        # One point at a time: reverse mode is not mapped over points, and each gradient is as large as a direction.
        for index in range(group[0][0], group[-1][1]):
            tangents = as_tangents(place(objective, self._source[1].block(index, index + 1)))
            direction = [ops.reshape(t.dense(ops), s) for t, s in zip(tangents, objective.layout.shapes, strict=True)]
            for radius in self._radii:
                point = tuple(leaf + radius * step for leaf, step in zip(leaves, direction, strict=True))
                with objective.common_random_numbers():
                    value, gradient = self._gradient(point)
                losses.append(value)
                each = zip(gradient, objective.dtypes, strict=True)
                total = add_leaves(total, tuple([cast(leaf, summed_in(dtype)) for leaf, dtype in each]))
        # Read together at the end, so that no evaluation waits for the one before.
        return total or (), np.array([float(as_float64(objective.backend, value)) for value in losses])
