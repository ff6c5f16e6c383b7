"""Guided evolution strategies: directions that favour the span of gradients known to be nearly right."""

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.directions import Directions, Key, Noise
from gradest.dtypes import epsilon
from gradest.errors import InvalidInputError, UnsupportedError
from gradest.estimate import Cost
from gradest.estimator import PreparedKernel
from gradest.layout import Layout
from gradest.lengths import norm_of
from gradest.objective import Objective
from gradest.real_numbers import real_number
from gradest.sampling.antithetic import AntitheticVariant
from gradest.sampling.evolution_kernel import EvolutionKernel, EvolutionRun
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
    squared error about the gradient, bias included: `gradest.theory.predict_guided`.

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
    >>> guided(lambda x: x[0] + x[1], np.zeros(3), rng=0).gradient.round(1).tolist()
    [1.0, 1.0, 0.0]
    """

    family = "guided-es"
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
        basis = self._basis(objective)
        draw = partial(GuidedDirections, estimator=self, objective=objective, basis=basis, alpha=self.alpha)
        return EvolutionKernel(self, objective, draw)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        crew = Crew(self, objective, executor, budget_bytes=self.memory_budget_bytes)
        # The largest eigenvalue of E v v^T, alpha + (1 - alpha) P / k, belongs to the guides' span: divided by it, the
        # estimate is unbiased inside the span (at scale 1) and shrunk outside.
        size = objective.layout.num_parameters
        guided = (1.0 - self.alpha) * size / max(1, len(self.guides or ()))
        blocks = self._blocks(objective.layout, entries=size)
        run = EvolutionRun(crew, blocks, scale=self.scale / (self.alpha + guided))
        return PreparedKernel(run, evaluation_path(objective))

    def _basis(self, objective: Objective) -> NDArray[np.float64]:
        """Return U `(P, k)`, orthonormal, of the span of the guides."""
        if not self.guides:
            raise UnsupportedError(
                "guided-es was asked for without guides; pass guides=[gradient, ...] in the structure of the parameters"
            )
        # Checked before QR, which returns a basis of any matrix: of dependent guides one of nothing in particular. At
        # length one: past gradients of a run may be many orders of magnitude apart, and independent all the same.
        flat = [_flat(guide, objective) for guide in self.guides]
        matrix = np.stack([values / (norm_of(values) or 1.0) for values, _ in flat]).T
        singular = np.linalg.svd(matrix, compute_uv=False)
        # In float32 a multiple or a sum of guides is off by the rounding of its entries, and points nowhere by that.
        rounding = max(matrix.shape[0] * epsilon("float64"), _ROUNDING * max(coarse for _, coarse in flat))
        rank = int((singular > rounding * singular[0]).sum())
        if rank < matrix.shape[1]:
            raise InvalidInputError(
                f"{matrix.shape[1]} guides were given, and they span {rank} dimensions; pass linearly independent ones"
            )
        basis: NDArray[np.float64] = np.linalg.qr(matrix)[0]
        return basis


def _flat(guide: Any, objective: Objective) -> tuple[NDArray[np.float64], float]:
    """Return a guide `(P,)`, of the framework's arrays or of NumPy's, and the coarsest epsilon of their dtypes."""
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
    flat = np.concatenate([array.astype(np.float64).ravel() for array in values])
    if bad := flat.size - int(np.isfinite(flat).sum()):
        raise InvalidInputError(
            f"guides of finite numbers were asked for; {bad} of {flat.size} entries of one are NaN or infinite; leave "
            "it out"
        )
    dtypes = [backend.dtype(x) if backend.owns(x) else np.asarray(x).dtype.name for _, x in named]
    return flat, max(epsilon(dtype) if "float" in dtype else 0.0 for dtype in dtypes)


class GuidedDirections:
    """Normal directions of P + k numbers, of which the last k are coordinates in the guides' span."""

    def __init__(
        self, key: Key, *, estimator: Sampler, objective: Objective, basis: NDArray[np.float64], alpha: float
    ) -> None:
        layout = objective.layout
        # One draw of P + k normal numbers for each direction: index and seed decide both parts together.
        extended = Layout((*layout.names, _GUIDE), (*layout.shapes, (basis.shape[1],)))
        self._layout = layout
        self._normal = Directions(
            key,
            extended,
            num_samples=estimator.num_samples,
            dtype=objective.dtype,
            memory_budget_bytes=estimator.memory_budget_bytes,
        )
        self._free = math.sqrt(alpha)
        self._guided = math.sqrt((1.0 - alpha) * layout.num_parameters / basis.shape[1]) * basis.T

    def block(self, start: int, stop: int) -> Noise:
        """Return the directions start, ..., stop - 1."""
        *free, coordinates = self._normal.block(start, stop)
        guided = self._layout.unflatten((coordinates @ self._guided).astype(coordinates.dtype))
        return tuple(self._free * z + u for z, u in zip(free, guided, strict=True))
