"""Evolution strategies: the gradient of the smoothed loss from function values at random points.

This module states what is computed, at what cost and with what error. How it is computed, block by block, on workers or
here, is in `gradest.sampling.evolution_kernel`. To learn the method, read `gradest.testing.plain_estimators` first: the
same in the fewest lines.
"""

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from gradest.directions.laws import law_of
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.estimate import Cost
from gradest.estimator import PreparedKernel
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.refusals import IN_OPERATIONS
from gradest.sampling.evolution_kernel import EvolutionKernel, EvolutionRun, parameter_kernel
from gradest.sampling.in_place import NATIVE_PATH, PATH, InPlace, InPlaceRun, Way, adds_up_factors, choose_way
from gradest.sampling.native_points import DRAWN, require_native_noise
from gradest.sampling.sampler import DirectionSampler, evaluation_path, require_sigma
from gradest.sampling.shaping import require_shaping
from gradest.sampling.weighing import needs_all_values
from gradest.sampling.workers import Crew
from gradest.situation import Situation
from gradest.target import Smoothing, Target
from gradest.theory import Prediction, local_model, mean_excess, predict_shaped, relative_mse_es

_GAUSSIAN = "Salimans et al. 2017, arXiv:1703.03864; Nesterov & Spokoiny 2017, doi:10.1007/s10208-015-9296-2"
_SHAPED: dict[str | None, str] = {
    "centered-rank": "centered ranks: Salimans et al. 2017, arXiv:1703.03864",
}
DIFFERENCES = ("auto", "plain", "exact")
NOISES = ("portable", "native")


