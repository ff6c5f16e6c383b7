"""Plain functions of arrays, as people write them: one text for NumPy, JAX, PyTorch and MXNet."""

from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
from gauntlet.building import BOTH, arrays, numbers
from gauntlet.records import NOT_ANALYTIC, Refused

SMOOTH = "plain arrays, smooth"
PIECEWISE = "plain arrays, in pieces"
LINEAR = "linear algebra"
TREES = "structures of parameters"

AUTODIFF = ("numpy", "jax", "torch")
NO_RULE = Refused(r"numpy\.fft\.fft was called.*'fd-central'", "UnsupportedError")
MAGNITUDE = {"complex-step": NOT_ANALYTIC, ("complex-step", "mxnet"): Refused("no complex arrays; use")}

A = numbers(3, 3, seed=1)
SPD = A @ A.T + 3.0 * np.eye(3)
X, Y = numbers(6, 3, seed=2), numbers(6, seed=3)
P = np.array([0.7, -1.2, 0.4])
SIGNS = np.where(Y > 0, 1.0, -1.0)


class Line(NamedTuple):
    slope: Any
    offset: Any


def rosenbrock(xp: Any, p: Any) -> Any:
    return (100 * (p[1:] - p[:-1] ** 2) ** 2 + (1 - p[:-1]) ** 2).sum()


def rosenbrock_gradient(p: np.ndarray) -> list[np.ndarray]:
    g = np.zeros_like(p)
    inner = p[1:] - p[:-1] ** 2
    g[:-1] = -400 * p[:-1] * inner - 2 * (1 - p[:-1])
    g[1:] += 200 * inner
    return [g]


def regression(xp: Any, p: Any, x: Any, y: Any) -> Any:
    return ((xp.matmul(x, p["w"]) + p["b"] - y) ** 2).mean()


