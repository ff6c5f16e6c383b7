"""Leaves the framework's random generator as it was found: to look at a loss is to draw nothing that a step would."""

from collections.abc import Iterator
from contextlib import contextmanager

from gradest.objective import Objective


@contextmanager
def generator_kept(objective: Objective) -> Iterator[None]:
    """Put the generator, from which a user's function may draw (dropout), back to where it was on entry."""
    state = objective.backend.random_state() if objective.is_users_own else None
    try:
        yield
    finally:
        if state is not None:
            objective.backend.set_random_state(state)
