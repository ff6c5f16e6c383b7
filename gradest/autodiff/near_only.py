"""Operations without what a loss computes where steps are large, for programs that are compiled.

This module knows no interpreter and no framework.
"""

import math
from collections.abc import Callable

from gradest.autodiff.forwarding import ForwardingOperations
from gradest.operations import Array, Operations


class NearOnly(ForwardingOperations):
    """Leaves out what `piecewise` computes far away, and notes whether that was asked for.

    Those forms are for steps that are large beside what they change. They hardly ever run, and with them a step takes
    twice as long to compile.
    """

    def __init__(self, ops: Operations) -> None:
        super().__init__(ops)
        self._counts: list[Array] = []  # how many entries were far, each time

    def piecewise(
        self, x: Array, far: Array, on_far: Callable[[Array], Array], on_near: Callable[[Array], Array]
    ) -> Array:
        ops = self.ops
        self._counts.append(ops.sum(ops.where(far, ops.zeros_like(x) + 1.0, 0.0)))
        return on_near(x)

    def marked(self, losses: Array) -> Array:
        """Return the losses, all of them NaN where anything was far on the way to them."""
        # NaN in place of what is far would compile faster, and run slower: XLA then computes all of a step in one
        # loop, a reduction, which it does not vectorise. And a choice hides it: `x > 0` is false, and relu makes it 0.
        ops = self.ops
        for count in self._counts:
            losses = ops.where(ops.greater(count, 0.0), math.nan, losses)
        return losses
