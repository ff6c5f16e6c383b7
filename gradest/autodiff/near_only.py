"""Operations without what a loss computes where steps are large, for programs that are compiled.

This module knows no interpreter and no framework.
"""

import math
from collections.abc import Callable
from typing import Any

from gradest.autodiff.forwarding import ForwardingOperations
from gradest.operations import Array, Operations

_ELEMENTWISE = ("exp", "log", "expm1", "log1p", "tanh", "sin", "cos", "sqrt", "square")
_LINEAR = ("sum", "mean", "sum_each", "accumulate", "matmul", "affine", "matrix_transpose")
_SHAPES = (
    "expand_dims",
    "reshape",
    "broadcast_to",
    "slice_axis",
    "concat",
    "zeros_like",
    "constant",
    "blockwise",
    "accumulate",
)
_KEEP_NAN = frozenset((*_ELEMENTWISE, *_LINEAR, *_SHAPES))
"""Operations from which an entry that is NaN comes out as NaN, if it comes out."""


class NearOnly(ForwardingOperations):
    """Leaves out what `piecewise` computes far away, and makes the losses NaN where that was asked for.

    Those forms are for steps that are large beside what they change. They hardly ever run, and to compile them with a
    step takes three times as long as the step without.
    """

    def __init__(self, ops: Operations) -> None:
        super().__init__(ops)
        self._far: list[tuple[Array, Array]] = []
        self._loses_nan = False

    def forward(self, name: str, *operands: Any, **options: Any) -> Array:
        self._loses_nan = self._loses_nan or (bool(self._far) and name not in _KEEP_NAN)
        return super().forward(name, *operands, **options)

    def piecewise(
        self, x: Array, far: Array, on_far: Callable[[Array], Array], on_near: Callable[[Array], Array]
    ) -> Array:
        near = on_near(x)
        self._far.append((x, far))
        return self.ops.where(far, math.nan, near)

    def marked(self, losses: Array) -> Array:
        """Return the losses, NaN where anything was far on the way to them, or all of them."""
        # A NaN arrives by itself where nothing chooses: `x > 0` is false for it, and relu makes it 0. To count what was
        # far costs a reduction, which takes as long to compile as the rest of a step.
        for x, far in self._far if self._loses_nan else ():
            count = self.ops.sum(self.ops.where(far, self.ops.zeros_like(x) + 1.0, 0.0))
            losses = self.ops.where(self.ops.greater(count, 0.0), math.nan, losses)
        return losses
