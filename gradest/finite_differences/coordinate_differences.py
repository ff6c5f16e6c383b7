"""The base class of estimators that move one coordinate at a time and divide by the step."""

from abc import abstractmethod
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradest.binding import bind
from gradest.directions.keys import Rng
from gradest.estimate import Cost
from gradest.estimator import Estimator, PreparedKernel
from gradest.finite_differences.sweep import QuotientSweep
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.problem import Problem
from gradest.tree import Tree


@dataclass(frozen=True)
class CoordinateDifferences(Estimator):
    """Base class of finite differences along the coordinates: a subclass states its rule and step as a sweep."""

    @abstractmethod
    def sweep(self) -> QuotientSweep:
        """Return the rule, the step and the coordinates as a `QuotientSweep`, which does all the work."""

    def cost(self, layout: Layout) -> Cost:
        return self.sweep().cost(layout)

    def prepare_kernel(self, objective: Objective, *, executor: Executor | None = None) -> PreparedKernel:
        return self.sweep().prepare(objective)

    def kink_crossings(self, f: Objective | Problem, params: Tree = None, *, rng: Rng = None) -> NDArray[np.bool_]:
        """Return which coordinates' difference quotients cross a kink of relu, abs or maximum, `(P,)`.

        Such a quotient mixes the slopes of two sides, so that its error is not that of a smooth function: leave its
        entry out of a table of accuracy, or take a shorter step. The order is that of `f.layout`: parameter by
        parameter, each in C order. Costs as many values as the quotients, and one more; with `kinks="mark"` or
        `kinks="warn"` each estimate does this by itself and has the result as `Estimate.crossings`.

        Parameters
        ----------
        f
            A `Problem`, or an objective of one.
        params
            Where to look; the start point by default.
        rng
            Of the estimate in question, where `step="noise"` draws a line to measure the noise along.

        Raises
        ------
        UnsupportedError
            The loss is an opaque function, whose kinks cannot be seen.

        Examples
        --------
        >>> import gradest
        >>> from gradest.datasets import synthetic_classification
        >>> data = synthetic_classification(32, 4, 3, seed=0)
        >>> problem = gradest.get_problem("mlp", dataset=data, activation="relu", widths=(8,), batch=None)
        >>> crossings = gradest.get_estimator("fd-central", step=1e-2).kink_crossings(problem)
        >>> f"{crossings.sum()} of {crossings.size} difference quotients cross a kink"
        '2 of 67 difference quotients cross a kink'
        """
        objective = f if isinstance(f, Objective) else bind(f, params)
        here = params is None or objective is not f
        leaves = objective.start if here else objective.form.leaves_of(params)
        found: NDArray[np.bool_] = objective.scoped(self.sweep().kink_crossings)(objective, leaves, rng)
        return found
