"""Which estimators can run on a loss, and why others cannot: each is prepared, the loss is run three times at most."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gradest.binding import Bindable, bind
from gradest.errors import InvalidTypeError, UnsupportedError
from gradest.estimate import Cost
from gradest.estimator import Estimator, get_estimator
from gradest.measurement.outcome import Outcome, outcome_of
from gradest.objective import Objective
from gradest.refusals import ANALYTIC, FORWARD_MODE, REVERSE_MODE
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

    Each estimator is prepared, which refuses what it cannot carry out. A function of the user's is evaluated once for
    all of them: that it raises, or returns no real number, nothing else tells. One of NumPy's is evaluated once more
    where an estimator would differentiate it (whether every step has a rule), and, where one has not, again for the
    complex step. What more values tell (noise, a loss that is not analytic) is found out at the first estimate. An
    `Objective` is taken as it was bound: with `verify=True` its preparation may spend a few evaluations.

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
        `estimators` are neither names nor a mapping to estimators.
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
    'float() was asked of a value that is being differentiated'
    """
    # A name that is asked for has to be there; by default a plug-in that is merely installed has not.
    chosen: Mapping[str, Estimator | None] = (
        dict.fromkeys(names("estimators")) if estimators is None else labelled(estimators)
    )
    # Not verified, which spends evaluations: this is asked before anything is run.
    options = binding if isinstance(f, Objective) else {"verify": False, **binding}
    objective = bind(f, params, *args, **options)
    question = _Question(objective)
    return tuple(question.asked(label, estimator) for label, estimator in chosen.items())


def labelled(estimators: Mapping[str, Estimator] | Iterable[str]) -> dict[str, Estimator]:
    """Return estimators by their labels: of a mapping its own, of names these.

    Raises
    ------
    InvalidTypeError
        They are neither names nor a mapping to estimators.
    UnknownNameError
        A name is not registered.
    """
    if isinstance(estimators, str):
        raise InvalidTypeError(f"estimators must be a sequence of names; found a string: write [{estimators!r}]")
    if not isinstance(estimators, Iterable):
        raise InvalidTypeError(
            "estimators must be a sequence of names, or a mapping from labels to estimators; found "
            f"{type(estimators).__name__}; try ['reverse', 'es']"
        )
    if isinstance(estimators, Mapping):
        for label, given in estimators.items():
            if not isinstance(given, Estimator):
                found = f"the class {given.__name__}" if isinstance(given, type) else repr(given)
                raise InvalidTypeError(
                    f"estimators must be a mapping from labels to estimators; found {found} under {label!r}; make one, "
                    "as by gradest.get_estimator('reverse')"
                )
        return dict(estimators)
    listed = list(estimators)  # a generator can be gone through once
    made = next((each for each in listed if isinstance(each, Estimator)), None)
    if made is not None:
        raise InvalidTypeError(
            f"estimators must be names, or a mapping from labels to estimators; found {type(made).__name__} in a "
            f"sequence: write {{{made.name!r}: estimator, ...}}, a label for each row"
        )
    return {name: get_estimator(name) for name in listed}


class _Question:
    """One loss about which estimators are asked; what takes an evaluation is asked once for all of them."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective

    def asked(self, label: str, estimator: Estimator | None) -> Applicability:
        """Return whether an estimator, of this name by default, can run."""
        try:
            chosen = get_estimator(label) if estimator is None else estimator
            prepared = chosen.prepare(self._objective)
            # After prepare, which says more of the estimator: a loss that cannot be evaluated is the same for all.
            if chosen.needs != "nothing" and self._no_value is not None:
                raise self._no_value
            if chosen.needs in (REVERSE_MODE, FORWARD_MODE) and self._no_rule is not None:
                raise self._no_rule
            if chosen.needs == ANALYTIC and self._not_complex is not None:
                raise self._not_complex
        except Exception as error:  # noqa: BLE001  # a plug-in may raise anything; it is the answer for it
            return Applicability(label, *outcome_of(error))
        return Applicability(label, Outcome.OK, path=prepared.path, cost=prepared.cost)

    @cached_property
    def _no_value(self) -> Exception | None:
        """What a user's function raises, or is refused for, when it is evaluated as it is."""
        if not self._objective.is_users_own:
            return None
        try:
            self._objective.prepare_value()(self._objective.start)
        except Exception as error:  # noqa: BLE001  # a user's function may raise anything; it is the answer
            return error
        return None

    @cached_property
    def _no_rule(self) -> Exception | None:
        """What an interpreted function raises where a derivative does not come through one of its steps."""
        if not (self._objective.is_users_own and self._objective.backend.interprets):
            return None
        try:
            get_estimator("reverse").prepare(self._objective)()
        except Exception as error:  # noqa: BLE001  # a user's function may raise anything; it is the answer
            return error
        return None

    @cached_property
    def _not_complex(self) -> Exception | None:
        """What a function that cannot be followed raises at complex parameters; others are taken to bear them.

        A float() on its way, which ends the one, ends the other too.
        """
        if self._no_rule is None:
            return None
        # Complex by dtype alone: an imaginary part of 0 already ends where a function takes real numbers only.
        leaves = tuple(leaf + 0j for leaf in self._objective.start)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                value: Any = self._objective.prepare_value()(leaves)
        except Exception as error:  # noqa: BLE001  # as above
            return _not_analytic(f"{type(error).__name__}: {error}")
        return None if np.iscomplexobj(value) else _not_analytic("the loss is real there")


def _not_analytic(found: str) -> UnsupportedError:
    return UnsupportedError(
        f"the complex step evaluates the loss at complex parameters; the function given does not take them ({found}); "
        "use finite differences"
    )
