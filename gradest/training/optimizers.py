"""Optimisers: what becomes of parameters, given a gradient. One formula each, the same on every backend.

The convention is v <- m v + g, x <- x - s v, as in `torch.optim`: s is the step size, m the momentum. All of them work
entry by entry, on the arrays of whichever framework. This module knows no estimator.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from gradest.fields import TypedFields, make_plain
from gradest.operations import Array, Operations
from gradest.real_numbers import real_number
from gradest.training.named import made

Moments = tuple[Array, ...]
"""What an optimiser remembers of one parameter array: arrays of its shape, zero at first."""


@dataclass(frozen=True)
class Optimizer(TypedFields, ABC):
    """States how parameters follow from a gradient: a frozen dataclass whose fields are the hyper-parameters.

    Attributes
    ----------
    step_size
        s, in units of parameters per gradient; a schedule multiplies it.

    Examples
    --------
    >>> import numpy as np, gradest
    >>> from gradest.training import HeavyBall
    >>> ball = HeavyBall(step_size=0.1, momentum=0.5)
    >>> ops = gradest.get_backend("numpy").operations()
    >>> x, (v,) = ball.update(ops, np.array([1.0]), np.array([2.0]), (np.array([4.0]),), ball.numbers(0.1, 1))
    >>> x.tolist(), v.tolist()
    ([0.6], [4.0])
    """

    formula: ClassVar[str]
    """What a step is, on one line: x the parameters, g the gradient, s the step size, t the step, from 1."""
    source: ClassVar[str]
    num_moments: ClassVar[int] = 0
    """How many arrays of the parameters' size it remembers."""
    searches_line: ClassVar[bool] = False
    """Whether the step size is that of the least loss along the line, which a quadratic loss alone can say."""

    step_size: float = 0.1

    def __post_init__(self) -> None:
        """Refuse a step size that is not positive."""
        make_plain(self)  # subclasses call this first
        real_number("step_size", self.step_size, "(0, inf)", example=0.1)

    def numbers(self, step_size: float, count: int) -> tuple[float, ...]:
        """Return the numbers that step `count` (from 1) needs, computed in double precision whatever the dtype."""
        return (step_size,)

    @abstractmethod
    def update(
        self, ops: Operations, x: Array, g: Array, moments: Moments, numbers: tuple[float, ...]
    ) -> tuple[Array, Moments]:
        """Return one parameter array after a step, and what is remembered of it."""


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """Steps against the gradient; of a batch in place of all examples this is stochastic gradient descent.

    Examples
    --------
    >>> from gradest.training import GradientDescent
    >>> GradientDescent(step_size=0.01).formula
    'x <- x - s g'
    """

    formula = "x <- x - s g"
    source = "Cauchy 1847; of a batch: Robbins & Monro 1951, doi:10.1214/aoms/1177729586"

    def update(
        self, ops: Operations, x: Array, g: Array, moments: Moments, numbers: tuple[float, ...]
    ) -> tuple[Array, Moments]:
        return x - numbers[0] * g, ()


@dataclass(frozen=True)
class LineSearch(GradientDescent):
    """Steps against the gradient to the least loss on that line, which a quadratic loss alone gives in closed form.

    The step is exact for an exact gradient g. Other losses are refused; `step_size` multiplies the step, 1 by default.

    Examples
    --------
    >>> import gradest
    >>> valley = gradest.get_problem("quadratic", hessian=[[1.0, 0.0], [0.0, 0.5]], start=[0.5, 1.0])
    >>> found = gradest.train(valley, "analytic", "line-search", budget=gradest.training.Budget(steps=2))
    >>> found.params["x"].round(4).tolist()  # zig-zag: by -1/3 and 1/3 a step
    [0.0556, 0.1111]
    """

    formula = "x <- x - s g, s = g^T g / g^T H g"
    source = "Cauchy 1847; Akaike 1959, doi:10.1007/BF01831719 (its zig-zag)"
    searches_line = True

    step_size: float = 1.0


@dataclass(frozen=True)
class HeavyBall(Optimizer):
    """Steps along a decaying sum of gradients.

    With `dampening` d = m the sum is an average, and a step no longer than one of gradient descent. `torch.optim.SGD`
    leaves its very first gradient undamped; here the sum begins at 0 and each is damped.

    Attributes
    ----------
    momentum
        m, the share of the sum that stays.
    dampening
        d, the share of each gradient that is left out.

    Examples
    --------
    >>> from gradest.training import HeavyBall
    >>> HeavyBall(momentum=0.9).formula
    'v <- m v + (1 - d) g, x <- x - s v'
    """

    formula = "v <- m v + (1 - d) g, x <- x - s v"
    source = "Polyak 1964, doi:10.1016/0041-5553(64)90137-5"
    num_moments = 1

    momentum: float = 0.9
    dampening: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        super().__post_init__()
        real_number("momentum", self.momentum, "[0, 1)", example=0.9)
        real_number("dampening", self.dampening, "[0, 1)", example=0.9)

    def update(
        self, ops: Operations, x: Array, g: Array, moments: Moments, numbers: tuple[float, ...]
    ) -> tuple[Array, Moments]:
        # The step size stands outside the sum, as in `torch.optim`: inside, old gradients would keep old step sizes.
        v = self.momentum * moments[0] + (1.0 - self.dampening) * g
        return x - numbers[0] * v, (v,)