@dataclass(frozen=True, kw_only=True)
class EvolutionStrategy(DirectionSampler):
    """Averages random directions weighted by how much the loss rises along them.

    The estimate is `(1/N) sum_i w_i v_i`, with `w_i = (f(x + sigma v_i) - f(x - sigma v_i)) / (2 sigma)`
    (antithetic) or `(f(x + sigma v_i) - b) / sigma`. Relative mean squared error of the default, exact for
    quadratic losses: `(P + 1) / N`.

    Attributes
    ----------
    num_samples
        N: pairs of values where `antithetic`, else values.
    sigma
        Smoothing radius, in units of the parameters. The default suits parameters of order one: its bias, of order
        sigma^2, is far below the sampling error, and its rounding error in float32 is 1e-5 |f| / |g|.
    antithetic
        Whether values come in pairs at `x + sigma v` and `x - sigma v`, which cancels even terms.
    baseline
        What is subtracted from one-sided values: "none"; "value", f(x); "leave-one-out", the mean of the other values;
        "mean", that of all, which shrinks the estimate by 1 - 1/N. Antithetic pairs need none.
    shaping
        None, "centered-rank", "z-score" or "sign": replaces values by utilities; the estimate is then a direction
        without the gradient's length, and is not divided by sigma. `gradest.theory.predict_shaped` has its mean cosine
        with the gradient, `gradest.theory.shaping_scale` its mean length.
    differences
        "plain" subtracts function values; "exact" carries differences through the loss without cancellation and
        needs a loss in gradest's operations; "auto" is plain, and warns where rounding takes over.
    noise
        "portable" directions are the same on every backend and device. "native" ones are drawn by the framework's own
        generator where the parameters are, one at a time: for large models on a GPU, to which portable ones have to
        cross. PyTorch and JAX; "normal", "rademacher" and "low-rank".

    Examples
    --------
    >>> import numpy as np
    >>> from gradest.estimators import EvolutionStrategy
    >>> es = EvolutionStrategy(num_samples=4000)
    >>> es(lambda x: (x * x).sum(), np.array([1.0, 2.0]), rng=0).gradient.round().tolist()
    [2.0, 4.0]
    """

    family = "es"
    sigma: float = 0.01
    antithetic: bool = True
    baseline: str = "none"
    shaping: str | None = None
    differences: str = "auto"
    noise: str = "portable"

    def __post_init__(self) -> None:
        """Refuse values out of range and combinations that mean nothing."""
        super().__post_init__()
        require_sigma(self.sigma)
        require_shaping(self.shaping, self.baseline)
        if self.differences not in DIFFERENCES:
            raise InvalidInputError(f"differences must be one of {DIFFERENCES}; found {self.differences!r}")
        if self.noise not in NOISES:
            raise InvalidInputError(f"noise must be one of {NOISES}; found {self.noise!r}")
        # Refused here, not when it runs: a sweep over hyper-parameters should fail before its first hour.
        for wrong, why in self._conflicts():
            if wrong:
                raise InvalidInputError(why)

    def _conflicts(self) -> tuple[tuple[bool, str], ...]:
        """Return combinations of hyper-parameters that mean nothing, each with why, and whether this is one."""
        # "value" is not among these: f(x) is known before the values that it is subtracted from.
        centred = self.baseline in ("leave-one-out", "mean")
        bare = not self.antithetic and self.baseline == "none" and self.shaping is None
        one_sided_sign = self.shaping == "sign" and not self.antithetic
        return (
            (
                self.antithetic and self.baseline != "none",
                f"baseline={self.baseline!r} was asked for with antithetic pairs, in which every baseline cancels; "
                "pass antithetic=False, or baseline='none'",
            ),
            (
                not self.antithetic and not law_of(self.distribution).centred,
                f"one-sided values along {self.distribution} directions, whose mean is not zero, were asked for: their "
                "bias is of order sigma; pass antithetic=True, or use fd-forward",
            ),
            (
                self.shaping in ("centered-rank", "z-score") and self.baseline != "none",
                f"shaping={self.shaping!r} does not change when a baseline is subtracted, and "
                f"baseline={self.baseline!r} was asked for; pass baseline='none'",
            ),
            (
                one_sided_sign and self.baseline == "none",
                "shaping='sign' of one-sided values needs something to compare them with; pass baseline='value' or "
                "'leave-one-out', or antithetic=True",
            ),
            (
                bare and self.differences == "exact",
                "differences='exact' was asked for with baseline='none', which takes no differences; pass "
                "baseline='value', or antithetic=True",
            ),
            (
                self.num_samples < 2 and (centred or (self.shaping is not None and not self.antithetic)),
                f"num_samples={self.num_samples} with baseline={self.baseline!r} and shaping={self.shaping!r}: one "
                "value has nothing to be compared with; pass num_samples=2 or more, or baseline='value'",
            ),
            *self._native_conflicts(),
        )

    def _native_conflicts(self) -> tuple[tuple[bool, str], ...]:
        native = self.noise == "native"
        return (
            (
                native and self.distribution not in DRAWN,
                f"noise='native' was asked for with {self.distribution!r} directions; frameworks draw those of "
                f"{', '.join(DRAWN)}; use one of them, or noise='portable'",
            ),
            (
                native and ((self.chunk_size or 1) > 1 or self.differences == "exact"),
                f"noise='native' draws one direction at a time, and chunk_size={self.chunk_size} with "
                f"differences={self.differences!r} was asked for; leave both out, or use noise='portable'",
            ),
        )

    @property
    def source(self) -> str:
        """Where this law of directions, or else the method, was published; then where the shaping was."""
        return "; ".join(filter(None, (law_of(self.distribution).source or _GAUSSIAN, _SHAPED.get(self.shaping))))

    @property
    def formula(self) -> str:
        """The estimate on one line: v_i are the directions, s is sigma, f_i the values."""
        if self.antithetic:
            rise = "f(x + s v_i) - f(x - s v_i)"
            weight = f"({rise}) / (2 s)"
        else:
            known = {"value": " - f(x)", "leave-one-out": " - mean_j!=i f_j", "mean": " - mean f"}
            subtracted = known.get(self.baseline, "")
            rise = f"f(x + s v_i){subtracted}"
            weight = f"({rise}) / s" if subtracted else f"{rise} / s"
        if self.shaping is not None:
            weight = f"{self.shaping}({rise})"  # utilities have no unit, so there is no division by s
        return f"(1/N) sum_i v_i {weight}, v_i {law_of(self.distribution).wording}"

    @property
    def needs(self) -> str:
        """Values alone; exact differences are carried through operations."""
        return IN_OPERATIONS if self.differences == "exact" else "values of the loss"

    @property
    def cost_formula(self) -> str:
        """The cost of one estimate in evaluations of the loss."""
        plain = "2N values" if self.antithetic else "N + 1 values" if self.baseline == "value" else "N values"
        return plain + (" + 1 a block and side" if self.differences == "exact" else "")

    @property
    def target(self) -> Target:
        """The gradient of the smoothed loss; its direction alone for shaped values and the mean baseline."""
        calibrated = self.shaping is None and self.baseline != "mean"
        return Target.SMOOTHED if calibrated else Target.DIRECTION

    @property
    def smoothing(self) -> Smoothing | None:
        """The law and the radius, where the target is the smoothed loss's gradient."""
        return Smoothing(self.distribution, self.sigma) if self.target is Target.SMOOTHED else None

    def cost(self, layout: Layout) -> Cost:
        sides = 2 if self.antithetic else 1
        values = sides * self.num_samples
        if self.differences == "exact":  # each block evaluates f(x) with the differences from it
            return Cost(values=values + len(self.blocks(layout)))
        # Leave-one-out and mean baselines are made from the values themselves, and cost nothing.
        return Cost(values=values + (1 if self.baseline == "value" else 0))

    def predict(self, at: Situation) -> Prediction | None:
        """Return the error that theory states: the cosine alone where values are shaped; None without a formula.

        See `gradest.theory.relative_mse_es` and `gradest.theory.predict_shaped`.
        """
        bare = not self.antithetic and self.baseline == "none" and self.shaping is None
        if not np.any(at.gradient) or (bare and at.value is None):
            return None
        baseline = "antithetic" if self.antithetic else self.baseline
        size = at.layout.num_parameters
        try:
            if self.shaping is not None:
                return predict_shaped(
                    self.distribution,
                    shaping=self.shaping,
                    baseline=baseline,
                    num_parameters=size,
                    num_samples=self.num_samples,
                )
            return relative_mse_es(
                self.distribution,
                baseline=baseline,
                num_parameters=size,
                num_samples=self.num_samples,
                sigma=self.sigma,
                model=local_model(at.gradient, hessian=at.hessian, value=at.value),
                direction_excess=mean_excess(
                    self.distribution, blocks=at.layout.shapes, shares=at.shares, rank=self.rank
                ),
            )
        except UnsupportedError:  # no formula is derived for this law and baseline, and None says so
            return None

    def parts(self, objective: Objective) -> EvolutionKernel:
        """Return the kernel whose parts workers carry out, where directions are evaluated in blocks."""
        return parameter_kernel(self, objective)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        self.directions((0, 0), objective)  # refuses now what would not fit the memory budget later
        if self.noise == "native":
            require_native_noise(objective)
        way = choose_way(self, objective)
        if way is not Way.BLOCKS:
            one_by_one = Crew(InPlace(self), objective, executor, budget_bytes=self.memory_budget_bytes)
            # What is added up at once is not sent to workers: each would add up a part of the sum, in another order.
            at_once = way is Way.KEPT and executor is None and not needs_all_values(self)
            path = NATIVE_PATH if self.noise == "native" else PATH
            return PreparedKernel(InPlaceRun(one_by_one, at_once=at_once), path)
        crew = Crew(self, objective, executor, budget_bytes=self.memory_budget_bytes)
        # Of low-rank directions the sum is one product for each parameter; block by block it would go through memory as
        # large as the model once for each.
        in_place = self.drawing(objective) if adds_up_factors(self, objective) else None
        run = EvolutionRun(crew, self.blocks(objective.layout, dense=objective.text is None), directions=in_place)
        return PreparedKernel(run, evaluation_path(objective))
