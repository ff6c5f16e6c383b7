"""Evolution strategies on the row space of the batch: no direction is spent where the gradient cannot be."""

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gradest.backend import Leaves
from gradest.directions.keys import Rng
from gradest.dtypes import epsilon
from gradest.errors import UnsupportedError
from gradest.estimate import Cost, KernelResult
from gradest.estimator import PreparedKernel
from gradest.form import Form
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import Array, NumpyArray
from gradest.refusals import IN_OPERATIONS
from gradest.sampling.antithetic import AntitheticVariant
from gradest.sampling.evolution_kernel import EvolutionKernel, EvolutionRun, parameter_kernel
from gradest.sampling.layers import find_layers
from gradest.sampling.sampler import DirectionSampler, evaluation_path
from gradest.sampling.workers import Crew
from gradest.situation import Situation
from gradest.target import Target
from gradest.theory import Prediction, local_model, mean_excess, relative_mse_es
from gradest.tree import flatten_tree

_MATRIX_AXES = 2


@dataclass(frozen=True, kw_only=True)
class RowSpaceES(AntitheticVariant, DirectionSampler):
    """Antithetic ES that perturbs first-layer weights in the row space of the data alone.

    A weight W `(D, H)` that meets data X `(B, D)` only as `X W` has a gradient in the row space of X. With an
    orthonormal basis Q `(D, r)` of it, the loss is a function of `Q^T W`, with data `X Q`: ES runs on that smaller
    problem, and its estimate is carried back by Q. Unbiased for the gradient of the loss smoothed over those
    directions; the dimension of each such weight is `r H` in place of `D H`, and the relative mean squared error that
    of `EvolutionStrategy` with P so reduced.

    It assumes that those weights and data are used in affine operations alone, and refuses losses where it is not
    so. A batch with as many independent rows as columns gains nothing.

    Attributes
    ----------
    num_samples, sigma, distribution, rank, chunk_size, memory_budget_bytes
        As in `EvolutionStrategy`, for antithetic pairs.

    Examples
    --------
    >>> import gradest
    >>> from gradest.estimators import RowSpaceES
    >>> mlp = gradest.get_problem("mlp", dataset="digits", widths=(8,), batch=4)  # 4 rows of 64 pixels
    >>> estimate = RowSpaceES(num_samples=10)(mlp, rng=0)
    >>> str(estimate.cost)
    '20 values'
    """

    family = "es-row-space"
    reads_data = True  # the basis is that of the batch
    source = "derived: the gradient by W is X^T (gradient by X W); Salimans et al. 2017, arXiv:1703.03864 (ES)"
    formula = "(1/N) sum_i v_i (f(x + s v_i) - f(x - s v_i)) / (2 s), v_i = Q z_i for first-layer weights"
    cost_formula = "2N values"
    needs = f"{IN_OPERATIONS}, whose first layer is affine in its data"

    @property
    def target(self) -> Target:
        """The gradient of the loss smoothed over the directions in the row space."""
        return Target.SMOOTHED

    def cost(self, layout: Layout) -> Cost:
        return Cost(values=2 * self.num_samples)

    def predict(self, at: Situation) -> Prediction | None:
        """Return the error of `EvolutionStrategy` in the row space of the objective's batch; None without an objective.

        With the gradient carried there, `Q^T G` for each weight that meets data, whose length is that of G.
        """
        if at.objective is None:
            return None
        bases = at.objective.scoped(_bases)(at.objective)
        blocks: list[NumpyArray] = list(at.layout.unflatten(np.asarray(at.gradient, dtype=np.float64)))
        for place, (_, basis) in bases.items():
            blocks[place] = basis.T @ blocks[place]
        reduced = Layout(at.layout.names, tuple(block.shape for block in blocks))
        there = Situation(reduced, reduced.flatten(blocks))
        if not np.any(there.gradient):
            return None
        return relative_mse_es(
            self.distribution,
            baseline="antithetic",
            num_parameters=reduced.num_parameters,
            num_samples=self.num_samples,
            sigma=self.sigma,
            model=local_model(there.gradient),
            direction_excess=mean_excess(self.distribution, blocks=reduced.shapes, shares=there.shares, rank=self.rank),
        )

    def parts(self, objective: Objective) -> EvolutionKernel:
        """Return the kernel whose parts workers carry out: evolution strategies on the reduced problem."""
        return parameter_kernel(self, _reduced(objective, _bases(objective)))

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        return objective.scoped(self._prepare)(objective, executor)  # type: ignore[no-any-return]  # its own result

    def _prepare(self, objective: Objective, executor: Executor | None) -> PreparedKernel:
        crew = Crew(self, objective, executor, budget_bytes=self.memory_budget_bytes)
        inner = crew.kernel.objective
        run = EvolutionRun(crew, self.blocks(inner.layout))
        bases = {place: _placed(objective, basis) for place, (_, basis) in _bases(objective).items()}
        matmul, transpose = objective.ops.matmul, objective.ops.matrix_transpose

        def kernel(leaves: Leaves, rng: Rng) -> KernelResult:
            before = inner.counts  # the smaller problem counts for itself; its user looks at the one that was bound
            small = tuple(matmul(transpose(bases[k]), w) if k in bases else w for k, w in enumerate(leaves))
            result = run(small, rng)
            gradient = tuple(matmul(bases[k], g) if k in bases else g for k, g in enumerate(result.gradient))
            objective.count(inner.counts - before)
            return KernelResult(result.value, gradient)

        return PreparedKernel(kernel, evaluation_path(inner))


