"""Multilayer perceptrons with softmax cross-entropy: the suite's main problem. Knows no framework."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gradest.datasets import Dataset, load
from gradest.errors import InvalidTypeError, unknown_name
from gradest.example_order import checked_rows
from gradest.fields import make_plain
from gradest.operations import Array, Operations
from gradest.problem import EmpiricalRisk, Metric
from gradest.problems.accuracy import accuracy
from gradest.problems.initial_laws import INITIAL_LAWS
from gradest.whole_numbers import whole_number

Activation = Callable[[Operations, Array], Array]
Derivative = Callable[[Operations, Array, Array], Array]

ACTIVATIONS: dict[str, Activation] = {
    "tanh": lambda ops, a: ops.tanh(a),
    "sigmoid": lambda ops, a: ops.sigmoid(a),
    "relu": lambda ops, a: ops.relu(a),
    "requ": lambda ops, a: ops.square(ops.relu(a)),
    "softplus": lambda ops, a: ops.softplus(a),
}
DERIVATIVES: dict[str, Derivative] = {  # of the pre-activation a and the activation h
    # Of h, which is at hand: near 1 digits cancel, of a factor that is next to 0 beside those of other units.
    "tanh": lambda ops, a, h: 1.0 - h * h,
    "sigmoid": lambda ops, a, h: h * (1.0 - h),
    # 0 at 0, as every framework has it: `check_kinks` holds them to it.
    "relu": lambda ops, a, h: ops.where(ops.greater(a, 0.0), ops.zeros_like(a) + 1.0, ops.zeros_like(a)),
    "requ": lambda ops, a, h: 2.0 * ops.relu(a),
    "softplus": lambda ops, a, h: ops.sigmoid(a),
}


@dataclass(frozen=True, eq=False)
class MLP(EmpiricalRisk):
    """Mean softmax cross-entropy of a multilayer perceptron on a batch of real or given data.

    `loss = mean_n [logsumexp(z_n) - z_n[y_n]]`, `z = h_L W_{L+1} + b_{L+1}`, `h_l = act(h_{l-1} W_l + b_l)`, `h_0 = x`.
    Gradient: backpropagation (Rumelhart, Hinton & Williams 1986, doi:10.1038/323533a0).

    Attributes
    ----------
    dataset
        The name of a data set of `gradest.datasets` (read when first needed), or a `Dataset`.
    widths
        Hidden widths; `()` gives softmax regression.
    activation
        "tanh", "sigmoid", "relu", "requ" (max(0, x)^2) or "softplus".
    batch
        How many samples, the first of the set after a seeded shuffle; None takes all.
    bias
        Whether layers have biases.
    seed
        Of the start point.
    initial
        The law of the start point: "normal" (W ~ N(0, 1/fan_in), b ~ N(0, 0.01)), "torch-linear", "xavier",
        "mxnet-uniform" or "zeros"; `gradest.problems.initial_laws` has their formulas and sources.

    Examples
    --------
    >>> import gradest
    >>> mlp = gradest.get_problem("mlp", dataset="iris", widths=(8,), batch=32)
    >>> mlp.layout.num_parameters
    67
    >>> gradest.get_estimator("reverse")(mlp).gradient[mlp.layout.names[0]].shape
    (4, 8)
    """

    name: ClassVar[str] = "mlp"
    per_example: ClassVar[tuple[str, ...]] = ("x", "targets")

    dataset: str | Dataset = "digits"
    widths: tuple[int, ...] = (32,)
    activation: str = "tanh"
    batch: int | None = 64
    bias: bool = True
    seed: int = 0
    initial: str = "normal"

    def __post_init__(self) -> None:
        make_plain(self)
        if self.initial not in INITIAL_LAWS:
            raise unknown_name("initial law", self.initial, INITIAL_LAWS)
        if self.activation not in ACTIVATIONS:
            raise unknown_name("activation", self.activation, ACTIVATIONS)
        if not isinstance(self.dataset, str | Dataset):
            raise InvalidTypeError(
                f"dataset must be a name or a gradest.datasets.Dataset; found {type(self.dataset).__name__}; "
                "gradest.datasets.from_arrays makes one of arrays"
            )
        object.__setattr__(self, "widths", tuple(whole_number("widths", width) for width in self.widths))
        whole_number("seed", self.seed, least=0)
        if self.batch is not None:
            whole_number("batch", self.batch)

    @cached_property
    def _samples(self) -> Dataset:
        whole = load(self.dataset) if isinstance(self.dataset, str) else self.dataset
        # a data set speaks of samples to take: what was asked for is a batch
        return whole if self.batch is None else whole.take(whole_number("batch", self.batch, most=len(whole)))

    @property
    def sizes(self) -> tuple[int, ...]:
        """The widths of all layers, input and output included."""
        return (self._samples.features.shape[1], *self.widths, self._samples.num_classes)

    def parameters(self) -> dict[str, NDArray[np.float64]]:
        generator, law = np.random.default_rng(self.seed), INITIAL_LAWS[self.initial]
        start: dict[str, NDArray[np.float64]] = {}
        for layer, (fan_in, fan_out) in enumerate(pairwise(self.sizes), start=1):
            start[f"W{layer}"] = law.weights(generator, fan_in, fan_out)
            if self.bias:
                start[f"b{layer}"] = law.biases(generator, fan_in, fan_out)
        return start

    def data(self) -> dict[str, NDArray[np.float64]]:
        samples = self._samples
        # One-hot rows, as losses do not index.
        return {"x": samples.features.copy(), "targets": np.eye(samples.num_classes)[samples.labels]}

    @property
    def num_examples(self) -> int:
        return len(self._samples)

    def batch_of(self, rows: Sequence[int] | NDArray[np.intp]) -> dict[str, NDArray[np.float64]]:
        samples = self._samples  # rows of the set itself: the whole of its data need not stand in memory twice
        chosen = checked_rows(rows, len(samples))
        return {"x": samples.features[chosen], "targets": np.eye(samples.num_classes)[samples.labels[chosen]]}

    def hidden(self, ops: Operations, params: Mapping[str, Array], features: Array) -> list[Array]:
        """Return the activations `(..., N, width)` of each hidden layer for features `(N, D)`, the first layer's first.

        Examples
        --------
        >>> import gradest
        >>> mlp = gradest.get_problem("mlp", dataset="iris", widths=(8, 5), batch=32)
        >>> ops = gradest.get_backend("numpy").operations()
        >>> [h.shape for h in mlp.hidden(ops, mlp.parameters(), mlp.data()["x"])]
        [(32, 8), (32, 5)]
        """
        activation, found = ACTIVATIONS[self.activation], [features]
        for layer in range(1, len(self.widths) + 1):
            found.append(activation(ops, ops.affine(found[-1], params[f"W{layer}"], params.get(f"b{layer}"))))
        return found[1:]

    def predict(self, ops: Operations, params: Mapping[str, Array], features: Array) -> Array:
        depth = len(self.widths) + 1
        last = [features, *self.hidden(ops, params, features)][-1]
        return ops.affine(last, params[f"W{depth}"], params.get(f"b{depth}"))

    @property
    def metrics(self) -> Mapping[str, Metric]:
        return {"accuracy": self._accuracy}

    def _accuracy(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        return accuracy(ops, self.predict(ops, params, data["x"]), data["targets"])

    def losses(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        # Each example is a batch of one: the cross-entropy is the mean over an axis of length 1.
        logits, targets = self.predict(ops, params, data["x"]), ops.expand_dims(data["targets"], axis=-2)
        return ops.softmax_cross_entropy(ops.expand_dims(logits, axis=-2), targets)

    def loss(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        # Not the mean of `losses`: frameworks and interpreters have the whole batch's cross-entropy as one operation.
        return ops.softmax_cross_entropy(self.predict(ops, params, data["x"]), data["targets"])

    def loss_and_gradient(
        self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        activation, derivative = ACTIVATIONS[self.activation], DERIVATIVES[self.activation]
        depth = len(self.widths) + 1
        before: list[Array] = []  # pre-activations
        hidden: list[Array] = [data["x"]]
        for layer in range(1, depth):
            before.append(ops.affine(hidden[-1], params[f"W{layer}"], params.get(f"b{layer}")))
            hidden.append(activation(ops, before[-1]))
        logits = ops.affine(hidden[-1], params[f"W{depth}"], params.get(f"b{depth}"))
        value, delta = ops.softmax_cross_entropy_and_gradient(logits, data["targets"])
        gradient: dict[str, Array] = {}
        for layer in range(depth, 0, -1):
            gradient[f"W{layer}"] = ops.matmul(ops.matrix_transpose(hidden[layer - 1]), delta)
            if self.bias:
                # Not divided by the number of examples: delta is, since the cross-entropy is their mean.
                gradient[f"b{layer}"] = ops.sum(delta, axis=-2)
            if layer > 1:
                delta = ops.matmul(delta, ops.matrix_transpose(params[f"W{layer}"]))
                delta = delta * derivative(ops, before[layer - 2], hidden[layer - 1])
        # Made from the last layer to the first, and given in the order of the parameters.
        return value, {name: gradient[name] for name in self.layout.names}
