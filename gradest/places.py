"""Where a framework's own training code keeps one parameter: its values, and the gradient that an optimiser reads.

This module knows no framework: a backend makes the places of a model, `gradest.assign` writes to them.
"""

from abc import ABC, abstractmethod

from gradest.operations import Array


class ParameterPlace(ABC):
    """One parameter of a model, to be written to; a tied one is one place.

    Laws: `put_gradient` leaves the values as they are, `put_values` the gradient; neither keeps the array it is given,
    which its owner may change afterwards.
    """

    @property
    @abstractmethod
    def owner(self) -> object:
        """The framework's own object, by which two places are known to be one."""

    @property
    @abstractmethod
    def like(self) -> Array:
        """An array of the shape, dtype and device that what is put here becomes."""

    @abstractmethod
    def put_gradient(self, gradient: Array, *, accumulate: bool) -> None:
        """Write a gradient of the place's shape where optimisers look; with `accumulate` add it to what is there."""

    @abstractmethod
    def put_values(self, values: Array) -> None:
        """Write the parameter's values in place, so that whoever holds the parameter sees them."""
