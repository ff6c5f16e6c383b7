"""The record of a gradient that others are judged by: what it is, how it was found, how far it may be off itself."""

from dataclasses import dataclass
from typing import Any

from gradest.operations import NumpyArray


@dataclass(frozen=True, eq=False)
class Reference:
    """A gradient to judge by.

    Attributes
    ----------
    value
        The loss.
    gradient
        Flat, `(P,)`, in the objective's layout.
    method
        How it was computed and checked, in words.
    uncertainty
        Relative L2 error that it may have itself; a measured error below this says no more than that.
    """

    value: Any
    gradient: NumpyArray
    method: str
    uncertainty: float
