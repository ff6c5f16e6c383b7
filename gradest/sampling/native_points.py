"""A point on a device along directions that the framework's own generator draws there.

On a GPU that costs a pass over memory in place of a crossing from the host. The numbers are the framework's and the
device's: a direction is a function of (key, index) on each, and another one elsewhere.
"""

import math
from collections.abc import Iterator

import numpy as np

from gradest.directions import Directions
from gradest.directions.directions import factor_shapes
from gradest.directions.reading import Readable
from gradest.errors import UnsupportedError
from gradest.objective import Objective
from gradest.operations import Array, NumpyArray
from gradest.sampling.device_points import DevicePoint
from gradest.tangents import LowRank

DRAWN = ("normal", "rademacher", "low-rank")
"""The laws that a framework's generator draws, one direction without the others."""

_MATRIX_AXES = 2


class NativePoint(DevicePoint):
    """A point in the framework's own arrays, of which those of a direction are drawn on the device."""

    def _placed(self, directions: Readable, k: int, scratch: NumpyArray) -> Iterator[Array]:
        assert isinstance(directions, Directions)  # others are made from numbers that the host drew
        objective, rank = self._objective, directions.rank
        layout = objective.layout
        factored = [rank is not None and len(shape) == _MATRIX_AXES for shape in layout.shapes]
        # The two factors of a matrix are drawn one after the other.
        dtypes = [d for d, two in zip(objective.dtypes, factored, strict=True) for d in (d,) * (1 + two)]
        shapes = layout.shapes if rank is None else factor_shapes(layout, rank)
        # Hashed, so that neighbours of a key and an index are as far apart as any two seeds of a framework's generator.
        (seed,) = np.random.SeedSequence([*directions.key, k]).generate_state(1, np.uint64).tolist()
        drawn = objective.backend.draw(seed, shapes, dtypes, device=objective.device, signs=directions.signs)
        for shape, two in zip(layout.shapes, factored, strict=True):
            array = next(drawn)
            if two:
                array = LowRank(array[None] / math.sqrt(rank or 1), next(drawn)[None]).dense(objective.ops)
                array = objective.ops.reshape(array, shape)
            yield array


def require_native_noise(objective: Objective) -> None:
    """Refuse a backend that draws no numbers.

    Raises
    ------
    UnsupportedError
        It does not.
    """
    if "draw" not in objective.backend.native:
        raise UnsupportedError(
            f"noise='native' was asked for; backend {objective.backend.name!r} draws no random numbers of its own; use "
            "noise='portable'"
        )
