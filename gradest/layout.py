"""The shapes of a set of parameters, and their flattening to one vector of length P.

Sizes are Python integers, so that no product of them can wrap. This module knows NumPy alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gradest.errors import InvalidInputError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """States the names and shapes of parameter blocks, in their declared order.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> layout = gradest.Layout(names=("w", "b"), shapes=((2, 3), (3,)))
    >>> layout.num_parameters, layout.sizes, layout.offsets
    (9, (6, 3), (0, 6))
    >>> w, b = layout.unflatten(np.arange(9.0))
    >>> w.shape, b.tolist()
    ((2, 3), [6.0, 7.0, 8.0])
    """

    names: tuple[str, ...]
    shapes: tuple[Shape, ...]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """The number of entries of each block."""
        return tuple(math.prod(shape) for shape in self.shapes)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Where each block begins in the flat vector."""
        starts = [0]
        for size in self.sizes[:-1]:
            # Of Python's integers: NumPy's cumsum is of 32 bits on some systems.
            starts.append(starts[-1] + size)
        return tuple(starts)

    @cached_property
    def num_parameters(self) -> int:
        """P, the length of the flat vector."""
        return sum(self.sizes)

    def flatten(self, blocks: Sequence[NDArray[np.generic]], *, leading: int = 0) -> NDArray[np.generic]:
        """Return the blocks as one vector `(P,)`, or `(K, P)` with `leading=1`, in C order, as a new array.

        Raises
        ------
        InvalidInputError
            The blocks are not of this layout's shapes.
        """
        arrays = [np.asarray(block) for block in blocks]
        found = tuple(array.shape[leading:] for array in arrays)
        if found != self.shapes:
            raise InvalidInputError(f"flattening asks for blocks of shapes {self.shapes}; found {found}")
        return np.concatenate([a.reshape((*a.shape[:leading], -1)) for a in arrays], axis=leading)

    def unflatten(self, vector: NDArray[np.generic]) -> tuple[NDArray[np.generic], ...]:
        """Return the blocks of a vector `(..., P)` as views of it, each `(..., *shape)`.

        Raises
        ------
        InvalidInputError
            The last axis is not P long.
        """
        if vector.shape[-1:] != (self.num_parameters,):
            raise InvalidInputError(
                f"unflattening asks for a last axis of {self.num_parameters} entries; found shape {vector.shape}"
            )
        return tuple(
            vector[..., start : start + size].reshape((*vector.shape[:-1], *shape))
            for start, size, shape in zip(self.offsets, self.sizes, self.shapes, strict=True)
        )
