"""The laws by which networks are given their first weights, by name. Knows no framework and no network."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, int], Floats]
"""`(generator, fan_in, fan_out) -> values`, of shape `(fan_in, fan_out)` for weights and `(fan_out,)` for biases."""

# Whatever the width: of a wide layer the sums are large, of a narrow one small, as MXNet's users meet them.
_GLUON_SCALE = 0.07


@dataclass(frozen=True)
class InitialLaw:
    """A law of the weights and biases of one layer.

    Attributes
    ----------
    formula, source
        The law on one line, and where it is from.
    weights, biases
        What draws them.

    Examples
    --------
    >>> import numpy as np
    >>> from gradest.problems.initial_laws import INITIAL_LAWS
    >>> weights = INITIAL_LAWS["xavier"].weights(np.random.default_rng(0), 300, 200)
    >>> weights.shape, bool(abs(weights).max() < np.sqrt(6 / 500)), round(float(weights.var() * 500 / 2), 2)
    ((300, 200), True, 1.0)
    """

    formula: str
    source: str
    weights: Draw
    biases: Draw


def _normal(generator: np.random.Generator, fan_in: int, fan_out: int) -> Floats:
    return generator.standard_normal((fan_in, fan_out)) / math.sqrt(fan_in)


def _small_normal(generator: np.random.Generator, fan_in: int, fan_out: int) -> Floats:
    return 0.1 * generator.standard_normal(fan_out)


def _uniform_by_fan_in(generator: np.random.Generator, fan_in: int, fan_out: int) -> Floats:
    return generator.uniform(-1.0, 1.0, (fan_in, fan_out)) / math.sqrt(fan_in)


def _biases_by_fan_in(generator: np.random.Generator, fan_in: int, fan_out: int) -> Floats:
    return generator.uniform(-1.0, 1.0, fan_out) / math.sqrt(fan_in)


def _uniform_by_both(generator: np.random.Generator, fan_in: int, fan_out: int) -> Floats:
    return generator.uniform(-1.0, 1.0, (fan_in, fan_out)) * math.sqrt(6.0 / (fan_in + fan_out))


def _narrow_uniform(generator: np.random.Generator, fan_in: int, fan_out: int) -> Floats:
    return generator.uniform(-_GLUON_SCALE, _GLUON_SCALE, (fan_in, fan_out))


def _no_weights(generator: np.random.Generator, fan_in: int, fan_out: int) -> Floats:
    return np.zeros((fan_in, fan_out))


def _no_biases(generator: np.random.Generator, fan_in: int, fan_out: int) -> Floats:
    return np.zeros(fan_out)


INITIAL_LAWS: Mapping[str, InitialLaw] = {
    "normal": InitialLaw(
        "W ~ N(0, 1/fan_in), b ~ N(0, 0.01)",
        "LeCun et al. 1998, Efficient BackProp, doi:10.1007/3-540-49430-8_2",
        _normal,
        _small_normal,
    ),
    "torch-linear": InitialLaw(
        # a = sqrt(5) is no gain of an activation: it gives Torch7's law again, of a third of LeCun's variance.
        "W, b ~ U(-r, r), r = 1/sqrt(fan_in), of variance 1/(3 fan_in)",
        "torch.nn.Linear.reset_parameters: Kaiming's uniform law (arXiv 1502.01852) with a = sqrt(5)",
        _uniform_by_fan_in,
        _biases_by_fan_in,
    ),
    "xavier": InitialLaw(
        "W ~ U(-r, r), r = sqrt(6/(fan_in + fan_out)), of variance 2/(fan_in + fan_out); b = 0",
        "Glorot & Bengio 2010, AISTATS, PMLR 9:249-256",
        _uniform_by_both,
        _no_biases,
    ),
    "mxnet-uniform": InitialLaw(
        "W ~ U(-0.07, 0.07), b = 0",
        "mxnet.initializer.Uniform, the default of Gluon's Block.initialize",
        _narrow_uniform,
        _no_biases,
    ),
    "zeros": InitialLaw(
        "W = 0, b = 0: right for softmax regression; a network with hidden layers keeps equal units equal",
        "the start of a convex problem",
        _no_weights,
        _no_biases,
    ),
}
"""Name -> law."""
