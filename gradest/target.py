"""What an estimator's expectation is: the gradient, that of a smoothed loss, or less."""

from enum import Enum
from typing import NamedTuple


class Target(Enum):
    """What an estimator's expectation is; the value is the wording for people.

    Examples
    --------
    >>> import gradest
    >>> gradest.get_estimator("es").target, gradest.Target.DIRECTION.value
    (<Target.SMOOTHED: 'gradient of the smoothed loss'>, 'direction of the gradient only')
    """

    GRADIENT = "gradient"
    SMOOTHED = "gradient of the smoothed loss"
    DIRECTION = "direction of the gradient only"
    NOTHING = "nothing (a control)"


class Smoothing(NamedTuple):
    """Says by what a loss is smoothed: the law of the directions, a name in `gradest.directions.laws`, and sigma.

    Examples
    --------
    >>> import gradest
    >>> gradest.get_estimator("es", sigma=0.1).smoothing
    Smoothing(law='normal', sigma=0.1)
    """

    law: str
    sigma: float
