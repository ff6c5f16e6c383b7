"""The one border that a user's own function crosses, whichever estimator asks for an evaluation.

What goes in is private, read-only or watched; what comes out is judged once and copied before the next evaluation;
random layers see the same random numbers in all evaluations of one estimate; no graph is kept where no derivative is
asked for. This package knows no framework: what differs between them is asked of the backend.
"""

from gradest.evaluation.population import (
    POPULATIONS,
    choose_population,
    compiles,
    one_by_one,
    require_population,
    take_first_look,
)
from gradest.evaluation.results import as_losses, as_scalar, kind_of
from gradest.evaluation.user_function import UserFunction
from gradest.evaluation.verification import Verification
from gradest.evaluation.watching import ValuesSeen, warn_if_whole

__all__ = [
    "POPULATIONS",
    "UserFunction",
    "ValuesSeen",
    "Verification",
    "as_losses",
    "as_scalar",
    "choose_population",
    "compiles",
    "kind_of",
    "one_by_one",
    "require_population",
    "take_first_look",
    "warn_if_whole",
]
