"""gradest compares gradient estimators: which gradient, how right, at what cost.

    import gradest
    estimate = gradest.get_estimator("fd-central")(f, params)     # f(params) -> scalar, params a pytree of arrays
    gradient = gradest.grad(f, method="reverse")(params)

Importing gradest imports NumPy and no framework.
"""

from gradest import bench
from gradest.backend import Backend
from gradest.binding import bind
from gradest.errors import (
    DatasetError,
    GradestError,
    InvalidInputError,
    InvalidTypeError,
    MemoryBudgetError,
    MissingDependencyError,
    NoiseWarning,
    NonFiniteError,
    PreparationMismatchError,
    StepTooSmallError,
    UnknownNameError,
    UnsupportedError,
)
from gradest.estimate import Cost, Estimate
from gradest.estimator import Estimator, Prepared, Target
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import Operations
from gradest.problem import Problem
from gradest.registry import get_backend, get_estimator, get_problem, names
from gradest.transforms import grad, value_and_grad

__version__ = "0.1.0"

__all__ = [
    "Backend",
    "Cost",
    "DatasetError",
    "Estimate",
    "Estimator",
    "GradestError",
    "InvalidInputError",
    "InvalidTypeError",
    "Layout",
    "MemoryBudgetError",
    "MissingDependencyError",
    "NoiseWarning",
    "NonFiniteError",
    "Objective",
    "Operations",
    "PreparationMismatchError",
    "Prepared",
    "Problem",
    "StepTooSmallError",
    "Target",
    "UnknownNameError",
    "UnsupportedError",
    "bench",
    "bind",
    "get_backend",
    "get_estimator",
    "get_problem",
    "grad",
    "names",
    "value_and_grad",
]