def regression_gradient(w: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    residual = X @ w + b - Y
    return [2 * X.T @ residual / 6, np.array(2 * residual.mean())]


def two_layers(xp: Any, p: Any, x: Any, y: Any) -> Any:
    hidden = x
    for weight, bias in p["hidden"]:
        hidden = xp.tanh(xp.matmul(hidden, weight) + bias)
    return ((xp.matmul(hidden, p["head"]) - y) ** 2).mean()


def soft_maximum(xp: Any, p: Any) -> Any:
    return xp.log(xp.exp(p).sum()) + (p**2).sum()


def soft_maximum_gradient(p: np.ndarray) -> list[np.ndarray]:
    return [np.exp(p) / np.exp(p).sum() + 2 * p]


def entropy(xp: Any, p: Any) -> Any:
    q = xp.exp(p) / xp.exp(p).sum()
    return (q * xp.log(q)).sum()


def sums_of_powers(xp: Any, p: Any) -> Any:
    return (p**3 - 2 * p**2 + 0.5 / (1 + p**2)).sum()


LOSSES = (
    arrays("sum of squares", SMOOTH, lambda xp, p: (p * p).sum(), P, gradient=lambda p: [2 * p], dtypes=BOTH),
    arrays(
        "sines and exponentials", SMOOTH, lambda xp, p: (xp.sin(p) * xp.exp(-p)).sum(), P,
        gradient=lambda p: [np.exp(-p) * (np.cos(p) - np.sin(p))], dtypes=BOTH,
    ),
    arrays("Rosenbrock by slices", SMOOTH, rosenbrock, np.array([0.8, 0.5, 0.4]), gradient=rosenbrock_gradient,
           loose=10.0),
    arrays("powers and quotients", SMOOTH, sums_of_powers, P,
           gradient=lambda p: [3 * p**2 - 4 * p - p / (1 + p**2) ** 2], dtypes=BOTH),
    arrays("logarithm of a sum", SMOOTH, soft_maximum, P, gradient=soft_maximum_gradient),
    arrays("entropy", SMOOTH, entropy, P),
    arrays("product of all entries", SMOOTH, lambda xp, p: p.prod(), P, gradient=lambda p: [p.prod() / p]),
    arrays("length of a vector", SMOOTH, lambda xp, p: xp.sqrt((p * p).sum()), P,
           gradient=lambda p: [p / np.linalg.norm(p)]),
    arrays("logistic loss", SMOOTH, lambda xp, p, x, s: xp.log1p(xp.exp(-s * xp.matmul(x, p))).mean(), P, X, SIGNS,
           gradient=lambda p: [-(X.T @ (SIGNS / (1 + np.exp(SIGNS * (X @ p))))) / 6]),
    # -- structures
    arrays("regression on a dict", TREES, regression, {"w": P, "b": np.array(0.3)}, X, Y,
           gradient=regression_gradient, dtypes=BOTH),
    arrays("layers in lists and tuples", TREES, two_layers,
           {"hidden": [(numbers(3, 2, seed=4), numbers(2, seed=5))], "head": numbers(2, seed=6)}, X, Y, dtypes=BOTH),
    arrays("an OrderedDict", TREES, lambda xp, p: (p["b"] * p["a"] ** 2).sum(),
           OrderedDict(b=np.array([1.0, 2.0]), a=np.array([3.0, -4.0])), gradient=lambda b, a: [a**2, 2 * a * b]),
    arrays("a named tuple", TREES, lambda xp, p, x: ((p.slope * x + p.offset) ** 2).sum(),
           Line(np.array([1.0, 2.0]), np.array([0.5, -0.5])), np.array([0.3, 0.6]),
           gradient=lambda s, o: [2 * (s * np.array([0.3, 0.6]) + o) * np.array([0.3, 0.6]),
                                  2 * (s * np.array([0.3, 0.6]) + o)]),
    arrays("parameters of shapes () and (1, 1)", TREES, lambda xp, p: (p[0] * p[1] ** 2).sum(),
           [np.array(1.5), np.array([[0.5]])], gradient=lambda a, b: [(b**2).sum(), 2 * a * b]),
    # -- in pieces; complex numbers have no order, and magnitudes no complex derivative
    arrays("mean absolute error", PIECEWISE, lambda xp, p, x, y: xp.abs(xp.matmul(x, p) - y).mean(), P, X, Y,
           gradient=lambda p: [X.T @ np.sign(X @ p - Y) / 6], expected=MAGNITUDE, dtypes=BOTH),
    arrays("Huber loss", PIECEWISE,
           lambda xp, p: xp.where(xp.abs(p) < 1.0, 0.5 * p * p, xp.abs(p) - 0.5).sum(), P,
           gradient=lambda p: [np.clip(p, -1, 1)], expected=MAGNITUDE),
    arrays("leaky units", PIECEWISE, lambda xp, p: xp.where(p > 0, p, 0.1 * p).sum() + (p * p).sum(), P,
           gradient=lambda p: [np.where(p > 0, 1.0, 0.1) + 2 * p],
           expected={("complex-step", "torch"): NOT_ANALYTIC}),
    arrays("largest entry", PIECEWISE, lambda xp, p: (p * p).max() + p.sum(), P,
           gradient=lambda p: [1 + 2 * p * (p * p == (p * p).max())],
           expected={("complex-step", "torch"): NOT_ANALYTIC}),
    # -- linear algebra, where MXNet has few functions
    arrays("quadratic form", LINEAR, lambda xp, p, a: (p * xp.matmul(a, p)).sum(), P, A,
           gradient=lambda p: [(A + A.T) @ p]),
    arrays("determinant", LINEAR, lambda xp, p: xp.linalg.det(p), SPD, backends=AUTODIFF,
           gradient=lambda p: [np.linalg.det(p) * np.linalg.inv(p).T]),
    arrays("solution of equations", LINEAR, lambda xp, p, b: (xp.linalg.solve(p, b) ** 2).sum(), SPD, P,
           backends=AUTODIFF,
           gradient=lambda p: [-2 * np.outer(np.linalg.solve(p.T, np.linalg.solve(p, P)), np.linalg.solve(p, P))]),
    arrays("largest eigenvalue", LINEAR, lambda xp, p: xp.linalg.eigvalsh((p + p.T) / 2)[-1], SPD, backends=AUTODIFF,
           gradient=lambda p: [np.outer(*[np.linalg.eigh((p + p.T) / 2)[1][:, -1]] * 2)],
           expected={"complex-step": NOT_ANALYTIC}),
    arrays("squared norm with a conjugate", LINEAR, lambda xp, p: xp.vdot(p, p), P, backends=AUTODIFF,
           gradient=lambda p: [2 * p], expected={"complex-step": NOT_ANALYTIC}),
    arrays("power of a spectrum", LINEAR, lambda xp, p: (xp.abs(xp.fft.fft(p)) ** 2).sum(), P, backends=AUTODIFF,
           gradient=lambda p: [2 * len(p) * p],
           expected={"complex-step": NOT_ANALYTIC, ("reverse", "numpy"): NO_RULE, ("forward", "numpy"): NO_RULE}),
)  # fmt: skip
