"""Where an estimator is asked for its predicted error: a point of a loss, and what is known of the loss there."""

from dataclasses import dataclass

from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import NumpyArray


@dataclass(frozen=True, eq=False)
class Situation:
    """A point of a loss, as far as it is known.

    Attributes
    ----------
    layout
        Names and shapes of the parameters.
    gradient
        The gradient there, `(P,)`.
    value
        The loss there, where known.
    hessian
        Its curvature there, `(P, P)`, where known.
    objective
        The loss itself, whose start is that point, where known. An estimator whose error does not follow from the
        layout (it depends on the batch, on activations) reads it, and runs no estimate.
    """

    layout: Layout
    gradient: NumpyArray
    value: float | None = None
    hessian: NumpyArray | None = None
    objective: Objective | None = None
