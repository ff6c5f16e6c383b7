"""Times many sessions side by side: their blocks alternate, so that a drift of the machine meets all alike."""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gradest.measurement.session import Session
from gradest.measurement.timing import Block, Timing

BLOCK_SECONDS = 0.02
"""How long the samples of one round last at least."""
# Of fewer than three blocks a median is a mean, which one disturbance moves.
LEAST_ROUNDS = 3


@dataclass
class _Running:
    """A session that is being timed, and what was found so far."""

    session: Session
    blocks: list[Block] = field(default_factory=list)
    error: Exception | None = None

    def goes_on(self, budget_seconds: float) -> bool:
        """Whether it takes part in another round."""
        seconds = sum(sum(block.wall_seconds) * block.loops for block in self.blocks)
        return self.error is None and (len(self.blocks) < LEAST_ROUNDS or seconds < budget_seconds)


def time_side_by_side(
    sessions: Sequence[Session], *, budget_seconds: float, seed: int, begin: Callable[[int], None] = lambda number: None
) -> list[Timing | Exception]:
    """Return the times of each session, or what it raised while it was timed, which ends no other.

    Each round times one block of every session, in an order drawn anew from `seed`. A session takes part until its
    samples have lasted `budget_seconds`, and in `LEAST_ROUNDS` rounds at least. `begin` is called with the number of
    a session before its first block.
    """
    running = [_Running(session) for session in sessions]
    order, left = random.Random(seed), list(enumerate(running))
    for round_number in itertools.count():
        if not left:
            break
        # Drawn anew each round: in a fixed order the cell after an expensive one would always find its caches cold.
        order.shuffle(left)
        for number, item in left:
            if round_number == 0:
                begin(number)
            try:
                item.blocks.append(item.session.block(round_number=round_number, samples=1, seconds=BLOCK_SECONDS))
            except Exception as error:  # noqa: BLE001  # an estimator may raise anything, at any call
                item.error = error
        left = [(number, item) for number, item in left if item.goes_on(budget_seconds)]
    return [item.error or item.session.timing(item.blocks, conversions=False) for item in running]
