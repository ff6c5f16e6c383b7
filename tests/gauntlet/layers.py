"""The layers of a loss in operations, found by running its text once in NumPy: each product with a parameter.

Independent of what gradest does to find them: here nothing is sealed and nothing refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gradest
from gradest_numpy.operations import NumpyOperations


@dataclass(frozen=True)
class Use:
    """One layer: the places of its weight and bias among the parameters, its input, its pre-activation."""

    weight: int
    bias: int | None
    inputs: np.ndarray
    output: np.ndarray


class Recording(NumpyOperations):
    """NumPy's operations, with what products with parameters were given; shifts are added to their results."""

    def __init__(self, leaves: Sequence[np.ndarray], shifts: Sequence[np.ndarray] | None) -> None:
        self.uses: list[Use] = []
        self._shifts = shifts
        self._places = {id(leaf): k for k, leaf in enumerate(leaves)}

    def matmul(self, x: Any, y: Any) -> Any:
        return self.affine(x, y)

    def affine(self, x: Any, weight: Any, bias: Any = None) -> Any:
        output = np.matmul(x, weight)
        if bias is not None:
            output = output + np.expand_dims(bias, -2)
        place = self._places.get(id(weight))
        if place is None:
            return output
        self.uses.append(Use(place, self._places.get(id(bias)), np.asarray(x), output))
        return output if self._shifts is None else output + self._shifts[len(self.uses) - 1]


@dataclass(frozen=True)
class Layers:
    """A problem whose layers can be looked at and shifted."""

    problem: gradest.Problem

    def run(
        self, leaves: Sequence[np.ndarray], shifts: Sequence[np.ndarray] | None = None
    ) -> tuple[float, list[Use], list[np.ndarray]]:
        """Return the loss, its layers, and the matrices among its data."""
        ops, data = Recording(leaves, shifts), self.problem.data()
        value = self.problem.loss(ops, dict(zip(self.problem.layout.names, leaves, strict=True)), data)
        return float(np.asarray(value)), ops.uses, [x for x in data.values() if x.ndim == 2]
