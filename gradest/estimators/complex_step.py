"""The gradient by complex steps: exact to rounding at any short step, for losses that are analytic functions."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from gradest.backend import Leaves
from gradest.coordinates import Alike, Chunk, Factors, SharedSteps, dense_chunks, gather, perturbed_losses, pipeline
from gradest.directions.keys import Rng
from gradest.dtypes import HALF
from gradest.estimate import Cost, KernelResult
from gradest.estimator import Estimator, PreparedKernel
from gradest.evaluation import ValuesSeen
from gradest.fields import make_plain
from gradest.finite_differences.analyticity import require_analytic
from gradest.finite_differences.complex_losses import (
    complex_data,
    complex_leaves,
    explained,
    longer_step,
    require_complex,
    require_complex_loss,
    shortest_step,
    underflows,
)
from gradest.finite_differences.steps import check_step
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import Array, Data, NumpyArray
from gradest.refusals import ANALYTIC


@dataclass(frozen=True)
class ComplexStep(Estimator):
    """Moves one parameter at a time along the imaginary axis, where nothing is subtracted, so that nothing cancels.

    `f(x + i h e_i) = f(x) + i h g_i + O(h^2)` for an analytic loss: the derivative is the imaginary part over h,
    with h so short that the rest vanishes in rounding. The loss must be analytic and take complex parameters. A
    loss in operations is (kinks are decided by real parts); in a user's own function, conjugates, magnitudes and
    comparisons of complex numbers give wrong values. Its slopes along random lines, three as a rule, are compared
    with real differences at the first estimate (five evaluations a line, counted apart), and a function that is not
    analytic is refused; `verify=False` in `gradest.bind` leaves that out.

    Attributes
    ----------
    step
        "auto", the root of the dtype's smallest normal number, or a number; its square should vanish beside 1. Where
        the loss is so small that its slopes times "auto" would lose digits, a second sweep takes a longer one.
    chunk_size
        How many displacements are evaluated together; by default what fits the cache.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest.estimators import ComplexStep
    >>> ComplexStep()(lambda x: np.exp(x).sum(), np.array([0.0, 1.0])).gradient.round(12).tolist()
    [1.0, 2.718281828459]
    """

    family = "complex-step"
    source = "Lyness & Moler 1967, doi:10.1137/0704019; Squire & Trapp 1998, doi:10.1137/S003614459631241X"
    formula = "g_i = Im f(x + i h e_i) / h"
    cost_formula = "P values (complex)"
    needs = ANALYTIC

    step: str | float = "auto"
    chunk_size: int | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        check_step(self.step, ("auto",))

    def cost(self, layout: Layout) -> Cost:
        return Cost(values=layout.num_parameters)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        backend = objective.backend
        require_complex(objective)
        plan = dense_chunks(objective.layout, None, self.chunk_size)
        in_place = objective.population_path == "loop" and all(isinstance(x, np.ndarray) for x in objective.start)
        losses_at = _in_place(objective) if in_place else _population(objective, plan)
        chosen = shortest_step(objective) if isinstance(self.step, str) else self.step
        unknown = objective.is_users_own and objective.verifies

        def sweep(leaves: Leaves, step: float) -> list[tuple[Chunk, NumpyArray]]:
            return pipeline(
                plan,
                lambda chunk: explained(objective, lambda: losses_at(leaves, chunk, step)),
                lambda chunk, found: (chunk, require_complex_loss(backend.numpy(found))),
            )

        def kernel(leaves: Leaves, rng: Rng) -> KernelResult:
            step, losses = chosen, sweep(leaves, chosen)
            if isinstance(self.step, str) and underflows(losses[0][1], step):
                step = longer_step(objective)
                losses = sweep(leaves, step)
            slopes = [(chunk, found.imag / found.imag.dtype.type(step)) for chunk, found in losses]
            seen = ValuesSeen()
            for _, found in losses:
                seen.see(found.real + found.imag)  # not finite where either part is not
            seen.warn(None, remedy="try a point further inside the region where the loss is defined")
            value = backend.array(losses[0][1].real[0], dtype=objective.dtype, device=objective.device)
            gradient = gather(objective, slopes)
            nonlocal unknown
            if unknown:  # once, at the first estimate; what it evaluates is counted apart
                count = require_analytic(objective.separate(), leaves, gradient, step)
                objective.preparation_cost = objective.preparation_cost + Cost(values=count)
                unknown = False
            return KernelResult(value, gradient)

        return PreparedKernel(kernel, objective.population_path)


_ComplexLosses = Callable[[Leaves, Chunk, float], Array]


def _population(objective: Objective, plan: Sequence[Chunk]) -> _ComplexLosses:
    """Return the losses of K complex copies of the parameters at once, made inside the framework's compiled step."""
    factors = Factors(objective, whole_rows=False, plan=plan)
    narrow = [dtype in HALF for dtype in objective.dtypes]

    def make_step(alike: Alike) -> Callable[..., Array]:
        def step(leaves: Leaves, left: Array, right: Array, scale: Array, which: Array, data: Data) -> Array:
            whole = complex_leaves(objective, leaves)
            if narrow[alike[0]]:  # by a complex number PyTorch makes half precision complex32, with its range
                left, right = objective.backend.cast(left, "float32"), objective.backend.cast(right, "float32")
            given = complex_data(objective, data)
            return perturbed_losses(objective, whole, alike, (left, right), scale * 1j, which, given)

        return objective.stepped(step)

    steps = SharedSteps(objective, make_step)

    def losses(leaves: Leaves, chunk: Chunk, step: float) -> Array:
        # In half precision the step, or its product with an entry, would be zero.
        like = objective.backend.cast(leaves[chunk.block], "float32") if narrow[chunk.block] else leaves[chunk.block]
        scale = objective.ops.constant(np.array(step), like=like)
        run, which = steps.of(chunk.block)
        return run(leaves, *factors(chunk), scale, which)

    return losses


def _in_place(objective: Objective) -> _ComplexLosses:
    """Return the losses one by one, each imaginary part set in a private copy and cleared again."""

    def losses(leaves: Leaves, chunk: Chunk, step: float) -> Array:
        copies = tuple(np.array(leaf + 0j, order="C") for leaf in leaves)  # of Fortran's order `reshape` makes a copy
        moving = copies[chunk.block].reshape(-1)
        values = []
        for position in chunk.positions:
            moving.imag[position] = step
            values.append(np.asarray(objective.evaluate(copies, objective.data)))
            moving.imag[position] = 0.0
        stacked: Array = np.stack(values)
        return stacked

    return losses
