"""Minimise a loss of any framework's parameters by SciPy, from a gradient by any estimator."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize

import gradest


def fit(loss: Callable[..., Any], params: Any, *args: Any, method: str = "reverse") -> Any:
    """Return the parameters that BFGS finds, in the structure in which they were given."""
    vector, unravel = gradest.ravel(params)
    value_and_grad = gradest.value_and_grad(loss, method=method)

    def of_vector(vector: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = value_and_grad(unravel(vector), *args)
        return float(value), gradest.ravel(gradient)[0]

    return unravel(minimize(of_vector, vector, jac=True, method="BFGS").x)
