"""Evolution strategies and finite differences in the fewest lines, to be read: every step is one short method.

For learning the method, or the contract of an estimator, begin here. `gradest.estimators` computes the same faster, in
bounded memory, with streams that are equal on every backend, and refuses what means nothing. The checks of
`gradest.testing` are tried on these: they pass, and with one step of them made wrong they do not.

This module shares nothing with the estimators of the package but the contract.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradest.backend import Leaves
from gradest.directions.keys import Rng
from gradest.estimate import Cost, KernelResult
from gradest.estimator import Estimator, PreparedKernel
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import NumpyArray
from gradest.situation import Situation
from gradest.target import Target
from gradest.theory import Prediction, local_model, mean_excess, relative_mse_es

Losses = Callable[[NumpyArray], NumpyArray]
"""From points `(K, P)` to the losses there, `(K,)`."""

Shape = tuple[int, int]
"""`(N, P)`: how many directions there are, and how many parameters."""

Key = int | tuple[int, ...]
"""What a generator of random numbers is seeded with; equal keys give equal directions."""


def normal(generator: np.random.Generator, shape: Shape) -> NumpyArray:
    """Return independent normal numbers: v ~ N(0, I)."""
    return generator.standard_normal(shape)


def rademacher(generator: np.random.Generator, shape: Shape) -> NumpyArray:
    """Return random signs, +1 or -1."""
    return generator.integers(0, 2, shape) * 2.0 - 1.0


def sphere(generator: np.random.Generator, shape: Shape) -> NumpyArray:
    """Return points on the sphere of radius sqrt(P): normal ones, made equally long."""
    v = generator.standard_normal(shape)
    return np.asarray(v * (math.sqrt(shape[1]) / np.linalg.norm(v, axis=1, keepdims=True)))


# All are scaled so that E v v^T = I. That is all that makes the estimate right on average: (1/N) sum_i (g.v_i) v_i has
# the expectation E[v v^T] g.
LAWS = {"normal": normal, "rademacher": rademacher, "sphere": sphere}


class Plain(Estimator):
    """An estimator as one function of flat NumPy parameters: `estimate(f, x, rng, executor) -> gradient`."""

    cost_formula = "see cost"

    @abstractmethod
    def estimate(self, f: Losses, x: NumpyArray, rng: Rng, executor: Executor | None) -> NumpyArray:
        """Return the gradient `(P,)` at x `(P,)`; f takes `(K, P)` to `(K,)`."""

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        """Return the kernel that carries arrays from the framework to NumPy, and the gradient back."""
        backend, layout = objective.backend, objective.layout

        def native(blocks: tuple[NumpyArray, ...]) -> Leaves:
            """Carry blocks to the framework, in the dtypes and on the device of the parameters."""
            pairs = zip(blocks, objective.dtypes, strict=True)
            return tuple(backend.array(block, dtype=dtype, device=objective.device) for block, dtype in pairs)

        def f(points: NumpyArray) -> NumpyArray:
            population = native(layout.unflatten(points))
            return backend.numpy(objective.evaluate_population(population, objective.data))

        def kernel(leaves: Leaves, rng: Rng) -> KernelResult:
            x = layout.flatten([backend.numpy(leaf) for leaf in leaves])
            gradient = self.estimate(f, x, rng, executor)
            return KernelResult(None, native(self.shaped(layout.unflatten(gradient), leaves)))

        return PreparedKernel(kernel, "plain")

    def shaped(self, blocks: tuple[NumpyArray, ...], leaves: Leaves) -> tuple[NumpyArray, ...]:
        """Return the gradient's blocks as they are to be handed back, one for each of the parameters' leaves."""
        return blocks


@dataclass(frozen=True)
class PlainEvolution(Plain):
    """The evolution strategy of a textbook: average random directions, weighted by how much the loss rises along each.

    Formula: `(1/N) sum_i w_i v_i`, with `w_i = (f(x + sigma v_i) - f(x - sigma v_i)) / (2 sigma)` in antithetic pairs,
    else `w_i = (f(x + sigma v_i) - b) / sigma` with the baseline b.

    Examples
    --------
    >>> import gradest
    >>> from gradest.testing.plain_estimators import PlainEvolution
    >>> quadratic = gradest.get_problem("quadratic", size=3)
    >>> exact = gradest.get_estimator("analytic")(quadratic).gradient["x"]
    >>> found = PlainEvolution(num_samples=2000)(quadratic, rng=0).gradient["x"]
    >>> bool(abs(found - exact).max() < 0.2 * abs(exact).max())
    True
    """

    name = "plain-es"
    source = "Salimans et al. 2017, arXiv:1703.03864"
    formula = "(1/N) sum_i w_i v_i"
    target = Target.SMOOTHED
    stochastic = True

    num_samples: int = 11
    sigma: float = 0.1
    distribution: str = "normal"
    antithetic: bool = True
    baseline: str = "none"
    chunk_size: int | None = None

    def cost(self, layout: Layout) -> Cost:
        """Return two values for each pair, or one for each direction and one for the baseline f(x)."""
        return Cost(values=(2 if self.antithetic else 1) * self.num_samples + (self.baseline == "value"))

    def predict(self, at: Situation) -> Prediction:
        """Return the relative mean squared error; for antithetic pairs on a quadratic loss it is `(P + 1) / N`."""
        return relative_mse_es(
            self.distribution,
            baseline="antithetic" if self.antithetic else self.baseline,
            num_parameters=at.layout.num_parameters,
            num_samples=self.num_samples,
            sigma=self.sigma,
            model=local_model(at.gradient, value=at.value, hessian=at.hessian),
            direction_excess=mean_excess(self.distribution),
        )

    def estimate(self, f: Losses, x: NumpyArray, rng: Rng, executor: Executor | None) -> NumpyArray:
        """Return the estimate, chunk by chunk; the sum is the same whatever the size of a chunk."""
        # All directions at once, so that no chunk's are another's. (The package draws direction i when it is needed.)
        directions = self.draw(self.key(rng), (self.num_samples, x.size))
        blocks = [self.block(directions, start, stop) for start, stop in self.chunks()]
        # How much the loss rises along each direction, per unit of length.
        slopes = np.concatenate([self.slopes(f, x, v) for v in blocks])
        # A baseline may need the values of all chunks: it is subtracted after the last of them.
        centred = self.centred(slopes, f, x)
        pieces = np.split(centred, np.cumsum([len(v) for v in blocks])[:-1])
        return self.combine(list(zip(pieces, blocks, strict=True)))

    def chunks(self) -> list[tuple[int, int]]:
        """Return where chunks of directions start and stop; the last may be smaller."""
        size = self.chunk_size or self.num_samples
        return [(start, min(start + size, self.num_samples)) for start in range(0, self.num_samples, size)]

    def key(self, rng: Rng) -> Key:
        """Return what the directions of one estimate are a function of."""
        # A generator is advanced, so that the next estimate has other directions; a seed is not.
        if isinstance(rng, np.random.Generator):
            return tuple(int(word) for word in rng.integers(0, 2**63, 2))
        if isinstance(rng, np.random.SeedSequence):
            return tuple(int(word) for word in rng.generate_state(2, np.uint64))
        if rng is None:
            return tuple(int(word) for word in np.random.SeedSequence().generate_state(2, np.uint64))
        return int(rng)  # type: ignore[arg-type]  # a plain text: sequences of seeds are for the package's estimators

    def draw(self, key: Key, shape: Shape) -> NumpyArray:
        """Return all directions of an estimate, `(N, P)`."""
        return LAWS[self.distribution](np.random.default_rng(key), shape)

    def block(self, directions: NumpyArray, start: int, stop: int) -> NumpyArray:
        """Return the directions of one chunk."""
        return directions[start:stop]

    def slopes(self, f: Losses, x: NumpyArray, v: NumpyArray) -> NumpyArray:
        """Return the difference quotient along each direction, `(K,)`; one-sided ones lack their baseline yet."""
        up = f(x + self.sigma * v)
        if self.antithetic:
            # The same direction both ways: f(x), curvature and all even terms cancel.
            return np.asarray((up - f(x - self.sigma * v)) / (2 * self.sigma))
        return np.asarray(up / self.sigma)

    def centred(self, slopes: NumpyArray, f: Losses, x: NumpyArray) -> NumpyArray:
        """Subtract the baseline. As E v = 0, it changes no expectation, and takes most of the scatter away."""
        if self.antithetic or self.baseline == "none":
            return slopes
        if self.baseline == "value":
            return np.asarray(slopes - f(x[None])[0] / self.sigma)
        # "leave-one-out": from each value the mean of the others, which is this multiple of its distance from the mean
        # of all. Without the factor the estimate would be too short by 1 - 1/N.
        return np.asarray((slopes - slopes.mean()) * len(slopes) / (len(slopes) - 1))

    def combine(self, parts: list[tuple[NumpyArray, NumpyArray]]) -> NumpyArray:
        """Return `(1/N) sum_i w_i v_i` from each chunk's weights `(K,)` and directions `(K, P)`."""
        # Divided once, by all N: a mean of the chunks' means would weigh a smaller last chunk too much.
        return np.asarray(sum(slopes @ v for slopes, v in parts) / self.num_samples)


