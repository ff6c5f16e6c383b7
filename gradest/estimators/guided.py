"""Guided evolution strategies: directions that favour the span of gradients known to be nearly right."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gradest.directions import Directions, Key, Noise
from gradest.directions.independent import PART_ENTRIES
from gradest.directions.reading import Reader, ReadInParts
from gradest.dtypes import epsilon
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.estimate import Cost
from gradest.estimator import PreparedKernel
from gradest.layout import Layout
from gradest.lengths import norm_of
from gradest.objective import Objective
from gradest.operations import NumpyArray
from gradest.real_numbers import real_number
from gradest.sampling.antithetic import AntitheticVariant
from gradest.sampling.evolution_kernel import EvolutionKernel, EvolutionRun
from gradest.sampling.in_place import PATH, InPlace, InPlaceRun, Way, choose_way
from gradest.sampling.sampler import Sampler, evaluation_path
from gradest.sampling.workers import Crew
from gradest.situation import Situation
from gradest.target import Target
from gradest.theory import Prediction, predict_guided
from gradest.tree import is_static

_GUIDE = "guide"
_ROUNDING = 4.0
"""In units of the guides' own rounding, what must be left of one across the others."""


@dataclass(frozen=True, kw_only=True)
class GuidedES(AntitheticVariant):
    """Averages antithetic slopes along directions drawn partly from a subspace of surrogate gradients.

    `v = sqrt(alpha) z + sqrt((1 - alpha) P / k) U w`, z and w normal, U an orthonormal basis `(P, k)` of the guides:
    `E v v^T = alpha I + (1 - alpha) (P / k) U U^T`, and the expectation is that matrix times the gradient, divided by
    its largest eigenvalue. It assumes that the gradient lies near the span of the guides: the part outside is shrunk,
    so the estimate keeps neither length nor, in general, direction; inside the span it is unbiased. Relative mean
    squared error about the gradient, bias included: `gradest.theory.predict_guided`. Beside a large model it holds one
    copy, which becomes the gradient, and the basis in float64.

    Attributes
    ----------
    num_samples, sigma, chunk_size, memory_budget_bytes
        As in `EvolutionStrategy`, for antithetic pairs.
    guides
        Surrogate gradients, a sequence of pytrees in the structure of the parameters (past gradients, gradients of a
        simpler loss). Linearly dependent ones are refused.
    alpha
        The share of directions that is not guided, in (0, 1].
    scale
        The factor beta of the estimate, by which the paper multiplies it.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest.estimators import GuidedES
    >>> past = np.array([1.0, 1.0, 0.0])  # where the gradient is believed to point
    >>> guided = GuidedES(guides=[past], alpha=0.1, num_samples=2000)
    >>> guided(lambda x: x[0] + x[1], np.zeros(3), rng=3).gradient.round(1).tolist()
    [1.0, 1.0, 0.0]
    """

    family = "guided-es"
    distribution: ClassVar[str] = "normal"
    source = "Maheswaranathan et al. 2019, arXiv:1806.10230"
    formula = "(beta/N) sum_i v_i (f(x + s v_i) - f(x - s v_i)) / (2 s) / (alpha + (1 - alpha) P/k)"
    cost_formula = "2N values"
    needs = "values of the loss, and guides: gradients of something like it"

    guides: Sequence[Any] | None = field(default=None, compare=False)
    alpha: float = 0.5
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        real_number("alpha", self.alpha, "(0, 1]", example=0.5)
        real_number("scale", self.scale, "(0, inf)", example=1.0)

    @property
    def target(self) -> Target:
        """A direction near the gradient's; for alpha = 1 and scale = 1 the gradient of the smoothed loss."""
        return Target.SMOOTHED if self.alpha == self.scale == 1.0 else Target.DIRECTION

    def cost(self, layout: Layout) -> Cost:
        return Cost(values=2 * self.num_samples)

    def predict(self, at: Situation) -> Prediction | None:
        """Return the error about the gradient, bias included, of `predict_guided`; None without an objective.

        The objective says how the guides are laid out.
        """
        exact = np.asarray(at.gradient, dtype=np.float64)
        if at.objective is None or not np.any(exact):
            return None
        basis = at.objective.scoped(self._basis)(at.objective)
        inside = (norm_of(basis.T @ exact) / norm_of(exact)) ** 2
        return predict_guided(
            num_parameters=at.layout.num_parameters,
            num_guides=basis.shape[1],
            num_samples=self.num_samples,
            alpha=self.alpha,
            scale=self.scale,
            share=min(1.0, inside),  # rounding may pass it
        )

    def parts(self, objective: Objective) -> EvolutionKernel:
        """Return the kernel whose parts workers carry out."""
        return EvolutionKernel(self, objective, self.drawing(objective))

    def drawing(self, objective: Objective) -> Callable[[Key], "GuidedDirections"]:
        """Return what gives the directions of one estimate, from its key."""
        basis = self._basis(objective)
        return partial(GuidedDirections, estimator=self, objective=objective, basis=basis, alpha=self.alpha)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        # The largest eigenvalue of E v v^T, alpha + (1 - alpha) P / k, belongs to the guides' span: divided by it, the
        # estimate is unbiased inside the span (at scale 1) and shrunk outside.
        size = objective.layout.num_parameters
        guided = (1.0 - self.alpha) * size / max(1, len(self.guides or ()))
        scale = self.scale / (self.alpha + guided)
        if choose_way(self, objective) is Way.DRAWN_AGAIN:
            one_by_one = Crew(InPlace(self), objective, executor, budget_bytes=self.memory_budget_bytes)
            return PreparedKernel(InPlaceRun(one_by_one, scale=scale), PATH)
        crew = Crew(self, objective, executor, budget_bytes=self.memory_budget_bytes)
        run = EvolutionRun(crew, self._blocks(objective.layout, entries=size), scale=scale)
        return PreparedKernel(run, evaluation_path(objective))

    def _basis(self, objective: Objective) -> NDArray[np.float64]:
        """Return U `(P, k)`, orthonormal, of the span of the guides."""
        if not self.guides:
            raise UnsupportedError(
                "guided-es was asked for without guides; pass guides=[gradient, ...] in the structure of the parameters"
            )
        rows = np.empty((len(self.guides), objective.layout.num_parameters))
        coarsest = [_write_unit(guide, objective, row) for guide, row in zip(self.guides, rows, strict=True)]
        singular = _orthonormalise(rows)
        # In float32 a multiple or a sum of guides is off by the rounding of its entries, and points nowhere by that.
        rounding = max(rows.shape[1] * epsilon("float64"), _ROUNDING * max(coarsest))
        rank = int((singular > rounding * singular[0]).sum())
        if rank < len(rows):
            raise InvalidInputError(
                f"{len(rows)} guides were given, and they span {rank} dimensions; pass linearly independent ones"
            )
        return rows.T


