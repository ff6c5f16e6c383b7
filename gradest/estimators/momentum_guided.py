"""Evolution strategies guided by a momentum of their own past estimates."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Leaves, as_float64
from gradest.directions import Directions, Key, Noise
from gradest.directions.independent import PART_ENTRIES
from gradest.directions.keys import Rng, root_key
from gradest.directions.reading import ReadInParts
from gradest.errors import InvalidInputError
from gradest.estimate import Cost, KernelResult
from gradest.layout import Layout
from gradest.lengths import norm_of
from gradest.objective import Objective
from gradest.operations import NumpyArray
from gradest.real_numbers import real_number
from gradest.sampling.antithetic import AntitheticVariant
from gradest.sampling.evolution_kernel import EvolutionKernel, EvolutionRun
from gradest.sampling.in_place import PATH, InPlace, InPlaceRun, Way, choose_way
from gradest.sampling.sampler import evaluation_path
from gradest.sampling.workers import Crew
from gradest.situation import Situation
from gradest.stateful import PreparedStatefulKernel, State, StatefulEstimator, state_of_size
from gradest.target import Target
from gradest.theory import Prediction, predict_momentum_guided


@dataclass(frozen=True, kw_only=True)
class MomentumGuidedES(AntitheticVariant, StatefulEstimator):
    """Takes one antithetic pair along the momentum of past estimates, and the others along directions across it.

    `g_hat = D_m m + (1/(N-1)) sum_i D_i v_i` with `D_v = (f(x + s v) - f(x - s v)) / 2 s`, m the momentum at length
    one and `v_i = z_i - (m.z_i) m`, z_i normal: what lies along the momentum is found without noise, and does not
    disturb the rest. The momentum is `M_t = momentum M_(t-1) + g_hat_t`. The first estimate has none, and is plain
    antithetic ES of N pairs. It assumes that the gradient turns slowly beside the steps of a run; whatever the momentum
    is, the expectation is the gradient for quadratic f. Relative mean squared error
    `(1 - w) P / (N - 1)`, w = (g.m)^2 / |g|^2, and `(P + 1) / N` of the first estimate. Beside a large model it holds
    one copy, which becomes the gradient, and the last and the next momentum in float64.

    Attributes
    ----------
    num_samples
        N, the number of antithetic pairs, that along the momentum included; at least 2.
    momentum
        How much of the last momentum is kept, in [0, 1); 0 guides by the last estimate alone.
    sigma, chunk_size, memory_budget_bytes
        As in `EvolutionStrategy`; along the momentum the radius is `sqrt(N) sigma`, as directions across it are long.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> from gradest.estimators import MomentumGuidedES
    >>> run = MomentumGuidedES(num_samples=4).prepare_run(gradest.bind(lambda x: (x * x).sum(), np.ones(50)))
    >>> state, errors = run.init_state(), []
    >>> for seed in range(40):
    ...     estimate, state = run(state=state, rng=seed)
    ...     errors.append(np.sum((estimate.gradient - 2.0) ** 2) / 200)
    >>> bool(np.mean(errors[20:]) < 0.5 * 51 / 4), estimate.state_bytes
    (True, 400)
    """

    family = "momentum-guided-es"
    distribution: ClassVar[str] = "normal"
    source = "Meier, Mujika, Gauy & Steger 2019, arXiv:1910.05268; Maheswaranathan et al. 2019, arXiv:1806.10230"
    formula = "D_m m + (1/(N-1)) sum_i v_i (f(x + s v_i) - f(x - s v_i)) / (2 s), v_i normal across the momentum m"
    cost_formula = "2N values"

    momentum: float = 0.9

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        super().__post_init__()
        real_number("momentum", self.momentum, "[0, 1)", example=0.9)
        if self.num_samples < 2:
            raise InvalidInputError(
                f"num_samples={self.num_samples} was asked for: one pair is along the momentum, and one at least "
                "must be across it; pass num_samples=2 or more"
            )

    @property
    def target(self) -> Target:
        """The gradient of the smoothed loss."""
        return Target.SMOOTHED

    def cost(self, layout: Layout) -> Cost:
        return Cost(values=2 * self.num_samples)

    def cost_from(self, layout: Layout, state: State) -> Cost:
        return self.cost(layout)

    def predict(self, at: Situation) -> Prediction | None:
        """Return the error of a first estimate, which has no momentum yet; see `predict_momentum_guided`."""
        if not np.any(at.gradient):
            return None
        return predict_momentum_guided(
            num_parameters=at.layout.num_parameters, num_samples=self.num_samples, share=None
        )

    def parts(self, objective: Objective) -> EvolutionKernel:
        """Return the kernel whose parts workers carry out."""
        return EvolutionKernel(self, objective, self.drawing(objective))

    def drawing(self, objective: Objective) -> Callable[[Any], "_AcrossMomentum"]:
        """Return what gives the directions of one estimate, from its key."""
        return partial(_AcrossMomentum, estimator=self, objective=objective)

    def init_state(self, objective: Objective) -> State:
        """Return None: there is no momentum yet."""
        return None

    def prepare_stateful_kernel(
        self, objective: Objective, *, executor: Executor | None = None
    ) -> PreparedStatefulKernel:
        layout, budget = objective.layout, self.memory_budget_bytes
        run: InPlaceRun | EvolutionRun
        if choose_way(self, objective) is Way.DRAWN_AGAIN:
            run, path = InPlaceRun(Crew(InPlace(self), objective, executor, budget_bytes=budget)), PATH
        else:
            crew = Crew(self, objective, executor, budget_bytes=budget)
            run = EvolutionRun(crew, self._blocks(layout, entries=layout.num_parameters))
            path = evaluation_path(objective)

        def kernel(leaves: Leaves, rng: Rng, state: State) -> tuple[KernelResult, State]:
            last = state_of_size(state, layout.num_parameters, holds="a number for each parameter")
            result = run.along(leaves, _GuidedKey(root_key(rng), last))
            found = np.empty(layout.num_parameters)
            for leaf, start, size in zip(result.gradient, layout.offsets, layout.sizes, strict=True):
                here = slice(start, start + size)
                found[here] = as_float64(objective.backend, leaf).reshape(-1)
                # An estimate of NaN is handed to the caller and is no part of the momentum, which it would end for
                # good.
                if not np.isfinite(found[here]).all():
                    return result, state
                if last is not None:  # by parameter: no third vector as large as the state is held
                    found[here] += self.momentum * last[here]
            return result, found

        return PreparedStatefulKernel(kernel, path)


class _GuidedKey:
    """The key of an estimate's directions and the momentum that they are across, on their way to workers.

    Compared by identity: each estimate has its own, whose directions are drawn again for another.
    """

    def __init__(self, root: Key, momentum: NDArray[np.float64] | None) -> None:
        self.root = root
        self.length = 0.0 if momentum is None else norm_of(momentum)
        self.momentum = momentum if self.length else None


class _AcrossMomentum(ReadInParts):
    """Normal directions less their part along a guide, and in place of the first of them the guide itself."""

    def __init__(self, key: _GuidedKey, *, estimator: MomentumGuidedES, objective: Objective) -> None:
        self._momentum, self._length = key.momentum, key.length
        self._count = estimator.num_samples
        self._normal = Directions(
            key.root,
            objective.layout,
            num_samples=estimator.num_samples,
            dtype=objective.dtype,
            memory_budget_bytes=estimator.memory_budget_bytes,
        )
        super().__init__(self._normal, objective.layout)

    def block(self, start: int, stop: int) -> Noise:
        """Return the directions start, ..., stop - 1."""
        drawn = self._normal.block(start, stop)
        if self._momentum is None:
            return drawn
        dtype, guide = drawn[0].dtype, self._momentum / self._length
        flat = np.concatenate([part.reshape(stop - start, -1) for part in drawn], axis=1).astype(np.float64)
        flat -= np.outer(flat @ guide, guide)
        # The kernel divides the sum of all N by N: with these lengths the guide counts in full, and the others by
        # 1 / (N - 1).
        flat *= math.sqrt(self._count / (self._count - 1))
        if start == 0:
            flat[0] = math.sqrt(self._count) * guide
        return tuple(self._layout.unflatten(flat.astype(dtype)))

    def made(self, index: int, scratch: NumpyArray) -> Iterator[NumpyArray]:
        """Yield direction `index` in parts; one across the momentum is drawn twice, first for its part along it."""
        momentum = self._momentum
        if momentum is None:
            yield from self._normal.parts(index, scratch)
            return
        along = sum(float(np.sum(np.multiply(guide, part, out=guide))) for part, guide in self._beside(index, scratch))
        for part, guide in self._beside(index, scratch):  # as in `block`
            if index:
                guide *= -along
                guide += part
                guide *= math.sqrt(self._count / (self._count - 1))
            else:
                guide *= math.sqrt(self._count)
            part[:] = guide
            yield part

    def _beside(self, index: int, scratch: NumpyArray) -> Iterator[tuple[NumpyArray, NDArray[np.float64]]]:
        """Yield the parts of a normal direction, each with that of the momentum at length one, both to be changed."""
        assert self._momentum is not None  # as `made` has seen
        first, beside = 0, np.empty(PART_ENTRIES)
        for part in self._normal.parts(index, scratch):
            here = slice(first, first + part.size)
            yield part, np.divide(self._momentum[here], self._length, out=beside[: part.size])
            first += part.size