@dataclass(frozen=True)
class PlainDifference(Plain):
    """Finite differences with one step for all coordinates.

    Formula: `g_j = (f(x + h e_j) - f(x - h e_j)) / 2h`, or with f(x) in place of one of the two.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest.testing.plain_estimators import PlainDifference
    >>> PlainDifference()(lambda x: (x * x).sum(), np.array([1.0, 2.0])).gradient.round(6).tolist()
    [2.0, 4.0]
    """

    name = "plain-fd"
    source = "Gill, Murray, Saunders & Wright 1983, doi:10.1137/0904025"
    formula = "g_j = (f(x + h e_j) - f(x - h e_j)) / 2h"

    scheme: str = "central"
    step: float | None = None

    def cost(self, layout: Layout) -> Cost:
        """Return two values for each parameter, or one and f(x)."""
        return Cost(values=2 * layout.num_parameters if self.scheme == "central" else layout.num_parameters + 1)

    def estimate(self, f: Losses, x: NumpyArray, rng: Rng, executor: Executor | None) -> NumpyArray:
        """Return the quotients of all coordinates."""
        return self.quotients(f, x, self.length(x.dtype))

    def length(self, dtype: np.dtype[Any]) -> float:
        """Return the step where truncation, of order h^p, is about as large as rounding, eps / h: eps^(1/(p+1))."""
        order = 2 if self.scheme == "central" else 1
        return self.step or float(np.finfo(dtype).eps) ** (1 / (order + 1))

    def quotients(self, f: Losses, x: NumpyArray, h: float) -> NumpyArray:
        """Return all difference quotients, `(P,)`: row j of `moved` is the displacement of coordinate j."""
        moved = h * np.eye(x.size)
        if self.scheme == "central":
            return np.asarray((f(x + moved) - f(x - moved)) / (2 * h))
        sign = 1 if self.scheme == "forward" else -1
        return np.asarray(sign * (f(x + sign * moved) - f(x[None])[0]) / h)