def _orthonormalise(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make rows orthonormal in their own memory, each by those before it; return the singular values that they had.

    Of dependent rows those after the first are nothing in particular, and a singular value is rounding.
    Source: Giraud, Langou, Rozloznik & van den Eshof 2005, doi:10.1007/s00211-005-0615-4 (twice is enough).
    """
    triangle = np.zeros((len(rows), len(rows)))
    for j, row in enumerate(rows):
        for _ in range(2):
            inside = rows[:j] @ row
            for start in range(0, row.size, PART_ENTRIES):  # in blocks: a large model's row is not held twice
                here = slice(start, start + PART_ENTRIES)
                row[here] -= inside @ rows[:j, here]
            triangle[:j, j] += inside
        triangle[j, j] = norm_of(row)
        row /= triangle[j, j] or 1.0
    singular: NDArray[np.float64] = np.linalg.svd(triangle, compute_uv=False)
    return singular


def _write_unit(guide: Any, objective: Objective, out: NDArray[np.float64]) -> float:
    """Write a guide `(P,)`, of the framework's arrays or of NumPy's; return the coarsest epsilon of their dtypes.

    At length one: past gradients of a run may be many orders of magnitude apart, and independent all the same.
    """
    backend, layout = objective.backend, objective.layout
    leaves, names, _ = backend.flatten(guide)
    # Settings among the parameters are no part of a guide; a gradient has None there, which is no leaf.
    named = [(name, x) for name, x in zip(names, leaves, strict=True) if not is_static(x)]
    if sorted(name for name, _ in named) == sorted(layout.names):
        # A dict in another order is the same guide: `jax.tree.map`, which past gradients come from, sorts the keys.
        named.sort(key=lambda pair: layout.names.index(pair[0]))
    paths = tuple(name for name, _ in named)
    values = [np.asarray(backend.numpy(x) if backend.owns(x) else x) for _, x in named]
    shapes = tuple(array.shape for array in values)
    if (paths, shapes) != (layout.names, layout.shapes):
        asked, found = (dict(zip(*pair, strict=True)) for pair in ((layout.names, layout.shapes), (paths, shapes)))
        raise InvalidInputError(f"guides in the structure of the parameters were asked for, {asked}; found {found}")
    for array, start in zip(values, layout.offsets, strict=True):
        out[start : start + array.size] = array.reshape(-1)
    if bad := out.size - int(np.isfinite(out).sum()):
        raise InvalidInputError(
            f"guides of finite numbers were asked for; {bad} of {out.size} entries of one are NaN or infinite; leave "
            "it out"
        )
    out /= norm_of(out) or 1.0
    dtypes = [backend.dtype(x) if backend.owns(x) else np.asarray(x).dtype.name for _, x in named]
    return max(epsilon(dtype) if "float" in dtype else 0.0 for dtype in dtypes)


class GuidedDirections(ReadInParts):
    """Normal directions of P + k numbers, of which the last k are coordinates in the guides' span."""

    def __init__(
        self, key: Key, *, estimator: Sampler, objective: Objective, basis: NDArray[np.float64], alpha: float
    ) -> None:
        layout = objective.layout
        # One draw of P + k normal numbers for each direction: index and seed decide both parts together.
        extended = Layout((*layout.names, _GUIDE), (*layout.shapes, (basis.shape[1],)))
        self._normal = Directions(
            key,
            extended,
            num_samples=estimator.num_samples,
            dtype=objective.dtype,
            memory_budget_bytes=estimator.memory_budget_bytes,
        )
        super().__init__(self._normal, layout)
        self._free = math.sqrt(alpha)
        self._guided = math.sqrt((1.0 - alpha) * layout.num_parameters / basis.shape[1])
        self._basis = basis

    def block(self, start: int, stop: int) -> Noise:
        """Return the directions start, ..., stop - 1."""
        *free, coordinates = self._normal.block(start, stop)
        along = coordinates.astype(np.float64) * self._guided
        guided = self._layout.unflatten((along @ self._basis.T).astype(coordinates.dtype))
        return tuple(self._free * z + u for z, u in zip(free, guided, strict=True))

    def made(self, index: int, scratch: NumpyArray) -> Iterator[NumpyArray]:
        """Yield direction `index` in parts; it is drawn twice, as its coordinates come last."""
        size, first = self._layout.num_parameters, 0
        tail = Reader(self._normal.parts(index, scratch))
        for _ in tail.take(size):
            pass
        along = tail.array((self._basis.shape[1],), scratch.dtype).astype(np.float64) * self._guided
        guided = np.empty(PART_ENTRIES)
        for part in self._normal.parts(index, scratch):
            here = part[: size - first]
            here *= self._free
            here += np.matmul(self._basis[first : first + here.size], along, out=guided[: here.size])
            if here.size:
                yield here
            first += here.size
