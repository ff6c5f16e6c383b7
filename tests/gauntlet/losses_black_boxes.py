"""Functions that read the values of their parameters: simulators, branches, NumPy and SciPy inside, numbers of Python.

What only evaluates takes them all, one evaluation at a time. A derivative asked of the framework cannot be had, and the
error has to say so.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from gauntlet.building import EVERYWHERE, converted
from gauntlet.frameworks import framework
from gauntlet.records import NOT_ANALYTIC, OPAQUE, RIGHT, Asked, Either, Loss, Outcome, Refused, Warned

KIND = "black boxes"

NO_DERIVATIVE = Refused("use|keep to|black-box|compute the loss", "GradestError")
"""For the derivatives that a framework cannot take; the remedy is an estimator that only evaluates."""


def black_box(
    name: str,
    f: "Callable[[Any, Values, Any], Any]",
    params: np.ndarray,
    gradient: Callable[[np.ndarray], Any],
    *,
    backends: Sequence[str] = ("numpy",),
    expected: dict[Any, Outcome] | None = None,
    **fields: Any,
) -> Loss:
    """Return the record of `f(framework, values as NumPy, params)`, which need not use all three."""

    def make(backend: str, dtype: str) -> Asked:
        on = framework(backend)

        def loss(p: Any) -> Any:
            return f(on, Values(p), p)

        return Asked(
            on, loss, converted(backend, params, dtype), gradient=lambda leaves: [np.asarray(gradient(leaves[0]))]
        )

    usual: dict[Any, Outcome] = {"complex-step": NOT_ANALYTIC}
    for backend in EVERYWHERE:
        usual |= {(path, backend): NO_DERIVATIVE for path in ("reverse", "forward")}
    usual |= {("forward", "mxnet"): OPAQUE, ("complex-step", "mxnet"): Refused("no complex arrays; use")}
    return Loss(name, KIND, {b: partial(make, b) for b in backends}, usual | (expected or {}), **fields)


class Values:
    """Reads parameters as NumPy where the loss asks for it, and not before."""

    def __init__(self, params: Any) -> None:
        self._params = params

    def __call__(self) -> np.ndarray:
        p = self._params
        return p.asnumpy() if hasattr(p, "asnumpy") else np.asarray(p)


P = np.array([0.7, -1.2, 0.4])


def newton(on: Any, values: Values, p: Any) -> float:
    """Return the root y of y^3 + y = sum p^2, found by as many steps as it takes."""
    total, y = float((values() ** 2).sum()), 1.0
    while abs(y**3 + y - total) > 1e-13:
        y -= (y**3 + y - total) / (3 * y**2 + 1)
    return y


def newton_gradient(p: np.ndarray) -> np.ndarray:
    y = newton(None, Values(p), p)
    return 2 * p / (3 * y**2 + 1)


TIMES = np.linspace(0.0, 1.0, 11)


def decay(on: Any, values: Values, p: Any) -> float:
    """Return the squared distance of a decay from data: 100 Euler steps of `y' = -k y`, k = exp(p0), y(0) = p1."""
    rate, y = math.exp(float(p[0])), float(p[1])
    total = (y - 1.0) ** 2
    for step in range(1, 101):
        y -= 0.01 * rate * y
        if step % 10 == 0:
            total += (y - math.exp(-TIMES[step // 10])) ** 2
    return total


def decay_gradient(p: np.ndarray) -> np.ndarray:
    rate = math.exp(p[0])
    factor = 1 - 0.01 * rate
    found = np.zeros(2)
    for k in range(11):
        power = factor ** (10 * k)
        residual = 2 * (p[1] * power - math.exp(-TIMES[k]))
        found += residual * np.array([p[1] * 10 * k * factor ** (10 * k - 1) * -0.01 * rate if k else 0.0, power])
    return found


def queue(on: Any, values: Values, p: Any) -> float:
    """Return the mean wait of 20 customers of one server, by numbers drawn from a seed of its own."""
    generator = np.random.default_rng(5)
    gaps, services = generator.exponential(size=20), generator.exponential(size=20)
    mean_gap, mean_service = np.exp(values())
    wait, total = 0.0, 0.0
    for gap, service in zip(gaps, services, strict=True):
        wait = max(0.0, wait + mean_service * service - mean_gap * gap)
        total += wait
    return total / 20


def queue_gradient(p: np.ndarray) -> np.ndarray:
    generator = np.random.default_rng(5)
    gaps, services = generator.exponential(size=20), generator.exponential(size=20)
    (mean_gap, mean_service), slope, wait, total = np.exp(p), np.zeros(2), 0.0, np.zeros(2)
    for gap, service in zip(gaps, services, strict=True):
        wait += mean_service * service - mean_gap * gap
        slope = slope + np.array([-mean_gap * gap, mean_service * service])
        if wait < 0:
            wait, slope = 0.0, np.zeros(2)
        total += slope
    return total / 20


def branch(on: Any, values: Values, p: Any) -> Any:
    return (p * p).sum() if float(p[0]) > 0 else p.sum()


def special(on: Any, values: Values, p: Any) -> float:
    from scipy.special import gammaln

    return float(gammaln(values() + 3.0).sum())


def special_gradient(p: np.ndarray) -> np.ndarray:
    from scipy.special import digamma

    return np.asarray(digamma(p + 3.0))


def integral(on: Any, values: Values, p: Any) -> float:
    from scipy.integrate import quad

    rate, scale, _ = (float(x) for x in values())
    return scale * float(quad(lambda t: math.exp(-rate * t), 0.0, 1.0, epsabs=1e-13)[0])


def integral_gradient(p: np.ndarray) -> list[float]:
    k, scale = p[0], p[1]
    return [scale * ((k + 1) * math.exp(-k) - 1) / k**2, (1 - math.exp(-k)) / k, 0.0]


class Counter:
    """A callable object that counts its calls and remembers the last value: state of its own, the number the same."""

    def __init__(self) -> None:
        self.calls = 0
        self.last = 0.0

    def __call__(self, on: Any, values: Values, p: Any) -> float:
        self.calls += 1
        self.last = float((values() ** 2).sum())
        return self.last


def caught(on: Any, values: Values, p: Any) -> float:
    """Return a loss that takes another way where a first one raises."""
    x = values()
    try:
        if (x < 0).any():
            raise ValueError("a logarithm of negative numbers")
        return float(np.log(x).sum())
    except ValueError:
        return float((x**2).sum())


def looked_up(on: Any, values: Values, p: Any) -> float:
    """Return a line between entries of a table, found by the place that the value has in it."""
    table = np.array([0.0, 1.0, 4.0, 9.0, 16.0])
    total = 0.0
    for x in values():
        place = int(abs(x) * 2)
        total += table[place] + (abs(x) * 2 - place) * (table[place + 1] - table[place])
    return total


def looked_up_gradient(p: np.ndarray) -> np.ndarray:
    place = (abs(p) * 2).astype(int)
    return np.sign(p) * 2 * (2 * place + 1)


COMPLEX_IS_RIGHT: dict[Any, Outcome] = {("complex-step", backend): RIGHT for backend in ("numpy", "jax", "torch")}
"""Python and NumPy carry complex numbers through what these losses do."""

ON_JAX, ON_TORCH, ON_MXNET = (("numpy", other) for other in ("jax", "torch", "mxnet"))

LOSSES = (
    black_box("a number of Python's", lambda on, values, p: float((p * p).sum()), P, lambda p: 2 * p,
              backends=EVERYWHERE),
    black_box(".item()", lambda on, values, p: (p * p).sum().item(), P, lambda p: 2 * p,
              backends=("numpy", "jax", "torch"), expected=COMPLEX_IS_RIGHT),
    black_box("a branch on a value", branch, P, lambda p: 2 * p, backends=EVERYWHERE,
              expected={("reverse", "torch"): Either(RIGHT, Warned("Warning", "to a scalar")),  # once in a process
                        ("forward", "torch"): RIGHT, ("reverse", "mxnet"): RIGHT,
                        ("complex-step", "numpy"): Warned("Warning", "imaginary part")}),
    black_box("NumPy inside", lambda on, values, p: float((values() ** 2).sum()), P, lambda p: 2 * p,
              backends=EVERYWHERE),
    black_box("SciPy inside", special, P, special_gradient, backends=ON_JAX),
    black_box("an integral by SciPy", integral, P, integral_gradient),
    black_box("Newton until converged", newton, P, newton_gradient, backends=ON_TORCH),
    black_box("an ODE by Euler's steps", decay, np.array([0.2, 0.8]), decay_gradient),
    black_box("a queue with a seed of its own", queue, np.array([0.1, -0.2]), queue_gradient, backends=ON_MXNET,
              sigma=1e-3, expected=COMPLEX_IS_RIGHT),
    black_box("an object that counts its calls", Counter(), P, lambda p: 2 * p),
    black_box("an exception caught inside", caught, P, lambda p: 2 * p),
    black_box("a table looked up", looked_up, P, looked_up_gradient),
)  # fmt: skip
