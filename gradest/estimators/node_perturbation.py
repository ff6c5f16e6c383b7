"""Node perturbation: random changes of pre-activations in place of random changes of weights."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from gradest.backend import Leaves
from gradest.directions.keys import Rng
from gradest.errors import UnsupportedError, unknown_name
from gradest.estimate import Cost, KernelResult
from gradest.estimator import PreparedKernel
from gradest.layout import Layout
from gradest.lengths import norm_of, unit_of
from gradest.objective import Objective
from gradest.operations import Array, Data
from gradest.refusals import IN_OPERATIONS
from gradest.sampling.antithetic import AntitheticVariant
from gradest.sampling.evolution_kernel import EvolutionKernel, EvolutionRun
from gradest.sampling.layers import require_layers_alone, run_intercepted
from gradest.sampling.nodes import (
    by_parameters,
    example_squares,
    moved_by,
    node_layers,
    node_layout,
    value_and_inputs,
    why_rows_are_no_examples,
)
from gradest.sampling.sampler import DirectionSampler
from gradest.sampling.workers import Crew
from gradest.situation import Situation
from gradest.tangents import Tangent
from gradest.target import Target
from gradest.theory import Prediction, predict_node_perturbation

WEIGHTINGS = ("auto", "example", "joint")
"""What the noise of a row of pre-activations may be weighted by."""


@dataclass(frozen=True, kw_only=True)
class NodePerturbation(AntitheticVariant, DirectionSampler):
    """Estimates the gradient by the pre-activations of all layers, and carries it to the weights exactly.

    With pre-activations `z_l = h_{l-1} W_l + b_l`, the estimate by z is antithetic ES, and then
    `W_l: h_{l-1}^T z_l-estimate`, `b_l: its sum over samples`. The dimension is the number of units times samples in
    place of the number of weights. It assumes that every parameter is the weight or bias of an affine operation and
    nothing else, and refuses losses where it is not so (a penalty on weights, for instance). The expectation is
    the gradient of the loss smoothed over pre-activations.

    Where the loss is known example by example (an `EmpiricalRisk`) and each example has a row of its own in every
    layer, the noise of a row is weighted by the loss of its own example alone: those of the other B - 1 examples would
    add noise and no signal. Relative mean squared error for normal directions then
    `sum_b (|d_b|^2 |J_b|_F^2 + |g_b / B|^2) / (|g|^2 N)`, with d_b the gradient by the pre-activations of example b,
    J_b their Jacobian by the parameters and g_b the gradient of its loss; weighted by the joint loss
    `(|d|^2 |J|_F^2 / |g|^2 + 1) / N`.
    `gradest.theory.predict_node_perturbation` has the others.

    Attributes
    ----------
    num_samples, sigma, distribution, rank, chunk_size, memory_budget_bytes
        As in `EvolutionStrategy`, for antithetic pairs; sigma is in units of the pre-activations.
    weighting
        What the noise of a row is weighted by: "example", the loss of its own example; "joint", the loss; "auto",
        by example where that can be. The path of an estimate says which: "nodes-by-example" or "nodes".

    Examples
    --------
    >>> import gradest
    >>> from gradest.estimators import NodePerturbation
    >>> mlp = gradest.get_problem("mlp", dataset="iris", widths=(5,), batch=12)
    >>> estimate = NodePerturbation(num_samples=10)(mlp, rng=0)
    >>> str(estimate.cost)
    '21 values'
    """

    family = "node-perturbation"
    source = "Widrow & Lehr 1990, doi:10.1109/5.58323 (MR III); Ren et al. 2023, arXiv:2210.03310"
    formula = "h^T (1/N) sum_i v_i (f(z + s v_i) - f(z - s v_i)) / (2 s)"
    cost_formula = "2N + 1 values"
    needs = f"{IN_OPERATIONS}, of affine layers"

    weighting: str = "auto"

    def __post_init__(self) -> None:
        """Refuse weightings that do not exist."""
        super().__post_init__()
        if self.weighting not in WEIGHTINGS:
            raise unknown_name("weighting", self.weighting, WEIGHTINGS)

    @property
    def target(self) -> Target:
        """The gradient of the loss smoothed over pre-activations, not over weights."""
        return Target.SMOOTHED

    def cost(self, layout: Layout) -> Cost:
        return Cost(values=2 * self.num_samples + 1)

    def predict(self, at: Situation) -> Prediction | None:
        """Return the error of `predict_node_perturbation` at the objective's start point; None without an objective.

        Activations and the gradient by pre-activations come from one run of the loss and one of reverse mode.
        """
        if at.objective is None or not np.any(at.gradient):
            return None
        by_example = self._resolved(at.objective).weighting == "example"
        layers, nodes = at.objective.scoped(node_layers)(at.objective)
        # The error is relative, and the same in any unit; squares of the examples' gradients may be out of range.
        exact = np.asarray(at.gradient, dtype=np.float64)
        unit = unit_of(exact)
        nodes = [node.in_units(unit) for node in nodes]
        return predict_node_perturbation(
            self.distribution,
            layers=nodes,
            gradient_norm=norm_of(exact / unit),
            num_samples=self.num_samples,
            rank=self.rank,
            example_squares=float(example_squares(layers, nodes).sum()) if by_example else None,
        )

    def _resolved(self, objective: Objective) -> "NodePerturbation":
        """Return the estimator with the weighting that "auto" stands for on an objective; refuse one that cannot be."""
        if self.weighting == "joint":
            return self
        why = objective.scoped(why_rows_are_no_examples)(objective)
        if why and self.weighting == "example":
            raise UnsupportedError(f"weighting='example' was asked for; found that {why}; use weighting='joint'")
        return replace(self, weighting="joint" if why else "example")

    def parts(self, objective: Objective) -> EvolutionKernel:
        """Return the kernel whose parts workers carry out: evolution strategies on pre-activations."""
        draw = partial(self.directions, objective=objective, layout=node_layout(objective))
        draw((0, 0))  # refuses now what would not fit the memory budget later
        ops, by_example = objective.ops, self.weighting == "example"
        text = objective.losses_text if by_example else objective.text

        def evaluate(leaves: Leaves, tangents: Sequence[Tangent], data: Data) -> Array:
            objective.count(Cost(values=tangents[0].count))
            shifts = [tangent.dense(ops) for tangent in tangents]
            values = run_intercepted(objective, leaves, data, moved_by(shifts), text=text)
            # The share that each example has in the loss, whose sum over examples it is.
            return values * (1.0 / int(values.shape[-1])) if by_example else values

        def combine(tangent: Tangent, weights: Array) -> Array:
            return ops.sum(tangent.dense(ops) * ops.expand_dims(weights, axis=-1), axis=0)

        return EvolutionKernel(self, objective, draw, evaluate, combine=combine if by_example else None)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        # Which weighting it is, is found out here, once: workers are told.
        return objective.scoped(self._resolved(objective)._prepare)(objective, executor)  # type: ignore[no-any-return]  # its own result

    def _prepare(self, objective: Objective, executor: Executor | None) -> PreparedKernel:
        crew = Crew(self, objective, executor, budget_bytes=self.memory_budget_bytes)
        run = EvolutionRun(crew, self.blocks(node_layout(objective)))
        # Inputs h and f(x) come from one evaluation without noise; that is the "+ 1" of the cost.
        forward = objective.compile(lambda leaves, data: value_and_inputs(objective, leaves, data))
        layers = tuple(layer for layer, _, _ in require_layers_alone(objective))
        carry = objective.compile(lambda inputs, nodes, data: by_parameters(objective, layers, inputs, nodes))

        def kernel(leaves: Leaves, rng: Rng) -> KernelResult:
            value, inputs = forward(leaves)
            return KernelResult(value, carry(inputs, tuple(run(leaves, rng).gradient)))

        return PreparedKernel(kernel, "nodes-by-example" if self.weighting == "example" else "nodes")
