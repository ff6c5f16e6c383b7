"""gradest compares gradient estimators: which gradient, how right, at what cost.

    import gradest
    estimate = gradest.get_estimator("fd-central")(f, params)     # f(params) -> scalar, params a pytree of arrays
    gradient = gradest.grad(f, method="reverse")(params)
    results = gradest.compare(gradest.get_problem("quadratic"), estimators=["reverse", "es"], backends=["numpy"])

Importing gradest imports NumPy and no framework. The classes of the estimators are in `gradest.estimators`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from gradest.backend import Backend, get_backend
from gradest.binding import bind
from gradest.case import Case
from gradest.errors import (
    DatasetError,
    FlatLossWarning,
    GradestError,
    InvalidEstimateError,
    InvalidInputError,
    InvalidTypeError,
    KinkWarning,
    MemoryBudgetError,
    MissingDependencyError,
    NoiseWarning,
    NonFiniteError,
    NonFiniteWarning,
    PreparationMismatchError,
    StepTooSmallError,
    StepWarning,
    UnknownNameError,
    UnsupportedError,
)
from gradest.estimate import Cost, Estimate, KernelResult
from gradest.estimator import Estimator, Kernel, Prepared, PreparedKernel, get_estimator
from gradest.layout import Layout
from gradest.objective import Objective
from gradest.operations import Operations
from gradest.problem import EmpiricalRisk, Problem, get_problem
from gradest.registry import names
from gradest.situation import Situation
from gradest.stateful import PreparedRun, PreparedStatefulKernel, State, StatefulEstimator, StatefulKernel, state_bytes
from gradest.target import Smoothing, Target
from gradest.transforms import grad, value_and_grad
from gradest.version import __version__ as __version__

if TYPE_CHECKING:
    from gradest import bench, datasets, directions, estimators, problems, testing, theory, training
    from gradest.assignment import assign
    from gradest.checking.check import check
    from gradest.curvature.hutchinson import hessian_trace
    from gradest.curvature.products import hvp
    from gradest.directional import DirectionalDerivative, directional_derivative
    from gradest.graph_of import graph
    from gradest.hyperparameter import Hyperparameter, hyperparameters
    from gradest.measurement.applicability import Applicability, applicable
    from gradest.measurement.compare import compare
    from gradest.measurement.comparison import Comparison
    from gradest.measurement.noise_scale import NoiseScale, noise_scale
    from gradest.primitives import defjvp, defvjp, primitive
    from gradest.training.train import train
    from gradest.vectors import ravel

# Imported when first asked for: a table of strings, so that nothing here makes results depend on their text.
EXPORTS = {
    "Applicability": "gradest.measurement.applicability:Applicability",
    "Comparison": "gradest.measurement.comparison:Comparison",
    "DirectionalDerivative": "gradest.directional:DirectionalDerivative",
    "Hyperparameter": "gradest.hyperparameter:Hyperparameter",
    "NoiseScale": "gradest.measurement.noise_scale:NoiseScale",
    "applicable": "gradest.measurement.applicability:applicable",
    "assign": "gradest.assignment:assign",
    "bench": "gradest.bench",
    "check": "gradest.checking.check:check",
    "compare": "gradest.measurement.compare:compare",
    "datasets": "gradest.datasets",
    "defjvp": "gradest.primitives:defjvp",
    "defvjp": "gradest.primitives:defvjp",
    "directional_derivative": "gradest.directional:directional_derivative",
    "directions": "gradest.directions",
    "estimators": "gradest.estimators",
    "graph": "gradest.graph_of:graph",
    "hessian_trace": "gradest.curvature.hutchinson:hessian_trace",
    "hvp": "gradest.curvature.products:hvp",
    "hyperparameters": "gradest.hyperparameter:hyperparameters",
    "noise_scale": "gradest.measurement.noise_scale:noise_scale",
    "primitive": "gradest.primitives:primitive",
    "problems": "gradest.problems",
    "ravel": "gradest.vectors:ravel",
    "testing": "gradest.testing",
    "theory": "gradest.theory",
    "train": "gradest.training.train:train",
    "training": "gradest.training",
}
"""Public names that are imported on first use: a package, or "module:name"."""

__all__ = [
    "Applicability",
    "Backend",
    "Case",
    "Comparison",
    "Cost",
    "DatasetError",
    "DirectionalDerivative",
    "EmpiricalRisk",
    "Estimate",
    "Estimator",
    "FlatLossWarning",
    "GradestError",
    "Hyperparameter",
    "InvalidEstimateError",
    "InvalidInputError",
    "InvalidTypeError",
    "Kernel",
    "KernelResult",
    "KinkWarning",
    "Layout",
    "MemoryBudgetError",
    "MissingDependencyError",
    "NoiseScale",
    "NoiseWarning",
    "NonFiniteError",
    "NonFiniteWarning",
    "Objective",
    "Operations",
    "PreparationMismatchError",
    "Prepared",
    "PreparedKernel",
    "PreparedRun",
    "PreparedStatefulKernel",
    "Problem",
    "Situation",
    "Smoothing",
    "State",
    "StatefulEstimator",
    "StatefulKernel",
    "StepTooSmallError",
    "StepWarning",
    "Target",
    "UnknownNameError",
    "UnsupportedError",
    "applicable",
    "assign",
    "bench",
    "bind",
    "check",
    "compare",
    "datasets",
    "defjvp",
    "defvjp",
    "directional_derivative",
    "directions",
    "estimators",
    "get_backend",
    "get_estimator",
    "get_problem",
    "grad",
    "graph",
    "hessian_trace",
    "hvp",
    "hyperparameters",
    "names",
    "noise_scale",
    "primitive",
    "problems",
    "ravel",
    "state_bytes",
    "testing",
    "theory",
    "train",
    "training",
    "value_and_grad",
]


def __getattr__(name: str) -> Any:
    if name not in EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = EXPORTS[name].partition(":")
    found = importlib.import_module(module)
    globals()[name] = value = getattr(found, attribute) if attribute else found
    return value


def __dir__() -> list[str]:
    # what a shell completes: public names, and not what this file imports for itself
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
