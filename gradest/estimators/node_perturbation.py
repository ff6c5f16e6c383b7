"""Node perturbation: random changes of pre-activations in place of random changes of weights."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gradest.autodiff import value_and_gradient
from gradest.backend import Leaves, as_float64
from gradest.directions.keys import Rng
from gradest.estimate import Cost, KernelResult
from gradest.estimator import PreparedKernel
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import Array, Data, Operations
from gradest.refusals import IN_OPERATIONS
from gradest.sampling.antithetic import AntitheticVariant
from gradest.sampling.evolution_kernel import EvolutionKernel, EvolutionRun
from gradest.sampling.layers import Layer, require_layers_alone, run_intercepted
from gradest.sampling.sampler import DirectionSampler
from gradest.sampling.workers import Crew
from gradest.situation import Situation
from gradest.tangents import Tangent
from gradest.target import Target
from gradest.theory import NodeLayer, Prediction, predict_node_perturbation


@dataclass(frozen=True, kw_only=True)
class NodePerturbation(AntitheticVariant, DirectionSampler):
    """Estimates the gradient by the pre-activations of all layers, and carries it to the weights exactly.

    With pre-activations `z_l = h_{l-1} W_l + b_l`, the estimate by z is antithetic ES, and then
    `W_l: h_{l-1}^T z_l-estimate`, `b_l: its sum over samples`. The dimension is the number of units times samples in
    place of the number of weights. It assumes that every parameter is the weight or bias of an affine operation and
    nothing else, and refuses losses where it is not so (a penalty on weights, for instance). The expectation is
    the gradient of the loss smoothed over pre-activations.

    Relative mean squared error for normal directions `(|d|^2 |J|_F^2 / |g|^2 + 1) / N`, with d the gradient by the
    pre-activations and J their Jacobian by the parameters; `gradest.theory.predict_node_perturbation` has the others.

    Attributes
    ----------
    num_samples, sigma, distribution, rank, chunk_size, memory_budget_bytes
        As in `EvolutionStrategy`, for antithetic pairs; sigma is in units of the pre-activations.

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
    formula = "h^T (1/N) sum_i (f(z + s v_i) - f(z - s v_i)) / (2 s) v_i"
    cost_formula = "2N + 1 values"
    needs = f"{IN_OPERATIONS}, of affine layers"

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
        return predict_node_perturbation(
            self.distribution,
            layers=at.objective.scoped(_node_layers)(at.objective),
            gradient_norm=float(np.linalg.norm(np.asarray(at.gradient, dtype=np.float64))),
            num_samples=self.num_samples,
            rank=self.rank,
        )

    def parts(self, objective: Objective) -> EvolutionKernel:
        """Return the kernel whose parts workers carry out: evolution strategies on pre-activations."""
        draw = partial(self.directions, objective=objective, layout=_node_layout(objective))
        draw((0, 0))  # refuses now what would not fit the memory budget later

        def evaluate(leaves: Leaves, tangents: Sequence[Tangent], data: Data) -> Array:
            # Layers run in the order in which `_node_layout` found them, so the k-th affine operation takes the k-th
            # direction.
            moves = iter(tangents)
            objective.count(Cost(values=tangents[0].count))

            def move(layer: Layer, inputs: Array, output: Array) -> Array:
                return output + next(moves).dense(objective.ops)

            return run_intercepted(objective, leaves, data, move)

        return EvolutionKernel(self, objective, draw, evaluate)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        return objective.scoped(self._prepare)(objective, executor)  # type: ignore[no-any-return]  # its own result

    def _prepare(self, objective: Objective, executor: Executor | None) -> PreparedKernel:
        crew = Crew(self, objective, executor, budget_bytes=self.memory_budget_bytes)
        run = EvolutionRun(crew, self.blocks(_node_layout(objective)))
        # Inputs h and f(x) come from one evaluation without noise; that is the "+ 1" of the cost.
        forward = objective.compile(lambda leaves, data: _value_and_inputs(objective, leaves, data))
        layers = tuple(layer for layer, _, _ in require_layers_alone(objective))
        carry = objective.compile(lambda inputs, nodes, data: _by_parameters(objective, layers, inputs, nodes))

        def kernel(leaves: Leaves, rng: Rng) -> KernelResult:
            value, inputs = forward(leaves)
            return KernelResult(value, carry(inputs, tuple(run(leaves, rng).gradient)))

        return PreparedKernel(kernel, "nodes")


def _node_layout(objective: Objective) -> Layout:
    outputs = [output for _, _, output in require_layers_alone(objective)]
    names = tuple(f"z{k}" for k in range(1, len(outputs) + 1))
    return Layout(names, tuple(tuple(int(n) for n in output.shape) for output in outputs))


def _node_layers(objective: Objective) -> tuple[NodeLayer, ...]:
    """Return the inputs of all layers and the gradient by their pre-activations, at the start point; counts nothing."""
    found, backend = require_layers_alone(objective), objective.backend

    def shifted(ops: Operations, shifts: Leaves, bound: Any) -> Array:
        moves = iter(shifts)

        def move(layer: Layer, inputs: Array, output: Array) -> Array:
            return output + next(moves)

        leaves, data = bound
        return run_intercepted(objective, leaves, data, move, ops=ops)

    # df/dz is the gradient by shifts added to the pre-activations, taken at shift zero.
    rest = tuple(objective.ops.zeros_like(output) for _, _, output in found)
    _, slopes = value_and_gradient(shifted, objective.ops, rest, (objective.start, objective.data))
    return tuple(
        NodeLayer(inputs=as_float64(backend, inputs), slopes=as_float64(backend, slope), bias=layer.bias is not None)
        for (layer, inputs, _), slope in zip(found, slopes, strict=True)
    )


def _value_and_inputs(objective: Objective, leaves: Leaves, data: Data) -> tuple[Array, tuple[Array, ...]]:
    """Return the loss and the inputs of its layers; counts one value."""
    objective.count(Cost(values=1))
    inputs: list[Array] = []

    def record(layer: Layer, values: Array, output: Array) -> Array:
        inputs.append(values)
        return output

    return run_intercepted(objective, leaves, data, record), tuple(inputs)


def _by_parameters(objective: Objective, layers: Sequence[Layer], inputs: Leaves, nodes: Leaves) -> Leaves:
    """Return the gradient by the parameters for one by the pre-activations."""
    ops = objective.ops
    total: dict[int, Array] = {}
    for layer, values, node in zip(layers, inputs, nodes, strict=True):
        parts = {layer.weight: ops.matmul(ops.matrix_transpose(values), node)}
        if layer.bias is not None:
            parts[layer.bias] = ops.sum(node, axis=-2)
        for place, part in parts.items():  # a tied weight is met several times, and its uses add up
            total[place] = total[place] + part if place in total else part
    return tuple(total[place] for place in range(len(objective.layout.names)))
