"""Closed forms beyond those of the literature: small and quick oscillations beside a trend, kinks, ends of a domain.

They are written as those of `support.closed_forms` are, each with the scales of its parameters at which it is asked:
first those at which it bends on the length of its parameters, then the others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from support.closed_forms import Form, logsumexp

_MIX = np.random.default_rng(5).standard_normal((6, 4))

_INPUTS = np.random.default_rng(6).standard_normal((7, 3))


@dataclass(frozen=True)
class Family:
    """A closed form, a point, and the scales that the point is multiplied by: well-scaled ones, and others."""

    name: str
    f: Callable[[Any], Any]
    x: tuple[float, ...]
    well: tuple[float, ...] = (1.0,)
    other: tuple[float, ...] = ()


def _relu(x: Any) -> Any:
    return np.where(x.real > 0, x, 0 * x)


def _magnitude(x: Any) -> Any:
    return np.where(x.real < 0, -x, x)


def _hidden(x: Any) -> Any:
    return _INPUTS @ x.reshape(3, 2)


FAMILIES = (
    # Oscillations that hardly show beside a trend, on the length of a parameter.
    Family("line-and-cosine", lambda x: (3 * x + np.cos(x)).sum(), (1.3, -0.4), other=(1e3, 1e4)),
    Family("square-and-sine", lambda x: (x**2 / 1e4 + np.sin(x)).sum(), (1.1, 0.7), other=(1e2, 1e3)),
    Family("square-and-ripple", lambda x: (x**2).sum() + 1e-2 * np.sin(50 * x).sum(), (1.0, 0.4), (), (1.0, 5.0)),
    Family("beats", lambda x: (np.sin(x) * np.sin(1.1 * x)).sum(), (1.3, 2.1), other=(1e3, 1e5)),
    Family("chirp", lambda x: np.sin(x**2).sum(), (1.3, 0.6), other=(30.0, 300.0)),
    Family("quick-sine", lambda x: np.sin(100 * x).sum(), (0.013,), (), (1.0, 30.0)),
    Family("sine-of-sum", lambda x: np.sin((x * np.arange(1, 5)).sum()), (0.3, 0.1, -0.2, 0.5), other=(1e3, 1e5)),
    # Losses far from one in size.
    Family("small-loss", lambda x: 1e-8 * np.sin(x).sum(), (1.0, 0.4), other=(1e3,)),
    Family("large-loss", lambda x: 1e8 * np.sin(x).sum(), (1.0, 0.4), other=(1e3,)),
    # Kinks, and lengths far from that of the parameters.
    Family("huber", lambda x: np.where(abs(x.real) < 1, x * x / 2, _magnitude(x) - 0.5).sum(), (0.4, -2.3, 0.9)),
    Family("magnitude", lambda x: _magnitude(x - 1).sum(), (1.001, 0.9, 1.3), ()),
    Family("maximum", lambda x: x[np.argmax(x.real)], (1.0, 1.01, 0.5), ()),
    Family("relu-network", lambda x: (_relu(_hidden(x)) @ [1.0, -0.5]).sum(), (0.4, -0.3, 0.7, 0.1, 0.5, -0.9), ()),
    Family("narrow-peak", lambda x: -np.exp(-(((x - 1) / 0.01) ** 2).sum()), (1.003,), ()),
    Family("steep-step", lambda x: np.tanh(300 * (x - 0.5)).sum(), (0.502, 0.497), ()),
    # Where the domain ends near the point, or the loss is singular there.
    Family("x-log-x", lambda x: (x * np.log(x)).sum(), (0.5, 0.3, 0.2), (), (1.0, 1e-4, 1e3)),
    Family("root", lambda x: np.sqrt(x).sum(), (0.5, 2.0), other=(1e-4, 1e4)),
    Family("inverse", lambda x: (1 / x).sum(), (0.5, 2.0), other=(1e-3, 1e3)),
    # The ordinary.
    Family("softplus", lambda x: np.log(1 + np.exp(x)).sum(), (0.5, -2.0, 1.7), other=(10.0,)),
    Family("peak", lambda x: -np.exp(-((x - 0.5) ** 2).sum()), (0.3, 0.8)),
    Family("rational", lambda x: (x / (1 + x**2)).sum(), (0.6, -1.7, 3.0), other=(10.0, 1e3)),
    Family("log-of-sum", lambda x: np.log(1 + (x**2).sum()), (0.6, -1.7), other=(1e2, 1e4)),
    Family("logistic", lambda x: np.log(1 + np.exp(-(_MIX @ x))).mean(), (0.4, -0.3, 0.7, 0.1), other=(10.0,)),
    Family("least-squares", lambda x: ((_MIX @ x - 1) ** 2).sum(), (0.4, -0.3, 0.7, 0.1), (1.0, 1e3, 1e-3)),
    Family("tanh-network", lambda x: (np.tanh(_hidden(x)) @ [1.0, -0.5]).sum() ** 2, (0.4, -0.3, 0.7, 0.1, 0.5, -0.9)),
    Family("determinant", lambda x: (x[0] * x[3] - x[1] * x[2]) ** 2, (1.2, 0.3, -0.4, 0.9), (1.0, 1e2)),
    Family("seventh-power", lambda x: (x**7).sum(), (0.9, -1.1), (1.0, 10.0)),
    Family("sinc", lambda x: (np.sin(x) / x).sum(), (0.7, 2.2), other=(1e2, 1e4)),
    Family("logsumexp", logsumexp, (1.0, 1.2, 0.9), other=(1e2, 1e4)),
    Family("decay", lambda x: np.exp(-x).sum(), (1.0, 3.0), other=(10.0,)),
    Family("cubes", lambda x: (x**3).sum(), (1.2, -0.7), other=(1e-5, 1e5)),
    Family("product", lambda x: x.prod(), (1.2, -0.7, 2.0, 0.4), other=(1e3,)),
)


def _at(family: Family, scale: float) -> Form:
    x = tuple(scale * value for value in family.x)
    return Form(f"{family.name} x {scale:g}", family.f, x, scale in family.well)


FURTHER = tuple(_at(f, scale) for f in FAMILIES for scale in ((*f.well, *f.other) or (1.0,)))
