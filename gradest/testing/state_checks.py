"""A check of estimators that remember: all of it is in their state, and a state that is given is not written to."""

import copy
from collections.abc import Iterator
from typing import cast

import numpy as np

from gradest.measurement.session import flat
from gradest.stateful import PreparedRun, State, StatefulEstimator
from gradest.testing.known_problems import Cubic
from gradest.testing.results import CheckResult, claimed, not_applicable
from gradest.testing.subject import Subject

_ESTIMATES = 3  # of a run: the first, one from its state, and one from the state of an estimate that was not the first


def check_state(subject: Subject) -> CheckResult:
    """Check that equal states and seeds give equal estimates, that states are left alone, and what each call costs.

    A failure means that a run cannot be continued, or repeated, from a state that was kept.
    """
    if not isinstance(subject.estimator, StatefulEstimator):
        return not_applicable("state", "it remembers nothing; one that does is a StatefulEstimator")
    estimator = cast(StatefulEstimator, subject.with_few_samples())
    run = estimator.prepare_run(subject.objective(Cubic(cubic=0.3)))
    return claimed("state", dict.fromkeys(_state_faults(run, subject.seed)), "it is a value, handed on and left alone")


def _state_faults(run: PreparedRun, seed: int) -> Iterator[str]:
    layout, state = run.objective.layout, run.init_state()
    if run.estimator.cost(layout) != run.estimator.cost_from(layout, state):
        yield "cost(layout) is not what cost_from(layout, state) says of the first state"
    for rng in range(seed, seed + _ESTIMATES):
        kept, before = copy.deepcopy(state), run.objective.counts
        estimate, after = run(state=state, rng=rng)
        spent = run.objective.counts - before
        if spent != estimate.cost:
            yield f"cost_from says {estimate.cost} and {spent} were counted"
        if not _equal(state, kept):
            yield "it writes to the state that it is given: return a new one"
        # From a copy: what is kept by the identity of a state, outside of it, is not found again by another object.
        again, after_again = run(state=copy.deepcopy(kept), rng=rng)
        same = np.array_equal(flat(run.objective, estimate), flat(run.objective, again))
        if not (same and _equal(after, after_again)):
            yield "equal states and seeds give different estimates: it remembers something outside its state"
        state = after


def _equal(one: State, other: State) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return one is other or bool(np.array_equal(one, other))
