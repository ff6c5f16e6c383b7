"""The estimators, one family a file: `from gradest.estimators import FiniteDifference, EvolutionStrategy, ...`.

Each is imported when it is first asked for. What several of them share stands elsewhere: `gradest.finite_differences`,
`gradest.sampling`, `gradest.autodiff`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradest.estimators.analytic import Analytic
    from gradest.estimators.complex_step import ComplexStep
    from gradest.estimators.evolution import EvolutionStrategy
    from gradest.estimators.finite_difference import FiniteDifference
    from gradest.estimators.forward import Forward
    from gradest.estimators.forward_gradient import ForwardGradient
    from gradest.estimators.guided import GuidedES
    from gradest.estimators.momentum_guided import MomentumGuidedES
    from gradest.estimators.node_perturbation import NodePerturbation
    from gradest.estimators.null import Null
    from gradest.estimators.residual_feedback import ResidualFeedback
    from gradest.estimators.reverse import Reverse
    from gradest.estimators.richardson import Richardson
    from gradest.estimators.row_space import RowSpaceES
    from gradest.estimators.smoothed import SmoothedGradient

# A table of strings and no import, so that a result of one estimator does not depend on the text of the others: the
# harness hashes what an estimator's module imports.
EXPORTS = {
    "Analytic": "gradest.estimators.analytic",
    "ComplexStep": "gradest.estimators.complex_step",
    "EvolutionStrategy": "gradest.estimators.evolution",
    "FiniteDifference": "gradest.estimators.finite_difference",
    "Forward": "gradest.estimators.forward",
    "ForwardGradient": "gradest.estimators.forward_gradient",
    "GuidedES": "gradest.estimators.guided",
    "MomentumGuidedES": "gradest.estimators.momentum_guided",
    "NodePerturbation": "gradest.estimators.node_perturbation",
    "Null": "gradest.estimators.null",
    "ResidualFeedback": "gradest.estimators.residual_feedback",
    "Reverse": "gradest.estimators.reverse",
    "Richardson": "gradest.estimators.richardson",
    "RowSpaceES": "gradest.estimators.row_space",
    "SmoothedGradient": "gradest.estimators.smoothed",
}
"""The public names, and the module that each stands in."""

__all__ = [
    "Analytic",
    "ComplexStep",
    "EvolutionStrategy",
    "FiniteDifference",
    "Forward",
    "ForwardGradient",
    "GuidedES",
    "MomentumGuidedES",
    "NodePerturbation",
    "Null",
    "ResidualFeedback",
    "Reverse",
    "Richardson",
    "RowSpaceES",
    "SmoothedGradient",
]


def __getattr__(name: str) -> Any:
    if name in EXPORTS:
        found = globals()[name] = getattr(importlib.import_module(EXPORTS[name]), name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(EXPORTS)}")


def __dir__() -> list[str]:
    # what a shell completes: public names, and not what this file imports for itself
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