def _bases(objective: Objective) -> dict[int, tuple[str, NDArray[np.float64]]]:
    """Return for each weight that meets data: the name of the data, and Q `(D, r)`."""
    data = objective.data
    if not isinstance(data, Mapping):
        raise UnsupportedError(
            "the row space of the batch was asked for; it needs a gradest Problem with data by name; use 'es' instead"
        )
    matrices = [name for name, values in data.items() if len(values.shape) == _MATRIX_AXES]
    inputs = {id(data[name]): name for name in matrices}
    # By identity: an array of the data that was changed on its way is another array, of another row space.
    met = [(layer.weight, inputs[id(x)]) for layer, x, _ in find_layers(objective, sealed=()) if id(x) in inputs]
    if not met:
        raise UnsupportedError(
            f"no affine operation of the loss has data as its input (matrices: {matrices}); use 'es' instead"
        )
    weights, names = {weight for weight, _ in met}, {name for _, name in met}
    uses = {
        (layer.weight, layer.data_name) for layer, _, _ in find_layers(objective, sealed=weights, sealed_data=names)
    }
    # A weight that also meets something else has a gradient outside the row space, which would be lost silently.
    several = [objective.layout.names[w] for w in weights if len([name for place, name in uses if place == w]) > 1]
    if several:
        raise UnsupportedError(f"weights {several} meet data and something else; use 'es' instead")
    bases = {name: _row_space(objective, data[name]) for name in names}
    return {weight: (name, bases[name]) for weight, name in met}


def _row_space(objective: Objective, values: Array) -> NDArray[np.float64]:
    """Return an orthonormal basis `(D, r)` of the row space, by singular values above rounding."""
    matrix = np.asarray(objective.backend.numpy(values), dtype=np.float64)
    _, singular, rows = np.linalg.svd(matrix, full_matrices=False)
    # A basis from float32 data keeps what float32 rounding adds to zero singular values; the threshold is NumPy's
    # (`matrix_rank`), at the data's precision though the decomposition is in float64.
    rounding = max(epsilon(objective.dtype), epsilon("float64")) * max(matrix.shape) * singular[0]
    rank = max(1, int((singular > rounding).sum()))
    basis: NDArray[np.float64] = np.ascontiguousarray(rows[:rank].T)
    return basis


def _reduced(objective: Objective, bases: Mapping[int, tuple[str, NDArray[np.float64]]]) -> Objective:
    """Return the loss as a function of `Q^T W` on data `X Q`, with counts of its own."""
    ops = objective.ops
    placed = {place: _placed(objective, basis) for place, (_, basis) in bases.items()}
    start = tuple(
        ops.matmul(ops.matrix_transpose(placed[k]), w) if k in placed else w for k, w in enumerate(objective.start)
    )
    by_name = {name: placed[place] for place, (name, _) in bases.items()}
    data = {name: ops.matmul(x, by_name[name]) if name in by_name else x for name, x in objective.data.items()}
    _, _, structure = flatten_tree(dict(zip(objective.layout.names, start, strict=True)))
    text = objective.require_text("the row space of the batch", instead="'es' instead")
    return Objective(
        backend=objective.backend,
        function=partial(text, ops),
        text=text,
        start=start,
        form=Form(objective.backend, start, objective.layout.names, structure, returns_numpy=False),
        data=data,
        kernel=objective.kernel,
    )


def _placed(objective: Objective, basis: NDArray[np.float64]) -> Array:
    return objective.backend.array(basis, dtype=objective.dtype, device=objective.device)
