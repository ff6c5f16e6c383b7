"""One-point residual feedback: each estimate compares its values with those that the estimate before it took."""

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gradest.backend import Leaves
from gradest.directions.keys import Rng, root_key
from gradest.directions.laws import law_of
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.estimate import Cost, KernelResult
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.sampling.evolution_kernel import EvolutionKernel, EvolutionRun, parameter_kernel
from gradest.sampling.in_place import PATH, InPlace, InPlaceRun, Way, adds_up_factors, choose_way
from gradest.sampling.sampler import DirectionSampler, evaluation_path, require_sigma
from gradest.sampling.weighing import warn_of_values
from gradest.sampling.workers import Crew
from gradest.situation import Situation
from gradest.stateful import PreparedStatefulKernel, State, StatefulEstimator, state_of_size
from gradest.target import Smoothing, Target
from gradest.theory import Prediction, local_model, mean_excess, predict_residual_feedback


@dataclass(frozen=True, kw_only=True)
class ResidualFeedback(DirectionSampler, StatefulEstimator):
    """Estimates the gradient by one value a direction, less a value that the last estimate took.

    `g_t = (1/N) sum_i (f(x_t + s v_{t,i}) - f(x_{t-1} + s v_{t-1,i})) v_{t,i} / s`. The values of the last estimate do
    not depend on the new directions, so that subtracting them changes no expectation; they take the place of a baseline
    without an evaluation of their own. The first estimate, which has none to subtract, takes N along directions of
    their own. It assumes that the loss changes little from one estimate to the next: a step of the parameters, or
    another batch, adds `P (f(x_t) - f(x_{t-1}))^2 / s^2` to the squared error of a direction. Values of which one is
    not finite are not remembered. The expectation is the gradient of the smoothed loss. Relative mean squared error
    where the parameters stay, for normal directions:
    `(2 P + 1 + s^2 (P + 2) |H|_F^2 / |g|^2) / N`, twice that of antithetic pairs at half of their values. Beside a
    large model it holds one copy, which becomes the gradient.

    Attributes
    ----------
    num_samples
        N, the number of directions, and of values that are remembered.
    sigma
        Smoothing radius s.
    distribution, rank, chunk_size, memory_budget_bytes
        As in `EvolutionStrategy`; laws whose mean is not zero are refused.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> from gradest.estimators import ResidualFeedback
    >>> run = ResidualFeedback(num_samples=4).prepare_run(gradest.bind(lambda x: (x * x).sum(), np.ones(3)))
    >>> first, state = run(state=run.init_state(), rng=0)
    >>> second, state = run(np.full(3, 0.9), state=state, rng=1)
    >>> str(first.cost), str(second.cost), second.state_bytes
    ('8 values', '4 values', 32)
    """

    family = "residual-feedback"
    source = "Zhang, Zhou, Ji & Zavlanos 2022, arXiv:2006.10820"
    formula = "(1/N) sum_i v_i,t (f(x_t + s v_i,t) - f(x_(t-1) + s v_i,t-1)) / s"
    cost_formula = "N values; 2N the first time"

    antithetic: ClassVar[bool] = False
    baseline: ClassVar[str] = "none"
    shaping: ClassVar[str | None] = None
    differences: ClassVar[str] = "plain"
    noise: ClassVar[str] = "portable"

    sigma: float = 0.01

    def __post_init__(self) -> None:
        """Refuse values out of range, and directions along which a value of its own is no zero-mean noise."""
        super().__post_init__()
        require_sigma(self.sigma)
        if not law_of(self.distribution).centred:
            raise InvalidInputError(
                f"one-sided values along {self.distribution} directions, whose mean is not zero, were asked for: what "
                "is subtracted would not average out; use another law, or 'es' with antithetic pairs"
            )

    @property
    def target(self) -> Target:
        """The gradient of the smoothed loss."""
        return Target.SMOOTHED

    @property
    def smoothing(self) -> Smoothing | None:
        """The law and the radius."""
        return Smoothing(self.distribution, self.sigma)

    def cost(self, layout: Layout) -> Cost:
        return Cost(values=2 * self.num_samples)

    def cost_from(self, layout: Layout, state: State) -> Cost:
        return Cost(values=self.num_samples * (2 if state is None else 1))

    def predict(self, at: Situation) -> Prediction | None:
        """Return the error of `predict_residual_feedback` where the parameters stay; None of no gradient or formula."""
        if not np.any(at.gradient):
            return None
        try:
            return predict_residual_feedback(
                self.distribution,
                num_parameters=at.layout.num_parameters,
                num_samples=self.num_samples,
                sigma=self.sigma,
                model=local_model(at.gradient, hessian=at.hessian, value=at.value),
                direction_excess=mean_excess(
                    self.distribution, blocks=at.layout.shapes, shares=at.shares, rank=self.rank
                ),
            )
        except UnsupportedError:  # no formula is derived for this law, and None says so
            return None

    def parts(self, objective: Objective) -> EvolutionKernel:
        """Return the kernel whose parts workers carry out: plain values, and directions weighted by what is given."""
        return parameter_kernel(self, objective)

    def init_state(self, objective: Objective) -> State:
        """Return None: there is no value yet."""
        return None

    def prepare_stateful_kernel(
        self, objective: Objective, *, executor: Executor | None = None
    ) -> PreparedStatefulKernel:
        passes: InPlaceRun | EvolutionRun
        if choose_way(self, objective) is Way.DRAWN_AGAIN:
            one_by_one = Crew(InPlace(self), objective, executor, budget_bytes=self.memory_budget_bytes)
            passes, path = InPlaceRun(one_by_one), PATH
        else:
            crew = Crew(self, objective, executor, budget_bytes=self.memory_budget_bytes)
            path, blocks = evaluation_path(objective), self.blocks(objective.layout, dense=objective.text is None)
            in_place = self.drawing(objective) if adds_up_factors(self, objective) else None
            passes = EvolutionRun(crew, blocks, directions=in_place)

        def kernel(leaves: Leaves, rng: Rng, state: State) -> tuple[KernelResult, State]:
            key, last = root_key(rng), state_of_size(state, self.num_samples, holds="a value for each direction")
            if last is None:  # values along other directions, as independent of the new ones as remembered ones are
                last = passes.values(leaves, root_key((*key, 1)))[0][0]
            found = passes.values(leaves, key)[0][0]
            with np.errstate(invalid="ignore"):  # of values that are not finite, which are warned of
                differences = found - last
            warn_of_values(objective, self, [((found, last), differences)], leaves)
            weights = differences / (self.sigma * self.num_samples)
            gradient = passes.weighed(leaves, key, weights)
            # NaN among what is remembered would make the next estimate NaN too, wherever that is taken.
            return KernelResult(None, gradient), found if np.isfinite(found).all() else state

        return PreparedStatefulKernel(kernel, path)
