"""Where an estimator evaluates the loss, seen from outside: through a NumPy function that records its arguments."""

import numpy as np
from numpy.typing import NDArray

from gradest.errors import UnsupportedError
from gradest.estimator import Estimator

Points = NDArray[np.float64]
"""Displacements from the parameters, `(M, P)`, in the order of evaluation, without those that are zero."""

_SHAPES = {"W": (6, 5), "b": (10,)}  # P = 40: two directions of signs agree with probability 2^-40
_FEW_VALUES = 16


def record_points(estimator: Estimator, seed: int) -> Points | None:
    """Return the points that an estimate at 0 evaluates a function at, or None where it cannot use plain values."""
    seen: list[NDArray[np.float64]] = []
    slopes = {name: np.linspace(1.0, 2.0, int(np.prod(shape))).reshape(shape) for name, shape in _SHAPES.items()}

    def loss(params: dict[str, NDArray[np.float64]]) -> np.float64:
        seen.append(np.concatenate([np.asarray(params[name]).reshape(-1) for name in _SHAPES]))
        return np.float64(sum(float(np.sum(slopes[name] * params[name])) for name in _SHAPES))

    start = {name: np.zeros(shape) for name, shape in _SHAPES.items()}
    try:
        estimator(loss, start, rng=seed, verify=False)  # what preparation looks at is no part of an estimate
    except UnsupportedError:
        return None
    points = np.array(seen, dtype=np.float64).reshape(len(seen), -1)
    moved = points[np.any(points != 0, axis=1)]
    return moved if len(moved) else None


def varied_values(points: Points) -> NDArray[np.float64]:
    """Return the different absolute values of the entries, without 0; none where there are only a few of them."""
    values: NDArray[np.float64] = np.unique(np.abs(points[points != 0]))
    return values if len(values) > _FEW_VALUES else values[:0]
