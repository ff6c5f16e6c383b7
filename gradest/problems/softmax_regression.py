"""Softmax regression: an MLP without hidden layers, convex. Knows no framework."""

from dataclasses import dataclass
from typing import ClassVar

from gradest.errors import InvalidInputError
from gradest.problems.mlp import MLP


@dataclass(frozen=True, eq=False)
class SoftmaxRegression(MLP):
    """Mean softmax cross-entropy of `z = x W + b`: gradient `X^T (softmax(z) - targets) / N`.

    Fields as `MLP`, with no hidden layers.

    Examples
    --------
    >>> import gradest
    >>> problem = gradest.get_problem("softmax-regression", dataset="iris")
    >>> problem.layout.shapes
    ((4, 3), (3,))
    """

    name: ClassVar[str] = "softmax-regression"

    widths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        # The field is there as it is MLP's, whose text the loss is; a value in it would be another problem's.
        if self.widths:
            raise InvalidInputError(f"softmax regression has no hidden layers; found widths {self.widths}; use 'mlp'")
