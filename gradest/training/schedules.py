"""Schedules: by what the step size is multiplied as training goes on. Knows no optimiser."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

from gradest.errors import InvalidInputError
from gradest.fields import TypedFields, make_plain
from gradest.training.named import made


@dataclass(frozen=True)
class Schedule(TypedFields, ABC):
    """States a factor of the step size for each step.

    Examples
    --------
    >>> from gradest.training import Cosine
    >>> Cosine(steps=100).factor(0), Cosine(steps=100).factor(100)
    (1.0, 0.0)
    """

    formula: ClassVar[str]

    @abstractmethod
    def factor(self, step: int) -> float:
        """Return the factor of a step; the first step is 0."""


@dataclass(frozen=True)
class Constant(Schedule):
    """The step size as it is.

    Examples
    --------
    >>> from gradest.training import Constant
    >>> Constant().factor(1000)
    1.0
    """

    formula = "1"

    def factor(self, step: int) -> float:
        return 1.0


@dataclass(frozen=True)
class StepDecay(Schedule):
    """The step size shrinks by a factor after every so many steps.

    Attributes
    ----------
    every
        How many steps it stays.
    decay
        What it is multiplied by then.

    Examples
    --------
    >>> from gradest.training import StepDecay
    >>> [StepDecay(every=10, decay=0.5).factor(step) for step in (0, 9, 10, 25)]
    [1.0, 1.0, 0.5, 0.25]
    """

    formula = "decay^floor(t / every)"

    every: int = 100
    decay: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what would never act, or grow."""
        make_plain(self)
        if self.every < 1 or not 0.0 < self.decay <= 1.0:
            raise InvalidInputError(
                f"a step decay asks for every >= 1 and decay in (0, 1]; found every={self.every}, decay={self.decay}"
            )

    def factor(self, step: int) -> float:
        # From the step alone, not step by step: resumed runs agree, and no product of rounded factors drifts.
        return float(self.decay ** (step // self.every))


@dataclass(frozen=True)
class Cosine(Schedule):
    """The step size falls along half a cosine to a share that stays (Loshchilov & Hutter 2017, arXiv:1608.03983).

    Attributes
    ----------
    steps
        After how many steps it has fallen.
    final
        The share of the step size that it falls to.

    Examples
    --------
    >>> from gradest.training import Cosine
    >>> round(Cosine(steps=100, final=0.2).factor(50), 12)
    0.6
    """

    formula = "final + (1 - final) (1 + cos(pi min(t, steps) / steps)) / 2"

    steps: int = 1000
    final: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what has no length."""
        make_plain(self)
        if self.steps < 1 or not 0.0 <= self.final <= 1.0:
            raise InvalidInputError(
                f"a cosine asks for steps >= 1 and final in [0, 1]; found steps={self.steps}, final={self.final}"
            )

    def factor(self, step: int) -> float:
        # Beyond its length the cosine would rise again.
        share = min(step, self.steps) / self.steps
        return self.final + (1.0 - self.final) * 0.5 * (1.0 + math.cos(math.pi * share))


def factor_of(schedule: Schedule, step: int) -> float:
    """Return the factor of a step, of a schedule of the user's own too.

    Raises
    ------
    InvalidInputError
        It is no finite number.
    """
    factor = schedule.factor(step)
    if not (isinstance(factor, Real) and math.isfinite(factor)):
        raise InvalidInputError(
            f"factor(step) of a schedule must be a finite number; {type(schedule).__name__} returned {factor!r} for "
            f"step {step}"
        )
    # A plain float: NumPy 2 multiplies by a scalar of float16 in float16, and the step size would lose its digits.
    return float(factor)


SCHEDULES: Mapping[str, type[Schedule]] = {"constant": Constant, "step": StepDecay, "cosine": Cosine}
"""Name -> class."""


def get_schedule(name: str, **hyperparameters: Any) -> Schedule:
    """Return a new schedule of a name with the given hyper-parameters; raises as `get_optimizer` does.

    Examples
    --------
    >>> from gradest.training import get_schedule
    >>> get_schedule("cosine", steps=200)
    Cosine(steps=200, final=0.0)
    """
    return made("schedule", SCHEDULES, name, hyperparameters)
