"""Where an error is asked for: what is known of the loss at one point. Knows no formula and no estimator."""

from dataclasses import KW_ONLY, dataclass

import numpy as np

from gradest.layout import Layout
from gradest.lengths import unit_of
from gradest.objective import Objective
from gradest.operations import NumpyArray


@dataclass(frozen=True, eq=False)
class Situation:
    """What is known of the loss at the point where `Estimator.predict` is asked for the error of an estimate.

    Attributes
    ----------
    layout
        Names and shapes of the parameters, P entries in all.
    gradient
        The exact gradient there, flat `(P,)`.
    value, hessian
        The loss there and its curvature `(P, P)`, where known.
    objective
        The loss, whose start point is that place, where known. An estimator whose error does not follow from the
        layout (it depends on the batch, on activations) reads it, and predicts nothing without it.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> at = gradest.Situation(gradest.Layout(("x",), ((50,),)), gradient=np.ones(50))
    >>> float(gradest.get_estimator("forward-gradient", num_samples=17).predict(at).relative_mse)
    3.0
    """

    layout: Layout
    gradient: NumpyArray
    _: KW_ONLY
    value: float | None = None
    hessian: NumpyArray | None = None
    objective: Objective | None = None

    @property
    def shares(self) -> list[float]:
        """The share `|G_l|^2 / |g|^2` of each parameter array in the gradient, which must not vanish."""
        gradient = np.asarray(self.gradient, dtype=np.float64)
        # Shares are quotients of squares, which of a gradient near 1e-200 are all 0.
        blocks = self.layout.unflatten(gradient / unit_of(gradient))
        squares = [float(np.sum(np.square(block))) for block in blocks]
        return [square / sum(squares) for square in squares]
