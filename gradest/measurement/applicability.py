"""Which estimators can run on a loss, and why the others cannot: each is prepared, and none is run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradest.binding import Bindable, bind
from gradest.errors import InvalidTypeError
from gradest.estimate import Cost
from gradest.estimator import Estimator, get_estimator
from gradest.measurement.outcome import Outcome, outcome_of
from gradest.objective import Objective
from gradest.registry import names
from gradest.tree import Tree


@dataclass(frozen=True)
class Applicability:
    """Says whether one estimator can run on one loss; it is true where it can.

    Attributes
    ----------
    estimator
        The registered name, or the label that it was given under.
    outcome, reason
        `Outcome.OK` and no reason, or why it cannot, with what can be used.
    path
        How it would compute: "native", "gradest", "vmap", "loop", ...
    cost
        The evaluations that one estimate would cost.

    Examples
    --------
    >>> import gradest
    >>> quadratic = gradest.get_problem("quadratic", size=3)
    >>> (found,) = gradest.applicable(quadratic, estimators=["node-perturbation"])
    >>> bool(found), found.outcome.value, found.reason.split(",")[0]
    (False, 'unsupported', "parameter 'x' must be used in affine operations alone")
    """

    estimator: str
    outcome: Outcome
    reason: str = ""
    path: str = ""
    cost: Cost | None = None

    def __bool__(self) -> bool:
        """Whether it can run."""
        return self.outcome is Outcome.OK


def applicable(
    f: Bindable,
    params: Tree = None,
    *args: object,
    estimators: Mapping[str, Estimator] | Sequence[str] | None = None,
    **binding: Any,
) -> tuple[Applicability, ...]:
    """Return which estimators can run on a loss, and why the others cannot.

    Each estimator is prepared, which refuses what it cannot carry out; none is run, and the loss is not evaluated, so
    that a dear simulator may be asked about. What only a value of the loss tells (that it is not analytic, for the
    complex step; that it is no number) is found out at the first estimate. An `Objective` is taken as it was bound:
    with `verify=True` its preparation may spend a few evaluations.

    Parameters
    ----------
    f, params, *args
        As `gradest.bind` takes them.
    estimators
        Registered names, or a mapping from labels to estimators; by default every registered name.
    **binding
        Options of `gradest.bind`, and the function's own keyword arguments.

    Raises
    ------
    InvalidTypeError
        `estimators` is a string.
    UnknownNameError
        A name is not registered.
    GradestError
        The loss cannot be bound, by any estimator.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> found = gradest.applicable(lambda p: float(np.sum(p**2)), np.ones(3), estimators=["reverse", "fd-central"])
    >>> [(each.estimator, bool(each), str(each.cost)) for each in found]
    [('reverse', False, 'None'), ('fd-central', True, '6 values')]
    >>> found[0].reason.split(",")[0]
    "reverse mode was asked for of an opaque function on backend 'numpy'"
    """
    if isinstance(estimators, str):
        raise InvalidTypeError(f"estimators must be a sequence of names; found a string: write [{estimators!r}]")
    options = binding if isinstance(f, Objective) else {"verify": False, **binding}
    objective = bind(f, params, *args, **options)
    if isinstance(estimators, Mapping):
        return tuple(_asked(objective, label, estimator) for label, estimator in estimators.items())
    if estimators is not None:  # a name that was asked for has to be there; a plug-in that is merely installed has not
        return tuple(_asked(objective, name, get_estimator(name)) for name in estimators)
    return tuple(_asked(objective, name, None) for name in names("estimators"))


def _asked(objective: Objective, label: str, estimator: Estimator | None) -> Applicability:
    try:
        chosen = get_estimator(label) if estimator is None else estimator
        prepared = chosen.prepare(objective)
    except Exception as error:  # noqa: BLE001  # a plug-in may raise anything; it is the answer for it
        return Applicability(label, *outcome_of(error))
    return Applicability(label, Outcome.OK, path=prepared.path, cost=prepared.cost)