@dataclass(frozen=True)
class Nesterov(Optimizer):
    """Steps along a decaying sum of gradients, looked at one step ahead.

    Attributes
    ----------
    momentum
        m, the share of the sum that stays.

    Examples
    --------
    >>> from gradest.training import Nesterov
    >>> Nesterov().momentum
    0.9
    """

    formula = "v <- m v + g, x <- x - s (g + m v)"
    source = "Nesterov 1983; in this form Sutskever et al. 2013, PMLR 28(3):1139-1147"
    num_moments = 1

    momentum: float = 0.9

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        super().__post_init__()
        real_number("momentum", self.momentum, "[0, 1)", example=0.9)

    def update(
        self, ops: Operations, x: Array, g: Array, moments: Moments, numbers: tuple[float, ...]
    ) -> tuple[Array, Moments]:
        v = self.momentum * moments[0] + g
        # x stands for the point that is looked ahead to, by a shift of variables: every optimiser asks at x.
        return x - numbers[0] * (g + self.momentum * v), (v,)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Steps by averages of the gradient over those of its square, both corrected for beginning at 0.

    Attributes
    ----------
    beta1, beta2
        Shares of the two averages that stay.
    epsilon
        What keeps the quotient finite; added where `torch.optim` and optax add it. Gluon adds it before v is corrected,
        so that its first steps are shorter where entries of the gradient are below about 1e-6.

    Examples
    --------
    >>> from gradest.training import Adam
    >>> Adam().step_size, Adam().num_moments
    (0.001, 2)
    """

    formula = (
        "m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, x <- x - s (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + e)"
    )
    source = "Kingma & Ba 2015, arXiv:1412.6980"
    num_moments = 2

    step_size: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        super().__post_init__()
        real_number("beta1", self.beta1, "[0, 1)", example=0.9)
        real_number("beta2", self.beta2, "[0, 1)", example=0.9)
        real_number("epsilon", self.epsilon, "[0, inf)", example=1e-8)

    def numbers(self, step_size: float, count: int) -> tuple[float, ...]:
        """Return s / (1 - b1^t) and sqrt(1 - b2^t): in float32 the latter would keep three digits at t = 1."""
        # Python's numbers take on the dtype of the arrays; under NumPy 2 a scalar of float64 would widen float32.
        return step_size / (1.0 - self.beta1**count), math.sqrt(1.0 - self.beta2**count)

    def update(
        self, ops: Operations, x: Array, g: Array, moments: Moments, numbers: tuple[float, ...]
    ) -> tuple[Array, Moments]:
        m = self.beta1 * moments[0] + (1.0 - self.beta1) * g
        # In float16 a gradient of 256 has an infinite square: `Run` looks at what is remembered, as the step is 0 then.
        v = self.beta2 * moments[1] + (1.0 - self.beta2) * (g * g)
        return x - numbers[0] * m / (ops.sqrt(v) / numbers[1] + self.epsilon), (m, v)


@dataclass(frozen=True)
class Search(TypedFields, ABC):
    """States a way to better parameters that needs no gradient: it tries others, and keeps those of lower loss.

    The loss is that of the training data, never of those held out; with batches it is that of the step's batch, and
    the loss of all may climb. Going back restores the parameters themselves.

    Attributes
    ----------
    scale
        The standard deviation of what is tried, in units of the parameters.

    Examples
    --------
    >>> import gradest
    >>> from gradest.training import Budget
    >>> bowl = gradest.get_problem("quadratic", size=3)
    >>> found = gradest.train(bowl, None, "iterative-refinement", budget=Budget(steps=20))
    >>> found.records[-1].loss < found.records[0].loss
    True
    """

    formula: ClassVar[str]
    source: ClassVar[str]

    scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a scale that is not positive."""
        make_plain(self)
        real_number("scale", self.scale, "(0, inf)", example=0.1)

    @abstractmethod
    def candidate(self, x: Array, z: Array) -> Array:
        """Return what is tried in place of one parameter array, for standard normal numbers z of its shape."""


@dataclass(frozen=True)
class RandomSearch(Search):
    """Tries parameters that have nothing to do with those before.

    Examples
    --------
    >>> from gradest.training import RandomSearch
    >>> RandomSearch().formula
    'x <- a z where that has the lower loss, z ~ N(0, I)'
    """

    formula = "x <- a z where that has the lower loss, z ~ N(0, I)"
    source = "Brooks 1958, doi:10.1287/opre.6.2.244"

    def candidate(self, x: Array, z: Array) -> Array:
        return self.scale * z


@dataclass(frozen=True)
class IterativeRefinement(Search):
    """Tries parameters near the best ones so far: the (1 + 1) evolution strategy with a fixed step.

    Examples
    --------
    >>> from gradest.training import IterativeRefinement
    >>> IterativeRefinement().scale
    0.1
    """

    formula = "x <- x + a z where that has the lower loss, z ~ N(0, I)"
    source = "Matyas 1965, Automation and Remote Control 26:246-253"

    scale: float = 0.1

    def candidate(self, x: Array, z: Array) -> Array:
        return x + self.scale * z


OPTIMIZERS: Mapping[str, Callable[..., Optimizer | Search]] = {
    "gradient-descent": GradientDescent,
    "sgd": GradientDescent,
    "line-search": LineSearch,
    "heavy-ball": HeavyBall,
    "nesterov": Nesterov,
    "adam": Adam,
    "random-search": RandomSearch,
    "iterative-refinement": IterativeRefinement,
}
"""Name -> class."""


def get_optimizer(name: str, **hyperparameters: Any) -> Optimizer | Search:
    """Return a new optimiser of a name with the given hyper-parameters.

    Raises
    ------
    UnknownNameError
        There is no such optimiser, or no such hyper-parameter.
    InvalidInputError
        A hyper-parameter is out of range.

    Examples
    --------
    >>> from gradest.training import get_optimizer
    >>> get_optimizer("adam", step_size=0.01)
    Adam(step_size=0.01, beta1=0.9, beta2=0.999, epsilon=1e-08)
    """
    return made("optimizer", OPTIMIZERS, name, hyperparameters)
