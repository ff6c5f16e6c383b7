"""The share of wrong answers as a loss: what is wanted of a classifier, and has no gradient. Knows no framework."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gradest.operations import Array, Operations
from gradest.problem import Problem
from gradest.problems.accuracy import accuracy, right_answers
from gradest.problems.mlp import MLP


@dataclass(frozen=True, eq=False)
class ClassificationError(MLP):
    """Share of examples that a multilayer perceptron classifies wrongly: a loss of steps, without a gradient.

    What is wanted of a classifier, where the cross-entropy is what can be differentiated. Its derivative is 0 almost
    everywhere, so estimators that differentiate are refused; evolution strategies smooth it, with a sigma of the size
    of the weights. Fields as `MLP`.

    Examples
    --------
    >>> import gradest
    >>> problem = gradest.get_problem("classification-error", dataset="iris", widths=())
    >>> problem.differentiable
    False
    >>> gradest.get_estimator("es", sigma=0.5, num_samples=10)(problem, rng=0).gradient["W1"].shape
    (4, 3)
    """

    name: ClassVar[str] = "classification-error"

    @property
    def has_closed_form(self) -> bool:
        return False

    @property
    def differentiable(self) -> bool:
        return False

    def losses(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        return 1.0 - right_answers(ops, self.predict(ops, params, data["x"]), data["targets"])

    def loss(self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]) -> Array:
        return 1.0 - accuracy(ops, self.predict(ops, params, data["x"]), data["targets"])

    def loss_and_gradient(
        self, ops: Operations, params: Mapping[str, Array], data: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        # Past MLP's, which is the gradient of the cross-entropy: Problem's refuses.
        return Problem.loss_and_gradient(self, ops, params, data)
