"""gradest compares gradient estimators: which gradient, how right, at what cost.

    import gradest
    estimate = gradest.get_estimator("fd-central")(f, params)     # f(params) -> scalar, params a pytree of arrays
    gradient = gradest.grad(f, method="reverse")(params)

Importing gradest imports NumPy and no framework.
"""

from gradest import bench
from gradest.backend import Backend, get_backend
from gradest.binding import bind
from gradest.errors import (
    DatasetError,
    GradestError,
    InvalidEstimateError,
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
from gradest.estimator import Estimator, Prepared, Target, get_estimator
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import Operations
from gradest.problem import Problem, get_problem
from gradest.registry import names
from gradest.transforms import grad, value_and_grad
from gradest.version import __version__ as __version__

__all__ = [
    "Backend",
    "Cost",
    "DatasetError",
    "Estimate",
    "Estimator",
    "GradestError",
    "InvalidEstimateError",
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
