"""Says how an estimator is called: of a function where it takes one, else of a problem written in operations."""

from functools import cache

import numpy as np

import gradest
from gradest.measurement.outcome import Outcome

FUNCTION = """import gradest

gradient = gradest.grad(loss, method="{name}"{fields})(params, x, y)
estimate = gradest.get_estimator("{name}"{fields})(loss, params, x, y, rng=0)"""

PROBLEM = """import gradest

problem = gradest.get_problem("mlp", dataset="iris")  # or a gradest.Problem of your own
estimate = gradest.get_estimator("{name}"{fields})(problem, rng=0)"""


def usage(name: str) -> str:
    """Return lines that call an estimator of `loss`, `params`, `x` and `y`, and of guides where it asks for them."""
    fields = ", guides=[known]" if name == "guided-es" else ""
    return (FUNCTION if name in _of_functions() or fields else PROBLEM).format(name=name, fields=fields)


@cache
def _of_functions() -> frozenset[str]:
    """Return the estimators that can run on a plain function; what needs guides is told without them, and is none."""
    found = gradest.applicable(lambda p: np.sum(p**2), np.ones(2))
    return frozenset(each.estimator for each in found if each.outcome is Outcome.OK)
