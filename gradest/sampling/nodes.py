"""The pre-activations of a loss: what they are, how the loss depends on them, and how they depend on the parameters.

Node perturbation stands on these; they run no estimate. This module knows no framework.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradest.autodiff import value_and_gradient
from gradest.backend import Leaves, as_float64
from gradest.dtypes import epsilon
from gradest.estimate import Cost
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import Array, Data, Operations, Text
from gradest.sampling.layers import Found, Layer, require_layers_alone, run_intercepted
from gradest.theory import NodeLayer

_ROUNDING = 64
"""Units of rounding, of the largest entry, by which a row's slopes may differ between two sums over the examples."""


def node_layout(objective: Objective) -> Layout:
    """Return the names and shapes of the pre-activations, layer by layer as they run."""
    outputs = [output for _, _, output in require_layers_alone(objective)]
    names = tuple(f"z{k}" for k in range(1, len(outputs) + 1))
    return Layout(names, tuple(tuple(int(n) for n in output.shape) for output in outputs))


def moved_by(shifts: Sequence[Array]) -> Callable[[Layer, Array, Array], Array]:
    """Return the interceptor that adds to each pre-activation its own shift, in the order of `node_layout`."""
    moves = iter(shifts)

    def move(layer: Layer, inputs: Array, output: Array) -> Array:
        return output + next(moves)

    return move


def node_layers(objective: Objective) -> tuple[tuple[Layer, ...], tuple[NodeLayer, ...]]:
    """Return the layers, with their inputs and the gradient by their pre-activations at the start; counts nothing."""
    found, backend = require_layers_alone(objective), objective.backend
    slopes = _slopes(objective, found, objective.require_text("node perturbation"), objective.data)
    return tuple(layer for layer, _, _ in found), tuple(
        NodeLayer(inputs=as_float64(backend, inputs), slopes=as_float64(backend, slope), bias=layer.bias is not None)
        for (layer, inputs, _), slope in zip(found, slopes, strict=True)
    )


def _slopes(objective: Objective, found: Found, text: Text, data: Data) -> Leaves:
    """Return the gradient of a loss by the pre-activations at the start point."""

    def shifted(ops: Operations, shifts: Leaves, bound: Any) -> Array:
        leaves, given = bound
        return run_intercepted(objective, leaves, given, moved_by(shifts), ops=ops, text=text)

    # df/dz is the gradient by shifts added to the pre-activations, taken at shift zero.
    rest = tuple(objective.ops.zeros_like(output) for _, _, output in found)
    return value_and_gradient(shifted, objective.ops, rest, (objective.start, data))[1]


def why_rows_are_no_examples(objective: Objective) -> str:
    """Return why the rows of the layers are not the examples of the loss, each for itself; "" where they are.

    Two gradients by the pre-activations tell, of a sum of the examples' losses and of a randomly weighted one: where
    the loss of an example depends on its own row alone, the weight of the example is the factor between its rows.
    """
    text = objective.losses_text
    if text is None:
        return "the loss is not known example by example; write the problem as a gradest.EmpiricalRisk"
    found = require_layers_alone(objective)
    count = int(run_intercepted(objective, objective.start, objective.data, _pass, text=text).shape[-1])
    rows = {tuple(int(n) for n in output.shape)[:-1] for _, _, output in found}
    if rows != {(count,)}:
        return f"layers have rows {sorted(rows)} for {count} examples"
    weights = np.random.default_rng(0).uniform(0.5, 1.5, count)

    def weighted(ops: Operations, leaves: Leaves, given: Data) -> Array:
        return ops.sum(text(ops, leaves, given[1]) * given[0], axis=-1)

    def slopes(values: NDArray[np.float64]) -> Leaves:
        placed = objective.backend.array(values, dtype=objective.dtype, device=objective.device)
        return _slopes(objective, found, weighted, (placed, objective.data))

    for one, other in zip(slopes(np.ones(count)), slopes(weights), strict=True):
        sums, scaled = (as_float64(objective.backend, each) for each in (one, other))
        error = np.abs(scaled - weights[:, None] * sums).max()
        if not error <= _ROUNDING * epsilon(objective.dtype) * np.abs(sums).max():
            return "the loss of an example depends on the pre-activations of others, as with batch normalisation"
    return ""


def example_squares(layers: Sequence[Layer], nodes: Sequence[NodeLayer]) -> NDArray[np.float64]:
    """Return the squared gradients of the examples' shares of the loss by all parameters, `|g_b / B|^2`, `(B,)`.

    Without a gradient of any example: row b of a layer adds `h_b d_b^T` to its weight's, so that the inner product of
    two uses of one weight is `(h_b . h'_b) (d_b . d'_b)`, and of one bias `d_b . d'_b`.
    """
    total = np.zeros(len(nodes[0].slopes))
    for layer, node in zip(layers, nodes, strict=True):
        for other, its in zip(layers, nodes, strict=True):  # a tied weight is met several times
            if layer.weight == other.weight:
                total += np.sum(node.slopes * its.slopes, axis=1) * np.sum(node.inputs * its.inputs, axis=1)
            if layer.bias is not None and layer.bias == other.bias:
                total += np.sum(node.slopes * its.slopes, axis=1)
    return total


def value_and_inputs(objective: Objective, leaves: Leaves, data: Data) -> tuple[Array, tuple[Array, ...]]:
    """Return the loss and the inputs of its layers; counts one value."""
    objective.count(Cost(values=1))
    inputs: list[Array] = []

    def record(layer: Layer, values: Array, output: Array) -> Array:
        inputs.append(values)
        return output

    return run_intercepted(objective, leaves, data, record), tuple(inputs)


def by_parameters(objective: Objective, layers: Sequence[Layer], inputs: Leaves, nodes: Leaves) -> Leaves:
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


def _pass(layer: Layer, inputs: Array, output: Array) -> Array:
    return output
